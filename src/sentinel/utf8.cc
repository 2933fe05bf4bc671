#include "sentinel/utf8.h"

namespace fairlead::sentinel {
namespace {

// Bytes of the character that begins here; 0: none does.
std::size_t character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xF0 && first < 0xF5 ? 4 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xC2 && first < 0xE0 ? 2 : 0;
  if (size == 0 || size > text.size()) return 0;
  unsigned point = first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80) return 0;
    point = point << 6 | (next & 0x3FU);
  }
  constexpr unsigned kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  return point < kLeast[size] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000) ? 0 : size;
}

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (size == 0) out += '?';
    else out += text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::size_t utf8_length(std::string_view text) {
  std::size_t length = 0;
  for (const char c : text) length += begins_character(c) ? 1 : 0;
  return length;
}

std::string_view utf8_part(std::string_view text, std::size_t begin, std::size_t count) {
  std::size_t from = 0;
  const auto skip = [&text](std::size_t& at, std::size_t characters) {
    for (; characters > 0 && at < text.size(); --characters)
      do ++at;
      while (at < text.size() && !begins_character(text[at]));
  };
  skip(from, begin);
  std::size_t to = from;
  skip(to, count);
  return text.substr(from, to - from);
}

}  // namespace fairlead::sentinel
