// istio.metadata_exchange (io.istio.http.peer_metadata.Config): two sidecars tell each other who they are, by header
// fields that applications never see. Source: Envoy's contrib/istio/filters/http/peer_metadata.
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"
#include "proxy/upstream/upstream.h"

namespace fairlead::proxy {
namespace {

constexpr std::string_view kId = "x-envoy-peer-metadata-id", kValue = "x-envoy-peer-metadata";

// Peers that were heard of, each decoded once a worker.
struct PeerCache final : WorkerLocal {
  static constexpr size_t kMost = 500;
  StringMap<std::pair<std::string, std::shared_ptr<const Workload>>> by_id;

  std::shared_ptr<const Workload> find(std::string_view id, std::string_view value) {
    if (auto it = by_id.find(id); it != by_id.end() && it->second.first == value) return it->second.second;
    auto peer = Workload::from_header(value);
    if (!peer || id.empty()) return peer;
    if (by_id.size() >= kMost) by_id.erase(by_id.begin());
    by_id.insert_or_assign(std::string(id), std::pair{std::string(value), peer});
    return peer;
  }
};
constexpr char kCacheKey = 0;

struct Received final : FilterState {
  bool id = false, value = false;
};

class PeerMetadata final : public Filter {
 public:
  struct Direction {
    bool discover = false, propagate = false, skip_external = false;
  };
  PeerMetadata(std::string name, std::string node_id, const Workload& self, Direction downstream, Direction upstream)
      : Filter(std::move(name), kRequest | kResponse), id_(std::move(node_id)), value_(self.to_header()), downstream_(downstream), upstream_(upstream) {}

  Next on_request(Exchange& x) const override {
    HeaderMap& fields = x.request().fields;
    if (downstream_.discover) {
      auto state = std::make_unique<Received>();
      x.info().downstream_peer = take(x, fields, state->id, state->value);
      if (state->id || state->value) x.keep(*this, std::move(state));
    }
    if (upstream_.propagate && !skipped(x)) {
      // The filter outlives the exchange, which holds on to its configuration.
      for (auto [name, value] : {std::pair{kId, std::string_view(id_)}, std::pair{kValue, std::string_view(value_)}}) {
        fields.remove(name);
        fields.add_view(name, value);
      }
    }
    return Next::kGoOn;
  }

  void on_response(Exchange& x, bool) const override {
    HeaderMap& fields = x.response().fields;
    if (upstream_.discover) {
      bool id = false, value = false;
      x.info().upstream_peer = take(x, fields, id, value);
    }
    if (const auto* received = static_cast<const Received*>(x.kept(*this)); received && downstream_.propagate) {
      if (received->id) fields.add_view(kId, id_);
      if (received->value) fields.add_view(kValue, value_);
    }
  }

 private:
  std::shared_ptr<const Workload> take(Exchange& x, HeaderMap& fields, bool& has_id, bool& has_value) const {
    const HeaderMap::Field* id = fields.find(kId);
    const HeaderMap::Field* value = fields.find(kValue);
    has_id = id;
    has_value = value;
    std::shared_ptr<const Workload> peer;
    if (value && !value->value.empty())
      peer = x.worker().local<PeerCache>(&kCacheKey).find(id ? id->value : std::string_view(), value->value);
    if (id) fields.remove(kId);
    if (value) fields.remove(kValue);
    return peer;
  }

  bool skipped(Exchange& x) const {
    const RouteCluster* chosen = x.route_cluster();
    if (!chosen) return false;
    if (upstream_.skip_external && chosen->name == "PassthroughCluster") return true;
    Cluster* cluster = x.upstream_cluster();
    const ServiceIdentity* service = cluster ? cluster->config().service.get() : nullptr;
    return service && (service->disable_mx || (upstream_.skip_external && service->external));
  }

  std::string id_, value_;
  Direction downstream_, upstream_;
};

// Of the methods only istio_headers is there: workload_discovery needs Istio's ambient mode, baggage a waypoint.
PeerMetadata::Direction direction(const CompileContext& at, const base::Value& fields, std::string_view side) {
  PeerMetadata::Direction out;
  for (auto [kind, flag] : {std::pair{"discovery", &out.discover}, std::pair{"propagation", &out.propagate}}) {
    std::string key = fmt::format("{}_{}", side, kind);
    for (const auto& method : fields[key].items()) {
      if (const auto& headers = method["istio_headers"]; headers.is_object()) {
        *flag = true;
        out.skip_external |= headers["skip_external_clusters"].as_bool();
      } else if (!method.members().empty()) {
        at.warn(fmt::format("istio.metadata_exchange {}.{}", key, method.members()[0].key));
      }
    }
  }
  return out;
}

}  // namespace

const FilterType kPeerMetadataFilter = {
    "istio.metadata_exchange", "io.istio.http.peer_metadata.Config", {},
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      if (source.fields.is_null()) at.refuse("{} is taken as a TypedStruct alone", source.type);
      return std::make_shared<PeerMetadata>(source.name, at.compiler.node_id, at.compiler.self, direction(at, source.fields, "downstream"),
                                            direction(at, source.fields, "upstream"));
    },
    nullptr};

}  // namespace fairlead::proxy
