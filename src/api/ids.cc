#include "api/ids.h"

#include "base/time.h"
#include "base/strings.h"
#include "io/tls.h"

namespace fairlead::api {

std::string new_uid() {
  std::string bytes = io::random_bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string hex = base::hex_encode(bytes);
  for (size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return hex;
}

std::string random_suffix(size_t length) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string bytes = io::random_bytes(length);
  // 256 is no multiple of 27; the bias does not matter for names.
  for (char& c : bytes) c = kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return bytes;
}

std::string generated_name(std::string_view prefix) { return std::string(prefix.substr(0, 58)) + random_suffix(5); }

std::string now_text() { return base::format_rfc3339(std::chrono::system_clock::now()); }

}  // namespace fairlead::api
