// What is done with each field of the route messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kRouteFields = R"fields(
envoy.config.route.v3.RouteConfiguration
  1 name yes
  2 virtual_hosts[] yes > envoy.config.route.v3.VirtualHost
  3 internal_only_headers[] yes
  4 response_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  5 response_headers_to_remove[] yes
  6 request_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  7 validate_clusters warn clusters are looked up by request
  8 request_headers_to_remove[] yes
  9 vhds refuse virtual host discovery is not known
  10 most_specific_header_mutations_wins yes
  11 max_direct_response_body_size_bytes note bodies have no limit
  12 cluster_specifier_plugins[] refuse cluster specifier plugins are not known
  13 request_mirror_policies[] yes > envoy.config.route.v3.RouteAction.RequestMirrorPolicy
  14 ignore_port_in_host_matching yes
  15 ignore_path_parameters_in_path_matching yes
  16 typed_per_filter_config yes map> any
  17 metadata note metadata of routes is not used

envoy.config.route.v3.FilterConfig
  1 config yes > any
  2 is_optional yes
  3 disabled yes

envoy.config.route.v3.VirtualHost
  1 name yes
  2 domains[] yes
  3 routes[] yes > envoy.config.route.v3.Route
  4 require_tls yes
  5 virtual_clusters[] warn no statistics of virtual clusters
  6 rate_limits[] yes > envoy.config.route.v3.RateLimit
  7 request_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  8 cors yes > envoy.config.route.v3.CorsPolicy
  10 response_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  11 response_headers_to_remove[] yes
  13 request_headers_to_remove[] yes
  14 include_request_attempt_count yes
  15 typed_per_filter_config yes map> any
  16 retry_policy yes > envoy.config.route.v3.RetryPolicy
  17 hedge_policy warn requests are not hedged
  18 per_request_buffer_limit_bytes warn bodies are kept for retries up to the connection's limit
  19 include_attempt_count_in_response yes
  20 retry_policy_typed_config refuse give retry_policy
  21 matcher refuse use routes
  22 request_mirror_policies[] yes > envoy.config.route.v3.RouteAction.RequestMirrorPolicy
  23 include_is_timeout_retry_header warn the header is not written
  24 metadata yes > envoy.config.core.v3.Metadata

envoy.config.route.v3.RouteAction.RequestMirrorPolicy
  1 cluster yes
  3 runtime_fraction yes > envoy.config.core.v3.RuntimeFractionalPercent
  4 trace_sampled note tracing is not exported
  5 cluster_header yes
  6 disable_shadow_host_suffix_append yes

envoy.config.route.v3.HeaderMatcher
  1 name yes
  4 exact_match yes
  6 range_match yes > envoy.type.v3.Int64Range
  7 present_match yes
  8 invert_match yes
  9 prefix_match yes
  10 suffix_match yes
  11 safe_regex_match yes > envoy.type.matcher.v3.RegexMatcher
  12 contains_match yes
  13 string_match yes > envoy.type.matcher.v3.StringMatcher
  14 treat_missing_header_as_empty yes

envoy.config.route.v3.Route
  1 match yes > envoy.config.route.v3.RouteMatch
  2 route yes > envoy.config.route.v3.RouteAction
  3 redirect yes > envoy.config.route.v3.RedirectAction
  4 metadata yes > envoy.config.core.v3.Metadata
  5 decorator note tracing is not exported
  7 direct_response yes > envoy.config.route.v3.DirectResponseAction
  9 request_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  10 response_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  11 response_headers_to_remove[] yes
  12 request_headers_to_remove[] yes
  13 typed_per_filter_config yes map> any
  14 name yes
  15 tracing note tracing is not exported
  16 per_request_buffer_limit_bytes warn bodies are kept for retries up to the connection's limit
  17 filter_action refuse {} not known
  18 non_forwarding_action yes > *
  19 stat_prefix note no statistics of routes

envoy.config.route.v3.CorsPolicy
  2 allow_methods yes
  3 allow_headers yes
  4 expose_headers yes
  5 max_age yes
  6 allow_credentials yes
  9 filter_enabled yes > envoy.config.core.v3.RuntimeFractionalPercent
  10 shadow_enabled warn the policy is on
  11 allow_origin_string_match[] yes > envoy.type.matcher.v3.StringMatcher
  12 allow_private_network_access yes
  13 forward_not_matching_preflights yes

envoy.config.route.v3.RetryPolicy
  1 retry_on yes
  2 num_retries yes
  3 per_try_timeout yes
  4 retry_priority warn priorities are chosen as for first attempts
  5 retry_host_predicate[] yes > envoy.config.route.v3.RetryPolicy.RetryHostPredicate
  6 host_selection_retry_max_attempts yes
  7 retriable_status_codes[] yes
  8 retry_back_off yes > envoy.config.route.v3.RetryPolicy.RetryBackOff
  9 retriable_headers[] yes > envoy.config.route.v3.HeaderMatcher
  10 retriable_request_headers[] yes > envoy.config.route.v3.HeaderMatcher
  11 rate_limited_retry_back_off yes > envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff
  12 retry_options_predicates[] warn not known
  13 per_try_idle_timeout yes

envoy.config.route.v3.RouteMatch
  1 prefix yes
  2 path yes
  4 case_sensitive yes
  6 headers[] yes > envoy.config.route.v3.HeaderMatcher
  7 query_parameters[] yes > envoy.config.route.v3.QueryParameterMatcher
  8 grpc yes > envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions
  9 runtime_fraction yes > envoy.config.core.v3.RuntimeFractionalPercent
  10 safe_regex yes > envoy.type.matcher.v3.RegexMatcher
  11 tls_context yes > envoy.config.route.v3.RouteMatch.TlsContextMatchOptions
  12 connect_matcher yes > envoy.config.route.v3.RouteMatch.ConnectMatcher
  13 dynamic_metadata[] refuse matching by dynamic metadata is not known
  14 path_separated_prefix yes
  15 path_match_policy yes > envoy.config.core.v3.TypedExtensionConfig

envoy.config.route.v3.RouteAction
  1 cluster yes
  2 cluster_header yes
  3 weighted_clusters yes > envoy.config.route.v3.WeightedCluster
  4 metadata_match refuse subset load balancing is not known
  5 prefix_rewrite yes
  6 host_rewrite_literal yes
  7 auto_host_rewrite yes
  8 timeout yes
  9 retry_policy yes > envoy.config.route.v3.RetryPolicy
  11 priority yes
  13 rate_limits[] yes > envoy.config.route.v3.RateLimit
  14 include_vh_rate_limits yes
  15 hash_policy[] yes > envoy.config.route.v3.RouteAction.HashPolicy
  17 cors yes > envoy.config.route.v3.CorsPolicy
  20 cluster_not_found_response_code yes
  23 max_grpc_timeout yes
  24 idle_timeout yes
  25 upgrade_configs[] yes > envoy.config.route.v3.RouteAction.UpgradeConfig
  26 internal_redirect_action yes
  27 hedge_policy warn requests are not hedged
  28 grpc_timeout_offset warn the client's time-out counts
  29 host_rewrite_header yes
  30 request_mirror_policies[] yes > envoy.config.route.v3.RouteAction.RequestMirrorPolicy
  31 max_internal_redirects yes
  32 regex_rewrite yes > envoy.type.matcher.v3.RegexMatchAndSubstitute
  33 retry_policy_typed_config refuse give retry_policy
  34 internal_redirect_policy yes > envoy.config.route.v3.InternalRedirectPolicy
  35 host_rewrite_path_regex yes > envoy.type.matcher.v3.RegexMatchAndSubstitute
  36 max_stream_duration yes > envoy.config.route.v3.RouteAction.MaxStreamDuration
  37 cluster_specifier_plugin refuse cluster specifier plugins are not known
  38 append_x_forwarded_host yes
  39 inline_cluster_specifier_plugin refuse cluster specifier plugins are not known
  40 early_data_policy warn early data is not taken
  41 path_rewrite_policy yes > envoy.config.core.v3.TypedExtensionConfig

envoy.config.route.v3.RouteMatch.TlsContextMatchOptions
  1 presented yes
  2 validated yes

envoy.config.route.v3.InternalRedirectPolicy
  1 max_internal_redirects yes
  2 redirect_response_codes[] yes
  3 predicates[] yes > envoy.config.core.v3.TypedExtensionConfig
  4 allow_cross_scheme_redirect yes
  5 response_headers_to_copy[] yes

envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig
  1 allowed_route_names[] yes

envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig

envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig

envoy.config.route.v3.RedirectAction
  1 host_redirect yes
  2 path_redirect yes
  3 response_code yes
  4 https_redirect yes
  5 prefix_rewrite yes
  6 strip_query yes
  7 scheme_redirect yes
  8 port_redirect yes
  9 regex_rewrite yes > envoy.type.matcher.v3.RegexMatchAndSubstitute

envoy.config.route.v3.DirectResponseAction
  1 status yes
  2 body yes > envoy.config.core.v3.DataSource

envoy.config.route.v3.RetryPolicy.RetryHostPredicate
  1 name yes
  3 typed_config yes > any

envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate

envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig
  1 metadata_match warn retries may go to hosts of any metadata

envoy.config.route.v3.RetryPolicy.RetryBackOff
  1 base_interval yes
  2 max_interval yes

envoy.config.route.v3.RouteMatch.ConnectMatcher

envoy.config.route.v3.QueryParameterMatcher
  1 name yes
  5 string_match yes > envoy.type.matcher.v3.StringMatcher
  6 present_match yes

envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions

envoy.config.route.v3.WeightedCluster
  1 clusters[] yes > envoy.config.route.v3.WeightedCluster.ClusterWeight
  2 runtime_key_prefix warn runtime keys have their defaults
  3 total_weight warn the sum of the weights counts
  4 header_name yes

envoy.config.route.v3.RouteAction.HashPolicy
  1 header yes > envoy.config.route.v3.RouteAction.HashPolicy.Header
  2 cookie yes > envoy.config.route.v3.RouteAction.HashPolicy.Cookie
  3 connection_properties yes > envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties
  4 terminal yes
  5 query_parameter yes > envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter
  6 filter_state refuse not known

envoy.config.route.v3.RateLimit
  1 stage yes
  2 disable_key warn runtime keys have their defaults
  3 actions[] yes > envoy.config.route.v3.RateLimit.Action
  4 limit warn limits by metadata are for the rate limit service

envoy.config.route.v3.RateLimit.Action
  1 source_cluster yes > envoy.config.route.v3.RateLimit.Action.SourceCluster
  2 destination_cluster yes > envoy.config.route.v3.RateLimit.Action.DestinationCluster
  3 request_headers yes > envoy.config.route.v3.RateLimit.Action.RequestHeaders
  4 remote_address yes > envoy.config.route.v3.RateLimit.Action.RemoteAddress
  5 generic_key yes > envoy.config.route.v3.RateLimit.Action.GenericKey
  6 header_value_match yes > envoy.config.route.v3.RateLimit.Action.HeaderValueMatch
  7 dynamic_metadata warn the rule makes no descriptor
  8 metadata warn the rule makes no descriptor
  9 extension warn the rule makes no descriptor
  10 masked_remote_address yes > envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress
  11 query_parameter_value_match yes > envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch

envoy.config.route.v3.RateLimit.Action.SourceCluster

envoy.config.route.v3.RateLimit.Action.DestinationCluster

envoy.config.route.v3.RateLimit.Action.RemoteAddress

envoy.config.route.v3.RateLimit.Action.RequestHeaders
  1 header_name yes
  2 descriptor_key yes
  3 skip_if_absent yes

envoy.config.route.v3.RateLimit.Action.GenericKey
  1 descriptor_value yes
  2 descriptor_key yes

envoy.config.route.v3.RateLimit.Action.HeaderValueMatch
  1 descriptor_value yes
  2 expect_match yes
  3 headers[] yes > envoy.config.route.v3.HeaderMatcher
  4 descriptor_key yes

envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress
  1 v4_prefix_mask_len yes
  2 v6_prefix_mask_len yes

envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch
  1 descriptor_value yes
  2 expect_match yes
  3 query_parameters[] yes > envoy.config.route.v3.QueryParameterMatcher
  4 descriptor_key yes

envoy.config.route.v3.RouteAction.UpgradeConfig
  1 upgrade_type yes
  2 enabled yes
  3 connect_config yes > envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig

envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig
  1 proxy_protocol_config yes > envoy.config.core.v3.ProxyProtocolConfig
  2 allow_post yes

envoy.config.route.v3.RouteAction.MaxStreamDuration
  1 max_stream_duration yes
  2 grpc_timeout_header_max yes
  3 grpc_timeout_header_offset yes

envoy.config.route.v3.WeightedCluster.ClusterWeight
  1 name yes
  2 weight yes
  3 metadata_match refuse subset load balancing is not known
  4 request_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  5 response_headers_to_add[] yes > envoy.config.core.v3.HeaderValueOption
  6 response_headers_to_remove[] yes
  9 request_headers_to_remove[] yes
  10 typed_per_filter_config yes map> any
  11 host_rewrite_literal yes
  12 cluster_header yes

envoy.config.route.v3.RouteAction.HashPolicy.Header
  1 header_name yes
  2 regex_rewrite yes > envoy.type.matcher.v3.RegexMatchAndSubstitute

envoy.config.route.v3.RouteAction.HashPolicy.Cookie
  1 name yes
  2 ttl yes
  3 path yes
  4 attributes[] yes > envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute

envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties
  1 source_ip yes

envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter
  1 name yes

envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig
  1 path_template yes

envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig
  1 path_template_rewrite yes

envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff
  1 reset_headers[] yes > envoy.config.route.v3.RetryPolicy.ResetHeader
  2 max_interval yes

envoy.config.route.v3.RetryPolicy.ResetHeader
  1 name yes
  2 format yes

envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute
  1 name yes
  2 value yes
)fields";

}  // namespace fairlead::proxy
