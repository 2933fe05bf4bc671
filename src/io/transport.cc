// Sockets: transports, connecting, listening, accepting. The in-memory pair is in memory_transport.cc.
#include "io/transport.h"

#include "io/accepted.h"

#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/recycled.h"

namespace fairlead::io {
namespace {

// Said once a minute by the process, whoever meets it.
void say_descriptors_short(int error, base::TimePoint now) {
  static std::atomic<int64_t> last{INT64_MIN};
  int64_t ns = now.time_since_epoch().count(), before = last.load(std::memory_order_relaxed);
  if (before != INT64_MIN && ns - before < base::Nanos(std::chrono::minutes(1)).count()) return;
  if (!last.compare_exchange_strong(before, ns)) return;
  if (error != EMFILE) {
    FL_LOG_ERROR("io", "the system has no room for another connection ({}): new ones wait or fail until others end", std::strerror(error));
    return;
  }
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  FL_LOG_ERROR("io", "all file descriptors are in use (the limit is {}): new connections wait or fail until others end. Raise it with ulimit -n or LimitNOFILE= and start again",
               limit.rlim_cur);
}

// An address that no interface has (IP_FREEBIND). false with errno.
bool allow_foreign_address(int fd, int family) {
  int one = 1;
  return (family == AF_INET6 ? ::setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &one, sizeof one) : ::setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof one)) == 0;
}

// Room to write is asked for when there is none, which is seldom: a new socket would wake its loop just to say that it has.
constexpr uint32_t kRead = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr uint32_t kBoth = kRead | EPOLLOUT;

class SocketTransport final : public Transport, public base::Recycled<SocketTransport>, EventSink {
 public:
  SocketTransport(Loop& loop, Fd fd) : SocketTransport(loop, std::move(fd), {}, {}) {}
  // Addresses that are not valid are asked for.
  SocketTransport(Loop& loop, Fd fd, const Address& peer, const Address& local) : loop_(loop), fd_(std::move(fd)) {
    peer_ = peer;
    local_ = local;
    if (!peer_.valid())
      if (auto a = peer_address(fd_.get())) peer_ = *a;
    if (!local_.valid())
      if (auto a = local_address(fd_.get())) local_ = *a;
    is_ip_ = local_.is_ip();
    (void)loop_.watch(fd_.get(), kRead, *this);
  }
  ~SocketTransport() override { close(false); }

  // By syscall(2): the C library's recv and send are points where a thread may be cancelled, which costs two locked
  // instructions a call.
  IoResult read(std::span<char> into) override {
    if (!fd_.valid()) return {IoStatus::kError};
    if (drained_) return {IoStatus::kAgain};
    ssize_t n = ::syscall(SYS_recvfrom, fd_.get(), into.data(), into.size(), 0, nullptr, nullptr);
    if (n > 0) {
      // A short read took all there was: what comes later brings an edge of its own, so the next read need not ask the
      // kernel. Unless the end had been announced along with these bytes; and Unix sockets cut reads for other reasons.
      drained_ = static_cast<size_t>(n) < into.size() && is_ip_ && !end_announced_;
      return {IoStatus::kOk, static_cast<size_t>(n)};
    }
    if (n == 0) return {IoStatus::kEof};
    return failure();
  }

  IoResult write(std::span<const iovec> from) override {
    if (!fd_.valid()) return {IoStatus::kError};
    ssize_t n;
    // MSG_MORE keeps back a last segment that is not full; the end of the stream then travels in it.
    int flags = last_write_ ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
    if (from.size() == 1) {
      n = ::syscall(SYS_sendto, fd_.get(), from[0].iov_base, from[0].iov_len, flags, nullptr, 0);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(from.data());
      message.msg_iovlen = std::min<size_t>(from.size(), 1024);  // IOV_MAX
      n = ::syscall(SYS_sendmsg, fd_.get(), &message, flags);
    }
    if (n >= 0) return {IoStatus::kOk, static_cast<size_t>(n)};
    IoResult result = failure();
    // Room may have come meanwhile; changing the watch looks, so no edge is missed.
    if (result.status == IoStatus::kAgain && !std::exchange(room_watched_, true)) (void)loop_.rewatch(fd_.get(), kBoth);
    return result;
  }

  void last_write() override { last_write_ = is_ip_; }

  void shutdown_write() override {
    if (fd_.valid()) ::shutdown(fd_.get(), SHUT_WR);
  }

  void close(bool reset) override {
    if (!fd_.valid()) return;
    loop_.forget(fd_.get());
    if (reset) {
      linger l{1, 0};
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    fd_.reset();
    sink_ = nullptr;
  }

  int fd() const override { return fd_.get(); }

 private:
  IoResult failure() {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {IoStatus::kAgain};
    error_ = std::strerror(errno);
    return {IoStatus::kError};
  }

  void on_events(uint32_t events) override {
    drained_ = false;
    if (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) end_announced_ = true;
    if (!sink_) return;
    bool broken = events & (EPOLLERR | EPOLLHUP);
    sink_->on_ready(broken || (events & (EPOLLIN | EPOLLRDHUP)), broken || (events & EPOLLOUT));
  }

  Loop& loop_;
  Fd fd_;
  bool is_ip_ = false;
  bool drained_ = false;        // the last read took all; cleared by the next edge
  bool end_announced_ = false;  // no edge follows any more
  bool room_watched_ = false;
  bool last_write_ = false;
};

void tune(int fd, int family) {
  if (family == AF_UNIX) return;
  int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

class SocketConnecting final : public Connecting, EventSink {
 public:
  SocketConnecting(Loop& loop, ConnectCallback done) : loop_(loop), done_(std::move(done)), timer_(loop, [this] { timed_out(); }) {}
  ~SocketConnecting() override {
    if (fd_.valid()) loop_.unwatch(fd_.get());
    *alive_ = false;
  }

  void start(const Address& to, const ConnectOptions& options) {
    to_ = to;
    fd_ = Fd(::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.valid()) {
      int error = errno;
      if (error == EMFILE || error == ENFILE) say_descriptors_short(error, loop_.now());
      return fail_later(error);
    }
    // Marking needs CAP_NET_ADMIN; without it the connection still works, only unmarked.
    if (options.mark) (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_MARK, &options.mark, sizeof options.mark);
    if (options.setup && !set_up(*options.setup)) return fail_later(errno);
    tune(fd_.get(), to.family());
    int result = ::connect(fd_.get(), to.get(), to.length());
    if (result != 0 && errno != EINPROGRESS) return fail_later(errno);
    if (auto s = loop_.watch(fd_.get(), EPOLLOUT | EPOLLET, *this); !s) return fail_later(EMFILE);
    timer_.arm(options.timeout);
  }

 private:
  bool set_up(const SocketSetup& setup) {
    for (const SocketOption& o : setup.options)
      if (::setsockopt(fd_.get(), o.level, o.name, o.value.data(), static_cast<socklen_t>(o.value.size())) != 0) return false;
    if (setup.bind.empty()) return true;
    auto same = std::ranges::find(setup.bind, to_.family(), &Address::family);
    const Address& from = same == setup.bind.end() ? setup.bind.front() : *same;
    if (setup.freebind && !allow_foreign_address(fd_.get(), from.family())) return false;
    // The port is chosen at connect time, per destination, so one source address is not limited to 28k connections.
    int one = 1;
    ::setsockopt(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (::bind(fd_.get(), from.get(), from.length()) == 0) return true;
    unbound_ = from;
    return false;
  }

  void fail_later(int error) {
    loop_.defer([this, error, alive = alive_] {
      if (*alive) finish(error);
    });
  }

  void on_events(uint32_t) override {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    finish(error);
  }

  void timed_out() { finish(ETIMEDOUT); }

  void finish(int error) {
    timer_.cancel();
    auto done = std::move(done_);
    if (error) {
      if (fd_.valid()) loop_.unwatch(fd_.get());
      done(base::fail_errno(unbound_.valid() ? "bind to " + unbound_.text() : "connect to " + to_.text(), error));
    } else {
      // Its watch replaces ours. Of IPv6 the kernel knows better, because of mapped addresses.
      done(std::make_unique<SocketTransport>(loop_, std::move(fd_), to_.family() == AF_INET ? to_ : Address(), Address()));
    }
  }

  Loop& loop_;
  Fd fd_;
  Address to_;
  Address unbound_;  // the address of our own that could not be had
  ConnectCallback done_;
  Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Transport> make_socket_transport(Loop& loop, Fd fd) {
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags >= 0 && !(flags & O_NONBLOCK)) ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  return std::make_unique<SocketTransport>(loop, std::move(fd));
}

std::unique_ptr<Transport> make_accepted_transport(Loop& loop, Fd fd, const Address& peer, const Address& local) {
  return std::make_unique<SocketTransport>(loop, std::move(fd), peer, local);
}

std::unique_ptr<Connecting> connect(Loop& loop, const Address& to, const ConnectOptions& options, ConnectCallback done) {
  auto connecting = std::make_unique<SocketConnecting>(loop, std::move(done));
  connecting->start(to, options);
  return connecting;
}

base::Result<Fd> listen(const Address& at, const ListenOptions& options) {
  Fd fd(::socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::fail_errno("socket");
  int one = 1;
  if (at.is_ip()) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (options.reuse_port && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
    return base::fail_errno("SO_REUSEPORT");
  if (options.transparent && ::setsockopt(fd.get(), SOL_IP, IP_TRANSPARENT, &one, sizeof one) != 0)
    return base::fail_errno("IP_TRANSPARENT");
  if (options.freebind && !allow_foreign_address(fd.get(), at.family())) return base::fail_errno("IP_FREEBIND");
  if (::bind(fd.get(), at.get(), at.length()) != 0) return base::fail_errno("bind " + at.text());
  if (::listen(fd.get(), options.backlog) != 0) return base::fail_errno("listen on " + at.text());
  return fd;
}

base::Result<Address> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return base::fail_errno("getsockname");
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

base::Result<Address> peer_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return base::fail_errno("getpeername");
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

base::Result<Address> original_destination(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &storage, &length) != 0) {
    length = sizeof storage;
    if (::getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, &storage, &length) != 0) return base::fail_errno("SO_ORIGINAL_DST");
  }
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

Acceptor::Acceptor(Loop& loop, Fd listening, Callback callback)
    : loop_(loop), listening_(std::move(listening)), callback_(std::move(callback)), resume_(loop, [this] {
        (void)loop_.watch(listening_.get(), EPOLLIN, *this);
      }) {
  int flags = ::fcntl(listening_.get(), F_GETFL);
  if (flags >= 0) ::fcntl(listening_.get(), F_SETFL, flags | O_NONBLOCK);
  if (auto at = local_address(listening_.get())) tune(listening_.get(), at->family());  // accepted sockets inherit it
  (void)loop_.watch(listening_.get(), EPOLLIN, *this);
}

Acceptor::~Acceptor() { loop_.unwatch(listening_.get()); }

void Acceptor::on_events(uint32_t) {
  // A bounded batch: other connections of this loop get their turn; level-triggered events bring us back. Finding nobody
  // costs nearly as much as a connection, so only as many are asked for as came lately, and now and then more.
  int wanted = batch_, taken = 0;
  if (full_batches_ >= 4) wanted = batch_ = std::min(2 * batch_, 64), full_batches_ = 0;
  for (int i = 0; i < wanted; ++i) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    int fd = ::accept4(listening_.get(), reinterpret_cast<sockaddr*>(&storage), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        say_descriptors_short(errno, loop_.now());
        loop_.unwatch(listening_.get());
        resume_.arm(std::chrono::milliseconds(100));
      }
      batch_ = std::max(taken, 1);
      full_batches_ = 0;
      return;
    }
    ++taken;
    callback_(Fd(fd), Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length));
  }
  ++full_batches_;
}

}  // namespace fairlead::io
