#include "proxy/config/rate_limits.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "io/address.h"
#include "proxy/config/compile_filters.h"

namespace fairlead::proxy {
namespace {

namespace route_v3 = envoy::config::route::v3;

// "10.1.0.0/16" of "10.1.2.3:80"; nothing for what is no address of IP.
std::optional<std::string> address_of(std::string_view client, const RateLimitAction& action) {
  auto address = io::Address::parse(client);
  if (!address || !address->is_ip()) return std::nullopt;
  std::string ip = address->ip();
  if (!action.v4_bits) return ip;
  bool v6 = address->family() == AF_INET6;
  unsigned char bytes[16] = {};
  if (inet_pton(address->family(), ip.c_str(), bytes) != 1) return std::nullopt;
  uint32_t bits = v6 ? *action.v6_bits : *action.v4_bits;
  for (uint32_t i = bits; i < (v6 ? 128u : 32u); ++i) bytes[i / 8] &= static_cast<unsigned char>(~(0x80u >> i % 8));
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address->family(), bytes, text, sizeof text);
  return fmt::format("{}/{}", text, bits);
}

// Nothing for actions that are not taken.
std::optional<RateLimitAction> compile_action(const CompileContext& at, const route_v3::RateLimit::Action& from) {
  using A = route_v3::RateLimit::Action;
  using Kind = RateLimitAction::Kind;
  RateLimitAction out;
  auto or_else = [](const std::string& key, std::string_view usual) { return key.empty() ? std::string(usual) : key; };
  switch (from.action_specifier_case()) {
    case A::kSourceCluster:
      out.kind = Kind::kSourceCluster;
      out.key = "source_cluster";
      return out;
    case A::kDestinationCluster:
      out.kind = Kind::kDestinationCluster;
      out.key = "destination_cluster";
      return out;
    case A::kRequestHeaders:
      out.kind = Kind::kHeader;
      out.key = from.request_headers().descriptor_key();
      out.value = base::to_lower(from.request_headers().header_name());
      out.skip_if_absent = from.request_headers().skip_if_absent();
      return out;
    case A::kRemoteAddress:
      out.kind = Kind::kAddress;
      out.key = "remote_address";
      return out;
    case A::kMaskedRemoteAddress: {
      const auto& m = from.masked_remote_address();
      out.kind = Kind::kAddress;
      out.key = "masked_remote_address";
      out.v4_bits = m.has_v4_prefix_mask_len() ? m.v4_prefix_mask_len().value() : 32;
      out.v6_bits = m.has_v6_prefix_mask_len() ? m.v6_prefix_mask_len().value() : 128;
      if (*out.v4_bits > 32 || *out.v6_bits > 128) at.at("masked_remote_address").refuse("a prefix has at most 32 bits, of IPv6 128");
      return out;
    }
    case A::kGenericKey:
      out.key = or_else(from.generic_key().descriptor_key(), "generic_key");
      out.value = from.generic_key().descriptor_value();
      return out;
    case A::kHeaderValueMatch: {
      const auto& m = from.header_value_match();
      out.kind = Kind::kHeaders;
      out.key = or_else(m.descriptor_key(), "header_match");
      out.value = m.descriptor_value();
      out.expected = !m.has_expect_match() || m.expect_match().value();
      for (int i = 0; i < m.headers_size(); ++i) out.headers.push_back(compile_header(at.at("header_value_match").at("headers", i), m.headers(i)));
      return out;
    }
    case A::kQueryParameterValueMatch: {
      const auto& m = from.query_parameter_value_match();
      out.kind = Kind::kQuery;
      out.key = or_else(m.descriptor_key(), "query_match");
      out.value = m.descriptor_value();
      out.expected = !m.has_expect_match() || m.expect_match().value();
      for (int i = 0; i < m.query_parameters_size(); ++i) out.query.push_back(compile_query(at.at("query_parameter_value_match").at("query_parameters", i), m.query_parameters(i)));
      return out;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<RateDescriptor> RateLimitRule::describe(const RequestHeaders& request, std::string_view own_cluster, std::string_view cluster, std::string_view client) const {
  using Kind = RateLimitAction::Kind;
  RateDescriptor out;
  for (const RateLimitAction& a : actions) {
    switch (a.kind) {
      case Kind::kSourceCluster:
        out.emplace_back(a.key, own_cluster);
        break;
      case Kind::kDestinationCluster:
        out.emplace_back(a.key, cluster);
        break;
      case Kind::kHeader: {
        std::string_view value;
        std::string scratch;
        if (request_header(request, a.value, value, scratch)) out.emplace_back(a.key, value);
        else if (!a.skip_if_absent) return std::nullopt;
        break;
      }
      case Kind::kAddress: {
        auto ip = address_of(client, a);
        if (!ip) return std::nullopt;
        out.emplace_back(a.key, std::move(*ip));
        break;
      }
      case Kind::kGeneric:
        out.emplace_back(a.key, a.value);
        break;
      case Kind::kHeaders:
        if (all_match(a.headers, request) != a.expected) return std::nullopt;
        out.emplace_back(a.key, a.value);
        break;
      case Kind::kQuery:
        if (std::ranges::all_of(a.query, [&](const QueryMatcher& m) { return m.matches(request.query()); }) != a.expected) return std::nullopt;
        out.emplace_back(a.key, a.value);
        break;
    }
  }
  if (out.empty()) return std::nullopt;
  return out;
}

std::vector<RateLimitRule> compile_rate_limits(const CompileContext& at, std::string_view field,
                                               const google::protobuf::RepeatedPtrField<route_v3::RateLimit>& from) {
  std::vector<RateLimitRule> out;
  for (int i = 0; i < from.size(); ++i) {
    RateLimitRule rule;
    rule.stage = from[i].stage().value();
    bool whole = true;
    for (int a = 0; a < from[i].actions_size() && whole; ++a) {
      CompileContext here = at.at(field, i).at("actions", a);
      auto action = compile_action(here, from[i].actions(a));
      whole = action.has_value();
      if (action) rule.actions.push_back(std::move(*action));
      else here.warn("rate_limits.actions: descriptors by metadata or extensions are not made");
    }
    if (whole) out.push_back(std::move(rule));
  }
  return out;
}

}  // namespace fairlead::proxy
