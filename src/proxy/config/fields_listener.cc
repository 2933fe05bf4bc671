// What is done with each field of the listener messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kListenerFields = R"fields(
envoy.config.listener.v3.Listener
  1 name yes
  2 address yes > envoy.config.core.v3.Address
  3 filter_chains[] yes > envoy.config.listener.v3.FilterChain
  4 use_original_dst yes
  5 per_connection_buffer_limit_bytes yes
  6 metadata note metadata of listeners is not used
  7 deprecated_v1 yes > envoy.config.listener.v3.Listener.DeprecatedV1
  8 drain_type warn all changes drain
  9 listener_filters[] yes > envoy.config.listener.v3.ListenerFilter
  10 transparent yes
  11 freebind yes
  12 tcp_fast_open_queue_length warn TCP fast open is off
  13 socket_options[] warn not set on the listening socket
  15 listener_filters_timeout yes
  16 traffic_direction yes
  17 continue_on_listener_filters_timeout yes
  18 udp_listener_config refuse UDP listeners are not taken
  19 api_listener refuse API listeners are not taken
  20 connection_balance_config warn the kernel spreads connections
  21 reuse_port warn use enable_reuse_port
  22 access_log[] yes > envoy.config.accesslog.v3.AccessLog
  24 tcp_backlog_size yes
  25 default_filter_chain yes > envoy.config.listener.v3.FilterChain
  26 bind_to_port yes
  27 internal_listener refuse {} internal listeners are not taken
  28 stat_prefix yes
  29 enable_reuse_port yes
  30 enable_mptcp warn MPTCP is off
  31 ignore_global_conn_limit warn no limit of the process is kept by listener
  32 filter_chain_matcher refuse use filter_chain_match
  33 additional_addresses[] yes > envoy.config.listener.v3.AdditionalAddress
  34 max_connections_to_accept_per_socket_event note connections are accepted until none is left
  35 bypass_overload_manager warn no limit of the process is kept by listener

envoy.config.listener.v3.AdditionalAddress
  1 address yes > envoy.config.core.v3.Address
  2 socket_options warn the options of the listener are not set

envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
  1 stat_prefix yes
  2 cluster yes
  3 downstream_idle_timeout warn idle_timeout counts
  4 upstream_idle_timeout warn idle_timeout counts
  5 access_log[] yes > envoy.config.accesslog.v3.AccessLog
  7 max_connect_attempts yes
  8 idle_timeout yes
  9 metadata_match refuse subset load balancing is not known
  10 weighted_clusters yes > envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster
  11 hash_policy[] yes > envoy.type.v3.HashPolicy
  12 tunneling_config yes > envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig
  13 max_downstream_connection_duration yes
  14 on_demand refuse on-demand clusters are not known
  15 access_log_flush_interval warn the line is written when the connection ends
  16 flush_access_log_on_connected warn the line is written when the connection ends
  17 access_log_options warn the line is written when the connection ends

envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig
  1 hostname yes
  2 use_post yes
  3 headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  4 propagate_response_headers warn the answer to the CONNECT is not kept
  5 post_path yes
  6 propagate_response_trailers warn the answer to the CONNECT is not kept

envoy.extensions.filters.network.sni_cluster.v3.SniCluster

envoy.extensions.access_loggers.file.v3.FileAccessLog
  1 path yes
  2 format yes
  3 json_format yes
  4 typed_json_format yes
  5 log_format yes > envoy.config.core.v3.SubstitutionFormatString

envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
  1 log_format yes > envoy.config.core.v3.SubstitutionFormatString

envoy.extensions.access_loggers.stream.v3.StderrAccessLog
  1 log_format yes > envoy.config.core.v3.SubstitutionFormatString

envoy.extensions.filters.listener.original_dst.v3.OriginalDst

envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector
  1 enable_ja3_fingerprinting warn no fingerprint is made
  2 initial_read_buffer_size warn the buffer grows as needed

envoy.extensions.filters.listener.http_inspector.v3.HttpInspector

envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol
  1 rules[] warn TLVs do not become metadata
  2 allow_requests_without_proxy_protocol yes
  3 pass_through_tlvs yes > envoy.config.core.v3.ProxyProtocolPassThroughTLVs
  4 disallowed_versions[] yes
  5 stat_prefix note no such statistics

envoy.config.listener.v3.FilterChain
  1 filter_chain_match yes > envoy.config.listener.v3.FilterChainMatch
  3 filters[] yes > envoy.config.listener.v3.Filter
  4 use_proxy_proto refuse use the listener filter proxy_protocol
  5 metadata note metadata of filter chains is not used
  6 transport_socket yes > envoy.config.core.v3.TransportSocket
  7 name yes
  8 on_demand_configuration warn chains are made at once
  9 transport_socket_connect_timeout yes

envoy.config.listener.v3.Listener.DeprecatedV1
  1 bind_to_port yes

envoy.config.listener.v3.ListenerFilter
  1 name yes
  3 typed_config yes > any
  4 filter_disabled yes > envoy.config.listener.v3.ListenerFilterChainMatchPredicate
  5 config_discovery refuse extension discovery is not known

envoy.config.accesslog.v3.AccessLog
  1 name yes
  2 filter yes > envoy.config.accesslog.v3.AccessLogFilter
  4 typed_config yes > any

envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster
  1 clusters[] yes > envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight

envoy.type.v3.HashPolicy
  1 source_ip yes > envoy.type.v3.HashPolicy.SourceIp
  2 filter_state refuse give source_ip

envoy.config.listener.v3.FilterChainMatch
  3 prefix_ranges[] yes > envoy.config.core.v3.CidrRange
  4 address_suffix refuse give prefix_ranges
  5 suffix_len refuse give prefix_ranges
  6 source_prefix_ranges[] yes > envoy.config.core.v3.CidrRange
  7 source_ports[] yes
  8 destination_port yes
  9 transport_protocol yes
  10 application_protocols[] yes
  11 server_names[] yes
  12 source_type yes
  13 direct_source_prefix_ranges[] yes > envoy.config.core.v3.CidrRange

envoy.config.listener.v3.Filter
  1 name yes
  4 typed_config yes > any
  5 config_discovery refuse extension discovery is not known

envoy.config.listener.v3.ListenerFilterChainMatchPredicate
  1 or_match yes > envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet
  2 and_match yes > envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet
  3 not_match yes > envoy.config.listener.v3.ListenerFilterChainMatchPredicate
  4 any_match yes
  5 destination_port_range yes > envoy.type.v3.Int32Range

envoy.config.accesslog.v3.AccessLogFilter
  1 status_code_filter yes > envoy.config.accesslog.v3.StatusCodeFilter
  2 duration_filter yes > envoy.config.accesslog.v3.DurationFilter
  3 not_health_check_filter yes > envoy.config.accesslog.v3.NotHealthCheckFilter
  4 traceable_filter yes > envoy.config.accesslog.v3.TraceableFilter
  5 runtime_filter yes > envoy.config.accesslog.v3.RuntimeFilter
  6 and_filter yes > envoy.config.accesslog.v3.AndFilter
  7 or_filter yes > envoy.config.accesslog.v3.OrFilter
  8 header_filter yes > envoy.config.accesslog.v3.HeaderFilter
  9 response_flag_filter yes > envoy.config.accesslog.v3.ResponseFlagFilter
  10 grpc_status_filter yes > envoy.config.accesslog.v3.GrpcStatusFilter
  11 extension_filter refuse no such filter is built in
  12 metadata_filter yes > envoy.config.accesslog.v3.MetadataFilter
  13 log_type_filter yes > envoy.config.accesslog.v3.LogTypeFilter

envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight
  1 name yes
  2 weight yes
  3 metadata_match refuse subset load balancing is not known

envoy.type.v3.HashPolicy.SourceIp

envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet
  1 rules[] yes > envoy.config.listener.v3.ListenerFilterChainMatchPredicate

envoy.config.accesslog.v3.StatusCodeFilter
  1 comparison yes > envoy.config.accesslog.v3.ComparisonFilter

envoy.config.accesslog.v3.DurationFilter
  1 comparison yes > envoy.config.accesslog.v3.ComparisonFilter

envoy.config.accesslog.v3.NotHealthCheckFilter

envoy.config.accesslog.v3.RuntimeFilter
  1 runtime_key warn runtime keys have their defaults
  2 percent_sampled yes > envoy.type.v3.FractionalPercent
  3 use_independent_randomness yes

envoy.config.accesslog.v3.TraceableFilter

envoy.config.accesslog.v3.GrpcStatusFilter
  1 statuses[] yes
  2 exclude yes

envoy.config.accesslog.v3.MetadataFilter
  1 matcher note no metadata is there that it could match
  2 match_if_key_not_found yes

envoy.config.accesslog.v3.LogTypeFilter
  1 types[] yes
  2 exclude yes

envoy.config.accesslog.v3.AndFilter
  1 filters[] yes > envoy.config.accesslog.v3.AccessLogFilter

envoy.config.accesslog.v3.OrFilter
  2 filters[] yes > envoy.config.accesslog.v3.AccessLogFilter

envoy.config.accesslog.v3.HeaderFilter
  1 header yes > envoy.config.route.v3.HeaderMatcher

envoy.config.accesslog.v3.ResponseFlagFilter
  1 flags[] yes

envoy.config.accesslog.v3.ComparisonFilter
  1 op yes
  2 value yes > envoy.config.core.v3.RuntimeUInt32
)fields";

}  // namespace fairlead::proxy
