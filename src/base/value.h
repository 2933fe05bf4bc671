// Value: a JSON document in memory, with the position it was read from.
//
// Object members keep the order of insertion. Look-ups are linear: objects of configuration are small.
// Any thread for const access; values, deep copies. Share big ones as std::shared_ptr<const Value>.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace fairlead::base {

// Where a node began in its text; 1-based, 0 when unknown.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

class Value;
struct Member;
using Array = std::vector<Value>;
using Object = std::vector<Member>;

class Value {
 public:
  enum class Type : uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };

  Value();
  Value(std::nullptr_t);
  Value(bool b);
  Value(int v);
  Value(unsigned v);
  Value(long v);
  Value(long long v);
  Value(unsigned long v);
  Value(double v);
  Value(const char* s);
  Value(std::string_view s);
  Value(std::string s);
  Value(Array a);
  Value(Object o);
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  static Value object();                                     // {}
  static Value object(std::initializer_list<Member> members);
  static Value array();                                      // []
  static Value array(std::initializer_list<Value> items);

  Type type() const { return static_cast<Type>(data_.index()); }
  bool is_null() const { return type() == Type::kNull; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int() const { return type() == Type::kInt; }
  bool is_number() const { return type() == Type::kInt || type() == Type::kDouble; }
  bool is_string() const { return type() == Type::kString; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }

  // Typed reads; the fallback is returned when the type does not fit.
  bool as_bool(bool fallback = false) const;
  int64_t as_int(int64_t fallback = 0) const;        // also from a Double with an integral value
  double as_double(double fallback = 0) const;       // also from an Int
  const std::string& as_string() const;              // "" when not a string
  std::string string_or(std::string_view fallback) const;

  // Container access. items()/members() of another type are empty.
  const Array& items() const;
  const Object& members() const;
  Array& mutable_items();                             // turns into [] first when not an array
  Object& mutable_members();                          // turns into {} first when not an object
  size_t size() const;                                // items or members; 0 for scalars
  bool empty() const { return size() == 0; }

  // Object look-up. find: nullptr when missing. Const operator[]: a shared null when missing, so that chains
  // such as v["spec"]["hosts"] are safe. Mutable operator[]: inserts null, turning a non-object into {}.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  const Value& operator[](std::string_view key) const;
  Value& operator[](std::string_view key);
  const Value& operator[](const char* key) const { return (*this)[std::string_view(key)]; }
  Value& operator[](const char* key) { return (*this)[std::string_view(key)]; }
  const Value& operator[](size_t index) const;        // null when out of range
  const Value& operator[](int index) const { return (*this)[static_cast<size_t>(index)]; }

  Value& set(std::string_view key, Value value);      // insert or replace; returns *this for chaining
  bool erase(std::string_view key);
  Value& push(Value value);                           // appends, turning a non-array into []; returns the new element

  // Walks "spec.template.metadata.labels" (dots between keys, digits index arrays); null when any step is missing.
  const Value& at(std::string_view dotted_path) const;

  // Equality by content: member order and positions do not count, 1 == 1.0.
  bool operator==(const Value& other) const;

  // JSON text. indent 0: compact. sorted: members by key, as Go's encoder prints maps.
  std::string dump(int indent = 0, bool sorted = false) const;

  Position position;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> data_;
};

struct Member {
  std::string key;
  Value value;
  Position key_position = {};
};

// Here and not in the class: a Value holds Members, which hold Values, so both have to be complete first.
inline Value::Value() = default;
inline Value::Value(std::nullptr_t) {}
inline Value::Value(bool b) : data_(b) {}
inline Value::Value(int v) : data_(static_cast<int64_t>(v)) {}
inline Value::Value(unsigned v) : data_(static_cast<int64_t>(v)) {}
inline Value::Value(long v) : data_(static_cast<int64_t>(v)) {}
inline Value::Value(long long v) : data_(static_cast<int64_t>(v)) {}
inline Value::Value(unsigned long v) : data_(static_cast<int64_t>(v)) {}
inline Value::Value(double v) : data_(v) {}
inline Value::Value(const char* s) : data_(std::string(s)) {}
inline Value::Value(std::string_view s) : data_(std::string(s)) {}
inline Value::Value(std::string s) : data_(std::move(s)) {}
inline Value::Value(const Value& other) = default;
inline Value::Value(Value&& other) noexcept = default;
inline Value& Value::operator=(const Value& other) = default;
inline Value& Value::operator=(Value&& other) noexcept = default;
inline Value::~Value() = default;

// A duplicate key found while parsing: dotted path in the way Kubernetes prints it ("spec.ports[0].name").
struct DuplicateKey {
  std::string path;
  Position position;
};

struct ParseOptions {
  size_t max_depth = 100;
  size_t max_bytes = 64u << 20;
  std::vector<DuplicateKey>* duplicates = nullptr;  // when set, duplicates are reported here (the last one wins)
};

// One JSON document. Errors name line and column.
Result<Value> parse_json(std::string_view text, const ParseOptions& options = {});

// All documents of a YAML stream (JSON is YAML too); empty documents are left out. Aliases and anchors are expanded
// within a size limit; scalars follow YAML 1.1 as Kubernetes' yaml library reads them (yes/no/on/off are booleans only
// as true/false, numbers, null, ~). Errors name line and column; `where` is `name`:line:column.
Result<std::vector<Value>> parse_yaml(std::string_view text, std::string_view name = "", const ParseOptions& options = {});

// One document as block-style YAML, keys sorted, as sigs.k8s.io/yaml prints it.
std::string to_yaml(const Value& value);

// Appends `text` as a JSON string literal with quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace fairlead::base
