#include "xds/struct_value.h"

#include <google/protobuf/struct.pb.h>

#include <cmath>

namespace fairlead::xds {
namespace {

void fill(const base::Value& in, google::protobuf::Value& out) {
  switch (in.type()) {
    case base::Value::Type::kNull: out.set_null_value(google::protobuf::NULL_VALUE); break;
    case base::Value::Type::kBool: out.set_bool_value(in.as_bool()); break;
    case base::Value::Type::kInt:
    case base::Value::Type::kDouble: out.set_number_value(in.as_double()); break;
    case base::Value::Type::kString: out.set_string_value(in.as_string()); break;
    case base::Value::Type::kArray:
      out.mutable_list_value();
      for (const auto& item : in.items()) fill(item, *out.mutable_list_value()->add_values());
      break;
    case base::Value::Type::kObject: to_struct(in, *out.mutable_struct_value()); break;
  }
}

}  // namespace

base::Value to_value(const google::protobuf::Struct& in) {
  base::Value out = base::Value::object();
  for (const auto& [key, value] : in.fields()) out.set(key, to_value(value));
  return out;
}

base::Value to_value(const google::protobuf::Value& in) {
  switch (in.kind_case()) {
    case google::protobuf::Value::kBoolValue: return in.bool_value();
    case google::protobuf::Value::kNumberValue: {
      double d = in.number_value();
      if (std::trunc(d) == d && std::fabs(d) < 9e15) return base::Value(static_cast<long>(d));
      return d;
    }
    case google::protobuf::Value::kStringValue: return in.string_value();
    case google::protobuf::Value::kStructValue: return to_value(in.struct_value());
    case google::protobuf::Value::kListValue: {
      base::Value out = base::Value::array();
      for (const auto& item : in.list_value().values()) out.push(to_value(item));
      return out;
    }
    default: return {};
  }
}

void to_struct(const base::Value& in, google::protobuf::Struct& out) {
  for (const auto& m : in.members()) fill(m.value, (*out.mutable_fields())[m.key]);
}

}  // namespace fairlead::xds
