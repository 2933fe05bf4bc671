// The HTTP filters that there are, by the type of their configuration. Main thread; config/ and filters/ only.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/value.h"
#include "proxy/config/compile_util.h"
#include "proxy/filters/filter.h"

namespace fairlead::proxy {

// A filter's configuration as it came: a message in Any, or a TypedStruct (udpa.type.v1, xds.type.v3) taken apart.
struct FilterSource {
  std::string name;
  std::string_view type;          // full name of the message that is meant
  const google::protobuf::Any* any = nullptr;
  base::Value fields;             // of a TypedStruct; else null
  bool outbound = false;          // the listener's traffic direction
  FilterSource(std::string name, const google::protobuf::Any& any);
};

struct FilterType {
  std::string_view name;          // taken by it when there is no configuration
  std::string_view type;          // message of the chain
  std::string_view route_type;    // message of typed_per_filter_config; empty: none
  // nullptr: nothing to do, the chain goes without it.
  std::shared_ptr<Filter> (*compile)(const CompileContext&, const FilterSource&);
  std::shared_ptr<const RouteFilter> (*compile_route)(const CompileContext&, const FilterSource&);
};

// nullptr: not known.
const FilterType* find_filter(const FilterSource& source);
const FilterType* find_route_filter(const FilterSource& source);

// --- one for each file
extern const FilterType kFaultFilter, kCorsFilter, kCompressorFilter, kHeaderMutationFilter, kHealthCheckFilter, kLocalRateLimitFilter;
extern const FilterType kGrpcWebFilter, kGrpcStatsFilter, kPeerMetadataFilter, kIstioStatsFilter, kFlowFilter;

}  // namespace fairlead::proxy
