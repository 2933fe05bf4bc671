// What is done with each field of the cluster messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kClusterFields = R"fields(
envoy.config.cluster.v3.Cluster
  1 name yes
  2 type yes
  3 eds_cluster_config yes > envoy.config.cluster.v3.Cluster.EdsClusterConfig
  4 connect_timeout yes
  5 per_connection_buffer_limit_bytes yes
  6 lb_policy yes
  8 health_checks[] yes > envoy.config.core.v3.HealthCheck
  9 max_requests_per_connection yes
  10 circuit_breakers yes > envoy.config.cluster.v3.CircuitBreakers
  13 http_protocol_options yes > envoy.config.core.v3.Http1ProtocolOptions
  14 http2_protocol_options yes > envoy.config.core.v3.Http2ProtocolOptions
  16 dns_refresh_rate yes
  17 dns_lookup_family yes
  18 dns_resolvers[] warn names are resolved as the system says
  19 outlier_detection yes > envoy.config.cluster.v3.OutlierDetection
  20 cleanup_interval note hosts go with their last connection
  21 upstream_bind_config yes > envoy.config.core.v3.BindConfig
  22 lb_subset_config refuse subset load balancing is not known
  23 ring_hash_lb_config yes > envoy.config.cluster.v3.Cluster.RingHashLbConfig
  24 transport_socket yes > envoy.config.core.v3.TransportSocket
  25 metadata yes > envoy.config.core.v3.Metadata
  26 protocol_selection yes
  27 common_lb_config yes > envoy.config.cluster.v3.Cluster.CommonLbConfig
  28 alt_stat_name yes
  29 common_http_protocol_options yes > envoy.config.core.v3.HttpProtocolOptions
  30 upstream_connection_options yes > envoy.config.cluster.v3.UpstreamConnectionOptions
  31 close_connections_on_host_health_failure yes
  32 ignore_health_on_host_removal yes
  33 load_assignment yes > envoy.config.endpoint.v3.ClusterLoadAssignment
  34 original_dst_lb_config yes > envoy.config.cluster.v3.Cluster.OriginalDstLbConfig
  36 typed_extension_protocol_options yes map> any
  37 least_request_lb_config yes > envoy.config.cluster.v3.Cluster.LeastRequestLbConfig
  38 cluster_type refuse custom cluster types are not known
  39 respect_dns_ttl yes
  40 filters[] warn upstream filters do not run
  41 load_balancing_policy yes > envoy.config.cluster.v3.LoadBalancingPolicy
  42 lrs_server warn load is not reported
  43 transport_socket_matches[] yes > envoy.config.cluster.v3.Cluster.TransportSocketMatch
  44 dns_failure_refresh_rate yes > envoy.config.cluster.v3.Cluster.RefreshRate
  45 use_tcp_for_dns_lookups warn names are resolved as the system says
  46 upstream_http_protocol_options yes > *
  47 track_timeout_budgets note no such statistics
  48 upstream_config warn the default pool is used
  49 track_cluster_stats note no such statistics
  50 preconnect_policy yes > envoy.config.cluster.v3.Cluster.PreconnectPolicy
  51 connection_pool_per_downstream_connection refuse pools are shared
  52 maglev_lb_config yes > envoy.config.cluster.v3.Cluster.MaglevLbConfig
  53 dns_resolution_config warn names are resolved as the system says
  54 wait_for_warm_on_init warn clusters are warm when their endpoints are there
  55 typed_dns_resolver_config warn names are resolved as the system says
  56 round_robin_lb_config yes > envoy.config.cluster.v3.Cluster.RoundRobinLbConfig
  57 lrs_report_endpoint_metrics[] warn load is not reported

envoy.config.endpoint.v3.ClusterLoadAssignment
  1 cluster_name yes
  2 endpoints[] yes > envoy.config.endpoint.v3.LocalityLbEndpoints
  4 policy yes > envoy.config.endpoint.v3.ClusterLoadAssignment.Policy
  5 named_endpoints refuse not known

envoy.extensions.upstreams.http.v3.HttpProtocolOptions
  1 common_http_protocol_options yes > envoy.config.core.v3.HttpProtocolOptions
  2 upstream_http_protocol_options yes > *
  3 explicit_http_config yes > envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig
  4 use_downstream_protocol_config yes > envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig
  5 auto_config yes > envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig
  6 http_filters[] warn upstream filters do not run
  7 header_validation_config warn headers are always validated

envoy.config.cluster.v3.Cluster.TransportSocketMatch
  1 name yes
  2 match yes
  3 transport_socket yes > envoy.config.core.v3.TransportSocket

envoy.config.cluster.v3.Cluster.EdsClusterConfig
  1 eds_config yes > envoy.config.core.v3.ConfigSource
  2 service_name yes

envoy.config.cluster.v3.CircuitBreakers
  1 thresholds[] yes > envoy.config.cluster.v3.CircuitBreakers.Thresholds
  2 per_host_thresholds[] yes > envoy.config.cluster.v3.CircuitBreakers.Thresholds

envoy.config.cluster.v3.OutlierDetection
  1 consecutive_5xx yes
  2 interval yes
  3 base_ejection_time yes
  4 max_ejection_percent yes
  5 enforcing_consecutive_5xx yes
  6 enforcing_success_rate yes
  7 success_rate_minimum_hosts yes
  8 success_rate_request_volume yes
  9 success_rate_stdev_factor yes
  10 consecutive_gateway_failure yes
  11 enforcing_consecutive_gateway_failure yes
  12 split_external_local_origin_errors yes
  13 consecutive_local_origin_failure yes
  14 enforcing_consecutive_local_origin_failure yes
  15 enforcing_local_origin_success_rate yes
  16 failure_percentage_threshold yes
  17 enforcing_failure_percentage yes
  18 enforcing_failure_percentage_local_origin yes
  19 failure_percentage_minimum_hosts yes
  20 failure_percentage_request_volume yes
  21 max_ejection_time yes
  22 max_ejection_time_jitter yes
  23 successful_active_health_check_uneject_host yes
  24 monitors[] refuse not known
  25 always_eject_one_host yes

envoy.config.core.v3.BindConfig
  1 source_address yes > envoy.config.core.v3.SocketAddress
  2 freebind yes
  3 socket_options[] yes > envoy.config.core.v3.SocketOption
  4 additional_source_addresses[] yes > envoy.config.core.v3.SocketAddress
  5 extra_source_addresses[] yes > envoy.config.core.v3.ExtraSourceAddress
  6 local_address_selector refuse the address of the endpoint's family is used

envoy.config.core.v3.ExtraSourceAddress
  1 address yes > envoy.config.core.v3.SocketAddress
  2 socket_options refuse those of the BindConfig are set

envoy.config.cluster.v3.Cluster.RingHashLbConfig
  1 minimum_ring_size yes
  3 hash_function yes
  4 maximum_ring_size yes

envoy.config.cluster.v3.Cluster.MaglevLbConfig
  1 table_size yes

envoy.config.cluster.v3.Cluster.OriginalDstLbConfig
  1 use_http_header yes
  2 http_header_name yes
  3 upstream_port_override yes
  4 metadata_key refuse not known

envoy.config.cluster.v3.Cluster.LeastRequestLbConfig
  1 choice_count yes
  2 active_request_bias yes > envoy.config.core.v3.RuntimeDouble
  3 slow_start_config yes > envoy.config.cluster.v3.Cluster.SlowStartConfig

envoy.config.cluster.v3.Cluster.RoundRobinLbConfig
  1 slow_start_config yes > envoy.config.cluster.v3.Cluster.SlowStartConfig

envoy.config.cluster.v3.Cluster.CommonLbConfig
  1 healthy_panic_threshold yes > envoy.type.v3.Percent
  2 zone_aware_lb_config yes > envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig
  3 locality_weighted_lb_config yes > envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig
  4 update_merge_window yes
  5 ignore_new_hosts_until_first_hc warn new hosts count as unhealthy until their first check
  6 close_connections_on_host_set_change yes
  7 consistent_hashing_lb_config yes > envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig
  8 override_host_status warn no override host

envoy.config.cluster.v3.UpstreamConnectionOptions
  1 tcp_keepalive yes > envoy.config.core.v3.TcpKeepalive
  2 set_local_interface_name_on_upstream_connections warn not recorded
  3 happy_eyeballs_config warn addresses are tried in their order, 300 ms apart

envoy.config.endpoint.v3.LocalityLbEndpoints
  1 locality yes > envoy.config.core.v3.Locality
  2 lb_endpoints[] yes > envoy.config.endpoint.v3.LbEndpoint
  3 load_balancing_weight yes
  5 priority yes
  6 proximity warn not used
  7 load_balancer_endpoints refuse give lb_endpoints
  8 leds_cluster_locality_config refuse locality endpoint discovery is not known
  9 metadata note metadata of localities is not used

envoy.config.endpoint.v3.Endpoint
  1 address yes > envoy.config.core.v3.Address
  2 health_check_config yes > envoy.config.endpoint.v3.Endpoint.HealthCheckConfig
  3 hostname yes
  4 additional_addresses[] yes > envoy.config.endpoint.v3.Endpoint.AdditionalAddress

envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload
  1 category yes
  2 drop_percentage yes > envoy.type.v3.FractionalPercent

envoy.config.endpoint.v3.ClusterLoadAssignment.Policy
  2 drop_overloads[] yes > envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload
  3 overprovisioning_factor yes
  4 endpoint_stale_after warn endpoints are never stale
  6 weighted_priority_health warn hosts are counted, not weighed

envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig
  1 http_protocol_options yes > envoy.config.core.v3.Http1ProtocolOptions
  2 http2_protocol_options yes > envoy.config.core.v3.Http2ProtocolOptions
  3 http3_protocol_options refuse HTTP/3 is not spoken

envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig
  1 http_protocol_options yes > envoy.config.core.v3.Http1ProtocolOptions
  2 http2_protocol_options yes > envoy.config.core.v3.Http2ProtocolOptions
  3 http3_protocol_options warn HTTP/3 is not spoken

envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig
  1 http_protocol_options yes > envoy.config.core.v3.Http1ProtocolOptions
  2 http2_protocol_options yes > envoy.config.core.v3.Http2ProtocolOptions
  3 http3_protocol_options warn HTTP/3 is not spoken
  4 alternate_protocols_cache_options warn HTTP/3 is not spoken

envoy.config.cluster.v3.CircuitBreakers.Thresholds
  1 priority yes
  2 max_connections yes
  3 max_pending_requests yes
  4 max_requests yes
  5 max_retries yes
  6 track_remaining yes
  7 max_connection_pools warn pools are not limited
  8 retry_budget yes > envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget

envoy.config.endpoint.v3.LbEndpoint
  1 endpoint yes > envoy.config.endpoint.v3.Endpoint
  2 health_status yes
  3 metadata yes > envoy.config.core.v3.Metadata
  4 load_balancing_weight yes
  5 endpoint_name refuse not known

envoy.config.core.v3.HealthCheck
  1 timeout yes
  2 interval yes
  3 interval_jitter yes
  4 unhealthy_threshold yes
  5 healthy_threshold yes
  6 alt_port yes
  7 reuse_connection yes
  8 http_health_check yes > envoy.config.core.v3.HealthCheck.HttpHealthCheck
  9 tcp_health_check yes > envoy.config.core.v3.HealthCheck.TcpHealthCheck
  11 grpc_health_check yes > envoy.config.core.v3.HealthCheck.GrpcHealthCheck
  12 no_traffic_interval yes
  13 custom_health_check refuse one of HTTP, TCP, gRPC is taken
  14 unhealthy_interval yes
  15 unhealthy_edge_interval yes
  16 healthy_edge_interval yes
  17 event_log_path yes
  18 interval_jitter_percent yes
  19 always_log_health_check_failures yes
  20 initial_jitter yes
  21 tls_options warn ALPN is the one of the cluster
  22 event_service warn events go to event_log_path
  23 transport_socket_match_criteria warn the transport socket of the cluster is used
  24 no_traffic_healthy_interval yes
  25 event_logger[] warn events go to event_log_path
  26 always_log_health_check_success yes

envoy.config.core.v3.HealthCheck.HttpHealthCheck
  1 host yes
  2 path yes
  3 send refuse checks have no body
  4 receive[] yes > envoy.config.core.v3.HealthCheck.Payload
  6 request_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  8 request_headers_to_remove[] yes
  9 expected_statuses[] yes > envoy.type.v3.Int64Range
  10 codec_client_type yes
  11 service_name_matcher yes > envoy.type.matcher.v3.StringMatcher
  12 retriable_statuses[] yes > envoy.type.v3.Int64Range
  13 method yes
  14 response_buffer_size warn 64 KiB

envoy.config.core.v3.HealthCheck.TcpHealthCheck
  1 send yes > envoy.config.core.v3.HealthCheck.Payload
  2 receive[] yes > envoy.config.core.v3.HealthCheck.Payload
  3 proxy_protocol_config yes > envoy.config.core.v3.ProxyProtocolConfig

envoy.config.core.v3.HealthCheck.GrpcHealthCheck
  1 service_name yes
  2 authority yes
  3 initial_metadata[] yes > envoy.config.core.v3.HeaderValueOption

envoy.config.core.v3.HealthCheck.Payload
  1 text yes
  2 binary yes

envoy.config.cluster.v3.Cluster.RefreshRate
  1 base_interval yes
  2 max_interval yes

envoy.config.cluster.v3.Cluster.PreconnectPolicy
  1 per_upstream_preconnect_ratio yes
  2 predictive_preconnect_ratio warn connections are opened ahead by host

envoy.config.cluster.v3.Cluster.SlowStartConfig
  1 slow_start_window yes
  2 aggression yes > envoy.config.core.v3.RuntimeDouble
  3 min_weight_percent yes > envoy.type.v3.Percent

envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig
  1 routing_enabled warn zone-aware routing is not known
  2 min_cluster_size warn zone-aware routing is not known
  3 fail_traffic_on_panic yes

envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig

envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig
  1 use_hostname_for_hashing yes
  2 hash_balance_factor yes

envoy.config.cluster.v3.LoadBalancingPolicy
  1 policies[] yes > envoy.config.cluster.v3.LoadBalancingPolicy.Policy

envoy.config.cluster.v3.LoadBalancingPolicy.Policy
  4 typed_extension_config yes > envoy.config.core.v3.TypedExtensionConfig

envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin
  1 slow_start_config yes > envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig
  2 locality_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig

envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest
  1 choice_count yes
  2 active_request_bias yes > envoy.config.core.v3.RuntimeDouble
  3 slow_start_config yes > envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig
  4 locality_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig
  5 enable_full_scan yes
  6 selection_method yes

envoy.extensions.load_balancing_policies.random.v3.Random
  1 locality_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig

envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash
  1 hash_function yes
  2 minimum_ring_size yes
  3 maximum_ring_size yes
  4 use_hostname_for_hashing yes
  5 hash_balance_factor yes
  6 consistent_hashing_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig
  7 locality_weighted_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig

envoy.extensions.load_balancing_policies.maglev.v3.Maglev
  1 table_size yes
  2 consistent_hashing_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig
  3 locality_weighted_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig

envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided

envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality
  1 endpoint_picking_policy yes > envoy.config.cluster.v3.LoadBalancingPolicy

envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig
  1 slow_start_window yes
  2 aggression yes > envoy.config.core.v3.RuntimeDouble
  3 min_weight_percent yes > envoy.type.v3.Percent

envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig
  1 zone_aware_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig
  2 locality_weighted_lb_config yes > envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig

envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig
  1 routing_enabled warn zone-aware routing is not known
  2 min_cluster_size warn zone-aware routing is not known
  3 fail_traffic_on_panic yes

envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig

envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig
  1 use_hostname_for_hashing yes
  2 hash_balance_factor yes

envoy.config.endpoint.v3.Endpoint.HealthCheckConfig
  1 port_value yes
  2 hostname yes
  3 address yes > envoy.config.core.v3.Address
  4 disable_active_health_check yes

envoy.config.endpoint.v3.Endpoint.AdditionalAddress
  1 address yes > envoy.config.core.v3.Address

envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget
  1 budget_percent yes > envoy.type.v3.Percent
  2 min_retry_concurrency yes

envoy.config.core.v3.SocketOption
  1 description yes
  2 level yes
  3 name yes
  4 int_value yes
  5 buf_value yes
  6 state warn set when the connection is there; SO_MARK before
)fields";

}  // namespace fairlead::proxy
