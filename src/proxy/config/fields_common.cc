// What is done with each field of the common messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kCommonFields = R"fields(
envoy.config.core.v3.Address
  1 socket_address yes > envoy.config.core.v3.SocketAddress
  2 pipe yes > envoy.config.core.v3.Pipe
  3 envoy_internal_address refuse internal listeners are not known

envoy.config.core.v3.Metadata
  1 filter_metadata yes
  2 typed_filter_metadata warn not used

envoy.config.core.v3.TransportSocket
  1 name yes
  3 typed_config yes > any

envoy.config.core.v3.HeaderValueOption
  1 header yes > envoy.config.core.v3.HeaderValue
  2 append yes
  3 append_action yes
  4 keep_empty_value yes

envoy.type.matcher.v3.StringMatcher
  1 exact yes
  2 prefix yes
  3 suffix yes
  5 safe_regex yes > envoy.type.matcher.v3.RegexMatcher
  6 ignore_case yes
  7 contains yes
  8 custom refuse not known

envoy.config.core.v3.RuntimeFractionalPercent
  1 default_value yes > envoy.type.v3.FractionalPercent
  2 runtime_key warn runtime keys have their defaults

envoy.config.core.v3.SubstitutionFormatString
  1 text_format yes
  2 json_format yes
  3 omit_empty_values yes
  4 content_type yes
  5 text_format_source yes > envoy.config.core.v3.DataSource
  6 formatters[] warn their commands are refused by name
  7 json_format_options yes > envoy.config.core.v3.JsonFormatOptions

xds.core.v3.ContextParams
  1 params warn xdstp names are not known

envoy.config.core.v3.Locality
  1 region yes
  2 zone yes
  3 sub_zone yes

envoy.type.v3.Percent
  1 value yes

envoy.config.core.v3.AggregatedConfigSource

envoy.config.core.v3.SelfConfigSource
  1 transport_api_version yes

envoy.config.core.v3.SocketAddress
  1 protocol yes
  2 address yes
  3 port_value yes
  4 named_port refuse give port_value
  5 resolver_name refuse names are resolved as the system says
  6 ipv4_compat refuse not known

envoy.config.core.v3.Pipe
  1 path yes
  2 mode warn the umask decides

envoy.config.core.v3.ExtensionConfigSource
  1 config_source warn filters by discovery are left out when they are optional
  2 default_config warn filters by discovery are left out when they are optional
  3 apply_default_config_without_warming warn filters by discovery are left out when they are optional
  4 type_urls[] warn filters by discovery are left out when they are optional

envoy.config.core.v3.TcpKeepalive
  1 keepalive_probes yes
  2 keepalive_time yes
  3 keepalive_interval yes

envoy.config.core.v3.HeaderValue
  1 key yes
  2 value yes
  3 raw_value refuse give value

envoy.config.core.v3.CidrRange
  1 address_prefix yes
  2 prefix_len yes

envoy.type.v3.FractionalPercent
  1 numerator yes
  2 denominator yes

envoy.type.matcher.v3.RegexMatcher
  1 google_re2 yes > envoy.type.matcher.v3.RegexMatcher.GoogleRE2
  2 regex yes

envoy.type.v3.Int64Range
  1 start yes
  2 end yes

envoy.config.core.v3.DataSource
  1 filename yes
  2 inline_bytes yes
  3 inline_string yes
  4 environment_variable yes
  5 watched_directory warn files are read once

envoy.config.core.v3.JsonFormatOptions
  1 sort_properties warn fields are sorted by name

envoy.type.v3.Int32Range
  1 start yes
  2 end yes

envoy.type.matcher.v3.RegexMatcher.GoogleRE2
  1 max_program_size warn programs have RE2's limit

envoy.type.matcher.v3.RegexMatchAndSubstitute
  1 pattern yes > envoy.type.matcher.v3.RegexMatcher
  2 substitution yes

envoy.config.core.v3.RuntimeUInt32
  2 default_value yes
  3 runtime_key warn runtime keys have their defaults

envoy.config.core.v3.RuntimeDouble
  1 default_value yes
  2 runtime_key warn runtime keys have their defaults

envoy.config.core.v3.ProxyProtocolConfig
  1 version yes
  2 pass_through_tlvs yes > envoy.config.core.v3.ProxyProtocolPassThroughTLVs

envoy.config.core.v3.ProxyProtocolPassThroughTLVs
  1 match_type yes
  2 tlv_type[] yes
)fields";

}  // namespace fairlead::proxy
