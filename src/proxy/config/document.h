// A configuration document (base::Value, from YAML or JSON) as a protobuf message, by the proto3 JSON mapping, and the
// way back from a field path to its line. Unlike protobuf's own converter it finds all problems, not the first, and
// knows where each stands. Main thread; builds descriptors, which costs some megabytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace google::protobuf {
class Message;
}

namespace fairlead::proxy {

struct Problem {
  std::string path;         // "static_resources.listeners[0].address"
  base::Position position;  // 0:0 when unknown
  std::string message;
};

// Fills `out`. Field names in snake_case or lowerCamelCase; enum values by name or number; durations as "1.5s".
std::vector<Problem> to_message(const base::Value& from, google::protobuf::Message& out);

// Where the value at `path` begins, or the deepest one on the way that is there. Steps spell a field either way.
base::Position locate(const base::Value& document, std::string_view path);

// "file:line:column: path: message", a line for each (no more than 20).
std::string to_text(const std::vector<Problem>& problems, std::string_view file);

}  // namespace fairlead::proxy
