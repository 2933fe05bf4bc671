// Envoy's string, header, query and fraction matchers (envoy.type.matcher.v3, envoy.config.route.v3). Immutable after
// construction; any thread may match.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/headers.h"

namespace re2 {
class RE2;
}

namespace fairlead::proxy {

// A compiled regular expression that must match the whole text (Envoy's safe_regex).
class Regex {
 public:
  static std::shared_ptr<const Regex> compile(const std::string& pattern, std::string* error);  // nullptr: see error
  ~Regex();
  bool full_match(std::string_view text) const;
  // Replaces all matches; `substitution` knows \0 .. \9.
  std::string replace_all(std::string_view text, const std::string& substitution) const;
  const std::string& pattern() const;
  // The number of a named group; 0 when there is none of that name.
  int group(const std::string& name) const;
  // What the whole text and each group of it have; empty when it does not match.
  std::vector<std::string_view> groups(std::string_view text) const;

 private:
  explicit Regex(std::unique_ptr<re2::RE2> re);
  std::unique_ptr<re2::RE2> re_;
};

struct StringMatcher {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  bool ignore_case = false;
  std::string text;
  std::shared_ptr<const Regex> regex;
  bool matches(std::string_view value) const;
};

struct HeaderMatcher {
  enum class Kind : uint8_t { kPresent, kString, kRange };
  Kind kind = Kind::kPresent;
  bool invert = false;
  bool present = true;                 // kPresent: false matches when the header is missing
  bool missing_as_empty = false;
  std::string name;                    // lower-case; pseudo headers too (:method, :path, :authority, :scheme)
  StringMatcher string;
  int64_t range_start = 0, range_end = 0;  // half-open
  bool matches(const RequestHeaders& request) const;
  bool matches(const ResponseHeaders& response) const;  // knows :status

 private:
  bool decide(bool found, std::string_view value) const;
};
bool all_match(const std::vector<HeaderMatcher>& matchers, const RequestHeaders& request);

struct QueryMatcher {
  std::string name;
  std::optional<StringMatcher> string;  // nothing: present is enough
  bool matches(std::string_view query) const;
};

// A share of requests, in parts of a million.
struct Fraction {
  uint32_t per_million = 1'000'000;
  bool hit(uint64_t random) const { return per_million >= 1'000'000 || random % 1'000'000 < per_million; }
};

// The value of a header or pseudo header field; false when missing.
bool request_header(const RequestHeaders& request, std::string_view lower_name, std::string_view& value, std::string& scratch);

}  // namespace fairlead::proxy
