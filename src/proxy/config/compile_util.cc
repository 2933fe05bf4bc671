#include "proxy/config/compile_util.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/value.h"
#include "envoy/config/core/v3/protocol.pb.h"
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

// The gRPC server that an ApiConfigSource names. known: it has to be a static cluster.
static void grpc_server(const CompileContext& in, const envoy::config::core::v3::ApiConfigSource& api, bool known, DiscoverySource& source) {
  using A = envoy::config::core::v3::ApiConfigSource;
  source.from = DiscoverySource::From::kCluster;
  source.delta = api.api_type() == A::DELTA_GRPC || api.api_type() == A::AGGREGATED_DELTA_GRPC;
  if (api.grpc_services_size() == 0 || !api.grpc_services(0).has_envoy_grpc()) in.at("grpc_services").refuse("one with envoy_grpc is required");
  const auto& service = api.grpc_services(0);
  source.where = service.envoy_grpc().cluster_name();
  source.authority = service.envoy_grpc().authority();
  for (const auto& h : service.initial_metadata()) source.metadata.emplace_back(base::to_lower(h.key()), h.value());
  if (known && !in.compiler.grpc_clusters.contains(source.where))
    in.at("grpc_services[0].envoy_grpc.cluster_name").refuse("no static cluster with an endpoint is called \"{}\"", source.where);
}

namespace {

constexpr int64_t kMostSeconds = 9'223'372'035;  // nanoseconds in 64 bits, less a second

bool good(const google::protobuf::Duration& d) { return d.seconds() >= 0 && d.seconds() <= kMostSeconds && d.nanos() >= 0 && d.nanos() < 1'000'000'000; }

// The path of the first Duration that is not good, Any looked into; "" when there is none. By descriptors, which cost megabytes:
// only for a resource that was refused.
std::string find_duration(const google::protobuf::Message& m, const std::string& path) {
  using Field = google::protobuf::FieldDescriptor;
  if (const auto* d = dynamic_cast<const google::protobuf::Duration*>(&m)) return good(*d) ? std::string() : path;
  if (const auto* any = dynamic_cast<const google::protobuf::Any*>(&m)) {
    const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(short_type(*any)));
    if (!type) return {};
    std::unique_ptr<google::protobuf::Message> inner(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    return inner->ParseFromString(any->value()) ? find_duration(*inner, path) : std::string();
  }
  const auto* r = m.GetReflection();
  std::vector<const Field*> fields;
  r->ListFields(m, &fields);
  for (const Field* f : fields) {
    if (f->cpp_type() != Field::CPPTYPE_MESSAGE) continue;
    std::string here = path.empty() ? f->name() : path + "." + f->name();
    if (!f->is_repeated()) {
      if (auto found = find_duration(r->GetMessage(m, f), here); !found.empty()) return found;
      continue;
    }
    for (int i = 0; i < r->FieldSize(m, f); ++i)
      if (auto found = find_duration(r->GetRepeatedMessage(m, f, i), fmt::format("{}[{}]", here, i)); !found.empty()) return found;
  }
  return {};
}

}  // namespace

Nanos nanos(const google::protobuf::Duration& d) {
  if (!good(d)) throw Refused{{base::Code::kInvalidArgument, fmt::format("a duration of {} s and {} ns is not taken; give one from 0s to {}s", d.seconds(), d.nanos(), kMostSeconds), {}}};
  constexpr int64_t kTenYears = 10LL * 365 * 24 * 3600;
  if (d.seconds() >= kTenYears) return std::chrono::seconds(kTenYears);
  return std::chrono::seconds(d.seconds()) + Nanos(d.nanos());
}

base::Error error_of(Refused& refused, const google::protobuf::MessageLite& from) {
  if (const auto* message = dynamic_cast<const google::protobuf::Message*>(&from); message && refused.error.where.empty() && refused.error.message.starts_with("a duration of "))
    refused.error.where = find_duration(*message, {});
  return std::move(refused.error);
}

base::Result<DynamicSources> Compiler::bootstrap(const envoy::config::bootstrap::v3::Bootstrap& from) {
  // Their endpoints have to be in the bootstrap: what discovery needs can not be discovered by it.
  for (const auto& c : from.static_resources().clusters()) {
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
    // Read elsewhere, by those who don't refuse.
    if (from.overload_manager().has_refresh_interval()) (void)nanos(from.overload_manager().refresh_interval());
    for (const auto* dog : {&from.watchdogs().main_thread_watchdog(), &from.watchdogs().worker_watchdog()})
      for (const auto* limit : {&dog->miss_timeout(), &dog->megamiss_timeout(), &dog->kill_timeout()}) (void)nanos(*limit);
    DynamicSources out;
    const auto& dynamic = from.dynamic_resources();
    if (dynamic.has_ads_config() && !ads_by_options) {
      using A = envoy::config::core::v3::ApiConfigSource;
      CompileContext ads = at.at("dynamic_resources.ads_config");
      if (dynamic.ads_config().api_type() != A::GRPC && dynamic.ads_config().api_type() != A::DELTA_GRPC) ads.at("api_type").refuse("GRPC or DELTA_GRPC is taken");
      grpc_server(ads, dynamic.ads_config(), true, out.ads.emplace());
    }
    if (dynamic.has_cds_config()) out.clusters = discovery_source(at.at("dynamic_resources.cds_config"), dynamic.cds_config());
    if (dynamic.has_lds_config()) out.listeners = discovery_source(at.at("dynamic_resources.lds_config"), dynamic.lds_config());
    for (const auto& [field, source] : {std::pair("cds_config", &out.clusters), std::pair("lds_config", &out.listeners)})
      if (*source && (*source)->from == DiscoverySource::From::kAds && !dynamic.has_ads_config() && !ads_by_options)
        at.at("dynamic_resources").at(field).refuse("ads: {{}} needs dynamic_resources.ads_config");
    return out;
  } catch (Refused& refused) {
    return std::unexpected(error_of(refused, from));
  }
}

uint16_t compile_port(const CompileContext& at, std::string_view field, uint32_t port) {
  if (port > 65535) at.at(field).refuse("{} is not a port, which is 65535 at most", port);
  return static_cast<uint16_t>(port);
}

io::Address compile_socket_address(const CompileContext& at, const envoy::config::core::v3::SocketAddress& from) {
  if (from.protocol() != envoy::config::core::v3::SocketAddress::TCP) at.at("protocol").refuse("only TCP is taken");
  if (from.port_specifier_case() == envoy::config::core::v3::SocketAddress::kNamedPort) at.at("named_port").refuse("named ports are not taken; give port_value");
  auto address = io::Address::parse_ip(from.address(), compile_port(at, "port_value", from.port_value()));
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

int proxy_version(const envoy::config::core::v3::ProxyProtocolConfig& from) { return from.version() == envoy::config::core::v3::ProxyProtocolConfig::V2 ? 2 : 1; }

http::H2KeepAliveOptions compile_keep_alive(const CompileContext& outer, const envoy::config::core::v3::Http2ProtocolOptions& o) {
  http::H2KeepAliveOptions to;
  if (!o.has_connection_keepalive()) return to;
  const auto& from = o.connection_keepalive();
  CompileContext at = outer.at("connection_keepalive");
  auto read = [&](std::string_view field, bool has, const google::protobuf::Duration& value, bool required) {
    Nanos n = nanos(value);
    if ((has || required) && n < std::chrono::milliseconds(1)) at.at(field).refuse("1ms or more is required");
    return n;
  };
  to.interval = read("interval", from.has_interval(), from.interval(), false);
  to.timeout = read("timeout", from.has_timeout(), from.timeout(), true);
  to.idle = read("connection_idle_interval", from.has_connection_idle_interval(), from.connection_idle_interval(), false);
  if (from.has_interval_jitter()) to.jitter_percent = from.interval_jitter().value();
  if (!(to.jitter_percent >= 0 && to.jitter_percent <= 100)) at.at("interval_jitter").refuse("{} is not a percentage from 0 to 100", to.jitter_percent);
  return to;
}

ProxyHeaderConfig compile_proxy_header(const CompileContext& at, int version, const envoy::config::core::v3::ProxyProtocolPassThroughTLVs& tlvs) {
  ProxyHeaderConfig out;
  out.version = version;
  out.all_tlvs = tlvs.match_type() == envoy::config::core::v3::ProxyProtocolPassThroughTLVs::INCLUDE_ALL;
  for (int i = 0; i < tlvs.tlv_type_size(); ++i) {
    if (tlvs.tlv_type(i) > 255) at.at("pass_through_tlvs").at("tlv_type", i).refuse("{} is more than 255", tlvs.tlv_type(i));
    out.tlvs.push_back(static_cast<uint8_t>(tlvs.tlv_type(i)));
  }
  return out;
}

QueryMatcher compile_query(const CompileContext& at, const envoy::config::route::v3::QueryParameterMatcher& from) {
  QueryMatcher m;
  m.name = from.name();
  if (from.has_string_match()) m.string = compile_string(at.at("string_match"), from.string_match());
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
      source.aggregated = api.api_type() == A::AGGREGATED_GRPC || api.api_type() == A::AGGREGATED_DELTA_GRPC;
      if (source.aggregated && !secrets) in.at("api_type").refuse("GRPC or DELTA_GRPC is taken; what comes by the aggregated stream has ads: {{}}");
      if (!source.aggregated && api.api_type() != A::GRPC && api.api_type() != A::DELTA_GRPC) in.at("api_type").refuse("{} is not spoken; GRPC or DELTA_GRPC is taken", A::ApiType_Name(api.api_type()));
      grpc_server(in, api, !secrets, source);
      break;
    }
    default:
      at.refuse("one of ads, api_config_source and path_config_source is required");
  }
  return source;
}

std::shared_ptr<const std::string> compile_metadata(const envoy::config::core::v3::Metadata& from) {
  if (from.filter_metadata().empty()) return nullptr;
  return std::make_shared<const std::string>(from.SerializeAsString());
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
