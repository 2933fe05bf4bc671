// Small text helpers that more than one folder needs. Any thread; pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::base {

bool iequals(std::string_view a, std::string_view b);  // ASCII case-insensitive
std::string to_lower(std::string_view s);
std::string_view trim(std::string_view s);             // spaces, tabs, CR, LF
std::vector<std::string_view> split(std::string_view s, char separator);  // keeps empty pieces; "" gives one
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string replace_all(std::string_view s, std::string_view from, std::string_view to);

std::optional<long long> to_int(std::string_view s);   // the whole string, decimal, optional minus
std::optional<double> to_double(std::string_view s);

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);      // standard alphabet, padding required
std::string base64url_encode(std::string_view bytes);                 // no padding
std::optional<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);
std::string url_decode(std::string_view s, bool plus_is_space = false);
std::string url_encode(std::string_view s);            // everything but unreserved characters (RFC 3986 section 2.3)

// The candidate nearest to `word` by edit distance, if near enough to be what was meant (for did-you-mean).
std::optional<std::string_view> nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace fairlead::base
