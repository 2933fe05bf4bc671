// google.protobuf.Struct to base::Value and back: node metadata, filter metadata. Pure functions.
#pragma once

#include "base/value.h"

namespace google::protobuf {
class Struct;
class Value;
}  // namespace google::protobuf

namespace fairlead::xds {

base::Value to_value(const google::protobuf::Struct& in);
base::Value to_value(const google::protobuf::Value& in);
void to_struct(const base::Value& in, google::protobuf::Struct& out);  // members of an object; others are ignored

}  // namespace fairlead::xds
