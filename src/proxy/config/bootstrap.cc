#include "proxy/config/bootstrap.h"

#include "base/strings.h"
#include "base/value.h"
#include "io/address.h"
#include "proxy/config/document.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "fairlead/flow/v1/flow.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.pb.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace fairlead::proxy {

namespace ext = envoy::extensions;

// Types that stand only inside Any are looked up by name; without a reference the linker would leave them out.
static void link_types() {
  google::protobuf::LinkMessageReflection<ext::access_loggers::file::v3::FileAccessLog>();
  google::protobuf::LinkMessageReflection<ext::access_loggers::stream::v3::StdoutAccessLog>();
  google::protobuf::LinkMessageReflection<ext::compression::brotli::compressor::v3::Brotli>();
  google::protobuf::LinkMessageReflection<ext::compression::gzip::compressor::v3::Gzip>();
  google::protobuf::LinkMessageReflection<ext::filters::http::compressor::v3::Compressor>();
  google::protobuf::LinkMessageReflection<ext::filters::http::cors::v3::Cors>();
  google::protobuf::LinkMessageReflection<ext::filters::http::grpc_stats::v3::FilterConfig>();
  google::protobuf::LinkMessageReflection<ext::filters::http::grpc_web::v3::GrpcWeb>();
  google::protobuf::LinkMessageReflection<ext::filters::http::header_mutation::v3::HeaderMutation>();
  google::protobuf::LinkMessageReflection<ext::filters::http::health_check::v3::HealthCheck>();
  google::protobuf::LinkMessageReflection<ext::filters::http::local_ratelimit::v3::LocalRateLimit>();
  google::protobuf::LinkMessageReflection<fairlead::flow::v1::FlowControl>();
  google::protobuf::LinkMessageReflection<ext::filters::http::fault::v3::HTTPFault>();
  google::protobuf::LinkMessageReflection<ext::filters::http::router::v3::Router>();
  google::protobuf::LinkMessageReflection<ext::filters::listener::http_inspector::v3::HttpInspector>();
  google::protobuf::LinkMessageReflection<ext::filters::listener::original_dst::v3::OriginalDst>();
  google::protobuf::LinkMessageReflection<ext::filters::listener::proxy_protocol::v3::ProxyProtocol>();
  google::protobuf::LinkMessageReflection<ext::filters::listener::tls_inspector::v3::TlsInspector>();
  google::protobuf::LinkMessageReflection<ext::filters::network::http_connection_manager::v3::HttpConnectionManager>();
  google::protobuf::LinkMessageReflection<ext::filters::network::sni_cluster::v3::SniCluster>();
  google::protobuf::LinkMessageReflection<ext::filters::network::tcp_proxy::v3::TcpProxy>();
  google::protobuf::LinkMessageReflection<ext::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig>();
  google::protobuf::LinkMessageReflection<ext::resource_monitors::fixed_heap::v3::FixedHeapConfig>();
  google::protobuf::LinkMessageReflection<ext::request_id::uuid::v3::UuidRequestIdConfig>();
  google::protobuf::LinkMessageReflection<ext::retry::host::omit_host_metadata::v3::OmitHostMetadataConfig>();
  google::protobuf::LinkMessageReflection<ext::retry::host::previous_hosts::v3::PreviousHostsPredicate>();
  google::protobuf::LinkMessageReflection<ext::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport>();
  google::protobuf::LinkMessageReflection<ext::transport_sockets::raw_buffer::v3::RawBuffer>();
  google::protobuf::LinkMessageReflection<ext::transport_sockets::tls::v3::DownstreamTlsContext>();
  google::protobuf::LinkMessageReflection<ext::transport_sockets::tls::v3::UpstreamTlsContext>();
  google::protobuf::LinkMessageReflection<ext::upstreams::http::v3::HttpProtocolOptions>();
}

base::Result<std::shared_ptr<envoy::config::bootstrap::v3::Bootstrap>> load_bootstrap(std::string_view text, std::string_view name, std::string_view overlay) {
  link_types();
  auto out = std::make_shared<envoy::config::bootstrap::v3::Bootstrap>();
  for (auto& [source, source_name] : {std::pair{text, name}, std::pair{overlay, std::string_view("--config-yaml")}}) {
    if (base::trim(source).empty()) continue;
    auto parsed = base::parse_yaml(source, source_name);
    if (!parsed) return std::unexpected(parsed.error());
    if (parsed->size() != 1 || !(*parsed)[0].is_object())
      return base::fail(base::Code::kInvalidArgument, "{}: one document with an object is expected", source_name);
    envoy::config::bootstrap::v3::Bootstrap part;
    if (auto problems = to_message((*parsed)[0], part); !problems.empty())
      return base::fail(base::Code::kInvalidArgument, "{}", to_text(problems, source_name));
    out->MergeFrom(part);
  }
  return out;
}

std::string explain(const base::Error& error, std::string_view text, std::string_view name) {
  auto parsed = base::parse_yaml(text, name);
  base::Position at;
  if (parsed && parsed->size() == 1 && !error.where.empty()) at = locate((*parsed)[0], error.where);
  return to_text({Problem{error.where, at, error.message}}, name.empty() ? "--config-yaml" : name);
}

base::Result<std::string> reverse_proxy_bootstrap(std::string_view listen, std::string_view targets, std::string_view certificate_file,
                                                  std::string_view key_file, const ReverseFlow& flow) {
  auto at = io::Address::parse(listen);
  if (!at) return base::fail(base::Code::kInvalidArgument, "--listen {}: an address like :8080 or 127.0.0.1:8080 is expected", listen);
  using V = base::Value;
  V endpoints = V::array();
  bool names = false;
  for (std::string_view target : base::split(targets, ',')) {
    size_t colon = target.rfind(':');
    auto port = colon == std::string_view::npos ? std::nullopt : base::to_int(target.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) return base::fail(base::Code::kInvalidArgument, "--to {}: host:port is expected", target);
    std::string host(target.substr(0, colon));
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    if (!io::Address::parse_ip(host, 0)) names = true;
    endpoints.push(V::object({{"endpoint", V::object({{"address", V::object({{"socket_address", V::object({{"address", host}, {"port_value", *port}})}})}})}}));
  }
  V router = V::object({{"name", "envoy.filters.http.router"},
                        {"typed_config", V::object({{"@type", "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}})}});
  V filters = V::array();
  if (!flow.app.empty()) {
    V templates = V::array();
    for (const std::string& path : flow.paths) templates.push(path);
    filters.push(V::object({{"name", "fairlead.filters.http.flow"},
                            {"typed_config", V::object({{"@type", "type.googleapis.com/fairlead.flow.v1.FlowControl"},
                                                        {"app", flow.app},
                                                        {"resources", V::array({V::object({{"by", "PATH"}, {"path_templates", templates}, {"path_segments", 1}})})},
                                                        {"origin", V::object({{"header", "S-user"}})},
                                                        {"parameters", V::array({V::object({{"address", true}})})}})}}));
  }
  filters.push(router);
  V route = V::object({{"match", V::object({{"prefix", "/"}})}, {"route", V::object({{"cluster", "upstream"}, {"timeout", "0s"}})}});
  V hcm = V::object({{"@type", "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"},
                     {"stat_prefix", "ingress"},
                     {"use_remote_address", true},
                     {"upgrade_configs", V::array({V::object({{"upgrade_type", "websocket"}})})},
                     {"route_config", V::object({{"virtual_hosts", V::array({V::object({{"name", "all"}, {"domains", V::array({"*"})}, {"routes", V::array({route})}})})}})},
                     {"http_filters", filters}});
  V chain = V::object({{"filters", V::array({V::object({{"name", "envoy.filters.network.http_connection_manager"}, {"typed_config", hcm}})})}});
  if (!certificate_file.empty())
    chain.set("transport_socket",
              V::object({{"name", "envoy.transport_sockets.tls"},
                         {"typed_config",
                          V::object({{"@type", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"},
                                     {"common_tls_context",
                                      V::object({{"alpn_protocols", V::array({"h2", "http/1.1"})},
                                                 {"tls_certificates", V::array({V::object({{"certificate_chain", V::object({{"filename", certificate_file}})},
                                                                                          {"private_key", V::object({{"filename", key_file}})}})})}})}})}}));
  V document = V::object(
      {{"static_resources",
        V::object({{"listeners", V::array({V::object({{"name", "listener"},
                                                      {"address", V::object({{"socket_address", V::object({{"address", at->ip()}, {"port_value", at->port()}})}})},
                                                      {"filter_chains", V::array({chain})}})})},
                   {"clusters", V::array({V::object({{"name", "upstream"},
                                                     {"type", names ? "STRICT_DNS" : "STATIC"},
                                                     {"load_assignment", V::object({{"cluster_name", "upstream"},
                                                                                    {"endpoints", V::array({V::object({{"lb_endpoints", endpoints}})})}})}})})}})}});
  return base::to_yaml(document);
}

}  // namespace fairlead::proxy
