#include "proxy/proto_json.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <memory>

#include "base/strings.h"
#include "base/time.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {

namespace pb = google::protobuf;
namespace {

base::Value scalar(const pb::Message& m, const pb::FieldDescriptor* f, int index) {
  const pb::Reflection* r = m.GetReflection();
  bool many = f->is_repeated();
  using F = pb::FieldDescriptor;
  switch (f->cpp_type()) {
    case F::CPPTYPE_INT32:
      return many ? r->GetRepeatedInt32(m, f, index) : r->GetInt32(m, f);
    case F::CPPTYPE_UINT32:
      return static_cast<long long>(many ? r->GetRepeatedUInt32(m, f, index) : r->GetUInt32(m, f));
    // 64-bit numbers are strings in proto3 JSON.
    case F::CPPTYPE_INT64:
      return std::to_string(many ? r->GetRepeatedInt64(m, f, index) : r->GetInt64(m, f));
    case F::CPPTYPE_UINT64:
      return std::to_string(many ? r->GetRepeatedUInt64(m, f, index) : r->GetUInt64(m, f));
    case F::CPPTYPE_DOUBLE:
      return many ? r->GetRepeatedDouble(m, f, index) : r->GetDouble(m, f);
    case F::CPPTYPE_FLOAT:
      return static_cast<double>(many ? r->GetRepeatedFloat(m, f, index) : r->GetFloat(m, f));
    case F::CPPTYPE_BOOL:
      return many ? r->GetRepeatedBool(m, f, index) : r->GetBool(m, f);
    case F::CPPTYPE_ENUM: {
      int number = many ? r->GetRepeatedEnumValue(m, f, index) : r->GetEnumValue(m, f);
      const auto* value = f->enum_type()->FindValueByNumber(number);
      return value ? base::Value(value->name()) : base::Value(number);
    }
    case F::CPPTYPE_STRING: {
      std::string text = many ? r->GetRepeatedString(m, f, index) : r->GetString(m, f);
      return f->type() == F::TYPE_BYTES ? base::base64_encode(text) : text;
    }
    case F::CPPTYPE_MESSAGE:
      return to_json(many ? r->GetRepeatedMessage(m, f, index) : r->GetMessage(m, f));
  }
  return {};
}

base::Value map_field(const pb::Message& m, const pb::FieldDescriptor* f) {
  const pb::Reflection* r = m.GetReflection();
  std::vector<std::pair<std::string, base::Value>> entries;
  const auto* key = f->message_type()->map_key();
  const auto* value = f->message_type()->map_value();
  for (int i = 0; i < r->FieldSize(m, f); ++i) {
    const pb::Message& entry = r->GetRepeatedMessage(m, f, i);
    base::Value k = scalar(entry, key, 0);
    entries.emplace_back(k.is_string() ? k.as_string() : k.dump(), scalar(entry, value, 0));
  }
  std::ranges::sort(entries, {}, [](const auto& e) { return e.first; });
  base::Value out = base::Value::object();
  for (auto& [k, v] : entries) out.set(k, std::move(v));
  return out;
}

std::string duration_text(int64_t seconds, int32_t nanos) {
  std::string sign = seconds < 0 || nanos < 0 ? "-" : "";
  // What is out of bounds is shown, too: the least number has no positive counterpart.
  std::string out = sign + std::to_string(seconds < 0 ? 0 - static_cast<uint64_t>(seconds) : static_cast<uint64_t>(seconds));
  uint32_t part = nanos < 0 ? 0 - static_cast<uint32_t>(nanos) : static_cast<uint32_t>(nanos);
  if (part % 1'000'000 == 0 && part) out += fmt::format(".{:03}", part / 1'000'000);
  else if (part % 1'000 == 0 && part) out += fmt::format(".{:06}", part / 1'000);
  else if (part) out += fmt::format(".{:09}", part);
  return out + "s";
}

std::string time_text(const pb::Timestamp& at) {
  constexpr int64_t kMost = 9'223'372'034;  // seconds that the clock's nanoseconds hold
  return base::format_rfc3339_milli(base::WallTime(std::chrono::seconds(std::clamp(at.seconds(), -kMost, kMost)) + std::chrono::duration_cast<base::WallTime::duration>(base::Nanos(at.nanos()))));
}

}  // namespace

base::Value any_to_json(std::string_view type_url, const std::string& bytes) {
  base::Value out = base::Value::object({{"@type", base::Value(type_url)}});
  std::string name(type_url.substr(type_url.rfind('/') + 1));
  const auto* descriptor = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (!descriptor) {
    if (!bytes.empty()) out.set("value", base::base64_encode(bytes));
    return out;
  }
  std::unique_ptr<pb::Message> inner(pb::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  if (!inner->ParseFromString(bytes)) return out.set("value", base::base64_encode(bytes));
  base::Value body = to_json(*inner);
  // Types with a JSON form of their own stand under "value".
  if (!body.is_object() || name == "google.protobuf.Struct") return out.set("value", std::move(body));
  for (auto& m : body.mutable_members()) out.set(m.key, std::move(m.value));
  return out;
}

base::Value to_json(const pb::Message& m) {
  const std::string& type = m.GetDescriptor()->full_name();
  if (type.starts_with("google.protobuf.")) {
    if (const auto* any = dynamic_cast<const pb::Any*>(&m)) return any_to_json(any->type_url(), any->value());
    if (const auto* d = dynamic_cast<const pb::Duration*>(&m)) return duration_text(d->seconds(), d->nanos());
    if (const auto* t = dynamic_cast<const pb::Timestamp*>(&m)) return time_text(*t);
    if (const auto* s = dynamic_cast<const pb::Struct*>(&m)) return xds::to_value(*s);
    if (const auto* v = dynamic_cast<const pb::Value*>(&m)) return xds::to_value(*v);
    // Wrappers: their value.
    if (type.ends_with("Value") && m.GetDescriptor()->field_count() == 1 && m.GetDescriptor()->field(0)->name() == "value")
      return scalar(m, m.GetDescriptor()->field(0), 0);
  }
  base::Value out = base::Value::object();
  const pb::Reflection* r = m.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  r->ListFields(m, &fields);
  for (const auto* f : fields) {
    if (f->is_map()) {
      out.set(f->name(), map_field(m, f));
    } else if (f->is_repeated()) {
      base::Value list = base::Value::array();
      for (int i = 0; i < r->FieldSize(m, f); ++i) list.push(scalar(m, f, i));
      out.set(f->name(), std::move(list));
    } else {
      out.set(f->name(), scalar(m, f, 0));
    }
  }
  return out;
}

}  // namespace fairlead::proxy
