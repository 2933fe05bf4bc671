#include "proxy/filters/registry.h"

#include <google/protobuf/struct.pb.h>

#include "xds/struct_value.h"
#include "xds/wire.h"

namespace fairlead::proxy {
namespace {

constexpr const FilterType* kTypes[] = {
    &kFaultFilter,
    &kCorsFilter,
    &kCompressorFilter,
    &kHeaderMutationFilter,
    &kHealthCheckFilter,
    &kLocalRateLimitFilter,
    &kGrpcWebFilter,
    &kGrpcStatsFilter,
    &kPeerMetadataFilter,
    &kIstioStatsFilter,
    &kFlowFilter,
};

}  // namespace

FilterSource::FilterSource(std::string filter_name, const google::protobuf::Any& from) : name(std::move(filter_name)), type(short_type(from)), any(&from) {
  if (type != "udpa.type.v1.TypedStruct" && type != "xds.type.v3.TypedStruct") return;
  // type_url = 1, value = 2 (a Struct). The views are of the resource, which outlives its compilation.
  for (xds::WireReader wire(from.value()); wire.next();) {
    if (wire.field() == 1) type = wire.bytes().substr(wire.bytes().rfind('/') + 1);
    google::protobuf::Struct value;
    if (wire.field() == 2 && value.ParseFromArray(wire.bytes().data(), static_cast<int>(wire.bytes().size()))) fields = xds::to_value(value);
  }
  if (fields.is_null()) fields = base::Value::object();
}

const FilterType* find_filter(const FilterSource& source) {
  for (const FilterType* t : kTypes)
    if (source.type.empty() ? t->name == source.name : t->type == source.type) return t;
  return nullptr;
}

const FilterType* find_route_filter(const FilterSource& source) {
  for (const FilterType* t : kTypes)
    if (t->compile_route && t->route_type == source.type) return t;
  return nullptr;
}

}  // namespace fairlead::proxy
