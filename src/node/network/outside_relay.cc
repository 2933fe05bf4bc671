#include "node/network/outside_relay.h"

#include "base/log.h"

namespace fairlead::node {

base::Status OutsideRelay::open() {
  auto at = io::Address::parse_ip("127.0.0.1", kOutsidePort);
  auto fd = io::listen(*at, {.transparent = true});
  if (!fd) return std::unexpected(fd.error());
  acceptor_ = std::make_unique<io::Acceptor>(loop_, std::move(*fd), [this](io::Fd c, const io::Address&) { accepted(std::move(c)); });
  return {};
}

void OutsideRelay::accepted(io::Fd connection) {
  auto to = io::local_address(connection.get());  // TPROXY: where the pod was going
  if (!to || to->is_loopback()) return;
  auto pod = std::make_shared<io::Fd>(std::move(connection));
  agent_.connect_tcp(*to, [this, alive = alive_, pod, to = *to](base::Result<io::Fd> fd) {
    if (!*alive) return;
    auto downstream = io::make_socket_transport(loop_, std::move(*pod));
    if (!fd) {
      FL_LOG_DEBUG("outside", "{}: {}", to.text(), fd.error().text());
      downstream->close(true);
      return;
    }
    relays_.add(std::move(downstream), io::make_socket_transport(loop_, std::move(*fd)));
  });
}

namespace {

// One question on its way through the resolvers.
struct Question : std::enable_shared_from_this<Question> {
  Question(io::Loop& l, AgentClient& a) : loop(l), agent(a), timer(l, [this] { next(); }) {}
  io::Loop& loop;
  AgentClient& agent;
  std::string packet;
  std::function<void(base::Result<std::string>)> done;
  std::vector<io::Address> resolvers;
  size_t tried = 0;
  bool tcp = false;
  io::Fd socket;
  std::unique_ptr<io::FdWatch> watch;
  std::string received;
  io::Timer timer;
  std::shared_ptr<Question> self;  // until answered

  void next() {
    watch.reset();
    socket.reset();
    timer.cancel();
    received.clear();
    // Twice through the list, as resolvers do.
    if (resolvers.empty() || tried >= 2 * resolvers.size())
      return finish(base::fail(base::Code::kUnavailable, "no name server of the host answered"));
    io::Address to = resolvers[tried++ % resolvers.size()];
    auto ready = [q = self](base::Result<io::Fd> fd) {
      if (!q->self) return;
      if (!fd) return q->next();
      q->socket = std::move(*fd);
      q->send();
    };
    if (tcp) agent.connect_tcp(to, ready);
    else agent.connect_udp(to, ready);
  }
  void send() {
    std::string bytes = packet;
    if (tcp) bytes = std::string{static_cast<char>(packet.size() >> 8), static_cast<char>(packet.size())} + packet;
    if (::write(socket.get(), bytes.data(), bytes.size()) < 0) return next();
    timer.arm(std::chrono::seconds(2));
    watch = std::make_unique<io::FdWatch>(loop, socket.get(), EPOLLIN, [q = self](uint32_t) { q->receive(); });
  }
  void receive() {
    char buffer[65536];
    ssize_t n = ::read(socket.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return next();
    received.append(buffer, static_cast<size_t>(n));
    if (tcp) {
      if (received.size() < 2) return;
      size_t size = static_cast<unsigned char>(received[0]) * 256u + static_cast<unsigned char>(received[1]);
      if (received.size() < 2 + size) return;
      return finish(received.substr(2, size));
    }
    if (received.size() < 12 || received.compare(0, 2, packet, 0, 2) != 0) {
      received.clear();  // not the answer to this question
      return;
    }
    if (received[2] & 2) {  // cut: the same server again, by TCP
      tcp = true;
      --tried;
      return next();
    }
    finish(std::move(received));
  }
  void finish(base::Result<std::string> result) {
    auto keep = std::move(self);
    if (!keep) return;
    watch.reset();
    timer.cancel();
    loop.defer([keep, result = std::move(result)] { keep->done(result); });
  }
};

}  // namespace

DnsForwarder make_dns_forwarder(io::Loop& loop, AgentClient& agent) {
  return [&loop, &agent](std::string packet, std::function<void(base::Result<std::string>)> done) {
    auto q = std::make_shared<Question>(loop, agent);
    q->packet = std::move(packet);
    q->done = std::move(done);
    q->self = q;
    agent.resolvers([q](std::vector<io::Address> list) {
      q->resolvers = std::move(list);
      q->next();
    });
  };
}

}  // namespace fairlead::node
