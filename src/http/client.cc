// The client's pool: which connection a call goes to, and dialling new ones.
#include "http/client.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "http/client_connection.h"

namespace fairlead::http {
namespace {

constexpr size_t kMaxFetchedBytes = 256u << 20;  // of a body that fetch() collects

// Name, connect, handshake: ends in a transport, with what the server already sent, or in an error.
class Dialer final : io::TransportSink {
 public:
  using Done = std::function<void(Dialer&, base::Result<std::unique_ptr<io::Transport>>, std::string first_bytes)>;

  Dialer(io::Loop& loop, io::Resolver& resolver, const ClientOptions& options, std::shared_ptr<const io::TlsContext> tls, Url url, Done done)
      : loop_(loop), options_(options), tls_(std::move(tls)), url_(std::move(url)), done_(std::move(done)),
        timer_(loop, [this] { end(base::fail(base::Code::kDeadlineExceeded, "no connection to {} within {}", url_.authority(), base::format_duration(options_.connect_timeout))); }) {
    timer_.arm(options.connect_timeout);
    auto ip = io::Address::parse_ip(url_.host, url_.port);
    if (!options_.unix_path.empty()) ip = io::Address::unix_path(options_.unix_path);
    if (ip) {
      addresses_.push_back(*ip);
      loop_.defer([this, alive = alive_] {
        if (*alive) next_address();
      });
      return;
    }
    resolver.resolve(url_.host, AF_UNSPEC, [this, alive = alive_](base::Result<io::Resolver::Answer> answer) {
      if (!*alive || over_) return;
      if (!answer) return end(base::fail(answer.error().code, "resolving {}: {}", url_.host, answer.error().message));
      addresses_ = answer->addresses;
      for (auto& a : addresses_) a.set_port(url_.port);
      if (addresses_.empty()) return end(base::fail(base::Code::kUnavailable, "{} has no address", url_.host));
      next_address();
    });
  }
  ~Dialer() { *alive_ = false; }
  std::string key;

 private:
  void next_address() {
    io::Address to = addresses_[index_++];
    io::ConnectOptions connect_options;
    connect_options.timeout = options_.connect_timeout;
    connect_options.mark = options_.socket_mark;
    connect_options.setup = options_.socket_setup;
    connecting_ = io::connect(loop_, to, connect_options, [this](base::Result<std::unique_ptr<io::Transport>> transport) {
      if (!transport) {
        if (index_ >= addresses_.size()) return end(std::unexpected(transport.error()));
        // Not here: this runs inside the handle that next_address() replaces.
        loop_.defer([this, alive = alive_] {
          if (*alive && !over_) next_address();
        });
        return;
      }
      if (options_.wrap) transport_ = options_.wrap(std::move(*transport));
      else if (url_.scheme != "https") return end(std::move(*transport));
      else transport_ = io::make_tls_client(loop_, std::move(*transport), tls_, options_.tls_server_name.empty() ? url_.host : options_.tls_server_name);
      if (!transport_) return end(base::fail(base::Code::kUnavailable, "{}: there is nothing to make its TLS of", url_.authority()));
      transport_->set_sink(this);
      on_ready(true, true);
    });
  }

  void on_ready(bool, bool) override {
    if (over_) return;
    char buffer[4096];
    while (true) {
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kOk) {
        first_.append(buffer, r.bytes);
        break;
      }
      if (r.status == io::IoStatus::kAgain) break;
      std::string why = transport_->error();
      return end(base::fail(base::Code::kUnavailable, "TLS with {}: {}", url_.authority(), why.empty() ? "connection closed" : why));
    }
    if (io::handshake_done(*transport_)) {
      transport_->set_sink(nullptr);
      end(std::move(transport_));
    }
  }

  void end(base::Result<std::unique_ptr<io::Transport>> result) {
    if (std::exchange(over_, true)) return;
    timer_.cancel();
    done_(*this, std::move(result), std::move(first_));
  }

  io::Loop& loop_;
  const ClientOptions& options_;
  std::shared_ptr<const io::TlsContext> tls_;
  Url url_;
  Done done_;
  io::Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<io::Address> addresses_;
  size_t index_ = 0;
  std::unique_ptr<io::Connecting> connecting_;
  std::unique_ptr<io::Transport> transport_;
  std::string first_;
  bool over_ = false;
};

class CallHandle final : public Call {
 public:
  explicit CallHandle(CallPtr call) : call_(std::move(call)) {}
  ~CallHandle() override {
    if (std::exchange(call_->over, true)) return;
    // The callback that destroys this handle may be one of these.
    auto callbacks = std::make_shared<Callbacks>(std::move(call_->callbacks));
    call_->callbacks = {};
    if (call_->connection) std::exchange(call_->connection, nullptr)->cancel(*call_);
    if (drop_later) drop_later(std::move(callbacks));
  }
  void write(std::string_view bytes) override {
    if (call_->over || call_->finished || bytes.empty()) return;
    if (call_->connection) call_->connection->write(*call_, bytes);
    else call_->body += bytes;
  }
  void finish() override {
    if (call_->over || std::exchange(call_->finished, true)) return;
    if (call_->connection) call_->connection->finish(*call_);
  }
  size_t pending_bytes() const override {
    if (call_->over) return 0;
    return call_->connection ? call_->connection->pending_bytes(*call_) : call_->body.size();
  }
  std::function<void(std::shared_ptr<Callbacks>)> drop_later;

 private:
  CallPtr call_;
};

}  // namespace

struct Client::Core {
  struct Host {
    Url url;
    std::deque<CallPtr> queue;
    std::vector<ClientConnection*> idle;    // HTTP/1.1
    ClientConnection* shared = nullptr;     // HTTP/2
    size_t connections = 0;                 // open, and being dialled
    size_t dialling = 0;
    bool speaks_h2 = false;                 // one connection is enough
  };
  struct Fetch {
    std::unique_ptr<Call> call;
    Response response;
    std::function<void(base::Result<Response>)> done;
    std::unique_ptr<io::Timer> timer;
  };

  Core(io::Loop& l, ClientOptions o) : loop(l), options(std::move(o)), hooks(std::make_shared<PoolHooks>()) {
    if (!options.resolver) {
      own_resolver = io::make_resolver(loop);
      options.resolver = own_resolver.get();
    }
    tls = options.tls;
    if (tls && options.http2 && tls->options().alpn.empty()) {
      io::TlsOptions with = tls->options();
      with.alpn = {"h2", "http/1.1"};
      if (auto made = io::TlsContext::client(with)) tls = *made;
    }
    hooks->idle = [this](ClientConnection& c) {
      Host& host = hosts[c.host_key];
      host.idle.push_back(&c);
      pump_later(c.host_key);
    };
    hooks->closing = [this](ClientConnection& c) {
      Host& host = hosts[c.host_key];
      std::erase(host.idle, &c);
      if (host.shared == &c) host.shared = nullptr;
      if (host.connections > 0) --host.connections;
      if (!host.queue.empty()) pump_later(c.host_key);
    };
    hooks->gone = [this](ClientConnection& c) {
      auto it = connections.find(&c);
      if (it == connections.end()) return;
      auto owned = std::move(it->second);
      connections.erase(it);
      loop.dispose(std::move(owned));
    };
    hooks->again = [this](ClientConnection& c, CallPtr call) {
      hosts[c.host_key].queue.push_front(std::move(call));
      pump_later(c.host_key);
    };
  }

  ~Core() {
    *alive = false;
    *hooks = {};
    auto cancel = [](PendingCall& call) {
      call.over = true;
      call.connection = nullptr;
    };
    for (auto& weak : calls)
      if (auto call = weak.lock()) cancel(*call);
    for (auto& [key, connection] : connections) {
      connection->close();
      loop.dispose(std::move(connection));
    }
    for (auto& dialer : dialers) loop.dispose(std::move(dialer));
    // Fetches may be inside their own callback.
    loop.defer([fetches = std::move(fetches)]() mutable {});
  }

  std::unique_ptr<Call> start(std::string_view url_text, RequestHead head, bool body_follows, Call::Callbacks callbacks,
                              std::optional<std::string> whole_body = {}) {
    auto call = std::make_shared<PendingCall>();
    call->body_follows = body_follows;
    if (whole_body) {
      call->body = std::move(*whole_body);
      call->finished = true;
    }
    call->callbacks = std::move(callbacks);
    auto url = parse_url(url_text);
    base::Status problem;
    if (!url) problem = std::unexpected(url.error());
    else if (url->scheme == "https" && !tls && !options.wrap) problem = base::fail(base::Code::kFailedPrecondition, "{}: this client has no TLS configuration", url_text);
    auto handle = std::make_unique<CallHandle>(call);
    handle->drop_later = [&l = loop](std::shared_ptr<Call::Callbacks> callbacks) { l.defer([callbacks] {}); };
    if (!problem) {
      loop.defer([call, error = problem.error()] { call->end(std::unexpected(error)); });
      return handle;
    }
    if (head.method.empty()) head.method = "GET";
    if (head.target.empty()) head.target = url->target;
    if (head.authority.empty()) head.authority = url->authority();
    if (head.scheme.empty()) head.scheme = url->scheme;
    call->head = std::move(head);
    if (calls.size() > 64) std::erase_if(calls, [](const auto& weak) { return weak.expired(); });
    calls.push_back(call);
    std::string key = url->scheme + "://" + url->host + ":" + std::to_string(url->port);
    Host& host = hosts[key];
    if (host.url.host.empty()) {
      host.url = *url;
      host.speaks_h2 = options.http2 && (url->scheme == "http" || options.wrap);
    }
    host.queue.push_back(std::move(call));
    pump(key);
    return handle;
  }

  void pump_later(const std::string& key) {
    loop.defer([this, key, alive = alive] {
      if (*alive) pump(key);
    });
  }

  void pump(const std::string& key) {
    Host& host = hosts[key];
    while (!host.queue.empty()) {
      if (host.queue.front()->over) {  // cancelled while it waited
        host.queue.pop_front();
        continue;
      }
      ClientConnection* to = host.shared;
      if (!to && !host.idle.empty()) {
        to = host.idle.back();  // the warmest
        host.idle.pop_back();
      }
      if (!to) break;
      CallPtr call = std::move(host.queue.front());
      host.queue.pop_front();
      to->submit(std::move(call));
    }
    size_t most = host.speaks_h2 ? 1 : options.max_connections_per_host;
    while (host.dialling < host.queue.size() && host.connections < most) dial(key, host);
  }

  void dial(const std::string& key, Host& host) {
    ++host.dialling;
    ++host.connections;
    auto dialer = std::make_unique<Dialer>(loop, *options.resolver, options, tls, host.url,
                                           [this](Dialer& d, base::Result<std::unique_ptr<io::Transport>> transport, std::string first) {
                                             dialled(d, std::move(transport), std::move(first));
                                           });
    dialer->key = key;
    dialers.push_back(std::move(dialer));
  }

  void dialled(Dialer& dialer, base::Result<std::unique_ptr<io::Transport>> transport, std::string first) {
    std::string key = dialer.key;
    auto it = std::ranges::find(dialers, &dialer, &std::unique_ptr<Dialer>::get);
    loop.dispose(std::move(*it));
    dialers.erase(it);
    Host& host = hosts[key];
    --host.dialling;
    if (!transport) {
      --host.connections;
      // With one connection for all, all have failed; otherwise the one that this attempt was for.
      std::vector<CallPtr> failed;
      while (!host.queue.empty() && (failed.empty() || host.speaks_h2)) {
        if (!host.queue.front()->over) failed.push_back(std::move(host.queue.front()));
        host.queue.pop_front();
      }
      if (!host.queue.empty()) pump_later(key);
      for (auto& call : failed) call->end(std::unexpected(transport.error()));
      return;
    }
    bool h2 = host.url.scheme == "https" && !options.wrap ? (*transport)->alpn() == "h2" : options.http2;
    host.speaks_h2 = h2;
    auto connection = h2 ? make_h2_client_connection(loop, std::move(*transport), options, hooks)
                         : make_h1_client_connection(loop, std::move(*transport), options, hooks);
    ClientConnection& c = *connection;
    c.host_key = key;
    connections.emplace(&c, std::move(connection));
    if (h2 && !host.shared) host.shared = &c;
    else if (!h2) host.idle.push_back(&c);
    c.start(first);
    pump(key);
  }

  void fetch(std::string_view method, std::string_view url, Headers headers, std::string body, base::Nanos timeout,
             std::function<void(base::Result<Response>)> done) {
    auto fetch = std::make_shared<Fetch>();
    fetch->done = std::move(done);
    fetches.insert(fetch);
    std::weak_ptr<Fetch> weak = fetch;
    auto end = [this, weak, alive = alive](base::Result<Response> result) {
      auto f = weak.lock();
      if (!f || !f->done) return;
      auto callback = std::exchange(f->done, nullptr);
      // Timer and call may be what is running.
      loop.defer([f] {});
      fetches.erase(f);
      callback(std::move(result));
    };
    RequestHead head;
    head.method = method;
    head.headers = std::move(headers);
    if (!body.empty()) head.headers.set("content-length", std::to_string(body.size()));
    Call::Callbacks callbacks;
    callbacks.on_head = [weak](const ResponseHead& response) {
      if (auto f = weak.lock()) {
        f->response.status = response.status;
        f->response.headers = response.headers;
      }
    };
    callbacks.on_data = [weak, end](std::string_view bytes) {
      auto f = weak.lock();
      if (!f) return;
      if (f->response.body.size() + bytes.size() > kMaxFetchedBytes) {
        f->call.reset();
        return end(base::fail(base::Code::kResourceExhausted, "response body is over {} bytes", kMaxFetchedBytes));
      }
      f->response.body += bytes;
    };
    callbacks.on_end = [weak, end](base::Result<Headers> trailers) {
      auto f = weak.lock();
      if (!f) return;
      if (!trailers) return end(std::unexpected(trailers.error()));
      f->response.trailers = std::move(*trailers);
      end(std::move(f->response));
    };
    bool has_body = !body.empty();
    std::string text(url);
    fetch->timer = std::make_unique<io::Timer>(loop, [weak, end, text, timeout] {
      if (auto f = weak.lock()) f->call.reset();
      end(base::fail(base::Code::kDeadlineExceeded, "no response from {} within {}", text, base::format_duration(timeout)));
    });
    loop.refresh_now();
    fetch->timer->arm(timeout);
    // Whole from the start, so that it goes out with its length and may be sent again.
    fetch->call = start(url, std::move(head), has_body, std::move(callbacks), std::move(body));
  }

  io::Loop& loop;
  ClientOptions options;
  std::shared_ptr<const io::TlsContext> tls;
  std::unique_ptr<io::Resolver> own_resolver;
  std::shared_ptr<PoolHooks> hooks;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::unordered_map<std::string, Host> hosts;
  std::unordered_map<ClientConnection*, std::unique_ptr<ClientConnection>> connections;
  std::vector<std::unique_ptr<Dialer>> dialers;
  std::vector<std::weak_ptr<PendingCall>> calls;
  std::unordered_set<std::shared_ptr<Fetch>> fetches;
};

Client::Client(io::Loop& loop, ClientOptions options) : core_(std::make_unique<Core>(loop, std::move(options))) {}
Client::~Client() = default;

std::unique_ptr<Call> Client::start(std::string_view url, RequestHead head, bool body_follows, Call::Callbacks callbacks) {
  return core_->start(url, std::move(head), body_follows, std::move(callbacks));
}

void Client::fetch(std::string_view method, std::string_view url, Headers headers, std::string body, base::Nanos timeout,
                   std::function<void(base::Result<Response>)> done) {
  core_->fetch(method, url, std::move(headers), std::move(body), timeout, std::move(done));
}

base::Result<Response> fetch_blocking(std::string_view method, std::string_view url, Headers headers, std::string body,
                                      base::Nanos timeout, ClientOptions options) {
  io::Loop loop;
  base::Result<Response> result = base::fail(base::Code::kInternal, "no answer");
  {
    Client client(loop, std::move(options));
    client.fetch(method, url, std::move(headers), std::move(body), timeout, [&](base::Result<Response> r) {
      result = std::move(r);
      loop.stop();
    });
    loop.run();
  }
  return result;
}

}  // namespace fairlead::http
