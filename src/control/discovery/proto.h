// Small helpers around protobuf messages. Internal to discovery/; include only in sources.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <string>

#include "base/time.h"
#include "base/value.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "xds/server.h"

namespace fairlead::control {

// Deterministic: equal messages give equal bytes, also with maps inside.
std::string serialize(const google::protobuf::Message& message);
void pack(google::protobuf::Any* any, const google::protobuf::Message& message);
void set_duration(google::protobuf::Duration* out, base::Nanos duration);
// From "1s"; false when it is no duration.
bool set_duration(google::protobuf::Duration* out, const base::Value& text);
void set_address(envoy::config::core::v3::Address* out, const std::string& ip, int port);
// Istio still sends max_grpc_timeout: its successor, max_stream_duration, counts the whole stream.
template <class RouteAction>
google::protobuf::Duration* max_grpc_timeout(RouteAction& action) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return action.mutable_max_grpc_timeout();
#pragma GCC diagnostic pop
}
void set_ads(envoy::config::core::v3::ConfigSource* out);
// filter_metadata.istio.config
void set_config_metadata(envoy::config::core::v3::Metadata* out, const std::string& path);
void add_resource(xds::ResourceMap& out, const std::string& name, const google::protobuf::Message& message);

}  // namespace fairlead::control
