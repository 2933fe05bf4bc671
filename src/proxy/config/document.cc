#include "proxy/config/document.h"

#include <algorithm>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "proxy/config/fields.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {

namespace pb = google::protobuf;
using base::Value;
using F = pb::FieldDescriptor;

namespace {

std::string_view type_word(const Value& v) {
  switch (v.type()) {
    case Value::Type::kNull: return "null";
    case Value::Type::kBool: return "a boolean";
    case Value::Type::kInt:
    case Value::Type::kDouble: return "a number";
    case Value::Type::kString: return "a string";
    case Value::Type::kArray: return "a list";
    case Value::Type::kObject: return "an object";
  }
  return "";
}

std::string step(std::string_view path, std::string_view name) { return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name); }

// Seconds with up to nine decimals and an "s" behind (proto3 JSON).
bool read_duration(std::string_view text, pb::Duration& out) {
  if (!text.ends_with('s')) return false;
  text.remove_suffix(1);
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  size_t dot = text.find('.');
  std::string_view whole = text.substr(0, dot), rest = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  auto digits = [](std::string_view s) { return s.find_first_not_of("0123456789") == std::string_view::npos; };
  if ((whole.empty() && rest.empty()) || !digits(whole) || !digits(rest) || whole.size() > 12 || rest.size() > 9) return false;
  int64_t seconds = whole.empty() ? 0 : *base::to_int(whole), nanos = rest.empty() ? 0 : *base::to_int(rest);
  for (size_t i = rest.size(); i < 9; ++i) nanos *= 10;
  if (seconds > 315'576'000'000) return false;
  out.set_seconds(negative ? -seconds : seconds);
  out.set_nanos(static_cast<int32_t>(negative ? -nanos : nanos));
  return true;
}

class Reader {
 public:
  std::vector<Problem> problems;

  void message(const Value& from, pb::Message& out, const std::string& path) {
    const auto* type = out.GetDescriptor();
    if (type->full_name().starts_with("google.protobuf.") && well_known(from, out, path)) return;
    if (!from.is_object()) return wrong(from, path, "an object");
    fields(from, out, path);
  }

 private:
  int unused_ = 0;  // how many of the fields that we are in are not acted on
  void problem(const Value& at, const std::string& path, std::string message) { problems.push_back({path, at.position, std::move(message)}); }
  void wrong(const Value& at, const std::string& path, std::string_view wanted) {
    problem(at, path, fmt::format("{} is expected, this is {}", wanted, type_word(at)));
  }

  // Types with a JSON form of their own. False: it has none.
  bool well_known(const Value& from, pb::Message& out, const std::string& path) {
    if (auto* any = dynamic_cast<pb::Any*>(&out)) return any_message(from, *any, path), true;
    if (auto* d = dynamic_cast<pb::Duration*>(&out)) {
      if (!from.is_string() || !read_duration(from.as_string(), *d))
        problem(from, path, from.is_string() || from.is_number() ? fmt::format("{} is not a duration; write seconds with an s behind, as 5s or 0.25s", from.dump())
                                                                 : fmt::format("a duration such as 5s is expected, this is {}", type_word(from)));
      return true;
    }
    if (auto* s = dynamic_cast<pb::Struct*>(&out)) {
      if (from.is_object()) xds::to_struct(from, *s);
      else wrong(from, path, "an object");
      return true;
    }
    if (auto* v = dynamic_cast<pb::Value*>(&out)) {
      pb::Struct holder;
      xds::to_struct(Value::object({{"v", from}}), holder);
      *v = std::move((*holder.mutable_fields())["v"]);
      return true;
    }
    const auto* type = out.GetDescriptor();
    if (type->name().ends_with("Value") && type->field_count() == 1 && type->field(0)->name() == "value") {
      scalar(from, out, type->field(0), path, false);
      return true;
    }
    return false;
  }

  void any_message(const Value& from, pb::Any& out, const std::string& path) {
    if (!from.is_object()) return wrong(from, path, "an object with @type");
    const Value* url = from.find("@type");
    if (!url && from.members().empty()) return;  // nothing of no type, as in FilterConfig's "config: {}"
    if (!url || !url->is_string()) return problem(from, step(path, "@type"), "the type of this object is required, as type.googleapis.com/envoy...");
    const std::string& name = url->as_string();
    const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name.substr(name.rfind('/') + 1));
    if (!type && unused_) return out.set_type_url(name);  // it has no effect whatever it says
    if (!type) return problem(*url, step(path, "@type"), fmt::format("{} is not known here", name));
    std::unique_ptr<pb::Message> inner(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
    const Value* body = &from;
    Value rest;
    if (type->full_name().starts_with("google.protobuf.")) {
      body = from.find("value");  // a type with a JSON form of its own stands under "value"
    } else {
      rest = from;
      rest.erase("@type");
      body = &rest;
    }
    if (body) message(*body, *inner, path);
    out.set_type_url(name);
    inner->SerializeToString(out.mutable_value());
  }

  void fields(const Value& from, pb::Message& out, const std::string& path) {
    const auto* type = out.GetDescriptor();
    for (const auto& m : from.members()) {
      const F* field = type->FindFieldByName(m.key);
      if (!field) field = type->FindFieldByCamelcaseName(m.key);
      std::string here = step(path, m.key);
      if (!field) {
        std::vector<std::string_view> names;
        for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
        auto near = base::nearest(m.key, names);
        problem(m.value, here, fmt::format("unknown field of {}{}", type->full_name(), near ? fmt::format("; did you mean {}?", *near) : ""));
        continue;
      }
      if (m.value.is_null() && !(field->message_type() && field->message_type()->full_name() == "google.protobuf.Value")) continue;
      if (const auto* group = field->real_containing_oneof()) {
        const auto* other = out.GetReflection()->GetOneofFieldDescriptor(out, group);
        if (other && other != field) {
          problem(m.value, here, fmt::format("stands beside {}; only one of them may be given", other->name()));
          continue;
        }
      }
      // What is reported and not acted on may be of a type that is not built in: a tracer, a statistics sink.
      const MessageFields* known = find_fields(type->full_name());
      auto row = known ? std::ranges::find(known->rows, static_cast<uint32_t>(field->number()), &FieldRow::number) : decltype(known->rows.begin()){};
      bool unused = known && row != known->rows.end() && (row->support == Support::kNote || row->support == Support::kWarn);
      unused_ += unused;
      if (field->is_map()) map_field(m.value, out, field, here);
      else if (field->is_repeated()) list_field(m.value, out, field, here);
      else if (field->cpp_type() == F::CPPTYPE_MESSAGE) message(m.value, *out.GetReflection()->MutableMessage(&out, field), here);
      else scalar(m.value, out, field, here, false);
      unused_ -= unused;
    }
  }

  void list_field(const Value& from, pb::Message& out, const F* field, const std::string& path) {
    if (!from.is_array()) return wrong(from, path, "a list");
    for (size_t i = 0; i < from.size(); ++i) {
      std::string here = fmt::format("{}[{}]", path, i);
      if (field->cpp_type() == F::CPPTYPE_MESSAGE) message(from[i], *out.GetReflection()->AddMessage(&out, field), here);
      else scalar(from[i], out, field, here, true);
    }
  }

  void map_field(const Value& from, pb::Message& out, const F* field, const std::string& path) {
    if (!from.is_object()) return wrong(from, path, "an object");
    const auto* key = field->message_type()->map_key();
    const auto* value = field->message_type()->map_value();
    for (const auto& m : from.members()) {
      pb::Message* entry = out.GetReflection()->AddMessage(&out, field);
      std::string here = step(path, m.key);
      Value k = m.key;
      if (key->cpp_type() == F::CPPTYPE_BOOL) k = m.key == "true";
      scalar(k, *entry, key, here, false);
      if (value->cpp_type() == F::CPPTYPE_MESSAGE) message(m.value, *entry->GetReflection()->MutableMessage(entry, value), here);
      else scalar(m.value, *entry, value, here, false);
    }
  }

  // A whole number in [low, high], from a number or a string (proto3 JSON allows both).
  template <class T>
  std::optional<T> whole(const Value& from, const std::string& path) {
    constexpr auto low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
    if (from.is_string()) {
      const std::string& s = from.as_string();
      T n = 0;
      auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
      if (error == std::errc() && end == s.data() + s.size()) return n;
    } else if (from.is_int()) {
      int64_t n = from.as_int();
      if (std::in_range<T>(n)) return static_cast<T>(n);
    } else if (from.is_number()) {
      double n = from.as_double();
      if (n == std::floor(n) && n >= static_cast<double>(low) && n < std::ldexp(1.0, std::numeric_limits<T>::digits)) return static_cast<T>(n);
    }
    problem(from, path, fmt::format("a whole number from {} to {} is expected, this is {}", low, high, from.dump()));
    return std::nullopt;
  }

  void scalar(const Value& from, pb::Message& out, const F* field, const std::string& path, bool add) {
    const pb::Reflection* r = out.GetReflection();
    switch (field->cpp_type()) {
      case F::CPPTYPE_INT32:
        if (auto n = whole<int32_t>(from, path)) add ? r->AddInt32(&out, field, *n) : r->SetInt32(&out, field, *n);
        return;
      case F::CPPTYPE_UINT32:
        if (auto n = whole<uint32_t>(from, path)) add ? r->AddUInt32(&out, field, *n) : r->SetUInt32(&out, field, *n);
        return;
      case F::CPPTYPE_INT64:
        if (auto n = whole<int64_t>(from, path)) add ? r->AddInt64(&out, field, *n) : r->SetInt64(&out, field, *n);
        return;
      case F::CPPTYPE_UINT64:
        if (auto n = whole<uint64_t>(from, path)) add ? r->AddUInt64(&out, field, *n) : r->SetUInt64(&out, field, *n);
        return;
      case F::CPPTYPE_DOUBLE:
      case F::CPPTYPE_FLOAT: {
        std::optional<double> n;
        if (from.is_number()) n = from.as_double();
        else if (from.as_string() == "Infinity") n = std::numeric_limits<double>::infinity();
        else if (from.as_string() == "-Infinity") n = -std::numeric_limits<double>::infinity();
        else if (from.is_string()) {
          const std::string& s = from.as_string();
          double d = 0;
          auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), d);
          if (error == std::errc() && end == s.data() + s.size()) n = d;
        }
        if (!n) return wrong(from, path, "a number");
        if (field->cpp_type() == F::CPPTYPE_DOUBLE) add ? r->AddDouble(&out, field, *n) : r->SetDouble(&out, field, *n);
        else add ? r->AddFloat(&out, field, static_cast<float>(*n)) : r->SetFloat(&out, field, static_cast<float>(*n));
        return;
      }
      case F::CPPTYPE_BOOL: {
        bool text = from.as_string() == "true" || from.as_string() == "false";
        if (!from.is_bool() && !text) return problem(from, path, fmt::format("true or false is expected, this is {}", from.dump()));
        bool b = from.is_bool() ? from.as_bool() : from.as_string() == "true";
        add ? r->AddBool(&out, field, b) : r->SetBool(&out, field, b);
        return;
      }
      case F::CPPTYPE_ENUM:
        return enumeration(from, out, field, path, add);
      case F::CPPTYPE_STRING: {
        if (!from.is_string()) return wrong(from, path, "a string");
        std::string text = from.as_string();
        if (field->type() == F::TYPE_BYTES) {
          auto bytes = base::base64_decode(text);
          if (!bytes) return problem(from, path, "bytes in base64 are expected");
          text = std::move(*bytes);
        }
        add ? r->AddString(&out, field, std::move(text)) : r->SetString(&out, field, std::move(text));
        return;
      }
      case F::CPPTYPE_MESSAGE:
        return;
    }
  }

  void enumeration(const Value& from, pb::Message& out, const F* field, const std::string& path, bool add) {
    const pb::Reflection* r = out.GetReflection();
    const auto* type = field->enum_type();
    if (type->full_name() == "google.protobuf.NullValue") return r->SetEnumValue(&out, field, 0);
    const pb::EnumValueDescriptor* value = from.is_int()      ? type->FindValueByNumber(static_cast<int>(from.as_int()))
                                           : from.is_string() ? type->FindValueByName(from.as_string())
                                                              : nullptr;
    // Envoy reads the names of enumerations without regard to case: codec_type: auto.
    for (int i = 0; !value && from.is_string() && i < type->value_count(); ++i)
      if (base::iequals(type->value(i)->name(), from.as_string())) value = type->value(i);
    if (!value) {
      std::string names;
      for (int i = 0; i < type->value_count(); ++i) names += (i ? ", " : "") + type->value(i)->name();
      return problem(from, path, fmt::format("{} is not one of {}", from.dump(), names));
    }
    add ? r->AddEnumValue(&out, field, value->number()) : r->SetEnumValue(&out, field, value->number());
  }
};

// "some_field" and "someField" are the same step.
std::string plain(std::string_view name) {
  std::string out;
  for (char c : name)
    if (c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

std::vector<Problem> to_message(const Value& from, pb::Message& out) {
  Reader reader;
  reader.message(from, out, "");
  return std::move(reader.problems);
}

base::Position locate(const Value& document, std::string_view path) {
  const Value* at = &document;
  while (!path.empty()) {
    if (path.front() == '.') path.remove_prefix(1);
    const Value* next = nullptr;
    if (path.starts_with('[')) {
      size_t end = path.find(']');
      auto index = end == std::string_view::npos ? std::nullopt : base::to_int(path.substr(1, end - 1));
      if (index && *index >= 0 && static_cast<size_t>(*index) < at->size() && at->is_array()) next = &at->items()[static_cast<size_t>(*index)];
      path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
    } else {
      size_t end = std::min(path.find_first_of(".["), path.size());
      std::string wanted = plain(path.substr(0, end));
      for (const auto& m : at->members())
        if (plain(m.key) == wanted) next = &m.value;
      path.remove_prefix(end);
    }
    if (!next) break;
    at = next;
  }
  return at->position;
}

std::string to_text(const std::vector<Problem>& problems, std::string_view file) {
  constexpr size_t kMost = 20;
  std::string out;
  for (size_t i = 0; i < problems.size() && i < kMost; ++i) {
    const Problem& p = problems[i];
    if (i) out += "\n";
    if (p.position.line) out += fmt::format("{}:{}:{}: ", file, p.position.line, p.position.column);
    else out += fmt::format("{}: ", file);
    out += p.path.empty() ? p.message : fmt::format("{}: {}", p.path, p.message);
  }
  if (problems.size() > kMost) out += fmt::format("\n... and {} more", problems.size() - kMost);
  return out;
}

}  // namespace fairlead::proxy
