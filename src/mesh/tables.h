// Tables: the notation in which kinds are described. Internal to mesh/.
//
//   type NAME [open]  # doc                 open: other members are kept as they are
//     field  type flags # doc               #! sentence: deprecated; the sentence is the warning
//
// Types:  string bool int32 int64 uint32 double int-or-string quantity duration time microtime bytes any,
//         enum(A|B), []T (list), {}T (map of string to T), or the NAME of a type of the same file or of any other.
// Flags:  !            required
//         ?            null is kept
//         =JSON        default (no blanks)
//         merge[=key]  strategic merge patch merges the list, by that key (Kubernetes' patchMergeKey)
//         retain       patch strategy retainKeys
//         map=k1,k2    x-kubernetes-list-type map with these keys;  set: list type set
//         oneof=G      at most one member of group G may be set
//         inert        accepted and kept, not acted on yet
#pragma once

#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/kinds.h"

namespace fairlead::mesh {

extern const char* const kMetaTables;
extern const char* const kPodTables;
extern const char* const kVolumeTables;
extern const char* const kCoreTables;
extern const char* const kDiscoveryTables;
extern const char* const kNetworkingTables;
extern const char* const kPolicyTables;
extern const char* const kFlowTables;

// All schemas, compiled. Owns everything that Schema and Field point to, save the text itself.
class SchemaSet {
 public:
  // Adds the types of one text. A name is looked up among its own text's types first, then in the others in order.
  void add(const char* text);
  // Resolves references; call once after the last add. Returns the mistakes in the tables (a test wants none).
  std::vector<std::string> resolve();
  const Schema* find(std::string_view name) const;                         // the first text that has it
  const Schema* find(std::string_view name, size_t text) const;            // as seen from that text
  size_t texts() const { return texts_.size(); }
  const std::deque<Schema>& schemas() const { return schemas_; }
  // The index of the text that a schema came from (0 is kMetaTables).
  size_t text_of(const Schema* schema) const;

 private:
  struct Text {
    std::map<std::string_view, Schema*> types;
  };
  void parse_field(std::string_view line, size_t text);
  void parse_type(std::string_view type, Field& field, size_t text);
  void finish_type();

  std::vector<Text> texts_;
  std::deque<Schema> schemas_;
  std::map<const Schema*, size_t> origin_;
  std::deque<std::vector<Field>> field_lists_;
  std::deque<Field> elements_;
  std::deque<std::vector<std::string_view>> word_lists_;
  struct Reference {
    Field* field;
    std::string_view name;
    size_t text;
  };
  struct Open {                       // the type being read
    Schema* schema = nullptr;
    std::vector<Field> fields;
    std::vector<std::pair<size_t, std::string_view>> references;  // field index -> type name
  } open_;
  std::vector<Reference> references_;
  std::vector<std::string> mistakes_;
};

const SchemaSet& schema_set();

// columns.cc: the columns of `kubectl get` for a built-in kind; empty when it has none but Name and Age.
std::span<const Column> columns_of(std::string_view group, std::string_view kind);

}  // namespace fairlead::mesh
