// What is done with each field of the http messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kHttpFields = R"fields(
envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  1 codec_type yes
  2 stat_prefix yes
  3 rds yes > envoy.extensions.filters.network.http_connection_manager.v3.Rds
  4 route_config yes > envoy.config.route.v3.RouteConfiguration
  5 http_filters[] yes > envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter
  6 add_user_agent warn the client's user-agent goes on as it is
  7 tracing note tracing is not exported
  8 http_protocol_options yes > envoy.config.core.v3.Http1ProtocolOptions
  9 http2_protocol_options yes > envoy.config.core.v3.Http2ProtocolOptions
  10 server_name yes
  12 drain_timeout yes
  13 access_log[] yes > envoy.config.accesslog.v3.AccessLog
  14 use_remote_address yes
  15 generate_request_id yes
  16 forward_client_cert_details yes
  17 set_current_client_cert_details yes > *
  18 proxy_100_continue yes
  19 xff_num_trusted_hops yes
  20 represent_ipv4_remote_address_as_ipv4_mapped_ipv6 refuse addresses are written as they are
  21 skip_xff_append yes
  22 via yes
  23 upgrade_configs[] yes > envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig
  24 stream_idle_timeout yes
  25 internal_address_config yes > envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig
  26 delayed_close_timeout yes
  28 request_timeout yes
  29 max_request_headers_kb yes
  30 normalize_path yes
  31 scoped_routes refuse use rds or route_config
  32 preserve_external_request_id yes
  33 merge_slashes yes
  34 server_header_transformation yes
  35 common_http_protocol_options yes > envoy.config.core.v3.HttpProtocolOptions
  36 request_id_extension yes > envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension
  37 always_set_request_id_in_response yes
  38 local_reply_config yes > envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig
  39 strip_matching_host_port yes
  40 stream_error_on_invalid_http_message warn the connection is closed
  41 request_headers_timeout yes
  42 strip_any_host_port yes
  43 path_normalization_options refuse use normalize_path and merge_slashes
  44 http3_protocol_options warn HTTP/3 is not spoken
  45 path_with_escaped_slashes_action yes
  46 original_ip_detection_extensions[] yes > envoy.config.core.v3.TypedExtensionConfig
  47 strip_trailing_host_dot yes
  48 scheme_header_transformation yes > envoy.config.core.v3.SchemeHeaderTransformation
  49 proxy_status_config warn proxy-status is not written
  50 typed_header_validation_config warn headers are always validated
  51 append_x_forwarded_port yes
  52 early_header_mutation_extensions[] yes > envoy.config.core.v3.TypedExtensionConfig
  53 add_proxy_protocol_connection_state warn no such state
  54 access_log_flush_interval warn the line is written when the request ends
  55 flush_access_log_on_new_request warn the line is written when the request ends
  56 access_log_options warn the line is written when the request ends
  57 append_local_overload warn the header is not written

envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig
  1 unix_sockets yes
  2 cidr_ranges[] yes > envoy.config.core.v3.CidrRange

envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig
  1 mappers[] yes > envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper
  2 body_format yes > envoy.config.core.v3.SubstitutionFormatString

envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper
  1 filter yes > envoy.config.accesslog.v3.AccessLogFilter
  2 status_code yes
  3 body yes > envoy.config.core.v3.DataSource
  4 body_format_override yes > envoy.config.core.v3.SubstitutionFormatString
  5 headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption

envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension
  1 typed_config yes > any

envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig
  1 pack_trace_reason note tracing is not exported: request ids say nothing of it
  2 use_request_id_for_trace_sampling note tracing is not exported

envoy.config.core.v3.SchemeHeaderTransformation
  1 scheme_to_overwrite yes
  2 match_upstream yes

envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat
  1 proper_case_words yes > envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords
  8 stateful_formatter yes > envoy.config.core.v3.TypedExtensionConfig

envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords

envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig
  1 forward_reason_phrase warn the standard one is written
  2 formatter_type_on_envoy_headers warn names that we add are in lower case

envoy.extensions.http.original_ip_detection.xff.v3.XffConfig
  1 xff_num_trusted_hops yes

envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig
  1 header_name yes
  2 allow_extension_to_set_address_as_trusted yes
  3 reject_with_status yes > envoy.type.v3.HttpStatus

envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
  1 mutations[] yes > envoy.config.common.mutation_rules.v3.HeaderMutation

envoy.extensions.filters.http.fault.v3.HTTPFault
  1 delay yes > envoy.extensions.filters.common.fault.v3.FaultDelay
  2 abort yes > envoy.extensions.filters.http.fault.v3.FaultAbort
  3 upstream_cluster yes
  4 headers[] yes > envoy.config.route.v3.HeaderMatcher
  5 downstream_nodes[] yes
  6 max_active_faults yes
  7 response_rate_limit yes > envoy.extensions.filters.common.fault.v3.FaultRateLimit
  8 delay_percent_runtime warn runtime keys have their defaults
  9 abort_percent_runtime warn runtime keys have their defaults
  10 delay_duration_runtime warn runtime keys have their defaults
  11 abort_http_status_runtime warn runtime keys have their defaults
  12 max_active_faults_runtime warn runtime keys have their defaults
  13 response_rate_limit_percent_runtime warn runtime keys have their defaults
  14 abort_grpc_status_runtime warn runtime keys have their defaults
  15 disable_downstream_cluster_stats yes
  16 filter_metadata warn not used

envoy.extensions.filters.http.cors.v3.Cors

envoy.extensions.filters.http.cors.v3.CorsPolicy
  1 allow_origin_string_match[] yes > envoy.type.matcher.v3.StringMatcher
  2 allow_methods yes
  3 allow_headers yes
  4 expose_headers yes
  5 max_age yes
  6 allow_credentials yes
  7 filter_enabled yes > envoy.config.core.v3.RuntimeFractionalPercent
  8 shadow_enabled warn the policy is on
  9 allow_private_network_access yes
  10 forward_not_matching_preflights yes

envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
  1 mutations yes > envoy.extensions.filters.http.header_mutation.v3.Mutations
  2 most_specific_header_mutations_wins warn the route's come after the filter's

envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute
  1 mutations yes > envoy.extensions.filters.http.header_mutation.v3.Mutations

envoy.extensions.filters.http.header_mutation.v3.Mutations
  1 request_mutations[] yes > envoy.config.common.mutation_rules.v3.HeaderMutation
  2 response_mutations[] yes > envoy.config.common.mutation_rules.v3.HeaderMutation

envoy.config.common.mutation_rules.v3.HeaderMutation
  1 remove yes
  2 append yes > envoy.config.core.v3.HeaderValueOption

envoy.extensions.filters.http.grpc_stats.v3.FilterConfig
  1 emit_filter_state note there is no filter state; access logs do not read it
  2 individual_method_stats_allowlist yes > envoy.config.core.v3.GrpcMethodList
  3 stats_for_all_methods yes
  4 enable_upstream_stats yes
  5 replace_dots_in_grpc_service_name yes

envoy.config.core.v3.GrpcMethodList
  1 services[] yes > envoy.config.core.v3.GrpcMethodList.Service

envoy.config.core.v3.GrpcMethodList.Service
  1 name yes
  2 method_names[] yes

envoy.extensions.filters.http.health_check.v3.HealthCheck
  1 pass_through_mode yes
  3 cache_time warn answers of the endpoint are not kept
  4 cluster_min_healthy_percentages yes map> envoy.type.v3.Percent
  5 headers[] yes > envoy.config.route.v3.HeaderMatcher

envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
  1 stat_prefix yes
  2 status yes > envoy.type.v3.HttpStatus
  3 token_bucket yes > envoy.type.v3.TokenBucket
  4 filter_enabled yes > envoy.config.core.v3.RuntimeFractionalPercent
  5 filter_enforced yes > envoy.config.core.v3.RuntimeFractionalPercent
  6 response_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  8 descriptors[] yes > envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor
  9 stage yes
  10 request_headers_to_add_when_not_enforced[] yes > envoy.config.core.v3.HeaderValueOption
  11 local_rate_limit_per_downstream_connection yes
  12 enable_x_ratelimit_headers yes
  13 vh_rate_limits yes
  14 always_consume_default_token_bucket yes
  15 rate_limited_as_resource_exhausted yes
  16 local_cluster_rate_limit refuse the bucket is this process's own

envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor
  1 entries[] yes > envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry
  2 token_bucket yes > envoy.type.v3.TokenBucket

envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry
  1 key yes
  2 value yes

envoy.extensions.filters.http.compressor.v3.Compressor
  1 content_length yes
  2 content_type[] yes
  3 disable_on_etag_header yes
  4 remove_accept_encoding_header yes
  5 runtime_enabled yes > envoy.config.core.v3.RuntimeFeatureFlag
  6 compressor_library yes > envoy.config.core.v3.TypedExtensionConfig
  7 request_direction_config yes > envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig
  8 response_direction_config yes > envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig
  9 choose_first warn the filter that comes last in the chain has the first choice

envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig
  1 common_config yes > envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig
  2 disable_on_etag_header yes
  3 remove_accept_encoding_header yes

envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig
  1 common_config yes > envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig

envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig
  1 enabled yes > envoy.config.core.v3.RuntimeFeatureFlag
  2 min_content_length yes
  3 content_type[] yes

envoy.extensions.filters.http.compressor.v3.CompressorPerRoute
  1 disabled yes
  2 overrides yes > envoy.extensions.filters.http.compressor.v3.CompressorOverrides

envoy.extensions.filters.http.compressor.v3.CompressorOverrides
  1 response_direction_config yes > envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides

envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides
  1 remove_accept_encoding_header yes

envoy.config.core.v3.TypedExtensionConfig
  1 name yes
  2 typed_config yes > any

envoy.type.v3.HttpStatus
  1 code yes

envoy.type.v3.TokenBucket
  1 max_tokens yes
  2 tokens_per_fill yes
  3 fill_interval yes

envoy.config.core.v3.RuntimeFeatureFlag
  1 default_value yes
  2 runtime_key warn there is no runtime

envoy.extensions.compression.gzip.compressor.v3.Gzip
  1 memory_level yes
  2 compression_level yes
  3 compression_strategy yes
  4 window_bits yes
  5 chunk_size warn pieces of 16 KiB

envoy.extensions.compression.brotli.compressor.v3.Brotli
  1 quality yes
  2 encoder_mode yes
  3 window_bits yes
  4 input_block_bits yes
  5 chunk_size warn the library's pieces
  6 disable_literal_context_modeling yes

envoy.extensions.filters.http.router.v3.Router
  1 dynamic_stats warn no effect on traffic
  2 start_child_span warn no effect on traffic
  3 upstream_log[] warn upstream attempts are not logged
  4 suppress_envoy_headers yes
  5 strict_check_headers[] yes
  6 respect_expected_rq_timeout yes
  7 suppress_grpc_request_failure_code_stats warn no effect on traffic
  8 upstream_http_filters[] refuse upstream filters are not known
  9 upstream_log_options warn no effect on traffic

envoy.config.core.v3.HttpProtocolOptions
  1 idle_timeout yes
  2 max_headers_count yes
  3 max_connection_duration yes
  4 max_stream_duration yes
  5 headers_with_underscores_action yes
  6 max_requests_per_connection yes

envoy.config.core.v3.Http1ProtocolOptions
  1 allow_absolute_url yes
  2 accept_http_10 yes
  3 default_host_for_http_10 yes
  4 header_key_format yes > envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat
  5 enable_trailers yes
  6 allow_chunked_length refuse a message with both is always refused
  7 override_stream_error_on_invalid_http_message warn the connection is closed
  8 send_fully_qualified_url refuse requests go out in origin form
  9 use_balsa_parser yes
  10 allow_custom_methods yes

envoy.config.core.v3.Http2ProtocolOptions
  1 hpack_table_size warn 4096 bytes
  2 max_concurrent_streams yes
  3 initial_stream_window_size yes
  4 initial_connection_window_size yes
  5 allow_connect yes
  6 allow_metadata warn METADATA frames are ignored
  7 max_outbound_frames yes
  8 max_outbound_control_frames yes
  9 max_consecutive_inbound_frames_with_empty_payload yes
  10 max_inbound_priority_frames_per_stream yes
  11 max_inbound_window_update_frames_per_data_frame_sent yes
  12 stream_error_on_invalid_http_messaging warn the stream is reset
  13 custom_settings_parameters[] warn not sent
  14 override_stream_error_on_invalid_http_message warn the stream is reset
  15 connection_keepalive yes > envoy.config.core.v3.KeepaliveSettings
  16 use_oghttp2_codec yes

envoy.config.core.v3.KeepaliveSettings
  1 interval yes
  2 timeout yes
  3 interval_jitter yes > envoy.type.v3.Percent
  4 connection_idle_interval yes

envoy.extensions.filters.network.http_connection_manager.v3.Rds
  1 config_source yes > envoy.config.core.v3.ConfigSource
  2 route_config_name yes

envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter
  1 name yes
  4 typed_config yes > any
  5 config_discovery yes > envoy.config.core.v3.ExtensionConfigSource
  6 is_optional yes
  7 disabled yes

envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig
  1 upgrade_type yes
  2 filters[] yes > envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter
  3 enabled yes

envoy.extensions.filters.common.fault.v3.FaultRateLimit
  1 fixed_limit yes > envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit
  2 percentage yes > envoy.type.v3.FractionalPercent
  3 header_limit yes > envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit

envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit
  1 limit_kbps yes

envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit

envoy.extensions.filters.common.fault.v3.FaultDelay
  3 fixed_delay yes
  4 percentage yes > envoy.type.v3.FractionalPercent
  5 header_delay yes > envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay

envoy.extensions.filters.http.fault.v3.FaultAbort
  2 http_status yes
  3 percentage yes > envoy.type.v3.FractionalPercent
  4 header_abort yes > envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort
  5 grpc_status yes

envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay

envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort
)fields";

}  // namespace fairlead::proxy
