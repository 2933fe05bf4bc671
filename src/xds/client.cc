#include "xds/client.h"

#include <random>

#include "base/log.h"
#include "http/grpc.h"

namespace fairlead::xds {

struct AdsClient::Core {
  Core(io::Loop& l, AdsOptions o, ClientSink& s)
      : loop(l), options(std::move(o)), sink(s), session(options.node, options.delta, s), retry(l, [this] { open(); }) {
    make_client();
  }

  void make_client() {
    http::ClientOptions c;
    c.http2 = true;
    c.tls = options.tls;
    c.tls_server_name = options.tls_server_name;
    c.socket_mark = options.socket_mark;
    c.socket_setup = options.socket_setup;
    c.unix_path = options.unix_path;
    c.connect_timeout = options.connect_timeout;
    c.wrap = options.wrap;
    client = std::make_unique<http::Client>(loop, std::move(c));
  }

  void open() {
    failed = false;
    reader = http::GrpcReader();
    reason.clear();
    if (options.refresh) {
      if (auto ok = options.refresh(options); !ok) {
        if (ok.error().code == AdsOptions::kNotYet) return retry.arm(kSoon);
        reason = ok.error().text();
        return ended();
      }
      loop.defer([old = std::shared_ptr<http::Client>(std::move(client))] {});
      make_client();
    }
    std::string host = options.host.find(':') == std::string::npos ? options.host : "[" + options.host + "]";
    std::string service = options.service;
    if (service.empty())
      service = "envoy.service.discovery.v3.AggregatedDiscoveryService/" + std::string(options.delta ? "DeltaAggregatedResources" : "StreamAggregatedResources");
    std::string url = fmt::format("{}://{}:{}/{}", options.tls ? "https" : "http", host, options.port, service);
    http::RequestHead head;
    head.method = "POST";
    head.headers = options.headers;
    head.authority = options.authority;
    head.headers.add("content-type", "application/grpc");
    head.headers.add("te", "trailers");
    http::Call::Callbacks callbacks;
    callbacks.on_head = [this](const http::ResponseHead& h) {
      if (h.status != 200) reason = fmt::format("HTTP status {}", h.status);
      if (const std::string* status = h.headers.find("grpc-status"); status && *status != "0")
        reason = fmt::format("gRPC status {}: {}", *status, h.headers.get("grpc-message"));
    };
    callbacks.on_data = [this](std::string_view bytes) { on_data(bytes); };
    callbacks.on_end = [this](base::Result<http::Headers> trailers) {
      if (!trailers) reason = trailers.error().text();
      else if (reason.empty()) reason = fmt::format("the server ended the stream (gRPC status {} {})", trailers->get("grpc-status"), trailers->get("grpc-message"));
      ended();
    };
    call = client->start(url, std::move(head), true, std::move(callbacks));
    session.stream_started();
    send();
  }

  void send() {
    if (!call || receiving) return;
    for (const std::string& message : session.take_requests()) call->write(http::grpc_frame(message));
  }

  void on_data(std::string_view bytes) {
    if (failed) return;
    reader.feed(bytes);
    receiving = true;  // what the sink subscribes to goes out after the acknowledgement
    for (;;) {
      auto message = reader.next();
      if (!message) return fail(message.error().text());
      if (!*message) break;
      if (!up) {
        up = true;
        options.tried = attempts = 0;
        said.clear();
        sink.on_stream(true, {});
      }
      if (auto ok = session.receive(**message); !ok) return fail(ok.error().text());
    }
    receiving = false;
    send();
  }

  // The stream is cut by us: not inside its own callback.
  void fail(std::string text) {
    failed = true;
    receiving = false;
    reason = std::move(text);
    ended();
  }

  void ended() {
    session.stream_ended();
    loop.defer([c = std::move(call)]() mutable { c.reset(); });
    call = nullptr;
    // Each reason once, until the stream has stood again: a server that is away for hours is not worth a line a second.
    if (up || (said.size() < 32 && said.insert(where() + reason).second)) FL_LOG_WARN("xds", "stream to {} {}: {}", where(), up ? "ended" : "failed, it is tried again", reason);
    up = false;
    sink.on_stream(false, reason);
    if (++options.tried < options.servers) return retry.arm(kSoon);
    options.tried = 0;
    // Full jitter: proxies that lost the same server do not come back all at once.
    int64_t range = options.backoff_base.count() << std::min(attempts, 10u);
    range = std::min(range, options.backoff_max.count());
    ++attempts;
    retry.arm(base::Nanos(std::uniform_int_distribution<int64_t>(range / 4, range)(random)));
  }

  std::string where() const {
    std::string at = !options.unix_path.empty() ? options.unix_path : fmt::format("{}:{}", options.host, options.port);
    return options.authority.empty() ? at : fmt::format("{} ({})", options.authority, at);
  }

  static constexpr base::Nanos kSoon = std::chrono::milliseconds(10);
  io::Loop& loop;
  AdsOptions options;
  ClientSink& sink;
  ClientSession session;
  std::unique_ptr<http::Client> client;
  std::unique_ptr<http::Call> call;
  http::GrpcReader reader;
  io::Timer retry;
  std::mt19937_64 random{std::random_device{}()};
  std::string reason;
  std::set<std::string> said;
  unsigned attempts = 0;
  bool up = false, failed = false, receiving = false;
};

AdsClient::AdsClient(io::Loop& loop, AdsOptions options, ClientSink& sink) : core_(std::make_unique<Core>(loop, std::move(options), sink)) {}
AdsClient::~AdsClient() = default;
void AdsClient::start() { core_->open(); }
void AdsClient::subscribe_all(std::string_view type_url) {
  core_->session.subscribe_all(type_url);
  core_->send();
}
void AdsClient::subscribe(std::string_view type_url, std::set<std::string> names) {
  core_->session.subscribe(type_url, std::move(names));
  core_->send();
}
bool AdsClient::connected() const { return core_->up; }
const ClientSession& AdsClient::session() const { return core_->session; }

}  // namespace fairlead::xds
