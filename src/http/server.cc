#include "http/server.h"

#include <netinet/tcp.h>

#include <ctime>
#include <unordered_map>
#include <vector>

#include "http/h2_session.h"
#include "http/server_connection.h"

namespace fairlead::http {
namespace {

constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// A connection whose protocol is not known yet: by ALPN, or by the client's first bytes.
class NewConnection final : public ServerConnection {
 public:
  NewConnection(std::shared_ptr<ServerShared> shared, std::unique_ptr<io::Transport> transport)
      : shared_(std::move(shared)), transport_(std::move(transport)), timer_(shared_->loop, [this] { cut(); }) {
    transport_->set_sink(this);
    timer_.arm(shared_->options.header_timeout);
  }
  void start(std::string_view) override { on_ready(true, true); }
  void drain() override { cut(); }
  void cut() override {
    if (!transport_) return;
    transport_->close();
    transport_.reset();
    timer_.cancel();
    shared_->gone(*this);
  }
  void on_ready(bool, bool) override {
    char buffer[4096];
    while (transport_) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return cut();
      bytes_.append(buffer, r.bytes);
      std::string_view alpn = transport_->alpn();
      size_t n = std::min(bytes_.size(), kH2Preface.size());
      bool preface = std::string_view(bytes_).substr(0, n) == kH2Preface.substr(0, n);
      if (alpn.empty() && preface && n < kH2Preface.size()) continue;
      bool h2 = alpn == "h2" || (alpn.empty() && preface);
      timer_.cancel();
      auto next = h2 ? make_h2_connection(shared_, std::move(transport_)) : make_h1_connection(shared_, std::move(transport_));
      ServerConnection& connection = *next;
      std::string bytes = std::move(bytes_);
      shared_->replace(*this, std::move(next));
      connection.start(bytes);
      return;
    }
  }

 private:
  std::shared_ptr<ServerShared> shared_;
  std::unique_ptr<io::Transport> transport_;
  io::Timer timer_;
  std::string bytes_;
};

}  // namespace

std::string_view http_date() {
  thread_local std::time_t at = 0;
  thread_local char text[40];
  thread_local size_t length = 0;
  std::time_t now = std::time(nullptr);
  if (now != at) {
    at = now;
    std::tm parts{};
    gmtime_r(&now, &parts);
    length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return {text, length};
}

struct Server::Core {
  Core(io::Loop& loop, ServerOptions options, Handler handler)
      : shared(std::make_shared<ServerShared>(ServerShared{loop, std::move(options), std::move(handler), false, nullptr, nullptr})),
        deadline(loop, [this] { cut_all(); }) {
    shared->gone = [this](ServerConnection& c) { remove(c); };
    shared->replace = [this](ServerConnection& old, std::unique_ptr<ServerConnection> next) {
      auto* key = next.get();
      connections.emplace(key, std::move(next));
      remove(old);
    };
  }

  ~Core() {
    deadline.cancel();
    acceptors.clear();
    shared->gone = [](ServerConnection&) {};
    auto all = std::exchange(connections, {});
    for (auto& [key, connection] : all) {
      connection->cut();
      shared->loop.dispose(std::move(connection));
    }
  }

  void add(std::unique_ptr<io::Transport> transport) {
    if (shared->options.tls) transport = io::make_tls_server(shared->loop, std::move(transport), shared->options.tls);
    auto connection = std::make_unique<NewConnection>(shared, std::move(transport));
    auto* key = connection.get();
    connections.emplace(key, std::move(connection));
    key->start({});
  }

  void remove(ServerConnection& connection) {
    auto it = connections.find(&connection);
    if (it == connections.end()) return;
    auto owned = std::move(it->second);
    connections.erase(it);
    shared->loop.dispose(std::move(owned));
    if (connections.empty() && drained) finish_drain();
  }

  void cut_all() {
    std::vector<ServerConnection*> all;
    for (auto& [key, c] : connections) all.push_back(key);
    for (auto* c : all)
      if (connections.contains(c)) c->cut();
  }

  void finish_drain() {
    deadline.cancel();
    shared->loop.defer([done = std::exchange(drained, nullptr)] { done(); });
  }

  std::shared_ptr<ServerShared> shared;
  io::Timer deadline;
  std::vector<std::unique_ptr<io::Acceptor>> acceptors;
  std::unordered_map<ServerConnection*, std::unique_ptr<ServerConnection>> connections;
  std::function<void()> drained;
};

Server::Server(io::Loop& loop, ServerOptions options, Handler handler)
    : core_(std::make_unique<Core>(loop, std::move(options), std::move(handler))) {}
Server::~Server() = default;

void Server::listen(io::Fd listening) {
  core_->acceptors.push_back(
      std::make_unique<io::Acceptor>(core_->shared->loop, std::move(listening), [this](io::Fd fd, const io::Address&) { accept(std::move(fd)); }));
}

base::Result<io::Address> Server::listen(const io::Address& at) {
  auto fd = io::listen(at);
  if (!fd) return std::unexpected(fd.error());
  auto address = io::local_address(fd->get());
  if (!address) return std::unexpected(address.error());
  listen(std::move(*fd));
  return *address;
}

void Server::accept(io::Fd connection) {
  // A watcher may vanish without a word while nothing is sent to it.
  int on = 1, idle_seconds = 60, interval_seconds = 15, probes = 4;
  ::setsockopt(connection.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(connection.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
  ::setsockopt(connection.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
  ::setsockopt(connection.get(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  accept(io::make_socket_transport(core_->shared->loop, std::move(connection)));
}
void Server::accept(std::unique_ptr<io::Transport> transport) { core_->add(std::move(transport)); }

void Server::drain(base::Nanos timeout, std::function<void()> done) {
  core_->shared->draining = true;
  core_->acceptors.clear();
  core_->drained = std::move(done);
  if (!core_->drained) core_->drained = [] {};
  std::vector<ServerConnection*> all;
  for (auto& [key, c] : core_->connections) all.push_back(key);
  if (all.empty()) return core_->finish_drain();
  core_->deadline.arm(timeout);
  for (auto* c : all)
    if (core_->connections.contains(c)) c->drain();
}

size_t Server::connections() const { return core_->connections.size(); }

}  // namespace fairlead::http
