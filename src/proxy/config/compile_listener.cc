// Listener -> ListenerConfig, with its connection managers, TCP proxies and access logs.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>

#include "base/strings.h"
#include "base/value.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "proxy/config/compile_filters.h"
#include "proxy/config/compile_tls.h"
#include "proxy/filters/istio_stats.h"
#include "fairlead/flow/v1/flow.pb.h"
#include "proxy/filters/registry.h"
#include "proxy/flow/flow_config.h"
#include "proxy/upstream/balancer.h"
#include "xds/wire.h"

namespace fairlead::proxy {

namespace listener_v3 = envoy::config::listener::v3;
namespace log_v3 = envoy::config::accesslog::v3;
namespace hcm_v3 = envoy::extensions::filters::network::http_connection_manager::v3;
namespace tcp_v3 = envoy::extensions::filters::network::tcp_proxy::v3;

bool is_silent_filter(std::string_view type) {
  // The first is done for every upstream of Istio's (tls_dial.cc); the second is seen only by who measures.
  return type == "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig" || type == "envoy.tcp.metadataexchange.config.MetadataExchange";
}

AccessLogConfig::Filter compile_log_filter(const CompileContext& at, const log_v3::AccessLogFilter& from) {
  using F = log_v3::AccessLogFilter;
  using Filter = AccessLogConfig::Filter;
  Filter f;
  auto compare = [&](const log_v3::ComparisonFilter& c) {
    f.op = c.op() == log_v3::ComparisonFilter::EQ   ? Filter::Op::kEqual
           : c.op() == log_v3::ComparisonFilter::GE ? Filter::Op::kAtLeast
           : c.op() == log_v3::ComparisonFilter::LE ? Filter::Op::kAtMost
                                                    : Filter::Op::kNot;
    f.value = c.value().default_value();
  };
  int i = 0;
  switch (from.filter_specifier_case()) {
    case F::kStatusCodeFilter:
      f.kind = Filter::Kind::kStatus;
      compare(from.status_code_filter().comparison());
      break;
    case F::kDurationFilter:
      f.kind = Filter::Kind::kDuration;
      compare(from.duration_filter().comparison());
      break;
    case F::kNotHealthCheckFilter:
      f.kind = Filter::Kind::kNotHealthCheck;
      break;
    case F::kAndFilter:
      f.kind = Filter::Kind::kAnd;
      for (const auto& p : from.and_filter().filters()) f.parts.push_back(compile_log_filter(at.at("and_filter.filters", i++), p));
      break;
    case F::kOrFilter:
      f.kind = Filter::Kind::kOr;
      for (const auto& p : from.or_filter().filters()) f.parts.push_back(compile_log_filter(at.at("or_filter.filters", i++), p));
      break;
    case F::kHeaderFilter:
      f.kind = Filter::Kind::kHeader;
      f.header = compile_header(at.at("header_filter.header"), from.header_filter().header());
      break;
    case F::kResponseFlagFilter:
      f.kind = Filter::Kind::kFlags;
      for (const auto& flag : from.response_flag_filter().flags()) f.flags.push_back(flag);
      break;
    case F::kRuntimeFilter:
      f.kind = Filter::Kind::kFraction;
      {
        using P = envoy::type::v3::FractionalPercent;
        const P& percent = from.runtime_filter().percent_sampled();
        f.bits = percent.numerator();
        f.value = percent.denominator() == P::MILLION ? 1'000'000 : percent.denominator() == P::TEN_THOUSAND ? 10'000 : 100;
        f.independent = from.runtime_filter().use_independent_randomness();
      }
      break;
    case F::kTraceableFilter:
      f.kind = Filter::Kind::kTraceable;
      break;
    case F::kGrpcStatusFilter:
      f.kind = Filter::Kind::kGrpcStatus;
      for (int status : from.grpc_status_filter().statuses())
        if (status >= 0 && status < 32) f.bits |= 1u << status;
      f.pass = from.grpc_status_filter().exclude();
      break;
    case F::kLogTypeFilter:
      f.kind = Filter::Kind::kType;
      for (int type : from.log_type_filter().types())
        if (type >= 0 && type < 32) f.bits |= 1u << type;
      f.pass = from.log_type_filter().exclude();
      break;
    case F::kMetadataFilter:
      // No filter here writes metadata that could be matched: what stands is what is said of a key that is not there.
      f.kind = Filter::Kind::kMetadata;
      f.pass = !from.metadata_filter().has_match_if_key_not_found() || from.metadata_filter().match_if_key_not_found().value();
      break;
    case F::kExtensionFilter:
      at.at("extension_filter").refuse("{} is not built in; known are status_code, duration, not_health_check, traceable, runtime, and, or, header, "
                                       "response_flag, grpc_status, metadata, log_type", from.extension_filter().name());
      break;
    default:
      at.refuse("one of status_code, duration, not_health_check, traceable, runtime, and, or, header, response_flag, grpc_status, metadata, log_type "
                "is expected");
  }
  return f;
}

LogFormat compile_substitution(const CompileContext& at, const envoy::config::core::v3::SubstitutionFormatString& from) {
  using S = envoy::config::core::v3::SubstitutionFormatString;
  LogFormat format;
  switch (from.format_case()) {
    case S::kTextFormat:
      format = compile_format(at.at("text_format"), from.text_format());
      break;
    case S::kTextFormatSource:
      format = compile_format(at.at("text_format_source"), data_source(at, from.text_format_source()));
      break;
    case S::kJsonFormat: {
      auto parsed = LogFormat::parse_json(struct_to_value(from.json_format()), from.omit_empty_values());
      if (!parsed) at.at("json_format").refuse("{}", parsed.error().message);
      for (const std::string& command : parsed->unfilled()) at.warn(fmt::format("access log command %{}%", command));
      format = std::move(*parsed);
      break;
    }
    default:
      format = compile_format(at, std::string(kEnvoyLogFormat));
  }
  format.empty_values_omitted = from.omit_empty_values();
  return format;
}

namespace {

template <class List>
std::vector<AccessLogConfig> access_logs(const CompileContext& parent, const List& list) {
  std::vector<AccessLogConfig> out;
  int i = 0;
  for (const log_v3::AccessLog& from : list) {
    CompileContext at = parent.at("access_log", i++);
    AccessLogConfig log;
    const auto& any = from.typed_config();
    if (any_is<envoy::extensions::access_loggers::file::v3::FileAccessLog>(any)) {
      auto file = unpack<envoy::extensions::access_loggers::file::v3::FileAccessLog>(at, any);
      using F = envoy::extensions::access_loggers::file::v3::FileAccessLog;
      log.path = file.path();
      if (file.access_log_format_case() == F::kLogFormat) {
        log.format = compile_substitution(at.at("log_format"), file.log_format());
      } else if (file.access_log_format_case() == F::kFormat) {
        log.format = compile_format(at.at("format"), file.format());
      } else if (file.access_log_format_case() == F::kJsonFormat || file.access_log_format_case() == F::kTypedJsonFormat) {
        auto parsed = LogFormat::parse_json(
            struct_to_value(file.access_log_format_case() == F::kJsonFormat ? file.json_format() : file.typed_json_format()));
        if (!parsed) at.at("json_format").refuse("{}", parsed.error().message);
        log.format = std::move(*parsed);
      } else {
        log.format = compile_format(at, std::string(kEnvoyLogFormat));
      }
    } else if (any_is<envoy::extensions::access_loggers::stream::v3::StdoutAccessLog>(any)) {
      auto stream = unpack<envoy::extensions::access_loggers::stream::v3::StdoutAccessLog>(at, any);
      log.path = "/dev/stdout";
      log.format = compile_substitution(at.at("log_format"), stream.log_format());
    } else if (any_is<envoy::extensions::access_loggers::stream::v3::StderrAccessLog>(any)) {
      auto stream = unpack<envoy::extensions::access_loggers::stream::v3::StderrAccessLog>(at, any);
      log.path = "/dev/stderr";
      log.format = compile_substitution(at.at("log_format"), stream.log_format());
    } else {
      at.warn("access_log " + from.name());
      continue;
    }
    if (from.has_filter()) log.filter = std::make_shared<const AccessLogConfig::Filter>(compile_log_filter(at.at("filter"), from.filter()));
    out.push_back(std::move(log));
  }
  return out;
}

void router_of(const CompileContext& at, const google::protobuf::Any& any, HttpConfig& config) {
  auto from = unpack<envoy::extensions::filters::http::router::v3::Router>(at, any);
  config.suppress_envoy_headers = from.suppress_envoy_headers();
  config.respect_expected_timeout = from.respect_expected_rq_timeout();
  static constexpr std::string_view kKnown[] = {"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-max-retries",
                                                "x-envoy-retry-grpc-on", "x-envoy-retry-on"};
  for (const auto& name : from.strict_check_headers()) {
    if (std::ranges::find(kKnown, name) == std::end(kKnown)) at.at("strict_check_headers").refuse("{} can't be checked; one of {} can", name, base::join(std::vector<std::string>(std::begin(kKnown), std::end(kKnown)), ", "));
    config.strict_headers.push_back(name);
  }
}

// `field` of the message at `parent`: the manager's own chain, or that of an upgrade.
void http_filters_of(const CompileContext& parent, std::string_view field, const google::protobuf::RepeatedPtrField<hcm_v3::HttpFilter>& list, bool outbound, HttpConfig& config) {
  bool router = false;
  for (int i = 0; i < list.size(); ++i) {
    const auto& f = list.Get(i);
    CompileContext at = parent.at(field, i);
    FilterSource source(f.name(), f.typed_config());
    source.outbound = outbound;
    if (source.type == "envoy.extensions.filters.http.router.v3.Router" || (source.type.empty() && f.name() == "envoy.filters.http.router")) {
      if (f.disabled()) continue;
      if (i + 1 < list.size()) at.refuse("envoy.filters.http.router must be the last filter");
      router = true;
      if (!source.type.empty()) router_of(at.at("typed_config"), f.typed_config(), config);
    } else if (const FilterType* type = find_filter(source)) {
      if (auto filter = type->compile(at.at("typed_config"), source)) {
        if (f.disabled()) filter->start_off();
        config.filters.push_back(std::move(filter));
      }
    } else if (f.config_type_case() == hcm_v3::HttpFilter::kConfigDiscovery) {
      if (!f.is_optional()) at.at("config_discovery").refuse("extension discovery is not taken");
      at.warn("http_filters " + f.name());
    } else if (is_silent_filter(source.type) || f.is_optional() || f.disabled()) {
      at.warn("http_filters " + f.name());  // a route that switches it on is refused
    } else {
      at.refuse("the HTTP filter {} ({}) is not known; mark it is_optional to go on without it", f.name(), source.type);
    }
  }
  if (!router) parent.at(field).refuse("the last filter must be envoy.filters.http.router");
  for (const auto& filter : config.filters) {
    if (filter->hooks() & Filter::kRequest) config.request_filters.push_back(filter.get());
    if (filter->hooks() & Filter::kResponse) config.response_filters.insert(config.response_filters.begin(), filter.get());
    if (filter->hooks() & Filter::kEnd) config.end_filters.push_back(filter.get());
  }
}

uint8_t needs_of(const std::vector<AccessLogConfig>& logs) {
  uint8_t needs = 0;
  for (const AccessLogConfig& l : logs) needs |= l.format.needs();
  return needs;
}

// Last, since an upgrade with filters of its own has all else as the manager has it.
void upgrades_of(const CompileContext& at, const hcm_v3::HttpConnectionManager& from, bool outbound, HttpConfig& config) {
  const HttpConfig whole = config;
  for (int i = 0; i < from.upgrade_configs_size(); ++i) {
    const auto& u = from.upgrade_configs(i);
    CompileContext here = at.at("upgrade_configs", i);
    HttpConfig::Upgrade upgrade{!u.has_enabled() || u.enabled().value(), nullptr};
    if (u.filters_size()) {
      auto own = std::make_shared<HttpConfig>(whole);
      own->filters.clear();
      for (auto* hooks : {&own->request_filters, &own->response_filters, &own->end_filters}) hooks->clear();
      own->suppress_envoy_headers = own->respect_expected_timeout = false;
      own->strict_headers.clear();
      http_filters_of(here, "filters", u.filters(), outbound, *own);
      upgrade.config = std::move(own);
    }
    if (!config.upgrades.emplace(base::to_lower(u.upgrade_type()), std::move(upgrade)).second) here.refuse("{} is said twice", u.upgrade_type());
  }
}

std::shared_ptr<const HttpConfig> http_config(const CompileContext& at, const google::protobuf::Any& any, bool outbound) {
  auto from = unpack<hcm_v3::HttpConnectionManager>(at, any);
  using H = hcm_v3::HttpConnectionManager;
  auto c = std::make_shared<HttpConfig>();
  c->stat_prefix = from.stat_prefix();
  if (c->stat_prefix.empty()) at.at("stat_prefix").refuse("a prefix is required");
  switch (from.codec_type()) {
    case H::HTTP1:
      c->codec = HttpConfig::Codec::kHttp1;
      break;
    case H::HTTP2:
      c->codec = HttpConfig::Codec::kHttp2;
      break;
    case H::HTTP3:
      at.at("codec_type").refuse("HTTP/3 is not taken");
    default:
      c->codec = HttpConfig::Codec::kAuto;
  }
  switch (from.route_specifier_case()) {
    case H::kRds:
      c->rds_name = from.rds().route_config_name();
      c->rds_source = discovery_source(at.at("rds.config_source"), from.rds().config_source());
      if (c->rds_name.empty()) at.at("rds.route_config_name").refuse("a name is required");
      break;
    case H::kRouteConfig: {
      auto table = std::make_shared<RouteTable>();
      compile_route_table(at.at("route_config"), from.route_config(), *table);
      c->route_table = std::move(table);
      break;
    }
    case H::kScopedRoutes:
      at.at("scoped_routes").refuse("scoped routes are not taken; use rds or route_config");
    default:
      at.refuse("one of rds and route_config is required");
  }
  http_filters_of(at, "http_filters", from.http_filters(), outbound, *c);
  c->access_logs = access_logs(at, from.access_log());
  if (!from.server_name().empty()) c->server_name = from.server_name();
  c->server_header = static_cast<HttpConfig::ServerHeader>(from.server_header_transformation());
  c->via = from.via();
  c->use_remote_address = from.use_remote_address().value();
  c->xff_trusted_hops = from.xff_num_trusted_hops();
  c->skip_xff_append = from.skip_xff_append();
  c->generate_request_id = !from.has_generate_request_id() || from.generate_request_id().value();
  c->preserve_request_id = from.preserve_external_request_id();
  c->request_id_in_response = from.always_set_request_id_in_response();
  c->accept_http10 = from.http_protocol_options().accept_http_10();
  c->default_host_http10 = from.http_protocol_options().default_host_for_http_10();
  c->normalize_path = from.normalize_path().value();
  c->merge_slashes = from.merge_slashes();
  switch (from.path_with_escaped_slashes_action()) {
    case H::REJECT_REQUEST:
      c->escaped_slashes = HttpConfig::EscapedSlashes::kReject;
      break;
    case H::UNESCAPE_AND_REDIRECT:
      c->escaped_slashes = HttpConfig::EscapedSlashes::kRedirect;
      break;
    case H::UNESCAPE_AND_FORWARD:
      c->escaped_slashes = HttpConfig::EscapedSlashes::kForward;
      break;
    default:
      break;
  }
  c->strip_any_port = from.strip_any_host_port();
  c->strip_matching_port = from.strip_matching_host_port();
  c->strip_trailing_dot = from.strip_trailing_host_dot();
  c->append_forwarded_port = from.append_x_forwarded_port();
  c->add_user_agent = from.add_user_agent().value();
  c->client_cert = static_cast<HttpConfig::ClientCert>(from.forward_client_cert_details());
  const auto& details = from.set_current_client_cert_details();
  c->cert_subject = details.subject().value();
  c->cert_pem = details.cert();
  c->cert_chain = details.chain();
  c->cert_dns = details.dns();
  c->cert_uri = details.uri();
  c->log_needs = needs_of(c->access_logs);
  if (from.has_max_request_headers_kb()) c->max_header_bytes = size_t{from.max_request_headers_kb().value()} * 1024;
  const auto& common = from.common_http_protocol_options();
  if (common.has_max_headers_count()) c->max_header_count = common.max_headers_count().value();
  if (common.has_idle_timeout()) c->idle_timeout = nanos(common.idle_timeout());
  if (common.has_max_connection_duration()) c->max_connection_duration = nanos(common.max_connection_duration());
  if (common.has_max_stream_duration()) c->max_stream_duration = nanos(common.max_stream_duration());
  if (common.has_max_requests_per_connection()) c->max_requests_per_connection = common.max_requests_per_connection().value();
  if (from.has_stream_idle_timeout()) c->stream_idle_timeout = nanos(from.stream_idle_timeout());
  if (from.has_request_timeout()) c->request_timeout = nanos(from.request_timeout());
  if (from.has_request_headers_timeout()) c->request_headers_timeout = nanos(from.request_headers_timeout());
  if (from.has_delayed_close_timeout()) c->delayed_close_timeout = nanos(from.delayed_close_timeout());
  if (from.has_drain_timeout()) c->drain_timeout = nanos(from.drain_timeout());
  const auto& h2 = from.http2_protocol_options();
  if (h2.has_max_concurrent_streams()) c->max_concurrent_streams = h2.max_concurrent_streams().value();
  if (h2.has_initial_stream_window_size()) c->stream_window = h2.initial_stream_window_size().value();
  if (h2.has_initial_connection_window_size()) c->connection_window = h2.initial_connection_window_size().value();
  c->keep_alive = compile_keep_alive(at.at("http2_protocol_options"), h2);
  if (h2.has_max_outbound_frames()) c->floods.outbound_frames = h2.max_outbound_frames().value();
  if (h2.has_max_outbound_control_frames()) c->floods.outbound_control_frames = h2.max_outbound_control_frames().value();
  if (h2.has_max_consecutive_inbound_frames_with_empty_payload()) c->floods.empty_frames = h2.max_consecutive_inbound_frames_with_empty_payload().value();
  if (h2.has_max_inbound_priority_frames_per_stream()) c->floods.priority_frames = h2.max_inbound_priority_frames_per_stream().value();
  if (h2.has_max_inbound_window_update_frames_per_data_frame_sent()) c->floods.window_updates = h2.max_inbound_window_update_frames_per_data_frame_sent().value();
  compile_hcm(at, from, *c);
  upgrades_of(at, from, outbound, *c);
  return c;
}

std::shared_ptr<const TcpConfig> tcp_config(const CompileContext& at, const google::protobuf::Any& any, std::shared_ptr<const IstioStatsConfig> stats,
                                            std::shared_ptr<const FlowConfig> flow, bool by_sni) {
  auto from = unpack<tcp_v3::TcpProxy>(at, any);
  auto c = std::make_shared<TcpConfig>();
  c->stat_prefix = from.stat_prefix();
  c->istio_stats = std::move(stats);
  c->flow = std::move(flow);
  c->cluster_by_sni = by_sni;
  switch (from.cluster_specifier_case()) {
    case tcp_v3::TcpProxy::kCluster:
      c->clusters.push_back({at.names.id(from.cluster()), from.cluster(), 1, {}, {}, {}});
      break;
    case tcp_v3::TcpProxy::kWeightedClusters:
      for (const auto& w : from.weighted_clusters().clusters()) {
        c->clusters.push_back({at.names.id(w.name()), w.name(), w.weight(), {}, {}, {}});
        c->total_weight += w.weight();
      }
      if (c->total_weight == 0) at.at("weighted_clusters").refuse("the sum of the weights must be more than 0");
      break;
    default:
      at.refuse("one of cluster and weighted_clusters is required");
  }
  if (from.has_idle_timeout()) c->idle_timeout = nanos(from.idle_timeout());
  if (from.has_max_downstream_connection_duration()) c->max_duration = nanos(from.max_downstream_connection_duration());
  if (from.has_max_connect_attempts()) c->max_connect_attempts = from.max_connect_attempts().value();
  for (const auto& h : from.hash_policy()) c->hash_source_ip |= h.has_source_ip();
  if (from.has_tunneling_config()) {
    CompileContext here = at.at("tunneling_config");
    const auto& t = from.tunneling_config();
    if (t.hostname().empty()) here.at("hostname").refuse("the tunnel's destination is required");
    if (!t.post_path().empty() && !t.use_post()) here.at("post_path").refuse("a path is for POST alone; set use_post");
    auto host = LogFormat::parse(t.hostname());
    if (!host) here.at("hostname").refuse("{}", host.error().message);
    c->tunnel.emplace();
    c->tunnel->host = std::move(*host);
    c->tunnel->post = t.use_post();
    c->tunnel->path = t.post_path().empty() ? "/" : t.post_path();
    compile_header_options(here, "headers_to_add", t.headers_to_add(), c->tunnel->headers);
  }
  if (from.has_metadata_match()) at.at("metadata_match").refuse("subset load balancing is not taken");
  c->access_logs = access_logs(at, from.access_log());
  c->log_needs = needs_of(c->access_logs);
  return c;
}

}  // namespace

Cidr compile_cidr(const CompileContext& at, const envoy::config::core::v3::CidrRange& from) {
  Cidr c;
  auto address = io::Address::parse_ip(from.address_prefix(), 0);
  if (!address) at.refuse("\"{}\" is not an IP address", from.address_prefix());
  c.network = *address;
  c.bits = from.prefix_len().value();
  if (c.bits > (c.network.family() == AF_INET ? 32u : 128u)) at.at("prefix_len").refuse("{} is too long", c.bits);
  return c;
}

namespace {

FilterChainMatch chain_match(const CompileContext& at, const listener_v3::FilterChainMatch& from) {
  FilterChainMatch m;
  if (from.has_destination_port()) m.destination_port = compile_port(at, "destination_port", from.destination_port().value());
  for (const auto& p : from.prefix_ranges()) m.prefix_ranges.push_back(compile_cidr(at.at("prefix_ranges"), p));
  for (const auto& s : from.server_names()) m.server_names.push_back(base::to_lower(s));
  m.transport_protocol = from.transport_protocol();
  for (const auto& p : from.application_protocols()) m.application_protocols.push_back(p);
  for (const auto& p : from.direct_source_prefix_ranges()) m.direct_source_ranges.push_back(compile_cidr(at.at("direct_source_prefix_ranges"), p));
  m.source = static_cast<FilterChainMatch::Source>(from.source_type());
  for (const auto& p : from.source_prefix_ranges()) m.source_ranges.push_back(compile_cidr(at.at("source_prefix_ranges"), p));
  for (auto p : from.source_ports()) m.source_ports.push_back(compile_port(at, "source_ports", p));
  if (!from.address_suffix().empty()) at.at("address_suffix").refuse("matching by address suffix is not taken");
  return m;
}

// Maps are written in the order of their keys, so that equal messages have equal bytes.
uint64_t fingerprint(const listener_v3::FilterChain& from) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream text(&bytes);
    google::protobuf::io::CodedOutputStream out(&text);
    out.SetSerializationDeterministic(true);
    from.SerializeToCodedStream(&out);
  }
  return xxhash64(bytes);
}

FilterChain filter_chain(const CompileContext& at, const listener_v3::FilterChain& from, bool outbound) {
  FilterChain chain;
  chain.name = from.name();
  chain.fingerprint = fingerprint(from);
  chain.match = chain_match(at.at("filter_chain_match"), from.filter_chain_match());
  if (from.has_transport_socket()) chain.tls = downstream_tls(at.at("transport_socket"), from.transport_socket());
  if (from.has_transport_socket_connect_timeout()) chain.handshake_timeout = nanos(from.transport_socket_connect_timeout());
  std::shared_ptr<const IstioStatsConfig> stats;
  std::shared_ptr<const FlowConfig> flow;
  bool by_sni = false;
  for (int i = 0; i < from.filters_size(); ++i) {
    const auto& f = from.filters(i);
    CompileContext here = at.at("filters", i).at("typed_config");
    const auto& any = f.typed_config();
    if (any_is<hcm_v3::HttpConnectionManager>(any)) {
      if (flow) at.at("filters", i).refuse("flow control of connections stands before tcp_proxy; requests have the HTTP filter fairlead.filters.http.flow");
      chain.http = http_config(here, any, outbound);
    } else if (any_is<tcp_v3::TcpProxy>(any)) {
      chain.tcp = tcp_config(here, any, stats, flow, by_sni);
    } else if (any_is<envoy::extensions::filters::network::sni_cluster::v3::SniCluster>(any)) {
      by_sni = true;
      continue;
    } else if (any_is<fairlead::flow::v1::FlowControl>(any)) {
      if (flow) here.refuse("one of these filters is enough: it may name several resources");
      flow = compile_flow(here, any, outbound, true);
      continue;
    } else if (FilterSource source(f.name(), any); source.type == "stats.PluginConfig") {
      source.outbound = outbound;
      stats = compile_istio_stats(here, source);
      continue;
    } else if (is_silent_filter(source.type)) {
      at.warn("network filter " + f.name());
      continue;
    } else if (source.type == "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy") {
      // delay = 3: a fault, which may not be left out; the rest counts what is said.
      bool delays = false;
      for (xds::WireReader wire(any.value()); wire.next();) delays |= wire.field() == 3;
      if (delays) here.at("delay").refuse("delays of MongoDB operations are not taken");
      at.warn("network filter " + f.name());
      continue;
    } else {
      here.refuse("the network filter {} ({}) is not known", f.name(), short_type(any));
    }
    if (i + 1 < from.filters_size()) at.at("filters", i + 1).refuse("nothing may follow {}", f.name());
  }
  return chain;
}

PortPredicate predicate(const CompileContext& at, const listener_v3::ListenerFilterChainMatchPredicate& from) {
  using P = listener_v3::ListenerFilterChainMatchPredicate;
  PortPredicate p;
  switch (from.rule_case()) {
    case P::kAnyMatch:
      p.kind = PortPredicate::Kind::kAny;
      break;
    case P::kDestinationPortRange:
      p.kind = PortPredicate::Kind::kPortRange;
      p.from = static_cast<uint32_t>(from.destination_port_range().start());
      p.to = static_cast<uint32_t>(from.destination_port_range().end());
      break;
    case P::kNotMatch:
      p.kind = PortPredicate::Kind::kNot;
      p.parts.push_back(predicate(at, from.not_match()));
      break;
    case P::kOrMatch:
      p.kind = PortPredicate::Kind::kOr;
      for (const auto& r : from.or_match().rules()) p.parts.push_back(predicate(at, r));
      break;
    case P::kAndMatch:
      p.kind = PortPredicate::Kind::kAnd;
      for (const auto& r : from.and_match().rules()) p.parts.push_back(predicate(at, r));
      break;
    default:
      at.refuse("an empty predicate");
  }
  return p;
}

void listener_filters(const CompileContext& parent, const listener_v3::Listener& from, ListenerConfig& listener) {
  for (int i = 0; i < from.listener_filters_size(); ++i) {
    const auto& f = from.listener_filters(i);
    CompileContext at = parent.at("listener_filters", i);
    std::string_view type = short_type(f.typed_config());
    PortPredicate off;
    if (f.has_filter_disabled()) off = predicate(at.at("filter_disabled"), f.filter_disabled());
    if (type == "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" || f.name() == "envoy.filters.listener.original_dst") {
      listener.original_dst_filter = true;
    } else if (type == "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" || f.name() == "envoy.filters.listener.tls_inspector") {
      listener.tls_inspector = true;
      listener.tls_inspector_off = off;
    } else if (type == "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" || f.name() == "envoy.filters.listener.http_inspector") {
      listener.http_inspector = true;
      listener.http_inspector_off = off;
    } else if (any_is<envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol>(f.typed_config())) {
      auto p = unpack<envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol>(at, f.typed_config());
      listener.proxy_protocol = true;
      if (p.has_pass_through_tlvs()) {
        auto pass = compile_proxy_header(at.at("typed_config"), 2, p.pass_through_tlvs());
        listener.proxy_protocol_all_tlvs = pass.all_tlvs;
        listener.proxy_protocol_tlvs = std::move(pass.tlvs);
      }
      listener.proxy_protocol_optional = p.allow_requests_without_proxy_protocol();
      for (int version : p.disallowed_versions())
        if (version == 0 || version == 1) listener.proxy_protocol_refused[version] = true;
    } else {
      at.refuse("the listener filter {} ({}) is not implemented; original_dst, tls_inspector, http_inspector and proxy_protocol are", f.name(), type);
    }
  }
}

}  // namespace

base::Result<std::shared_ptr<const ListenerConfig>> Compiler::listener(const listener_v3::Listener& from, const std::string& version) {
  try {
    CompileContext at(*this);
    auto l = std::make_shared<ListenerConfig>();
    l->name = from.name();
    l->version = version;
    l->address = compile_address(at.at("address"), from.address());
    if (l->name.empty()) l->name = l->address.text();
    l->stat_name = from.stat_prefix().empty() ? base::replace_all(l->address.text(), ":", "_") : from.stat_prefix();
    l->bind = !from.has_bind_to_port() || from.bind_to_port().value();
    if (from.has_deprecated_v1() && from.deprecated_v1().has_bind_to_port()) l->bind = from.deprecated_v1().bind_to_port().value();
    l->use_original_dst = from.use_original_dst().value();
    l->transparent = from.transparent().value();
    l->freebind = from.freebind().value();
    l->outbound = from.traffic_direction() == envoy::config::core::v3::OUTBOUND;
    // 0 means no limit to Envoy. Memory is bounded here: the usual one.
    if (uint32_t limit = from.per_connection_buffer_limit_bytes().value()) l->buffer_limit_bytes = l->watermark_bytes = limit;
    if (from.has_tcp_backlog_size()) l->backlog = from.tcp_backlog_size().value();
    l->reuse_port = !from.has_enable_reuse_port() || from.enable_reuse_port().value();
    if (from.has_listener_filters_timeout()) l->inspect_timeout = nanos(from.listener_filters_timeout());
    l->continue_on_inspect_timeout = from.continue_on_listener_filters_timeout();
    if (from.has_udp_listener_config()) at.at("udp_listener_config").refuse("UDP listeners are not taken");
    if (from.has_internal_listener()) at.at("internal_listener").refuse("internal listeners are not taken");
    if (from.has_api_listener()) at.at("api_listener").refuse("API listeners are not taken");
    for (int i = 0; i < from.additional_addresses_size(); ++i)
      l->more_addresses.push_back(compile_address(at.at("additional_addresses", i).at("address"), from.additional_addresses(i).address()));
    if (from.has_filter_chain_matcher()) at.at("filter_chain_matcher").refuse("filter chain matcher trees are not taken; use filter_chain_match");
    listener_filters(at, from, *l);
    for (int i = 0; i < from.filter_chains_size(); ++i) l->chains.push_back(filter_chain(at.at("filter_chains", i), from.filter_chains(i), l->outbound));
    if (from.has_default_filter_chain()) l->default_chain = filter_chain(at.at("default_filter_chain"), from.default_filter_chain(), l->outbound);
    if (l->chains.empty() && !l->default_chain) at.at("filter_chains").refuse("at least one filter chain is required");
    l->access_logs = access_logs(at, from.access_log());
    at.check(from);
    return l;
  } catch (Refused& refused) {
    return std::unexpected(error_of(refused, from));
  }
}

}  // namespace fairlead::proxy
