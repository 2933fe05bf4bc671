#include "io/resolver.h"

#include <ares.h>
#include <netdb.h>

#include <map>

namespace fairlead::io {
namespace {

class CaresResolver final : public Resolver {
 public:
  CaresResolver(Loop& loop, const std::string& servers) : loop_(loop), timer_(loop, [this] { tick(); }) {
    static const int library = ares_library_init(ARES_LIB_INIT_ALL);
    (void)library;
    ares_options options{};
    options.sock_state_cb = [](void* self, ares_socket_t fd, int read, int write) {
      static_cast<CaresResolver*>(self)->socket_state(fd, read, write);
    };
    options.sock_state_cb_data = this;
    options.timeout = 2000;
    options.tries = 2;
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    if (ares_init_options(&channel_, &options, mask) != ARES_SUCCESS) channel_ = nullptr;
    if (channel_ && !servers.empty()) ares_set_servers_ports_csv(channel_, servers.c_str());
  }
  ~CaresResolver() override {
    *alive_ = false;
    if (channel_) ares_destroy(channel_);  // ends every query; their callbacks see alive false
  }

  void resolve(const std::string& name, int family, Callback done) override {
    if (auto ip = Address::parse_ip(name, 0)) {
      loop_.post([alive = alive_, done = std::move(done), address = *ip] {
        if (*alive) done(Answer{{address}, std::chrono::hours(24)});
      });
      return;
    }
    if (!channel_) {
      loop_.post([alive = alive_, done = std::move(done)] {
        if (*alive) done(base::fail(base::Code::kUnavailable, "no DNS resolver: /etc/resolv.conf cannot be used"));
      });
      return;
    }
    auto* query = new Query{alive_, &loop_, name, std::move(done)};
    ares_addrinfo_hints hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(
        channel_, name.c_str(), nullptr, &hints,
        [](void* arg, int status, int, ares_addrinfo* info) { static_cast<Query*>(arg)->finish(status, info); }, query);
    arm();
  }

 private:
  struct Query {
    std::shared_ptr<bool> alive;
    Loop* loop;
    std::string name;
    Callback done;

    void finish(int status, ares_addrinfo* info) {
      std::unique_ptr<Query> self(this);
      Answer answer;
      if (info) {
        int ttl = INT32_MAX;
        for (int wanted : {AF_INET, AF_INET6}) {
          for (auto* node = info->nodes; node; node = node->ai_next) {
            if (node->ai_family != wanted) continue;
            answer.addresses.push_back(Address::from_sockaddr(node->ai_addr, static_cast<socklen_t>(node->ai_addrlen)));
            ttl = std::min(ttl, node->ai_ttl);
          }
        }
        answer.ttl = std::chrono::seconds(std::max(ttl, 1));
        ares_freeaddrinfo(info);
      }
      if (!*alive) return;
      base::Result<Answer> result = std::move(answer);
      if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        result = base::fail(base::Code::kNotFound, "no address for {}: {}", name, ares_strerror(status));
      else if (status != ARES_SUCCESS)
        result = base::fail(base::Code::kUnavailable, "looking up {} failed: {}", name, ares_strerror(status));
      // Never inside resolve(): c-ares answers from its cache or /etc/hosts at once.
      loop->post([alive = alive, done = std::move(done), result = std::move(result)] {
        if (*alive) done(result);
      });
    }
  };

  void socket_state(ares_socket_t fd, int read, int write) {
    sockets_.erase(fd);
    if (read || write) {
      uint32_t events = (read ? static_cast<uint32_t>(EPOLLIN) : 0u) | (write ? static_cast<uint32_t>(EPOLLOUT) : 0u);
      sockets_[fd] = std::make_unique<FdWatch>(loop_, fd, events, [this, fd](uint32_t ready) {
        ares_process_fd(channel_, ready & ~static_cast<uint32_t>(EPOLLOUT) ? fd : ARES_SOCKET_BAD,
                        ready & EPOLLOUT ? fd : ARES_SOCKET_BAD);
        arm();
      });
    }
  }

  void tick() {
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm();
  }

  void arm() {
    timeval limit{5, 0}, wait{};
    if (sockets_.empty()) return;
    timeval* t = ares_timeout(channel_, &limit, &wait);
    timer_.arm(std::chrono::seconds(t->tv_sec) + std::chrono::microseconds(t->tv_usec));
  }

  Loop& loop_;
  ares_channel channel_ = nullptr;
  Timer timer_;
  std::map<ares_socket_t, std::unique_ptr<FdWatch>> sockets_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Resolver> make_resolver(Loop& loop, const std::string& servers) {
  return std::make_unique<CaresResolver>(loop, servers);
}

}  // namespace fairlead::io
