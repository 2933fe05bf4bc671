#include "control/discovery/filters.h"

#include "control/discovery/proto.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace fairlead::control {
namespace {

namespace listener = envoy::config::listener::v3;
using envoy::config::accesslog::v3::AccessLog;

// Istio's default text format.
constexpr const char* kTextFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    "%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

constexpr std::pair<const char*, const char*> kJsonFormat[] = {
    {"start_time", "%START_TIME%"},
    {"route_name", "%ROUTE_NAME%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"},
    {"upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"},
    {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
    {"upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"},
};

bool fill_access_log(const Context& context, AccessLog& out) {
  const auto& mesh = context.snapshot().mesh;
  if (mesh.access_log_file.empty()) return false;
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(mesh.access_log_file);
  if (mesh.access_log_json) {
    auto& fields = *file.mutable_log_format()->mutable_json_format()->mutable_fields();
    auto custom = mesh.access_log_format.empty() ? base::Result<base::Value>(base::Value()) : base::parse_json(mesh.access_log_format);
    if (custom && custom->is_object()) {
      for (const auto& member : custom->members()) fields[member.key].set_string_value(member.value.as_string());
    } else {
      for (const auto& [key, format] : kJsonFormat) fields[key].set_string_value(format);
    }
  } else {
    std::string format = mesh.access_log_format.empty() ? kTextFormat : mesh.access_log_format;
    if (!format.ends_with('\n')) format += '\n';
    file.mutable_log_format()->mutable_text_format_source()->set_inline_string(format);
  }
  out.set_name("envoy.access_loggers.file");
  pack(out.mutable_typed_config(), file);
  return true;
}

template <class Message>
void add_filter(HttpConnectionManager& manager, const char* name, const Message& config) {
  auto* filter = manager.add_http_filters();
  filter->set_name(name);
  pack(filter->mutable_typed_config(), config);
}

}  // namespace

HttpConnectionManager connection_manager(const Context& context, ListenerClass which, const std::string& stat_prefix) {
  HttpConnectionManager out;
  out.set_codec_type(HttpConnectionManager::AUTO);
  out.set_stat_prefix(stat_prefix + ";");
  out.mutable_use_remote_address()->set_value(which == ListenerClass::kGateway);
  out.mutable_normalize_path()->set_value(true);
  out.set_path_with_escaped_slashes_action(HttpConnectionManager::KEEP_UNCHANGED);
  out.mutable_stream_idle_timeout();
  out.set_proxy_100_continue(true);
  out.add_upgrade_configs()->set_upgrade_type("websocket");
  if (which != ListenerClass::kSidecarOutbound) {
    out.set_server_name("istio-envoy");
    auto& details = *out.mutable_set_current_client_cert_details();
    details.mutable_subject()->set_value(true);
    details.set_dns(true);
    details.set_uri(true);
    details.set_cert(which == ListenerClass::kGateway);
    out.set_forward_client_cert_details(which == ListenerClass::kGateway ? HttpConnectionManager::SANITIZE_SET
                                                                         : HttpConnectionManager::APPEND_FORWARD);
  }
  if (which == ListenerClass::kGateway) out.mutable_http_protocol_options();
  AccessLog log;
  if (fill_access_log(context, log)) *out.add_access_log() = log;
  add_filter(out, "envoy.filters.http.fault", envoy::extensions::filters::http::fault::v3::HTTPFault());
  add_filter(out, "envoy.filters.http.cors", envoy::extensions::filters::http::cors::v3::Cors());
  add_filter(out, "envoy.filters.http.router", envoy::extensions::filters::http::router::v3::Router());
  return out;
}

void add_connection_manager(listener::FilterChain& chain, const HttpConnectionManager& manager) {
  auto* filter = chain.add_filters();
  filter->set_name("envoy.filters.network.http_connection_manager");
  pack(filter->mutable_typed_config(), manager);
}

void use_rds(HttpConnectionManager& manager, const std::string& route_name) {
  set_ads(manager.mutable_rds()->mutable_config_source());
  manager.mutable_rds()->set_route_config_name(route_name);
}

namespace {
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

// What a DestinationRule says of connections as such: time-outs and hashing of the host as a whole, the tunnel of the subset
// where there is one. Of weighted destinations the first's host, as a listener has one setting for all.
void set_tcp_policy(const Context& context, const std::string& cluster, bool weighted, bool tunnels, TcpProxy& proxy) {
  auto key = parse_cluster_name(cluster);
  const Service* service = key ? context.find(key->host) : nullptr;
  if (!service) return;
  Rule rule = rule_of(context.snapshot(), context.proxy(), service->host, service->ns);
  static const base::Value kNone;
  const base::Value& general = rule.policy ? *rule.policy : kNone;
  const base::Value* own = &general;
  if (!weighted && !key->subset.empty()) {
    own = &kNone;
    for (const base::Value* subset : rule.subsets)
      if ((*subset)["name"].as_string() == key->subset) own = &(*subset)["trafficPolicy"];
  }
  const base::Value& tcp = general["connectionPool"]["tcp"];
  if (!tcp["idleTimeout"].is_null()) set_duration(proxy.mutable_idle_timeout(), tcp["idleTimeout"]);
  if (!tcp["maxConnectionDuration"].is_null()) set_duration(proxy.mutable_max_downstream_connection_duration(), tcp["maxConnectionDuration"]);
  // A subset's own balancer has the word, also when it does not hash.
  const base::Value& balancer = (*own)["loadBalancer"].is_null() ? general["loadBalancer"] : (*own)["loadBalancer"];
  if (balancer["consistentHash"]["useSourceIp"].as_bool()) proxy.add_hash_policy()->mutable_source_ip();
  if (const base::Value& tunnel = (*own)["tunnel"]; tunnels && tunnel.is_object()) {
    const std::string& host = tunnel["targetHost"].as_string();
    bool v6 = host.find(':') != std::string::npos;
    auto& out = *proxy.mutable_tunneling_config();
    out.set_hostname(fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", tunnel["targetPort"].as_int()));
    out.set_use_post(tunnel["protocol"].as_string() == "POST");
  }
}
}  // namespace

void add_tcp_proxy(const Context& context, listener::FilterChain& chain,
                   const std::vector<std::pair<std::string, uint32_t>>& clusters, const std::string& stat_prefix, bool tunnels) {
  TcpProxy proxy;
  proxy.set_stat_prefix(stat_prefix);
  if (clusters.size() == 1) {
    proxy.set_cluster(clusters[0].first);
  } else {
    for (const auto& [name, weight] : clusters) {
      auto* c = proxy.mutable_weighted_clusters()->add_clusters();
      c->set_name(name);
      c->set_weight(weight);
    }
  }
  set_tcp_policy(context, clusters[0].first, clusters.size() > 1, tunnels, proxy);
  AccessLog log;
  if (fill_access_log(context, log)) *proxy.add_access_log() = log;
  auto* filter = chain.add_filters();
  filter->set_name("envoy.filters.network.tcp_proxy");
  pack(filter->mutable_typed_config(), proxy);
}

void add_tcp_proxy(const Context& context, listener::FilterChain& chain, const std::string& cluster, bool with_access_log) {
  if (with_access_log) return add_tcp_proxy(context, chain, {{cluster, 1}}, cluster);
  TcpProxy proxy;
  proxy.set_stat_prefix(cluster);
  proxy.set_cluster(cluster);
  auto* filter = chain.add_filters();
  filter->set_name("envoy.filters.network.tcp_proxy");
  pack(filter->mutable_typed_config(), proxy);
}

void set_listener_access_log(const Context& context, listener::Listener& l) {
  AccessLog log;
  if (!fill_access_log(context, log)) return;
  log.mutable_filter()->mutable_response_flag_filter()->add_flags("NR");
  *l.add_access_log() = log;
}

namespace {

template <class Message>
void add_listener_filter(listener::Listener& l, const char* name, const Message& config, const std::set<int>& disabled_ports) {
  auto* filter = l.add_listener_filters();
  filter->set_name(name);
  pack(filter->mutable_typed_config(), config);
  auto set_port = [](listener::ListenerFilterChainMatchPredicate& out, int port) {
    out.mutable_destination_port_range()->set_start(port);
    out.mutable_destination_port_range()->set_end(port + 1);
  };
  if (disabled_ports.size() == 1) set_port(*filter->mutable_filter_disabled(), *disabled_ports.begin());
  else
    for (int port : disabled_ports) set_port(*filter->mutable_filter_disabled()->mutable_or_match()->add_rules(), port);
}

}  // namespace

void add_tls_inspector(listener::Listener& l, const std::set<int>& disabled_ports) {
  add_listener_filter(l, "envoy.filters.listener.tls_inspector",
                      envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector(), disabled_ports);
}

void add_http_inspector(listener::Listener& l, const std::set<int>& disabled_ports) {
  add_listener_filter(l, "envoy.filters.listener.http_inspector",
                      envoy::extensions::filters::listener::http_inspector::v3::HttpInspector(), disabled_ports);
}

void limit_handshakes(listener::Listener& l, bool default_chain_too) {
  auto limit = [](listener::FilterChain& chain) { set_duration(chain.mutable_transport_socket_connect_timeout(), std::chrono::seconds(15)); };
  for (auto& chain : *l.mutable_filter_chains()) limit(chain);
  if (default_chain_too && l.has_default_filter_chain()) limit(*l.mutable_default_filter_chain());
}

}  // namespace fairlead::control
