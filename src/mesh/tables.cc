#include "mesh/tables.h"

#include <utility>

#include "base/strings.h"

namespace fairlead::mesh {
namespace {

constexpr std::pair<std::string_view, Type> kScalars[] = {
    {"string", Type::kString},     {"bool", Type::kBool},         {"int32", Type::kInt32},
    {"int64", Type::kInt64},       {"uint32", Type::kUint32},     {"double", Type::kDouble},
    {"int-or-string", Type::kIntOrString}, {"quantity", Type::kQuantity}, {"duration", Type::kDuration},
    {"time", Type::kTimestamp},    {"microtime", Type::kMicroTime}, {"bytes", Type::kBytes},
    {"any", Type::kAny},
};

std::string_view next_word(std::string_view& rest) {
  size_t begin = rest.find_first_not_of(' ');
  if (begin == std::string_view::npos) return rest = {};
  rest.remove_prefix(begin);
  size_t end = std::min(rest.find(' '), rest.size());
  std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

}  // namespace


const Schema* SchemaSet::find(std::string_view name) const {
  for (const Text& text : texts_)
    if (auto it = text.types.find(name); it != text.types.end()) return it->second;
  return nullptr;
}

const Schema* SchemaSet::find(std::string_view name, size_t text) const {
  if (auto it = texts_[text].types.find(name); it != texts_[text].types.end()) return it->second;
  return find(name);
}

size_t SchemaSet::text_of(const Schema* schema) const {
  auto it = origin_.find(schema);
  return it == origin_.end() ? 0 : it->second;
}

void SchemaSet::parse_type(std::string_view type, Field& field, size_t text) {
  if (type.starts_with("[]") || type.starts_with("{}")) {
    field.type = type[0] == '[' ? Type::kArray : Type::kMap;
    Field& element = elements_.emplace_back();
    field.element = &element;
    parse_type(type.substr(2), element, text);
    return;
  }
  if (type.starts_with("enum(") && type.ends_with(")")) {
    field.type = Type::kEnum;
    word_lists_.push_back(base::split(type.substr(5, type.size() - 6), '|'));
    field.values = word_lists_.back();
    return;
  }
  for (const auto& [word, scalar] : kScalars) {
    if (word != type) continue;
    field.type = scalar;
    return;
  }
  field.type = Type::kObject;
  // Elements live in a deque and stay where they are; a type's own fields move once more, see finish_type.
  if (!field.name.empty()) {
    open_.references.emplace_back(open_.fields.size() - 1, type);
  } else {
    references_.push_back({&field, type, text});
  }
}

void SchemaSet::parse_field(std::string_view line, size_t text) {
  std::string_view doc;
  if (size_t at = line.find(" #"); at != std::string_view::npos) {
    doc = line.substr(at + 2);
    line = line.substr(0, at);
  }
  Field& field = open_.fields.emplace_back();
  field.name = next_word(line);
  if (doc.starts_with('!')) {
    field.deprecated = base::trim(doc.substr(1));
    field.doc = field.deprecated;
  } else {
    field.doc = base::trim(doc);
  }
  parse_type(next_word(line), field, text);
  for (std::string_view flag = next_word(line); !flag.empty(); flag = next_word(line)) {
    if (flag == "!") {
      field.required = true;
    } else if (flag == "?") {
      field.nullable = true;
    } else if (flag == "merge") {
      field.patch_merge = true;
    } else if (flag == "retain") {
      field.retain_keys = true;
    } else if (flag == "set") {
      field.list_type = ListType::kSet;
    } else if (flag == "inert") {
      field.inert = true;
    } else if (flag.starts_with("merge=")) {
      field.patch_merge = true;
      field.patch_key = flag.substr(6);
    } else if (flag.starts_with("map=")) {
      field.list_type = ListType::kMap;
      word_lists_.push_back(base::split(flag.substr(4), ','));
      field.list_keys = word_lists_.back();
    } else if (flag.starts_with("oneof=")) {
      field.one_of = flag.substr(6);
    } else if (flag.starts_with("=")) {
      field.default_json = flag.substr(1);
    } else {
      mistakes_.push_back(fmt::format("{}.{}: unknown flag {}", open_.schema->name, field.name, flag));
    }
  }
}

void SchemaSet::finish_type() {
  if (!open_.schema) return;
  std::vector<Field>& fields = field_lists_.emplace_back(std::move(open_.fields));
  open_.schema->fields = fields;
  for (auto& [index, name] : open_.references)
    references_.push_back({&fields[index], name, origin_.at(open_.schema)});
  open_ = {};
}

void SchemaSet::add(const char* source) {
  size_t text = texts_.size();
  texts_.emplace_back();
  std::string_view rest = source;
  while (!rest.empty()) {
    size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (base::trim(line).empty()) continue;
    if (!line.starts_with("type ")) {
      if (open_.schema) parse_field(line, text);
      continue;
    }
    finish_type();
    Schema& schema = schemas_.emplace_back();
    if (size_t at = line.find(" #"); at != std::string_view::npos) {
      schema.doc = base::trim(line.substr(at + 2));
      line = line.substr(0, at);
    }
    line.remove_prefix(5);
    schema.name = next_word(line);
    schema.open = next_word(line) == "open";
    if (!texts_[text].types.emplace(schema.name, &schema).second)
      mistakes_.push_back(fmt::format("{}: described twice", schema.name));
    origin_[&schema] = text;
    open_.schema = &schema;
  }
  finish_type();
}

std::vector<std::string> SchemaSet::resolve() {
  for (const Reference& reference : references_) {
    reference.field->object = find(reference.name, reference.text);
    if (!reference.field->object) mistakes_.push_back(fmt::format("unknown type {}", reference.name));
  }
  references_.clear();
  return mistakes_;
}

const SchemaSet& schema_set() {
  static const SchemaSet* set = [] {
    auto* s = new SchemaSet;
    for (const char* text : {kMetaTables, kPodTables, kVolumeTables, kCoreTables, kDiscoveryTables, kNetworkingTables, kPolicyTables, kFlowTables})
      s->add(text);
    s->resolve();
    return s;
  }();
  return *set;
}

}  // namespace fairlead::mesh
