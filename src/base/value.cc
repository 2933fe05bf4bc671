#include "base/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace fairlead::base {
namespace {

const Value kNullValue;
const std::string kEmptyString;
const Array kEmptyArray;
const Object kEmptyObject;

void append_double(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  char buffer[40];
  auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, v);
  (void)ec;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  out += text;
}

void dump_to(const Value& value, std::string& out, int indent, int depth, bool sorted) {
  auto newline = [&](int d) {
    if (indent == 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(d), ' ');
  };
  switch (value.type()) {
    case Value::Type::kNull: out += "null"; break;
    case Value::Type::kBool: out += value.as_bool() ? "true" : "false"; break;
    case Value::Type::kInt: out += std::to_string(value.as_int()); break;
    case Value::Type::kDouble: append_double(out, value.as_double()); break;
    case Value::Type::kString: append_json_string(out, value.as_string()); break;
    case Value::Type::kArray: {
      if (value.items().empty()) {
        out += "[]";
        break;
      }
      out += '[';
      bool first = true;
      for (const auto& item : value.items()) {
        if (!first) out += ',';
        first = false;
        newline(depth + 1);
        dump_to(item, out, indent, depth + 1, sorted);
      }
      newline(depth);
      out += ']';
      break;
    }
    case Value::Type::kObject: {
      if (value.members().empty()) {
        out += "{}";
        break;
      }
      std::vector<const Member*> members;
      members.reserve(value.members().size());
      for (const auto& m : value.members()) members.push_back(&m);
      if (sorted) std::ranges::stable_sort(members, {}, [](const Member* m) -> const std::string& { return m->key; });
      out += '{';
      bool first = true;
      for (const auto* m : members) {
        if (!first) out += ',';
        first = false;
        newline(depth + 1);
        append_json_string(out, m->key);
        out += indent ? ": " : ":";
        dump_to(m->value, out, indent, depth + 1, sorted);
      }
      newline(depth);
      out += '}';
      break;
    }
  }
}

}  // namespace

Value::Value(Array a) : data_(std::move(a)) {}
Value::Value(Object o) : data_(std::move(o)) {}

Value Value::object() { return Value(Object{}); }
Value Value::object(std::initializer_list<Member> members) { return Value(Object(members)); }
Value Value::array() { return Value(Array{}); }
Value Value::array(std::initializer_list<Value> items) { return Value(Array(items)); }

bool Value::as_bool(bool fallback) const {
  const bool* b = std::get_if<bool>(&data_);
  return b ? *b : fallback;
}

int64_t Value::as_int(int64_t fallback) const {
  if (const auto* i = std::get_if<int64_t>(&data_)) return *i;
  if (const auto* d = std::get_if<double>(&data_)) {
    // Only doubles that an int64 can hold exactly; the bounds are powers of two, so they compare exactly.
    if (*d >= -9223372036854775808.0 && *d < 9223372036854775808.0 && std::trunc(*d) == *d) return static_cast<int64_t>(*d);
  }
  return fallback;
}

double Value::as_double(double fallback) const {
  if (const auto* d = std::get_if<double>(&data_)) return *d;
  if (const auto* i = std::get_if<int64_t>(&data_)) return static_cast<double>(*i);
  return fallback;
}

const std::string& Value::as_string() const {
  const auto* s = std::get_if<std::string>(&data_);
  return s ? *s : kEmptyString;
}

std::string Value::string_or(std::string_view fallback) const { return is_string() ? as_string() : std::string(fallback); }

const Array& Value::items() const {
  const auto* a = std::get_if<Array>(&data_);
  return a ? *a : kEmptyArray;
}

const Object& Value::members() const {
  const auto* o = std::get_if<Object>(&data_);
  return o ? *o : kEmptyObject;
}

Array& Value::mutable_items() {
  if (!is_array()) data_ = Array{};
  return std::get<Array>(data_);
}

Object& Value::mutable_members() {
  if (!is_object()) data_ = Object{};
  return std::get<Object>(data_);
}

size_t Value::size() const { return is_array() ? items().size() : members().size(); }

const Value* Value::find(std::string_view key) const {
  for (const auto& m : members())
    if (m.key == key) return &m.value;
  return nullptr;
}

Value* Value::find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

const Value& Value::operator[](std::string_view key) const {
  const Value* v = find(key);
  return v ? *v : kNullValue;
}

Value& Value::operator[](std::string_view key) {
  Object& members = mutable_members();
  for (auto& m : members)
    if (m.key == key) return m.value;
  return members.emplace_back(Member{std::string(key), Value()}).value;
}

const Value& Value::operator[](size_t index) const {
  const Array& a = items();
  return index < a.size() ? a[index] : kNullValue;
}

Value& Value::set(std::string_view key, Value value) {
  (*this)[key] = std::move(value);
  return *this;
}

bool Value::erase(std::string_view key) {
  if (!is_object()) return false;
  return std::erase_if(mutable_members(), [&](const Member& m) { return m.key == key; }) > 0;
}

Value& Value::push(Value value) { return mutable_items().emplace_back(std::move(value)); }

const Value& Value::at(std::string_view path) const {
  const Value* v = this;
  while (!path.empty()) {
    size_t dot = path.find('.');
    std::string_view step = path.substr(0, dot);
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    if (v->is_array()) {
      size_t index = 0;
      auto [end, ec] = std::from_chars(step.data(), step.data() + step.size(), index);
      if (ec != std::errc() || end != step.data() + step.size()) return kNullValue;
      v = &(*v)[index];
    } else {
      v = v->find(step);
      if (!v) return kNullValue;
    }
  }
  return *v;
}

bool Value::operator==(const Value& other) const {
  if (is_number() && other.is_number()) {
    if (is_int() && other.is_int()) return as_int() == other.as_int();
    return as_double() == other.as_double();
  }
  if (type() != other.type()) return false;
  switch (type()) {
    case Type::kArray: return items() == other.items();
    case Type::kObject: {
      if (size() != other.size()) return false;
      for (const auto& m : members()) {
        const Value* o = other.find(m.key);
        if (!o || !(m.value == *o)) return false;
      }
      return true;
    }
    case Type::kBool: return as_bool() == other.as_bool();
    case Type::kString: return as_string() == other.as_string();
    default: return true;
  }
}

std::string Value::dump(int indent, bool sorted) const {
  std::string out;
  dump_to(*this, out, indent, 0, sorted);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (char c : text) {
    auto u = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (u < 0x20 || u == 0x7f) {
          out += "\\u00";
          out += kHex[u >> 4];
          out += kHex[u & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

}  // namespace fairlead::base
