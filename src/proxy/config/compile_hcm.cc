// The connection manager's fields on whom to trust, how fields are written, and what answers of our own look like.
#include "base/strings.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.pb.h"
#include "envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header.pb.h"
#include "envoy/extensions/http/original_ip_detection/xff/v3/xff.pb.h"
#include "proxy/config/compile_filters.h"

namespace fairlead::proxy {

namespace hcm_v3 = envoy::extensions::filters::network::http_connection_manager::v3;
namespace core_v3 = envoy::config::core::v3;
namespace ext = envoy::extensions::http;

HeaderCase compile_header_case(const CompileContext& at, const core_v3::Http1ProtocolOptions& from) {
  using F = core_v3::Http1ProtocolOptions::HeaderKeyFormat;
  const auto& format = from.header_key_format();
  switch (format.header_format_case()) {
    case F::kProperCaseWords:
      return HeaderCase::kProper;
    case F::kStatefulFormatter: {
      const auto& any = format.stateful_formatter().typed_config();
      if (!any_is<ext::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig>(any))
        at.at("header_key_format.stateful_formatter").refuse("{} is not known; preserve_case is", short_type(any));
      (void)unpack<ext::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig>(at, any);
      return HeaderCase::kPreserve;
    }
    default:
      return HeaderCase::kLower;
  }
}

namespace {

void ip_detection(const CompileContext& parent, const hcm_v3::HttpConnectionManager& from, HttpConfig& c) {
  if (from.original_ip_detection_extensions_size() && c.use_remote_address)
    parent.at("original_ip_detection_extensions").refuse("use_remote_address and extensions contradict each other: set use_remote_address to false");
  for (int i = 0; i < from.original_ip_detection_extensions_size(); ++i) {
    CompileContext at = parent.at("original_ip_detection_extensions", i);
    const auto& any = from.original_ip_detection_extensions(i).typed_config();
    IpDetection d;
    if (any_is<ext::original_ip_detection::xff::v3::XffConfig>(any)) {
      d.hops = unpack<ext::original_ip_detection::xff::v3::XffConfig>(at, any).xff_num_trusted_hops();
    } else if (any_is<ext::original_ip_detection::custom_header::v3::CustomHeaderConfig>(any)) {
      auto custom = unpack<ext::original_ip_detection::custom_header::v3::CustomHeaderConfig>(at, any);
      d.kind = IpDetection::Kind::kHeader;
      d.header = base::to_lower(custom.header_name());
      if (d.header.empty()) at.at("header_name").refuse("a header name is required");
      d.trusted = custom.allow_extension_to_set_address_as_trusted();
      if (custom.has_reject_with_status()) d.reject_status = custom.reject_with_status().code() >= 400 ? static_cast<int>(custom.reject_with_status().code()) : 403;
    } else {
      at.refuse("{} is not known; xff and custom_header are", short_type(any));
    }
    c.ip_detection.push_back(std::move(d));
  }
  if (c.ip_detection.empty() && !c.use_remote_address) c.ip_detection.push_back({.hops = c.xff_trusted_hops});
}

void local_reply(const CompileContext& parent, const hcm_v3::LocalReplyConfig& from, HttpConfig& c) {
  auto reply = std::make_shared<LocalReply>();
  auto format = [](const CompileContext& at, const core_v3::SubstitutionFormatString& f, std::optional<LogFormat>& to, std::string& type) {
    to = compile_substitution(at, f);
    type = !f.content_type().empty() ? f.content_type() : f.has_json_format() ? "application/json" : "text/plain";
  };
  for (int i = 0; i < from.mappers_size(); ++i) {
    CompileContext at = parent.at("mappers", i);
    const auto& m = from.mappers(i);
    LocalReply::Mapper mapper;
    mapper.filter = compile_log_filter(at.at("filter"), m.filter());
    if (m.has_status_code()) {
      if (m.status_code().value() < 200 || m.status_code().value() > 599) at.at("status_code").refuse("{} is not from 200 to 599", m.status_code().value());
      mapper.status = static_cast<int>(m.status_code().value());
    }
    if (m.has_body()) mapper.body = data_source(at.at("body"), m.body());
    if (m.has_body_format_override()) format(at.at("body_format_override"), m.body_format_override(), mapper.format, mapper.content_type);
    compile_header_options(at, "headers_to_add", m.headers_to_add(), mapper.headers.response_add);
    reply->mappers.push_back(std::move(mapper));
  }
  if (from.has_body_format()) format(parent.at("body_format"), from.body_format(), reply->format, reply->content_type);
  c.local_reply = std::move(reply);
}

}  // namespace

void compile_hcm(const CompileContext& at, const hcm_v3::HttpConnectionManager& from, HttpConfig& c) {
  ip_detection(at, from, c);
  if (from.has_internal_address_config()) {
    c.internal_unix = from.internal_address_config().unix_sockets();
    // Said to be there, and no ranges: private addresses and this machine.
    if (from.internal_address_config().cidr_ranges_size() == 0)
      for (auto [ip, bits] : {std::pair("10.0.0.0", 8u), {"172.16.0.0", 12u}, {"192.168.0.0", 16u}, {"127.0.0.1", 32u}, {"fd00::", 8u}, {"::1", 128u}})
        c.internal_ranges.push_back({*io::Address::parse_ip(ip, 0), bits});
    int i = 0;
    for (const auto& range : from.internal_address_config().cidr_ranges())
      c.internal_ranges.push_back(compile_cidr(at.at("internal_address_config.cidr_ranges", i++), range));
  }
  for (int i = 0; i < from.early_header_mutation_extensions_size(); ++i) {
    CompileContext here = at.at("early_header_mutation_extensions", i);
    namespace early = ext::early_header_mutation::header_mutation::v3;
    auto mutations = unpack<early::HeaderMutation>(here, from.early_header_mutation_extensions(i).typed_config());
    for (const auto& m : mutations.mutations()) {
      if (m.has_append()) {
        google::protobuf::RepeatedPtrField<core_v3::HeaderValueOption> one;
        *one.Add() = m.append();
        compile_header_options(here, "mutations", one, c.early.request_add);
      } else {
        c.early.request_remove.push_back(base::to_lower(m.remove()));
      }
    }
  }
  // Ids are UUIDs here; of another kind they would be as unique.
  if (from.has_request_id_extension() && short_type(from.request_id_extension().typed_config()) != "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig")
    at.at("request_id_extension").warn(fmt::format("request_id_extension {}", short_type(from.request_id_extension().typed_config())));
  c.proxy_100_continue = from.proxy_100_continue();
  switch (from.common_http_protocol_options().headers_with_underscores_action()) {
    case core_v3::HttpProtocolOptions::REJECT_REQUEST:
      c.underscores = HttpConfig::Underscores::kReject;
      break;
    case core_v3::HttpProtocolOptions::DROP_HEADER:
      c.underscores = HttpConfig::Underscores::kDrop;
      break;
    default:
      break;
  }
  const auto& h1 = from.http_protocol_options();
  c.http1_trailers = h1.enable_trailers();
  c.header_case = compile_header_case(at.at("http_protocol_options"), h1);
  c.scheme_overwrite = from.scheme_header_transformation().scheme_to_overwrite();
  c.match_upstream_scheme = from.scheme_header_transformation().match_upstream();
  if (from.has_local_reply_config()) local_reply(at.at("local_reply_config"), from.local_reply_config(), c);
}

}  // namespace fairlead::proxy
