// AdsServer: sessions on gRPC streams.
#include "xds/server.h"

#include "base/log.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "http/grpc.h"
#include "xds/struct_value.h"

namespace fairlead::xds {

namespace discovery = envoy::service::discovery::v3;

namespace {

// A proxy this far behind gets no more until it has read what it was sent.
constexpr size_t kMaxPendingBytes = 4u << 20;
constexpr size_t kMaxRequestBytes = 4u << 20;

http::Headers grpc_headers() {
  http::Headers h;
  h.add("content-type", "application/grpc");
  return h;
}

}  // namespace

struct AdsServer::Stream : std::enable_shared_from_this<AdsServer::Stream> {
  AdsServer& server;
  SessionId id;
  std::shared_ptr<http::Exchange> exchange;
  bool delta;
  std::string caller;
  bool connected = false;
  bool over = false;
  std::set<std::string_view> late;     // pushes held back by a slow reader
  bool late_all = false;
  Node node;
  http::GrpcReader reader{kMaxRequestBytes};
  Session session;

  Stream(AdsServer& s, SessionId i, std::shared_ptr<http::Exchange> e, bool d, std::string c)
      : server(s), id(i), exchange(std::move(e)), delta(d), caller(std::move(c)), session(i, s.delegate_, [this](std::string message) {
          exchange->write(http::grpc_frame(message));
        }) {}

  void begin() {
    exchange->start(200, grpc_headers());
    auto self = weak_from_this();
    exchange->on_close([self](bool) {
      if (auto s = self.lock()) s->end();
    });
    exchange->on_drain([self] {
      if (auto s = self.lock()) s->caught_up();
    });
    exchange->stream_body(
        [self](std::string_view bytes) {
          if (auto s = self.lock()) s->on_bytes(bytes);
        },
        [self] {
          if (auto s = self.lock(); s && !s->over) s->exchange->finish(http::grpc_trailers(0));
        });
  }

  void on_bytes(std::string_view bytes) {
    reader.feed(bytes);
    while (!over) {
      auto message = reader.next();
      if (!message) return fail(8, message.error().message);
      if (!*message) return;
      if (delta) take<discovery::DeltaDiscoveryRequest>(**message);
      else take<discovery::DiscoveryRequest>(**message);
    }
  }

  template <class Request>
  void take(const std::string& bytes) {
    Request request;
    if (!request.ParseFromString(bytes)) return fail(3, "request cannot be decoded");
    if (!connected) {
      if (!request.has_node() || request.node().id().empty()) return fail(3, "the first request of a stream has to carry node.id");
      node.id = request.node().id();
      node.cluster = request.node().cluster();
      node.metadata = to_value(request.node().metadata());
      node.user_agent = request.node().user_agent_name();
      if (auto s = server.delegate_.on_connect(id, node, exchange->peer(), caller); !s) return fail(7, s.error().message);
      connected = true;
    }
    if (request.type_url().empty()) return fail(3, "type_url is missing");
    session.on_request(request);
  }

  void push(const std::set<std::string_view>& types) {
    if (over || !connected) return;
    if (exchange->pending_bytes() > kMaxPendingBytes) {
      if (types.empty()) late_all = true;
      late.insert(types.begin(), types.end());
      return;
    }
    session.push(types);
  }

  void caught_up() {
    if (!late_all && late.empty()) return;
    auto types = late_all ? std::set<std::string_view>() : std::exchange(late, {});
    late.clear();
    late_all = false;
    push(types);
  }

  void fail(int status, std::string_view message) {
    if (over) return;
    FL_LOG_WARN("ads", "{}: stream ended: {}", node.id.empty() ? exchange->peer().text() : node.id, message);
    exchange->finish(http::grpc_trailers(status, message));
    end();
  }

  void end() {
    if (std::exchange(over, true)) return;
    auto self = shared_from_this();  // outlives the erase below
    if (connected) server.delegate_.on_disconnect(id);
    server.loop_.defer([self] {});
    server.streams_.erase(id);
  }
};

AdsServer::AdsServer(io::Loop& loop, Delegate& delegate) : loop_(loop), delegate_(delegate) {}
AdsServer::~AdsServer() {
  for (auto& [id, stream] : streams_) stream->over = true;
}

http::Handler AdsServer::handler() {
  return [this](std::shared_ptr<http::Exchange> exchange) { serve(std::move(exchange), {}); };
}

void AdsServer::serve(std::shared_ptr<http::Exchange> exchange, std::string caller) {
  std::string_view path = exchange->request().path();
  constexpr std::string_view kService = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
  bool delta = path == std::string(kService) + "DeltaAggregatedResources";
  bool known = delta || path == std::string(kService) + "StreamAggregatedResources";
  for (std::string_view type : kPushOrder)
    for (bool d : {false, true})
      if (path.substr(1) == stream_method(type, d)) known = true, delta = d;
  if (!known) {
    exchange->start(200, grpc_headers());
    exchange->finish(http::grpc_trailers(12, fmt::format("unknown method {}; AggregatedDiscoveryService and the services of each type are served", path)));
    return;
  }
  SessionId id = ++next_id_;
  auto stream = std::make_shared<Stream>(*this, id, std::move(exchange), delta, std::move(caller));
  streams_[id] = stream;
  stream->begin();
}

void AdsServer::push(const std::set<std::string_view>& types, const std::function<bool(SessionId)>& concerns) {
  auto streams = streams_;  // a write may end a stream
  for (auto& [id, stream] : streams)
    if (!concerns || concerns(id)) stream->push(types);
}

void AdsServer::disconnect(SessionId id) {
  if (auto it = streams_.find(id); it != streams_.end()) {
    auto stream = it->second;
    stream->fail(14, "closed by the server");
  }
}

void AdsServer::close_all() {
  auto streams = streams_;
  for (auto& [id, stream] : streams) {
    stream->exchange->finish(http::grpc_trailers(14, "the server is shutting down"));
    stream->end();
  }
}

std::vector<AdsServer::View> AdsServer::sessions() const {
  std::vector<View> out;
  for (const auto& [id, stream] : streams_)
    if (stream->connected) out.push_back({id, stream->node, stream->exchange->peer(), stream->session.status()});
  return out;
}

}  // namespace fairlead::xds
