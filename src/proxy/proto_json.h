// Protobuf messages as JSON (the proto3 mapping, field names in snake_case as Envoy's admin prints them). Any of a type
// that this binary does not know is printed with its bytes in base64, instead of failing the whole dump.
// Main thread only: the first use builds descriptors, which costs some megabytes; nothing on the way of traffic does.
#pragma once

#include <string>
#include <string_view>

#include "base/value.h"

namespace google::protobuf {
class Message;
}

namespace fairlead::proxy {

base::Value to_json(const google::protobuf::Message& message);
// The message of a type URL from its bytes, with "@type" first.
base::Value any_to_json(std::string_view type_url, const std::string& bytes);

}  // namespace fairlead::proxy
