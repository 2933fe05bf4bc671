// Kinds: the one description of every Kubernetes and Istio kind that Fairlead knows.
//
// Decoding, defaulting, validation, strategic merge patch, tables, OpenAPI and `kubectl explain` all read these tables.
// The tables are written as text (mesh/tables_*.cc, one line a field) and compiled once, on first use, into the
// immutable structures below, which then live as long as the process. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "base/value.h"

namespace fairlead::mesh {

enum class Type : unsigned char {
  kString,
  kBool,
  kInt32,
  kInt64,
  kUint32,
  kDouble,
  kIntOrString,  // 8080 or "25%" or "http"
  kQuantity,     // "100m", "128Mi", 2
  kDuration,     // Istio: a Go duration of at least 1ms ("10s", "1h5m"); Kubernetes' metav1.Duration
  kTimestamp,    // RFC 3339, seconds
  kMicroTime,    // RFC 3339 with microseconds
  kBytes,        // base64
  kEnum,         // a string out of Field::values
  kObject,       // Field::object
  kArray,        // of Field::element
  kMap,          // string -> Field::element
  kAny,          // any JSON
};

enum class ListType : unsigned char { kAtomic, kSet, kMap };

struct Schema;

struct Field {
  std::string_view name;
  Type type = Type::kAny;
  const Schema* object = nullptr;                // kObject
  const Field* element = nullptr;                // kArray and kMap: what an element is (its name is empty)
  std::span<const std::string_view> values;      // kEnum
  bool required = false;
  bool nullable = false;                         // null is meaningful; elsewhere null means absent, as Kubernetes has it
  std::string_view default_json;                 // "" or the default as JSON text; applied by mesh/defaults.h
  // How a strategic merge patch treats it (patchStrategy, patchMergeKey), and how server-side apply would (x-kubernetes-list-*).
  bool patch_merge = false;                      // lists: merged by patch_key (objects), or as a set (scalars)
  bool retain_keys = false;                      // objects: keys absent from the patch are dropped when it says $retainKeys
  std::string_view patch_key;
  ListType list_type = ListType::kAtomic;
  std::span<const std::string_view> list_keys;   // kMap lists: the keys that identify an element
  std::string_view one_of;                       // name of the group of which at most one member may be set
  std::string_view doc;                          // one line; may be empty
  std::string_view deprecated;                   // not empty: accepted, and this sentence is the warning
  bool inert = false;                            // accepted and kept, but Fairlead does not act on it yet
};

struct Schema {
  std::string_view name;                         // "PodSpec", "networking.VirtualService.HTTPRoute"
  std::string_view doc;
  std::span<const Field> fields;                 // in the order of the tables
  bool open = false;                             // other members are kept as they are (JSON of any shape)
  const Field* find(std::string_view field_name) const;
};

// A column of `kubectl get`.
struct Column {
  std::string_view name;                         // "Ready": kubectl prints it in capitals
  std::string_view type;                         // OpenAPI type: string, integer, date
  std::string_view format;                       // "name" on the first column, else ""
  int priority = 0;                              // over 0: only with -o wide
  std::string_view json_path;                    // ".spec.hosts"; unused with a function
  base::Value (*cell)(const base::Value& object, base::WallTime now) = nullptr;
  std::string_view doc;
};

struct Kind {
  std::string_view group;                        // "" for core
  std::span<const std::string_view> versions;    // served ones; the first is the storage version
  std::string_view kind, list_kind, plural, singular;
  std::span<const std::string_view> short_names, categories;
  bool namespaced = true;
  std::span<const Column> columns;               // the first is Name; Age is among them
  bool has_status = false;                       // subresource /status
  bool has_scale = false;                        // subresource /scale
  bool istio = false;                            // one of Istio's, served from a CustomResourceDefinition
  const Schema* root = nullptr;                  // with apiVersion, kind, metadata
  std::string_view doc;

  // The name the store knows it by: "plural" or "plural.group" (store/store.h).
  std::string_view resource() const { return resource_; }
  bool serves(std::string_view version) const;
  std::string api_version(std::string_view version = "") const;  // "apps/v1", "v1"; "": the storage version

  std::string_view resource_;
};

// nullptr when there is none. Versions have to be served ones.
const Kind* find_kind(std::string_view group, std::string_view version, std::string_view plural);
const Kind* find_kind_by_name(std::string_view api_version, std::string_view kind);
const Kind* find_kind_by_resource(std::string_view store_resource);  // "pods", "virtualservices.networking.istio.io"
const Kind* find_kind_of(const base::Value& object);                 // by its apiVersion and kind
// What a person may type: "vs", "virtualservice", "VirtualServices", "virtualservices.networking.istio.io".
const Kind* find_kind_typed(std::string_view name);
std::span<const Kind> all_kinds();                                   // in the order of `kubectl api-resources` within a group

// A named schema ("ObjectMeta", "DeleteOptions", "Scale"); nullptr when there is none.
const Schema* find_schema(std::string_view name);

// One cell of a server-side Table row: string, integer or null.
base::Value table_cell(const Column& column, const base::Value& object, base::WallTime now);

// "deployments.apps \"x\" ..." : the resource as Kubernetes spells it in messages.
std::string qualified_resource(const Kind& kind);                    // "pods", "deployments.apps"

}  // namespace fairlead::mesh
