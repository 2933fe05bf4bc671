// Helpers of the compile_*.cc files. Not for others: this header pulls in protobuf and uses an exception inside the
// folder, caught by the public functions of Compiler.
#pragma once

// Deprecated fields are still sent by control planes, so they are read here.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message_lite.h>
#include <google/protobuf/wrappers.pb.h>

#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/proxy_protocol.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "proxy/config/compile.h"

namespace envoy::config::core::v3 {
class Http2ProtocolOptions;
}

namespace fairlead::proxy {

struct Refused {
  base::Error error;
};

// Where we are in the resource; copies are cheap enough for configuration.
struct CompileContext {
  Compiler& compiler;
  ClusterNames& names;
  std::string path;

  explicit CompileContext(Compiler& c, std::string root = {}) : compiler(c), names(c.names_), path(std::move(root)) {}
  CompileContext at(std::string_view field) const {
    CompileContext c = *this;
    c.path += c.path.empty() ? std::string(field) : "." + std::string(field);
    return c;
  }
  CompileContext at(std::string_view field, int index) const { return at(fmt::format("{}[{}]", field, index)); }
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    throw Refused{{base::Code::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...), path}};
  }
  void warn(std::string_view field) const { compiler.warn(std::string(field)); }
  // Refuses or reports what is set in `from` and not acted on (fields.h).
  void check(const google::protobuf::MessageLite& from) const;
};

// Is<T> and UnpackTo<T> go by the type's name and do not touch descriptors (building them costs megabytes).
template <class T>
bool any_is(const google::protobuf::Any& any) {
  return any.Is<T>();
}
template <class T>
T unpack(const CompileContext& at, const google::protobuf::Any& any) {
  T out;
  if (!any_is<T>(any)) at.refuse("type {} is not taken here", any.type_url());
  if (!out.ParseFromString(any.value())) at.refuse("the bytes are not a {}", any.type_url());
  return out;
}
inline std::string_view short_type(const google::protobuf::Any& any) {
  std::string_view url = any.type_url();
  return url.substr(url.rfind('/') + 1);
}

// Refuses what is negative or beyond Envoy's bound (error_of() finds the path). More than ten years are ten years, so that what is
// reckoned with them does not overflow.
Nanos nanos(const google::protobuf::Duration& d);
// What a public function of the compiler tells of a refusal while `from` was read.
base::Error error_of(Refused& refused, const google::protobuf::MessageLite& from);

// Refuses what is beyond 65535, at `field`.
uint16_t compile_port(const CompileContext& at, std::string_view field, uint32_t port);
io::Address compile_address(const CompileContext& at, const envoy::config::core::v3::Address& from);
io::Address compile_socket_address(const CompileContext& at, const envoy::config::core::v3::SocketAddress& from);
std::shared_ptr<const Regex> compile_regex(const CompileContext& at, const envoy::type::matcher::v3::RegexMatcher& from);
StringMatcher compile_string(const CompileContext& at, const envoy::type::matcher::v3::StringMatcher& from);
HeaderMatcher compile_header(const CompileContext& at, const envoy::config::route::v3::HeaderMatcher& from);
// connection_keepalive; off when it is not there.
http::H2KeepAliveOptions compile_keep_alive(const CompileContext& at, const envoy::config::core::v3::Http2ProtocolOptions& from);
// pass_through_tlvs: what of the client's own TLVs.
ProxyHeaderConfig compile_proxy_header(const CompileContext& at, int version, const envoy::config::core::v3::ProxyProtocolPassThroughTLVs& tlvs);
int proxy_version(const envoy::config::core::v3::ProxyProtocolConfig& from);
QueryMatcher compile_query(const CompileContext& at, const envoy::config::route::v3::QueryParameterMatcher& from);
Fraction compile_fraction(const envoy::type::v3::FractionalPercent& from);
// Errors name the field in `where`.
base::Result<std::string> read_source(const envoy::config::core::v3::DataSource& from);
std::string data_source(const CompileContext& at, const envoy::config::core::v3::DataSource& from);
// Secrets may come from servers of which nothing is known yet, by aggregated streams too; a server of other resources has to
// be a static cluster.
DiscoverySource discovery_source(const CompileContext& at, const envoy::config::core::v3::ConfigSource& from, bool secrets = false);
// Serialized; nullptr when there is none.
std::shared_ptr<const std::string> compile_metadata(const envoy::config::core::v3::Metadata& from);
LogFormat compile_format(const CompileContext& at, const std::string& text);
base::Value struct_to_value(const google::protobuf::Struct& from);

}  // namespace fairlead::proxy
