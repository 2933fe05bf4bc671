#include "node/dns/server.h"

#include <sys/socket.h>

#include <algorithm>

namespace fairlead::node {

// A client over TCP: messages with a 16-bit length before each (RFC 1035 section 4.2.2).
struct DnsServer::TcpClient final : io::TransportSink {
  DnsServer& server;
  std::unique_ptr<io::Transport> transport;
  std::string input, output;
  io::Timer idle;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  TcpClient(DnsServer& s, std::unique_ptr<io::Transport> t)
      : server(s), transport(std::move(t)), idle(s.loop_, [this] { remove(); }) {
    transport->set_sink(this);
    idle.arm(std::chrono::seconds(10));
  }
  ~TcpClient() { *alive = false; }

  void remove() {
    for (auto it = server.clients_.begin(); it != server.clients_.end(); ++it) {
      if (it->get() != this) continue;
      server.loop_.dispose(std::move(*it));
      server.clients_.erase(it);
      return;
    }
  }

  void on_ready(bool readable, bool) override {
    flush();
    char buffer[4096];
    while (readable) {
      io::IoResult r = transport->read(buffer);
      if (r.status == io::IoStatus::kAgain) break;
      if (r.status != io::IoStatus::kOk) return remove();
      input.append(buffer, r.bytes);
      if (input.size() > 128 * 1024) return remove();
    }
    while (input.size() >= 2) {
      size_t length = static_cast<size_t>(static_cast<unsigned char>(input[0])) << 8 | static_cast<unsigned char>(input[1]);
      if (input.size() < 2 + length) break;
      std::string packet = input.substr(2, length);
      input.erase(0, 2 + length);
      server.answer(packet, false, [this, alive = alive](std::string reply) {
        if (!*alive) return;
        output += static_cast<char>(reply.size() >> 8);
        output += static_cast<char>(reply.size());
        output += reply;
        flush();
      });
    }
  }

  void flush() {
    while (!output.empty()) {
      io::IoResult r = transport->write(output);
      if (r.status != io::IoStatus::kOk) return;
      output.erase(0, r.bytes);
    }
  }
};

DnsServer::DnsServer(io::Loop& loop, std::map<std::string, std::string> outside, DnsForwarder forward)
    : loop_(loop), outside_(std::move(outside)), forward_(std::move(forward)) {
  apply(std::make_shared<ServiceTable>());
}

DnsServer::~DnsServer() { *alive_ = false; }

base::Result<std::unique_ptr<DnsServer>> DnsServer::open(io::Loop& loop, const io::Address& at, std::map<std::string, std::string> outside,
                                                         DnsForwarder forward) {
  std::unique_ptr<DnsServer> server(new DnsServer(loop, std::move(outside), std::move(forward)));
  auto tcp = io::listen(at);
  if (!tcp) return std::unexpected(tcp.error());
  io::Address bound = *io::local_address(tcp->get());
  server->udp_ = io::Fd(::socket(at.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!server->udp_.valid()) return base::fail_errno("DNS socket");
  if (::bind(server->udp_.get(), bound.get(), bound.length()) != 0) return base::fail_errno("bind " + bound.text());
  auto* s = server.get();
  server->udp_watch_ = std::make_unique<io::FdWatch>(loop, server->udp_.get(), EPOLLIN, [s](uint32_t) { s->on_udp(); });
  server->acceptor_ = std::make_unique<io::Acceptor>(loop, std::move(*tcp), [s](io::Fd fd, const io::Address&) {
    if (s->clients_.size() >= 256) return;  // limit of open DNS connections; closing the newest keeps the working ones
    s->clients_.push_back(std::make_unique<TcpClient>(*s, io::make_socket_transport(s->loop_, std::move(fd))));
  });
  return server;
}

void DnsServer::apply(std::shared_ptr<const ServiceTable> table) {
  zone_ = std::make_unique<DnsZone>(std::move(table), kClusterDomain, outside_);
}

void DnsServer::on_udp() {
  char buffer[4096];
  for (int i = 0; i < 64; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    ssize_t n = ::recvfrom(udp_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (n < 0) return;
    answer({buffer, static_cast<size_t>(n)}, true, [this, alive = alive_, from, length](std::string reply) {
      if (*alive) (void)::sendto(udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&from), length);
    });
  }
}

void DnsServer::answer(std::string_view packet, bool udp, std::function<void(std::string)> reply) {
  auto query = parse_dns_query(packet);
  if (!query) {
    auto id = dns_id(packet);
    if (!id) return;  // not a query: answering could make a loop of two servers
    DnsQuery blank;
    blank.id = *id;
    reply(build_dns_reply(blank, {.code = DnsCode::kFormatError}, 512));
    return;
  }
  size_t limit = udp ? query->max_udp_bytes : 0;
  if (query->flags & 0x7800) return reply(build_dns_reply(*query, {.code = DnsCode::kNotImplemented}, limit));
  DnsZone::Found found = zone_->look_up(query->question);

  if (found.ours && found.chase.empty()) return reply(build_dns_reply(*query, found.reply, limit));
  if (!forward_) {
    found.reply.code = found.ours ? found.reply.code : DnsCode::kServerFailure;
    return reply(build_dns_reply(*query, found.reply, limit));
  }
  if (!found.ours) {
    forward_(std::string(packet), [query = *query, limit, reply](base::Result<std::string> answer) {
      if (answer && (!limit || answer->size() <= limit)) return reply(std::move(*answer));
      if (!answer) return reply(build_dns_reply(query, {.code = DnsCode::kServerFailure}, limit));
      // Too long for this client's UDP: an empty reply with TC makes it ask by TCP.
      DnsReply cut;
      cut.answers.assign(limit, DnsRecord{query.question.name, DnsType::kA, 0, std::string(4, '\0')});
      reply(build_dns_reply(query, cut, limit));
    });
    return;
  }
  // An ExternalName beyond the cluster: stub resolvers do not follow a CNAME, so the addresses are looked up here.
  auto type = static_cast<DnsType>(query->question.type);
  forward_(build_dns_query(query->id, found.chase, type), [query = *query, limit, reply, found](base::Result<std::string> packet) mutable {
    auto answer = packet ? parse_dns_answer(*packet) : base::Result<DnsAnswer>(std::unexpected(packet.error()));
    if (answer)
      for (auto& r : answer->addresses) {
        r.name = found.chase;  // the chain in between is left out
        found.reply.answers.push_back(r);
      }
    else
      found.reply.code = DnsCode::kServerFailure;
    reply(build_dns_reply(query, found.reply, limit));
  });
}

}  // namespace fairlead::node
