// What is done with each field of the bootstrap messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kBootstrapFields = R"fields(
envoy.config.bootstrap.v3.Bootstrap
  1 node yes > envoy.config.core.v3.Node
  2 static_resources yes > envoy.config.bootstrap.v3.Bootstrap.StaticResources
  3 dynamic_resources yes > envoy.config.bootstrap.v3.Bootstrap.DynamicResources
  4 cluster_manager warn the process has no such setting
  5 flags_path warn the process has no such setting
  6 stats_sinks[] warn statistics are read from the admin page
  7 stats_flush_interval warn the process has no such setting
  8 watchdog warn the process has no such setting
  9 tracing note tracing is not exported
  12 admin yes > envoy.config.bootstrap.v3.Admin
  13 stats_config warn statistics have Envoy's default tags and buckets
  14 hds_config refuse health discovery is not served
  15 overload_manager yes > envoy.config.overload.v3.OverloadManager
  16 enable_dispatcher_stats warn the process has no such setting
  17 layered_runtime warn runtime keys have their defaults
  18 header_prefix warn the process has no such setting
  19 stats_server_version_override warn the process has no such setting
  20 use_tcp_for_dns_lookups warn names are resolved as the system says
  21 bootstrap_extensions[] warn extensions are not loaded
  22 config_sources[] refuse xdstp authorities are not known
  23 default_config_source refuse xdstp authorities are not known
  24 default_socket_interface warn the process has no such setting
  25 certificate_provider_instances refuse certificate providers are not known
  26 node_context_params[] warn the process has no such setting
  27 watchdogs warn the process has no such setting
  28 fatal_actions[] warn the process has no such setting
  29 stats_flush_on_admin warn the process has no such setting
  30 dns_resolution_config warn names are resolved as the system says
  31 typed_dns_resolver_config warn names are resolved as the system says
  32 inline_headers[] warn the process has no such setting
  33 perf_tracing_file_path warn the process has no such setting
  34 default_regex_engine warn RE2 is the engine
  35 xds_delegate_extension warn no extension of the xDS client
  36 xds_config_tracker_extension warn no extension of the xDS client
  37 listener_manager warn the process has no such setting
  38 application_log_config warn the process has no such setting
  39 deferred_stat_options warn the process has no such setting
  40 grpc_async_client_manager_config warn the process has no such setting
  41 memory_allocator_manager warn the process has no such setting

envoy.config.overload.v3.OverloadManager
  1 refresh_interval yes
  2 resource_monitors[] yes > envoy.config.overload.v3.ResourceMonitor
  3 actions[] yes > envoy.config.overload.v3.OverloadAction
  4 buffer_factory_config warn memory is not counted by stream
  5 loadshed_points[] warn load is shed by actions alone

envoy.config.overload.v3.ResourceMonitor
  1 name yes
  3 typed_config yes > any

envoy.config.overload.v3.OverloadAction
  1 name yes
  2 triggers[] yes > envoy.config.overload.v3.Trigger
  3 typed_config warn timers are not scaled

envoy.config.overload.v3.Trigger
  1 name yes
  2 threshold yes > envoy.config.overload.v3.ThresholdTrigger
  3 scaled yes > envoy.config.overload.v3.ScaledTrigger

envoy.config.overload.v3.ThresholdTrigger
  1 value yes

envoy.config.overload.v3.ScaledTrigger
  1 scaling_threshold yes
  2 saturation_threshold yes

envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig
  1 max_heap_size_bytes yes

envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
  1 max_active_downstream_connections yes

envoy.config.core.v3.Node
  1 id yes
  2 cluster yes
  3 metadata yes
  4 locality yes > envoy.config.core.v3.Locality
  6 user_agent_name yes
  7 user_agent_version yes
  8 user_agent_build_version yes > *
  9 extensions[] yes > *
  10 client_features[] yes
  11 listening_addresses[] yes > envoy.config.core.v3.Address
  12 dynamic_parameters yes map> xds.core.v3.ContextParams

envoy.config.bootstrap.v3.Bootstrap.StaticResources
  1 listeners[] yes > *
  2 clusters[] yes > *
  3 secrets[] yes > envoy.extensions.transport_sockets.tls.v3.Secret

envoy.config.bootstrap.v3.Bootstrap.DynamicResources
  1 lds_config yes > envoy.config.core.v3.ConfigSource
  2 cds_config yes > envoy.config.core.v3.ConfigSource
  3 ads_config yes > envoy.config.core.v3.ApiConfigSource
  5 lds_resources_locator refuse xdstp collections are not known
  6 cds_resources_locator refuse xdstp collections are not known

envoy.config.core.v3.ApiConfigSource
  1 api_type yes
  2 cluster_names[] refuse REST is not spoken; give grpc_services
  3 refresh_delay warn REST is not spoken
  4 grpc_services[] yes > envoy.config.core.v3.GrpcService
  5 request_timeout warn REST is not spoken
  6 rate_limit_settings warn the server is not limited
  7 set_node_on_first_message_only yes
  8 transport_api_version yes
  9 config_validators[] warn every resource is validated

envoy.config.bootstrap.v3.Admin
  1 access_log_path warn the admin page has no such setting
  2 profile_path warn the admin page has no such setting
  3 address yes > envoy.config.core.v3.Address
  4 socket_options[] warn the admin page has no such setting
  5 access_log[] warn requests to the admin page are not logged
  6 ignore_global_conn_limit warn the admin page has no such setting

envoy.config.core.v3.ConfigSource
  1 path yes
  2 api_config_source yes > envoy.config.core.v3.ApiConfigSource
  3 ads yes > envoy.config.core.v3.AggregatedConfigSource
  4 initial_fetch_timeout yes
  5 self yes > envoy.config.core.v3.SelfConfigSource
  6 resource_api_version yes
  7 authorities[] refuse xdstp authorities are not known
  8 path_config_source yes > envoy.config.core.v3.PathConfigSource

envoy.config.core.v3.GrpcService
  1 envoy_grpc yes > envoy.config.core.v3.GrpcService.EnvoyGrpc
  2 google_grpc refuse give envoy_grpc
  3 timeout warn the stream is kept open and has no such setting
  5 initial_metadata[] yes > envoy.config.core.v3.HeaderValue
  6 retry_policy warn the stream is kept open and has no such setting

envoy.config.core.v3.GrpcService.EnvoyGrpc
  1 cluster_name yes
  2 authority yes
  3 retry_policy warn the stream has no such setting
  4 max_receive_message_length warn the stream has no such setting
  5 skip_envoy_headers warn the stream has no such setting

envoy.config.core.v3.PathConfigSource
  1 path yes
  2 watched_directory warn the folder of the file is watched
)fields";

}  // namespace fairlead::proxy
