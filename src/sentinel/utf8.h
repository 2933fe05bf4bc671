// Names of resources come from requests and may be any bytes; what is sent to others must be UTF-8. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fairlead::sentinel {

bool is_utf8(std::string_view text);
// With '?' for each byte that belongs to no character.
std::string to_utf8(std::string_view text);
// Characters; the text must be UTF-8.
std::size_t utf8_length(std::string_view text);
// Characters from `begin` on, at most `count` of them.
std::string_view utf8_part(std::string_view text, std::size_t begin, std::size_t count);

}  // namespace fairlead::sentinel
