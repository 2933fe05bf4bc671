// The HTTP message model that every codec, client and server shares (RFC 9110).
//
// Values; one thread at a time. Header names are stored lower-case; look-ups expect lower-case names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairlead::http {

class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  // nullptr when missing; the first when repeated.
  const std::string* find(std::string_view lower_name) const;
  std::string_view get(std::string_view lower_name) const;  // "" when missing
  bool has(std::string_view lower_name) const { return find(lower_name) != nullptr; }
  void add(std::string_view name, std::string_view value);  // lower-cases the name
  void set(std::string_view name, std::string_view value);  // replaces all of that name
  size_t remove(std::string_view lower_name);

  std::vector<Field>& fields() { return fields_; }
  const std::vector<Field>& fields() const { return fields_; }
  bool empty() const { return fields_.empty(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

struct RequestHead {
  std::string method;     // "GET"
  std::string target;     // path with query; "*" or authority for OPTIONS and CONNECT
  std::string authority;  // Host or :authority
  std::string scheme;     // "http" or "https"
  std::string protocol;   // :protocol of an extended CONNECT (RFC 8441)
  Version version = Version::kHttp11;
  Headers headers;        // without Host on the way in (see authority)

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  std::string_view query() const {
    size_t q = target.find('?');
    return q == std::string::npos ? std::string_view() : std::string_view(target).substr(q + 1);
  }
};

struct ResponseHead {
  int status = 200;
  Version version = Version::kHttp11;
  Headers headers;
};

std::string_view reason_phrase(int status);  // "OK"; "Unknown" for codes that have none

// One value of "a=1&b=2", decoded; "" when missing. has_query_param tells the difference.
std::string query_param(std::string_view query, std::string_view name);
bool has_query_param(std::string_view query, std::string_view name);
std::vector<std::pair<std::string, std::string>> query_params(std::string_view query);

// The host of an authority, without its port; an IPv6 address keeps its brackets.
inline std::string_view authority_host(std::string_view authority) {
  size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) != std::string_view::npos) colon = std::string_view::npos;
  return authority.substr(0, colon);
}

}  // namespace fairlead::http
