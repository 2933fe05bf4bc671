// The composition of the node process; the order of construction is the order of dependence, and is undone in reverse.
#include "node/node.h"

#include <signal.h>
#include <unistd.h>

#include "api/server.h"
#include "base/log.h"
#include "http/server.h"
#include "io/signals.h"
#include "node/bring_up.h"
#include "node/console_process.h"
#include "node/controllers/controllers.h"
#include "node/kubelet/kubelet.h"
#include "node/service_sync.h"
#include "node/webhook_caller.h"
#include "store/sqlite_store.h"

namespace fairlead::node {

using base::Status;
using base::Value;

namespace {

class Node {
 public:
  explicit Node(NodeConfig config) : config_(std::move(config)) {}

  Status start();
  void run() { loop_.run(); }
  void stop();
  void report(std::string_view event, std::string_view message);

 private:
  void tell(std::string_view event, std::string_view message);
  Status serve(const Pki& pki);
  void start_console();
  Status seed_endpoints();
  void tell_of_console(bool there);
  void console_is_up();
  TokenSource token_source();

  NodeConfig config_;
  io::Loop loop_;
  std::unique_ptr<io::SignalWatch> on_signal_;
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<WebhookCaller> webhooks_;
  std::unique_ptr<api::ApiServer> api_;
  NodeParts parts_;
  std::unique_ptr<EventRecorder> events_;
  std::unique_ptr<Kubelet> kubelet_;
  std::unique_ptr<Controllers> controllers_;
  std::unique_ptr<ServiceSync> service_sync_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<BringUp> bring_up_;
  // Readiness waits for the console, within reason: its first password is told once, to whoever waits for the mesh.
  bool console_awaited_ = false, ready_ = false;
  io::Timer console_patience_{loop_, [this] { console_is_up(); }};
  std::unique_ptr<ConsoleProcess> console_;
};

void Node::report(std::string_view event, std::string_view message) {
  FL_LOG_INFO("node", "{}{}{}", event, message.empty() ? "" : ": ", message);
  tell(event, message);
}

void Node::tell(std::string_view event, std::string_view message) {
  if (!config_.report.valid()) return;
  std::string line = Value::object({{"event", event}, {"message", message}}).dump() + "\n";
  // A pipe takes a line whole; when the reader is gone there is nobody to tell.
  if (::write(config_.report.get(), line.data(), line.size()) < 0 || event == "ready" || event == "failed") config_.report.reset();
}

TokenSource Node::token_source() {
  return [this](const TokenRequest& request) -> base::Result<std::string> {
    auto account = store_->get({"serviceaccounts", request.ns, request.service_account});
    if (!account) return base::fail(base::Code::kNotFound, "serviceaccount \"{}\" not found", request.service_account);
    api::Tokens::Request token;
    token.ns = request.ns;
    token.service_account = request.service_account;
    token.service_account_uid = (**account)["metadata"]["uid"].as_string();
    token.pod = request.pod;
    token.pod_uid = request.pod_uid;
    if (!request.audience.empty()) token.audiences = {request.audience};
    token.valid_for = request.valid_for;
    auto issued = api_->tokens().issue(token);
    if (!issued) return std::unexpected(issued.error());
    return issued->token;
  };
}

// The Services default/kubernetes and kube-system/kube-dns have no selector: their endpoint is this process, on the node's
// own address.
Status Node::seed_endpoints() {
  auto port = [](const char* name, int number, const char* protocol) {
    return Value::object({{"name", name}, {"port", number}, {"protocol", protocol}});
  };
  auto seed = [this](const char* ns, const char* name, Value ports) -> Status {
    if (store_->get({"endpoints", ns, name})) return {};
    Value subset = Value::object({{"addresses", Value::array({Value::object({{"ip", kNodeIp}})})}, {"ports", std::move(ports)}});
    auto made = api_->client().create_now(Value::object({{"apiVersion", "v1"},
                                                         {"kind", "Endpoints"},
                                                         {"metadata", Value::object({{"name", name}, {"namespace", ns}})},
                                                         {"subsets", Value::array({std::move(subset)})}}));
    if (!made) return std::unexpected(made.error());
    return {};
  };
  if (!store_->get({"services", "kube-system", "kube-dns"})) {
    Value labels = Value::object({{"k8s-app", "kube-dns"}, {"kubernetes.io/cluster-service", "true"}, {"kubernetes.io/name", "CoreDNS"}});
    auto made = api_->client().create_now(Value::object(
        {{"apiVersion", "v1"},
         {"kind", "Service"},
         {"metadata", Value::object({{"name", "kube-dns"}, {"namespace", "kube-system"}, {"labels", std::move(labels)}})},
         {"spec", Value::object({{"clusterIP", kDnsServiceIp}, {"ports", Value::array({port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP")})}})}}));
    if (!made) return std::unexpected(made.error());
  }
  if (auto ok = seed("kube-system", "kube-dns", Value::array({port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP")})); !ok) return ok;
  return seed("default", "kubernetes", Value::array({port("https", 443, "TCP")}));
}

// The Service by which the control plane makes proxies clients of the console, and by which pods find it.
void Node::tell_of_console(bool there) {
  const char *ns = "kube-system", *name = "fairlead-console";
  for (const char* kind : {"services", "endpoints"})
    if (store_->get({kind, ns, name})) (void)api_->client().remove({kind, ns, name});
  if (!there) return;
  const Value ports = Value::array({Value::object({{"name", "http"}, {"port", config_.console_port}, {"protocol", "TCP"}})});
  auto make = [&](const char* kind, const char* field, Value value) {
    auto made = api_->client().create_now(Value::object({{"apiVersion", "v1"},
                                                         {"kind", kind},
                                                         {"metadata", Value::object({{"name", name}, {"namespace", ns}, {"labels", Value::object({{"flow.fairlead.dev/console", "true"}})}})},
                                                         {field, std::move(value)}}));
    if (!made) FL_LOG_ERROR("node", "the mesh does not hear of the console: {}", made.error().text());
  };
  make("Service", "spec", Value::object({{"ports", ports}}));
  make("Endpoints", "subsets", Value::array({Value::object({{"addresses", Value::array({Value::object({{"ip", kNodeIp}})})}, {"ports", ports}})}));
}

Status Node::serve(const Pki& pki) {
  io::TlsOptions tls;
  tls.certificate_pem = pki.server_certificate;
  tls.key_pem = pki.server_key;
  tls.ca_pem = pki.ca_certificate;
  tls.request_client_certificate = true;  // pods come with tokens instead
  tls.alpn = {"h2", "http/1.1"};
  auto context = io::TlsContext::server(tls);
  if (!context) return std::unexpected(context.error());
  http::ServerOptions options;
  options.tls = *context;
  server_ = std::make_unique<http::Server>(loop_, options, api_->handler());
  for (const char* ip : {kApiServiceIp, kNodeIp}) {
    auto at = io::Address::parse_ip(ip, 443);
    if (auto bound = server_->listen(*at); !bound) return std::unexpected(bound.error());
  }
  if (config_.api_listener.valid()) server_->listen(std::move(config_.api_listener));
  return {};
}

void Node::start_console() {
  console_awaited_ = true;
  console_patience_.arm(std::chrono::seconds(20));
  parts_.host->listen_tcp(*io::Address::parse_ip(kHostIp, config_.console_port), [this](base::Result<io::Fd> listener) {
    if (!listener) {
      const std::string why = fmt::format("no console: {}; another port: --console-port", listener.error().text());
      FL_LOG_ERROR("node", "{}", why);
      report("progress", why);
      return console_is_up();
    }
    ConsoleProcess::Options options{.executable = config_.executable, .data_dir = config_.data_dir + "/console", .node_address = fmt::format("{}:{}", kNodeIp, config_.console_port)};
    console_ = std::make_unique<ConsoleProcess>(loop_, std::move(options), std::move(*listener), [this](const std::string& line) {
      // Its first password is for the person alone, unless nobody listens any more.
      if (config_.report.valid()) tell("progress", line);
      else FL_LOG_INFO("console", "{}", line);
      if (line.starts_with("console on ")) console_is_up();
    });
  });
}

void Node::console_is_up() {
  console_patience_.cancel();
  if (std::exchange(console_awaited_, false) && ready_) report("ready", "");
}

Status Node::start() {
  ::signal(SIGPIPE, SIG_IGN);
  on_signal_ = std::make_unique<io::SignalWatch>(loop_, std::initializer_list<int>{SIGTERM, SIGINT}, [this](int) { loop_.stop(); });

  auto pki = ensure_pki(config_.data_dir);
  if (!pki) return std::unexpected(pki.error());
  auto store = store::SqliteStore::open(loop_, config_.data_dir + "/state.db");
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  webhooks_ = std::make_unique<WebhookCaller>(loop_, *store_);
  api::ApiServer::Options options;
  options.ca_pem = pki->ca_certificate;
  options.token_key_pem = pki->service_account_key;
  options.webhook = [this](api::WebhookCall call, std::function<void(base::Result<std::string>)> done) { webhooks_->call(std::move(call), std::move(done)); };
  api_ = std::make_unique<api::ApiServer>(loop_, *store_, nullptr, std::move(options));
  if (auto ok = api_->bootstrap(); !ok) return ok;
  if (auto ok = seed_endpoints(); !ok) return ok;
  report("progress", "state is loaded");

  auto parts = make_node_parts(loop_, config_);
  if (!parts) return std::unexpected(parts.error());
  parts_ = std::move(*parts);
  if (auto ok = serve(*pki); !ok) return ok;
  report("progress", "network and API server are up");

  events_ = std::make_unique<EventRecorder>(loop_, *store_, api_->client());
  KubeletOptions kubelet_options;
  kubelet_options.data_dir = config_.data_dir;
  kubelet_options.dns_server = kDnsServiceIp;
  kubelet_options.cluster_domain = kClusterDomain;
  kubelet_options.host_ip = kHostIp;
  kubelet_ = std::make_unique<Kubelet>(loop_, *store_, api_->client(), *parts_.runtime, *events_, token_source(), kubelet_options);
  api_->set_pod_backend(kubelet_.get());
  ControllersOptions controllers;
  controllers.balancers = parts_.balancers;
  controllers.ca_pem = pki->ca_certificate;
  controllers_ = std::make_unique<Controllers>(loop_, *store_, api_->client(), *events_, controllers);
  service_sync_ = std::make_unique<ServiceSync>(loop_, *store_, parts_.service_sinks);
  kubelet_->start();
  tell_of_console(config_.console_port != 0);
  if (config_.console_port != 0) start_console();

  BringUp::Report told;
  told.progress = [this](const std::string& line) { report("progress", line); };
  told.ready = [this] {
    ready_ = true;
    if (!console_awaited_) report("ready", "");
  };
  told.failed = [this](const std::string& why) { report("failed", why); };
  bring_up_ = std::make_unique<BringUp>(loop_, *store_, api_->client(), config_.profile,
                                        [this](const std::string& ns, const std::string& pod) { return kubelet_->is_live(ns, pod); }, std::move(told));
  return {};
}

void Node::stop() {
  bring_up_.reset();
  console_.reset();
  server_.reset();
  service_sync_.reset();
  controllers_.reset();
  if (kubelet_) kubelet_->stop();
  if (api_) api_->set_pod_backend(nullptr);
}

}  // namespace

int run_node(NodeConfig config) {
  Node node(std::move(config));
  if (auto ok = node.start(); !ok) {
    node.report("failed", ok.error().text());
    return 1;
  }
  node.run();
  node.stop();
  return 0;
}

}  // namespace fairlead::node
