// Which fields of the xDS messages are implemented, and what happens to the others: they are refused where going on
// without them would change traffic or security, and reported otherwise. Nothing is dropped silently.
//
// The tables are text, one block for each message type, one row for each field, in fields_*.cc:
//
//   envoy.config.cluster.v3.Cluster
//     1 name yes                                     acted on
//     3 filters[] yes > envoy...Filter               a list
//     10 circuit_breakers yes > envoy...CircuitBreakers   acted on; its fields stand in the block of that type
//     36 typed_extension_protocol_options yes map> any    a map with such values; `any` is looked into by its type
//     2 listeners[] yes > *                           acted on as a whole, looked into elsewhere
//     8 health_checks warn REASON                    ignored and reported (log, warnings(), config.unsupported_fields)
//     5 decorator note REASON                        the same, but no warning in the log: no request goes otherwise for it
//     14 http_header_name refuse REASON              the resource is refused with the field's path
//     27 internal_listener refuse {} REASON          the same, also when the message is there but empty
//
// Without {}, an empty message or a wrapper of false or 0 counts as not set. A test compares the tables with the
// descriptors, so that a field that a newer API adds must get its row. The walk goes over the bytes: descriptors, which
// cost megabytes, are not touched.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::proxy {

enum class Support : uint8_t { kYes, kNote, kWarn, kRefuse };

struct FieldRow {
  uint32_t number = 0;
  std::string_view name;
  Support support = Support::kYes;
  bool empty_counts = false;
  bool list = false, map = false;
  std::string_view inside;   // message type, "any", "*" or ""
  std::string_view reason;
};

struct MessageFields {
  std::string_view type;
  std::vector<FieldRow> rows;  // by number
};

// All tables, by type.
const std::vector<MessageFields>& field_tables();
// nullptr when there is no table.
const MessageFields* find_fields(std::string_view type);

struct FieldProblem {
  std::string path;            // "filter_chains[0].filters[1].typed_config.tracing"
  Support support = Support::kWarn;
  std::string_view reason;
};
// Calls for every field that is set and not acted on, in the order of the bytes. `bytes`: the message, serialized.
void check_fields(std::string_view type, std::string_view bytes, const std::function<void(const FieldProblem&)>& report);

// The text, one for each fields_*.cc.
extern const std::string_view kBootstrapFields, kClusterFields, kCommonFields, kFlowFields, kHttpFields, kListenerFields, kRouteFields, kTlsFields;

}  // namespace fairlead::proxy
