#include "control/discovery/proto.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <fmt/format.h>

namespace fairlead::control {

std::string serialize(const google::protobuf::Message& message) {
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return out;
}

void pack(google::protobuf::Any* any, const google::protobuf::Message& message) {
  any->set_type_url("type.googleapis.com/" + message.GetTypeName());
  any->set_value(serialize(message));
}

void set_duration(google::protobuf::Duration* out, base::Nanos duration) {
  out->set_seconds(duration.count() / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
}

bool set_duration(google::protobuf::Duration* out, const base::Value& text) {
  auto duration = base::parse_duration(text.as_string());
  if (duration) set_duration(out, *duration);
  return duration.has_value();
}

void set_address(envoy::config::core::v3::Address* out, const std::string& ip, int port) {
  if (ip.starts_with("unix://")) {
    out->mutable_pipe()->set_path(ip.substr(7));
    return;
  }
  out->mutable_socket_address()->set_address(ip);
  out->mutable_socket_address()->set_port_value(static_cast<uint32_t>(port));
}

void set_ads(envoy::config::core::v3::ConfigSource* out) {
  out->mutable_ads();
  out->mutable_initial_fetch_timeout();  // 0: wait for the control plane rather than start half configured
  out->set_resource_api_version(envoy::config::core::v3::V3);
}

void set_config_metadata(envoy::config::core::v3::Metadata* out, const std::string& path) {
  (*(*out->mutable_filter_metadata())["istio"].mutable_fields())["config"].set_string_value(path);
}

void add_resource(xds::ResourceMap& out, const std::string& name, const google::protobuf::Message& message) {
  auto bytes = std::make_shared<const std::string>(serialize(message));
  // FNV-1a and a second mix: the version only has to differ when the content does.
  uint64_t a = 0xcbf29ce484222325u, b = 0x9ae16a3b2f90404fu;
  for (unsigned char c : *bytes) {
    a = (a ^ c) * 0x100000001b3u;
    b = (b + c) * 0xff51afd7ed558ccdu;
    b ^= b >> 29;
  }
  out.insert_or_assign(name, xds::Resource{bytes, fmt::format("{:016x}{:08x}", a, static_cast<uint32_t>(b >> 16))});
}

}  // namespace fairlead::control
