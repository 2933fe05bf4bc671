// JSON for rules: a document in memory, with the position of every value. Numbers keep their text, so that what is not understood is
// printed as it was. Plain values. The engine is shipped alone, so it cannot use the reader of base/.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::flow {

struct Json {
  enum class Type : unsigned char { Null, Bool, Number, String, Array, Object };
  Type type = Type::Null;
  std::string text;               // of a string: its content; of a number or boolean: as it was written
  std::vector<Json> items;        // of an array, or the values of an object
  std::vector<std::string> keys;  // of an object, as many as items

  const Json* find(std::string_view key) const;  // the last of that name, or null
};

// True, or `problem` has a sentence with line and column. Nothing but white space is a null.
bool read_json(std::string_view text, Json& out, std::string& problem);

void append_json(std::string& out, const Json& value);
void append_json_text(std::string& out, std::string_view text);  // with quotes
void append_json_number(std::string& out, double value);         // as Java prints it: 1.0, 1.0E7

}  // namespace fairlead::flow
