// httpbin: answers with what it was asked. Two dialects: kennethreitz/httpbin (Python) and mccutchen/go-httpbin.
// Endpoints, limits and JSON shapes are theirs; see https://httpbin.org and https://github.com/mccutchen/go-httpbin.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "sample/service.h"

namespace fairlead::sample {

enum class Dialect : uint8_t { kPython, kGo };

int httpbin_main(Dialect dialect, const Listen& at);

class Httpbin {
 public:
  Httpbin(Service& service, Dialect dialect);
  void serve(const Exchange& exchange);

  struct Route;  // in httpbin.cc

 private:
  using Path = std::vector<std::string>;
  friend struct Route;

  // --- httpbin.cc: who answers
  void dispatch(const Exchange& exchange);
  void not_found(const Exchange& exchange);
  void send(const Exchange& exchange, int status, http::Headers headers, std::string_view body);
  void send(const Exchange& exchange, int status, std::string_view content_type, std::string_view body);
  void json(const Exchange& exchange, int status, const base::Value& body, http::Headers headers = {});
  void fail(const Exchange& exchange, int status, std::string_view detail);
  void redirect(const Exchange& exchange, std::string_view to, int status = 302);

  // --- httpbin_echo.cc: what was asked
  void echo(const Exchange& exchange, bool with_method, int status = 200);
  void headers(const Exchange& exchange, const Path& path);
  void ip(const Exchange& exchange, const Path& path);
  void user_agent(const Exchange& exchange, const Path& path);
  void cookies(const Exchange& exchange, const Path& path);
  void response_headers(const Exchange& exchange, const Path& path);
  void compressed(const Exchange& exchange, const Path& path);
  void cache(const Exchange& exchange, const Path& path);
  void etag(const Exchange& exchange, const Path& path);

  // --- httpbin_answers.cc: what was asked for
  void status(const Exchange& exchange, const Path& path);
  void redirects(const Exchange& exchange, const Path& path);
  void redirect_to(const Exchange& exchange, const Path& path);
  void basic_auth(const Exchange& exchange, const Path& path);
  void bearer(const Exchange& exchange, const Path& path);
  void base64(const Exchange& exchange, const Path& path);
  void uuid(const Exchange& exchange, const Path& path);
  void unstable(const Exchange& exchange, const Path& path);
  void fixed(const Exchange& exchange, const Path& path);  // html, json, xml, robots.txt, image ...

  // --- httpbin_stream.cc: slowly, or much
  void delay(const Exchange& exchange, const Path& path);
  void stream(const Exchange& exchange, const Path& path);
  void bytes(const Exchange& exchange, const Path& path);
  void range(const Exchange& exchange, const Path& path);
  void drip(const Exchange& exchange, const Path& path);

  Service& service_;
  Dialect dialect_;
  std::mt19937_64 random_;
};

// --- what can be tested without a socket

// "503", "200,503", "200:3,503:1" with weights: one of them, picked by `dice` in [0, 1). Nothing when malformed.
std::optional<int> pick_status(std::string_view spec, double dice);
// "content-type" -> "Content-Type".
std::string canonical_header(std::string_view name);
// The JSON of /get, /post, /anything ...
base::Value echo_json(Dialect dialect, const http::RequestHead& request, const std::string& peer_ip, std::string_view body,
                      bool with_method);
// The first byte range of a Range header within `size` bytes: inclusive bounds; nothing when it cannot be satisfied.
std::optional<std::pair<size_t, size_t>> byte_range(std::string_view header, size_t size);
// gzip or zlib ("deflate") of the bytes.
std::string compress(std::string_view bytes, bool gzip);
// "3", "0.5", "100ms" -> duration, at most 10 s; nothing when malformed.
std::optional<base::Nanos> delay_of(std::string_view text);

}  // namespace fairlead::sample
