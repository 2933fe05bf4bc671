#include "control/control_plane.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "base/strings.h"
#include "control/debug_pages.h"
#include "control/discovery/generate.h"
#include "control/files.h"
#include "control/istiod_certificate.h"
#include "control/registry.h"
#include "control/webhook.h"
#include "xds/server.h"

namespace fairlead::control {

using base::Value;

class ControlPlane::Core final : xds::Delegate {
 public:
  Core(io::Loop& loop, ControlOptions options, std::unique_ptr<store::KubeClient> client)
      : loop_(loop), options_(std::move(options)), client_(std::move(client)), ads_(loop, *this), debounce_(loop, [this] { push(); }) {}

  base::Status start() {
    if (auto s = serve_pages(); !s) return s;
    if (!client_) {
      if (auto s = reload(); !s) return s;
      return serve_xds();
    }
    for (std::string_view resource : Registry::resources()) {
      ++unsynced_;
      std::string name(resource);
      // Said once of a kind that the API server does not have: the others must not wait for it.
      auto listed = std::make_shared<bool>(false);
      informers_.push_back(client_->inform(
          resource, "", "", "",
          {.on_event = [this, name](store::EventType type, const store::ObjectPtr& object) {
             changed(registry_.apply(name, type, object));
             if (Registry::optional(name) && type != store::EventType::kDeleted) tell_accepted(name, *object);
           },
           .on_synced = [this, listed] {
             if (!std::exchange(*listed, true)) synced();
           },
           .on_error = [this, name, listed](const base::Error& e) {
             bool missing = Registry::optional(name) && e.code == base::Code::kNotFound;
             if (!missing) FL_LOG_WARN("api", "{}: {}", name, e.text());
             else if (!std::exchange(*listed, true)) synced();
           }}));
    }
    if (options_.https.valid()) {
      certificate_ = std::make_unique<IstiodCertificate>(loop_, *client_, options_.ns, [this](std::shared_ptr<const io::TlsContext> tls, const SigningCa& ca) {
        authority_ = std::make_unique<CertificateAuthority>(*client_, ca, [this] { return snapshot_ ? snapshot_->mesh.trust_domains[0] : std::string("cluster.local"); });
        tls_ = std::move(tls);
        serve_webhook();
        serve_secure_xds();
      });
    }
    return {};
  }

  bool ready() const { return serving_ && (!certificate_ || certificate_->published()); }
  io::Address grpc_address() const { return grpc_address_; }

  base::Status reload() {
    auto objects = read_folder(options_.files);
    if (!objects) return std::unexpected(objects.error());
    registry_.replace(*objects);
    changed(Scope::kAll);
    return {};
  }

  void drain() {
    grpc_.reset();
    secure_grpc_.reset();
    ads_.close_all();
  }

 private:
  struct Client {
    Proxy proxy;
    std::unique_ptr<Generator> generator;  // for generator_version; made when asked for
    SnapshotPtr snapshot;
  };

  // --- changes

  void changed(Scope scope) {
    if (scope == Scope::kNothing) return;
    if (scope == Scope::kAll) all_ = true;
    if (!serving_) return;
    auto now = base::Clock::now();
    if (!debounce_.armed()) first_change_ = now;
    base::Nanos left = options_.debounce_max - (now - first_change_);
    debounce_.arm(std::min(options_.debounce_after, std::max(left, base::Nanos(0))));
  }

  // The status of flow control's rules: which of their versions is in force.
  void tell_accepted(const std::string& resource, const Value& object) {
    const Value& metadata = object["metadata"];
    const Value& generation = metadata["generation"];
    if (object["status"]["observedGeneration"] == generation && !generation.is_null()) return;
    const auto rules = static_cast<int64_t>(object["spec"]["rules"].size());
    Value condition = Value::object({{"type", "Accepted"}, {"status", "True"}, {"reason", "Valid"}, {"lastTransitionTime", base::format_rfc3339(std::chrono::system_clock::now())},
                                     {"message", fmt::format("{} rule{} accepted; the proxies that are selected are sent {}", rules, rules == 1 ? " is" : "s are", rules == 1 ? "it" : "them")}});
    Value status = Value::object({{"observedGeneration", generation}, {"acceptedRules", rules}, {"conditions", Value::array({condition})}});
    std::string name = metadata["namespace"].as_string() + "/" + metadata["name"].as_string();
    client_->patch(resource, metadata["namespace"].as_string(), metadata["name"].as_string(), store::PatchType::kMerge, Value::object({{"status", status}}),
                   [resource, name](base::Result<Value> done) {
                     if (!done && done.error().code != base::Code::kNotFound) FL_LOG_WARN("api", "the status of {} {} is not told: {}", resource, name, done.error().text());
                   }, "status");
  }

  void push() {
    snapshot_ = registry_.snapshot();
    std::set<std::string_view> types;
    if (!std::exchange(all_, false)) types.insert(xds::kEndpointType);
    ++pushes_;
    ads_.push(types);
  }

  void synced() {
    if (--unsynced_ > 0) return;
    FL_LOG_INFO("api", "everything is listed; serving xDS");
    if (auto s = serve_xds(); !s) {
      FL_LOG_ERROR("control", "{}", s.error().text());
      std::exit(1);  // istiod without xDS is no use; the kubelet shows the reason and tries again
    }
  }

  // --- servers

  base::Status serve_xds() {
    snapshot_ = registry_.snapshot();
    all_ = false;
    serving_ = true;
    serve_secure_xds();
    if (!options_.grpc.valid()) return {};
    http::ServerOptions server;
    server.idle_timeout = std::chrono::hours(24);  // a stream is quiet as long as nothing changes
    grpc_ = std::make_unique<http::Server>(loop_, server, ads_.handler());
    auto at = grpc_->listen(options_.grpc);
    if (!at) return std::unexpected(at.error());
    grpc_address_ = *at;
    FL_LOG_INFO("control", "xDS on {}", at->text());
    return {};
  }

  void serve(const io::Address& at, std::unique_ptr<http::Server>& server, http::Handler handler) {
    if (!at.valid()) return;
    http::ServerOptions options;
    options.tls = tls_;
    options.idle_timeout = std::chrono::hours(24);
    server = std::make_unique<http::Server>(loop_, options, std::move(handler));
    if (auto bound = server->listen(at); !bound) FL_LOG_ERROR("control", "{}", bound.error().text());
  }

  // With a certificate to show and everything listed, whichever is later.
  void serve_secure_xds() {
    if (authority_ && serving_ && !secure_grpc_) {
      serve(options_.secure_grpc, secure_grpc_, authority_->handler([this](std::shared_ptr<http::Exchange> exchange, std::string caller) {
              ads_.serve(std::move(exchange), std::move(caller));
            }));
    }
  }

  void serve_webhook() {
    serve(options_.https, https_, make_webhook_handler([this] {
            InjectionConfig config;
            config.cluster_id = options_.cluster_id;
            config.revision = options_.revision;
            if (snapshot_) config.cluster_domain = snapshot_->mesh.domain;
            return config;
          }));
  }

  base::Status serve_pages() {
    auto pages = [this](std::shared_ptr<http::Exchange> exchange) {
      DebugView view{.ready = ready(), .revision = options_.revision, .cluster_id = options_.cluster_id, .pushes = pushes_,
                     .nacks = nacks_, .snapshot = snapshot_, .sessions = ads_.sessions()};
      answer_debug_page(*exchange, view, [this](std::string_view proxy, std::string_view type) { return resources_of(proxy, type); });
    };
    for (auto [at, server] : {std::pair{&options_.http, &http_}, std::pair{&options_.monitoring, &monitoring_}}) {
      if (!at->valid()) continue;
      *server = std::make_unique<http::Server>(loop_, http::ServerOptions{}, pages);
      if (auto bound = (*server)->listen(*at); !bound) return std::unexpected(bound.error());
    }
    return {};
  }

  // What the proxy with this id ("pod.ns") gets of a type; for /debug/config_dump.
  xds::ResourceMap resources_of(std::string_view proxy, std::string_view type) {
    for (auto& [id, client] : clients_)
      if (client.proxy.id == proxy) return generate(id, type, nullptr);
    return {};
  }

  // --- xds::Delegate

  base::Status on_connect(xds::SessionId id, const xds::Node& node, const io::Address& peer, const std::string& caller) override {
    auto proxy = parse_proxy(node.id, node.metadata);
    if (!proxy) return std::unexpected(proxy.error());
    if (!caller.empty())
      if (auto s = verify_proxy(*proxy, caller); !s) {
        FL_LOG_WARN("ads", "{} from {}: {}", node.id, peer.text(), s.error().message);
        return s;
      }
    FL_LOG_INFO("ads", "{} connected from {}", node.id, peer.text());
    clients_[id].proxy = std::move(*proxy);
    return {};
  }

  xds::ResourceMap generate(xds::SessionId id, std::string_view type, const std::set<std::string>* names) override {
    auto it = clients_.find(id);
    if (it == clients_.end() || !snapshot_) return {};
    Client& client = it->second;
    if (!client.generator || client.snapshot != snapshot_) {
      client.snapshot = snapshot_;
      client.generator = std::make_unique<Generator>(snapshot_, client.proxy);
    }
    return client.generator->generate(type, names);
  }

  std::string version() const override { return snapshot_ ? std::to_string(snapshot_->version) : "0"; }

  void on_nack(xds::SessionId id, std::string_view type, std::string_view version, std::string_view message) override {
    ++nacks_;
    auto it = clients_.find(id);
    FL_LOG_WARN("ads", "{} of version {} refused by {}: {}", xds::short_type(type), version, it == clients_.end() ? "?" : it->second.proxy.id, message);
  }

  void on_disconnect(xds::SessionId id) override {
    if (auto it = clients_.find(id); it != clients_.end()) {
      FL_LOG_INFO("ads", "{} disconnected", it->second.proxy.id);
      clients_.erase(it);
    }
  }

  io::Loop& loop_;
  ControlOptions options_;
  std::unique_ptr<store::KubeClient> client_;
  Registry registry_;
  SnapshotPtr snapshot_;
  std::map<xds::SessionId, Client> clients_;
  xds::AdsServer ads_;
  std::vector<std::unique_ptr<store::Informer>> informers_;
  std::unique_ptr<IstiodCertificate> certificate_;
  std::unique_ptr<CertificateAuthority> authority_;
  std::shared_ptr<const io::TlsContext> tls_;
  std::unique_ptr<http::Server> grpc_, secure_grpc_, https_, http_, monitoring_;
  io::Address grpc_address_;
  io::Timer debounce_;
  base::TimePoint first_change_;
  size_t unsynced_ = 0;
  uint64_t pushes_ = 0, nacks_ = 0;
  bool serving_ = false;
  bool all_ = false;  // the waiting change concerns more than endpoints
};

base::Result<std::unique_ptr<ControlPlane>> ControlPlane::start(io::Loop& loop, ControlOptions options, std::unique_ptr<store::KubeClient> client) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane());
  plane->core_ = std::make_unique<Core>(loop, std::move(options), std::move(client));
  if (auto s = plane->core_->start(); !s) return std::unexpected(s.error());
  return plane;
}

ControlPlane::~ControlPlane() = default;
io::Address ControlPlane::grpc_address() const { return core_->grpc_address(); }
bool ControlPlane::ready() const { return core_->ready(); }
base::Status ControlPlane::reload() { return core_->reload(); }
void ControlPlane::drain() { core_->drain(); }

}  // namespace fairlead::control
