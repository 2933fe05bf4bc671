// METADATA, CLUSTER_METADATA, UPSTREAM_METADATA: what was configured beside routes, clusters and endpoints.
#include "base/strings.h"
#include "base/value.h"
#include "envoy/config/core/v3/base.pb.h"
#include "proxy/log/access_log_command.h"
#include "proxy/stream_info.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {

bool metadata_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number) {
  const std::string* bytes = piece.option == kMetadataCluster ? info.cluster_metadata.get()
                             : piece.option == kMetadataHost  ? info.host_metadata.get()
                             : piece.option == kMetadataRoute ? info.route_metadata
                                                              : info.virtual_host_metadata;
  envoy::config::core::v3::Metadata metadata;
  if (!bytes || !metadata.ParseFromString(*bytes)) return false;
  auto path = base::split(piece.text, ':');  // namespace, keys
  auto space = metadata.filter_metadata().find(std::string(path[0]));
  if (space == metadata.filter_metadata().end()) return false;
  google::protobuf::Value whole;
  *whole.mutable_struct_value() = space->second;
  const google::protobuf::Value* at = &whole;
  for (size_t i = 1; i < path.size(); ++i) {
    if (!at->has_struct_value()) return false;
    auto next = at->struct_value().fields().find(std::string(path[i]));
    if (next == at->struct_value().fields().end()) return false;
    at = &next->second;
  }
  if (at->kind_case() == google::protobuf::Value::kStringValue) return put_text(at->string_value(), out);
  number = true;  // JSON as it stands
  out += xds::to_value(*at).dump(0, true);
  return true;
}

}  // namespace fairlead::proxy
