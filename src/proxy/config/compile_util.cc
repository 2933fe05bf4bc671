#include "proxy/config/compile_util.h"

#include <google/protobuf/struct.pb.h>

#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/value.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "proxy/config/fields.h"

namespace fairlead::proxy {

void Compiler::warn(const std::string& field, bool loud) {
  if (++warnings_[field] > 1) return;
  if (!loud) FL_LOG_INFO("config", "{} (said once; config.unsupported_fields counts)", field);
  else FL_LOG_WARN("config", "{} (said once; config.unsupported_fields counts)", field);
}

void CompileContext::check(const google::protobuf::MessageLite& from) const {
  std::string type = from.GetTypeName();
  std::string_view root = std::string_view(type).substr(type.rfind('.') + 1);
  check_fields(type, from.SerializeAsString(), [&](const FieldProblem& problem) {
    if (problem.support == Support::kRefuse) at(problem.path).refuse("the field is not implemented: {}", problem.reason);
    // Without indices, so that the same field of many resources is one entry.
    std::string name(root);
    name += '.';
    for (size_t i = 0; i < problem.path.size(); ++i) {
      if (problem.path[i] == '[') i = problem.path.find(']', i);
      else name += problem.path[i];
    }
    compiler.warn(fmt::format("{}: {}", name, problem.reason), problem.support != Support::kNote);
  });
}

// Configuration and keys must not go in plain text where TLS was asked for.
void discovery_in_plain_text(const CompileContext& at, const std::string& cluster) {
  if (at.compiler.tls_clusters.contains(cluster))
    at.refuse("cluster \"{}\" has TLS (transport_socket), which streams of discovery do not speak; reach the server in plain text, on loopback or by a pipe", cluster);
}

base::Result<DynamicSources> Compiler::bootstrap(const envoy::config::bootstrap::v3::Bootstrap& from) {
  // Their endpoints have to be in the bootstrap: what discovery needs can not be discovered by it.
  for (const auto& c : from.static_resources().clusters()) {
    bool plain = !c.has_transport_socket() || short_type(c.transport_socket().typed_config()).ends_with("RawBuffer");
    if (!plain || c.transport_socket_matches_size() > 0) tls_clusters.insert(c.name());
    for (const auto& group : c.load_assignment().endpoints())
      if (group.lb_endpoints_size() > 0 && c.type() != envoy::config::cluster::v3::Cluster::EDS) grpc_clusters.insert(c.name());
  }
  try {
    CompileContext at(*this);
    at.check(from);
    for (int i = 0; i < from.static_resources().secrets_size(); ++i) {
      const auto& secret = from.static_resources().secrets(i);
      CompileContext here = at.at("static_resources").at("secrets", i);
      if (secret.name().empty()) here.at("name").refuse("a name is required");
      if (!static_secrets.try_emplace(secret.name(), secret.SerializeAsString()).second) here.at("name").refuse("the name {} is taken", secret.name());
    }
    DynamicSources out;
    const auto& dynamic = from.dynamic_resources();
    if (dynamic.ads_config().grpc_services_size() > 0 && !ads_by_options)
      discovery_in_plain_text(at.at("dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name"), dynamic.ads_config().grpc_services(0).envoy_grpc().cluster_name());
    if (dynamic.has_cds_config()) out.clusters = discovery_source(at.at("dynamic_resources.cds_config"), dynamic.cds_config());
    if (dynamic.has_lds_config()) out.listeners = discovery_source(at.at("dynamic_resources.lds_config"), dynamic.lds_config());
    for (const auto& [field, source] : {std::pair("cds_config", &out.clusters), std::pair("lds_config", &out.listeners)})
      if (*source && (*source)->from == DiscoverySource::From::kAds && !dynamic.has_ads_config() && !ads_by_options)
        at.at("dynamic_resources").at(field).refuse("ads: {{}} needs dynamic_resources.ads_config");
    return out;
  } catch (Refused& refused) {
    return std::unexpected(std::move(refused.error));
  }
}

io::Address compile_socket_address(const CompileContext& at, const envoy::config::core::v3::SocketAddress& from) {
  if (from.protocol() != envoy::config::core::v3::SocketAddress::TCP) at.at("protocol").refuse("only TCP is taken");
  if (from.port_specifier_case() == envoy::config::core::v3::SocketAddress::kNamedPort) at.at("named_port").refuse("named ports are not taken; give port_value");
  auto address = io::Address::parse_ip(from.address(), static_cast<uint16_t>(from.port_value()));
  if (!address) at.at("address").refuse("\"{}\" is not an IP address", from.address());
  return *address;
}

io::Address compile_address(const CompileContext& at, const envoy::config::core::v3::Address& from) {
  using A = envoy::config::core::v3::Address;
  switch (from.address_case()) {
    case A::kSocketAddress:
      return compile_socket_address(at.at("socket_address"), from.socket_address());
    case A::kPipe:
      return io::Address::unix_path(from.pipe().path());
    case A::kEnvoyInternalAddress:
      at.at("envoy_internal_address").refuse("internal listeners are not taken");
    case A::ADDRESS_NOT_SET:
      break;
  }
  at.refuse("an address is required");
}

std::shared_ptr<const Regex> compile_regex(const CompileContext& at, const envoy::type::matcher::v3::RegexMatcher& from) {
  std::string error;
  auto regex = Regex::compile(from.regex(), &error);
  if (!regex) at.at("regex").refuse("\"{}\" is not an RE2 expression: {}", from.regex(), error);
  return regex;
}

StringMatcher compile_string(const CompileContext& at, const envoy::type::matcher::v3::StringMatcher& from) {
  using M = envoy::type::matcher::v3::StringMatcher;
  StringMatcher m;
  m.ignore_case = from.ignore_case();
  switch (from.match_pattern_case()) {
    case M::kExact:
      m.kind = StringMatcher::Kind::kExact;
      m.text = from.exact();
      break;
    case M::kPrefix:
      m.kind = StringMatcher::Kind::kPrefix;
      m.text = from.prefix();
      break;
    case M::kSuffix:
      m.kind = StringMatcher::Kind::kSuffix;
      m.text = from.suffix();
      break;
    case M::kContains:
      m.kind = StringMatcher::Kind::kContains;
      m.text = from.contains();
      break;
    case M::kSafeRegex:
      m.kind = StringMatcher::Kind::kRegex;
      m.regex = compile_regex(at.at("safe_regex"), from.safe_regex());
      break;
    default:
      at.refuse("a pattern is required: exact, prefix, suffix, contains or safe_regex");
  }
  return m;
}

HeaderMatcher compile_header(const CompileContext& at, const envoy::config::route::v3::HeaderMatcher& from) {
  using M = envoy::config::route::v3::HeaderMatcher;
  HeaderMatcher m;
  m.name = base::to_lower(from.name());
  if (m.name.empty()) at.at("name").refuse("a header name is required");
  m.invert = from.invert_match();
  m.missing_as_empty = from.treat_missing_header_as_empty();
  auto text = [&](StringMatcher::Kind kind, const std::string& value) {
    m.kind = HeaderMatcher::Kind::kString;
    m.string.kind = kind;
    m.string.text = value;
  };
  switch (from.header_match_specifier_case()) {
    case M::kExactMatch:
      text(StringMatcher::Kind::kExact, from.exact_match());
      break;
    case M::kPrefixMatch:
      text(StringMatcher::Kind::kPrefix, from.prefix_match());
      break;
    case M::kSuffixMatch:
      text(StringMatcher::Kind::kSuffix, from.suffix_match());
      break;
    case M::kContainsMatch:
      text(StringMatcher::Kind::kContains, from.contains_match());
      break;
    case M::kSafeRegexMatch:
      text(StringMatcher::Kind::kRegex, "");
      m.string.regex = compile_regex(at.at("safe_regex_match"), from.safe_regex_match());
      break;
    case M::kStringMatch:
      m.kind = HeaderMatcher::Kind::kString;
      m.string = compile_string(at.at("string_match"), from.string_match());
      break;
    case M::kRangeMatch:
      m.kind = HeaderMatcher::Kind::kRange;
      m.range_start = from.range_match().start();
      m.range_end = from.range_match().end();
      break;
    case M::kPresentMatch:
      m.present = from.present_match();
      break;
    case M::HEADER_MATCH_SPECIFIER_NOT_SET:
      break;
  }
  return m;
}

Fraction compile_fraction(const envoy::type::v3::FractionalPercent& from) {
  uint64_t scale = from.denominator() == envoy::type::v3::FractionalPercent::HUNDRED ? 10'000
                   : from.denominator() == envoy::type::v3::FractionalPercent::TEN_THOUSAND ? 100
                                                                                            : 1;
  return {static_cast<uint32_t>(std::min<uint64_t>(from.numerator() * scale, 1'000'000))};
}

base::Result<std::string> read_source(const envoy::config::core::v3::DataSource& from) {
  using D = envoy::config::core::v3::DataSource;
  switch (from.specifier_case()) {
    case D::kInlineString:
      return from.inline_string();
    case D::kInlineBytes:
      return from.inline_bytes();
    case D::kEnvironmentVariable:
      if (const char* value = std::getenv(from.environment_variable().c_str())) return value;
      return std::unexpected(base::Error{base::Code::kInvalidArgument, fmt::format("the environment variable {} is not set", from.environment_variable()), "environment_variable"});
    case D::kFilename:
      if (auto text = base::read_file(from.filename())) return text;
      else return std::unexpected(base::Error{base::Code::kFailedPrecondition, fmt::format("{} can not be read ({})", from.filename(), text.error().message.substr(text.error().message.rfind(": ") + 2)), "filename"});
    case D::SPECIFIER_NOT_SET:
      break;
  }
  return std::string();
}

std::string data_source(const CompileContext& at, const envoy::config::core::v3::DataSource& from) {
  auto text = read_source(from);
  if (!text) throw Refused{{text.error().code, text.error().message, at.at(text.error().where).path}};
  return std::move(*text);
}

DiscoverySource discovery_source(const CompileContext& at, const envoy::config::core::v3::ConfigSource& from, bool secrets) {
  using C = envoy::config::core::v3::ConfigSource;
  using A = envoy::config::core::v3::ApiConfigSource;
  DiscoverySource source;
  if (from.has_initial_fetch_timeout()) source.initial_fetch = nanos(from.initial_fetch_timeout());
  switch (from.config_source_specifier_case()) {
    case C::kAds:
    case C::kSelf:
      break;
    case C::kPath:
    case C::kPathConfigSource:
      source.from = DiscoverySource::From::kFile;
      source.where = from.has_path_config_source() ? from.path_config_source().path() : from.path();
      if (source.where.empty()) at.at("path_config_source.path").refuse("a path is required");
      break;
    case C::kApiConfigSource: {
      const auto& api = from.api_config_source();
      CompileContext in = at.at("api_config_source");
      source.from = DiscoverySource::From::kCluster;
      source.delta = api.api_type() == A::DELTA_GRPC || api.api_type() == A::AGGREGATED_DELTA_GRPC;
      source.aggregated = api.api_type() == A::AGGREGATED_GRPC || api.api_type() == A::AGGREGATED_DELTA_GRPC;
      if (source.aggregated && !secrets) in.at("api_type").refuse("GRPC or DELTA_GRPC is taken; what comes by the aggregated stream has ads: {{}}");
      if (!source.delta && !source.aggregated && api.api_type() != A::GRPC) in.at("api_type").refuse("{} is not spoken; GRPC or DELTA_GRPC is taken", A::ApiType_Name(api.api_type()));
      if (api.grpc_services_size() == 0 || !api.grpc_services(0).has_envoy_grpc()) in.at("grpc_services").refuse("one with envoy_grpc is required");
      source.where = api.grpc_services(0).envoy_grpc().cluster_name();
      if (!secrets && !at.compiler.grpc_clusters.contains(source.where))
        in.at("grpc_services[0].envoy_grpc.cluster_name").refuse("no static cluster with an endpoint is called \"{}\"", source.where);
      discovery_in_plain_text(in.at("grpc_services[0].envoy_grpc.cluster_name"), source.where);
      break;
    }
    default:
      at.refuse("one of ads, api_config_source and path_config_source is required");
  }
  return source;
}

LogFormat compile_format(const CompileContext& at, const std::string& text) {
  auto format = LogFormat::parse(text);
  if (!format) at.refuse("{}", format.error().message);
  for (const std::string& command : format->unfilled()) at.warn(fmt::format("access log command %{}%", command));
  return std::move(*format);
}

static base::Value to_value(const google::protobuf::Value& from) {
  using V = google::protobuf::Value;
  switch (from.kind_case()) {
    case V::kBoolValue:
      return from.bool_value();
    case V::kNumberValue:
      return from.number_value();
    case V::kStringValue:
      return from.string_value();
    case V::kStructValue:
      return struct_to_value(from.struct_value());
    case V::kListValue: {
      base::Value out = base::Value::array();
      for (const auto& item : from.list_value().values()) out.push(to_value(item));
      return out;
    }
    default:
      return {};
  }
}

base::Value struct_to_value(const google::protobuf::Struct& from) {
  std::map<std::string, const google::protobuf::Value*> sorted;
  for (const auto& [key, value] : from.fields()) sorted[key] = &value;
  base::Value out = base::Value::object();
  for (const auto& [key, value] : sorted) out.set(key, to_value(*value));
  return out;
}

}  // namespace fairlead::proxy
