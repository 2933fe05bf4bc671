// The writing half of the HTTP/1.1 codec, and conversion of parsed heads into owned ones.
#include <charconv>
#include <cstring>

#include "http/h1_codec.h"

namespace fairlead::http {
namespace {

void append_clean(std::string& out, std::string_view value) {
  size_t at = out.size();
  out += value;
  // A handler may echo what it was given: nothing it puts into a value may begin another line. Eight bytes at a time are
  // looked at for one below 0x0e, which is rare.
  constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  char* p = out.data() + at;
  char* end = out.data() + out.size();
  auto scrub = [](char* from, char* to) {
    for (; from < to; ++from)
      if (*from == '\r' || *from == '\n' || *from == '\0') *from = ' ';
  };
  for (; end - p >= 8; p += 8) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    if ((w - kOnes * 0x0e) & ~w & kHigh) scrub(p, p + 8);
  }
  scrub(p, end);
}

bool is_framing_field(std::string_view name) {
  return name == "connection" || name == "content-length" || name == "transfer-encoding";
}

void append_framing(std::string& out, BodyFraming framing, uint64_t length) {
  if (framing == BodyFraming::kLength) h1_append_field(out, "content-length", length);
  else if (framing == BodyFraming::kChunked) out += "transfer-encoding: chunked\r\n";
}

}  // namespace

void h1_append_request_line(std::string& out, std::string_view method, std::string_view target) {
  append_clean(out, method);
  out += ' ';
  append_clean(out, target.empty() ? "/" : target);
  out += " HTTP/1.1\r\n";
}

void h1_append_status_line(std::string& out, int status, std::string_view reason) {
  if (status == 200 && reason.empty()) {
    out += "HTTP/1.1 200 OK\r\n";
    return;
  }
  out += "HTTP/1.1 ";
  char digits[12];
  auto r = std::to_chars(digits, digits + sizeof digits, status);
  out.append(digits, r.ptr);
  out += ' ';
  append_clean(out, reason.empty() ? reason_phrase(status) : reason);
  out += "\r\n";
}

void h1_append_field(std::string& out, std::string_view name, std::string_view value) {
  append_clean(out, name);
  out += ": ";
  append_clean(out, value);
  out += "\r\n";
}

void h1_append_field(std::string& out, std::string_view name, uint64_t value) {
  char digits[24];
  auto r = std::to_chars(digits, digits + sizeof digits, value);
  out += name;
  out += ": ";
  out.append(digits, r.ptr);
  out += "\r\n";
}

size_t h1_chunk_header(char (&buffer)[20], size_t bytes) {
  auto r = std::to_chars(buffer, buffer + sizeof buffer - 2, bytes, 16);
  *r.ptr++ = '\r';
  *r.ptr++ = '\n';
  return static_cast<size_t>(r.ptr - buffer);
}

void h1_append_chunk(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;
  char header[20];
  out.append(header, h1_chunk_header(header, bytes.size()));
  out += bytes;
  out += "\r\n";
}

void h1_append_last_chunk(std::string& out, std::span<const FieldView> trailers) {
  out += "0\r\n";
  for (const auto& f : trailers) h1_append_field(out, f.name, f.value);
  out += "\r\n";
}

void h1_append_last_chunk(std::string& out, const Headers& trailers) {
  out += "0\r\n";
  for (const auto& [name, value] : trailers) h1_append_field(out, name, value);
  out += "\r\n";
}

void h1_append_request_head(std::string& out, const RequestHead& head, BodyFraming framing, uint64_t length, bool keep_alive) {
  h1_append_request_line(out, head.method, head.target);
  if (!head.headers.has("host")) h1_append_field(out, "host", head.authority);
  bool upgrade = head.headers.has("upgrade");
  for (const auto& [name, value] : head.headers)
    if (!is_framing_field(name) || (upgrade && name == "connection")) h1_append_field(out, name, value);
  append_framing(out, framing, length);
  if (!keep_alive && !upgrade) out += "connection: close\r\n";
  out += "\r\n";
}

void h1_append_response_head(std::string& out, const ResponseHead& head, BodyFraming framing, uint64_t length, bool keep_alive) {
  h1_append_status_line(out, head.status);
  bool upgrade = head.status == 101;
  for (const auto& [name, value] : head.headers)
    if (!is_framing_field(name) || (upgrade && name == "connection")) h1_append_field(out, name, value);
  append_framing(out, framing, length);
  if (!keep_alive && !upgrade) out += "connection: close\r\n";
  out += "\r\n";
}

RequestHead to_request_head(const H1Head& head, bool secure) {
  RequestHead out;
  out.method = head.method;
  out.version = head.version;
  out.scheme = secure ? "https" : "http";
  out.authority = head.host;
  out.target = head.target;
  size_t scheme = head.target.find("://");
  if (head.method == "CONNECT") {
    out.authority = head.target;
  } else if (!head.target.empty() && head.target.front() != '/' && scheme != std::string_view::npos) {
    // Absolute form: its authority wins over Host (RFC 9112 section 3.2.2).
    std::string_view rest = head.target.substr(scheme + 3);
    size_t path = rest.find_first_of("/?");
    out.authority = rest.substr(0, path);
    out.target = path == std::string_view::npos ? "/" : rest[path] == '?' ? "/" + std::string(rest.substr(path)) : std::string(rest.substr(path));
  }
  out.headers.fields().reserve(head.fields.size() + 4);
  for (const auto& f : head.fields)
    if (f.name != "host") out.headers.fields().emplace_back(f.name, f.value);
  return out;
}

ResponseHead to_response_head(const H1Head& head) {
  ResponseHead out;
  out.status = head.status;
  out.version = head.version;
  out.headers.fields().reserve(head.fields.size() + 4);
  for (const auto& f : head.fields) out.headers.fields().emplace_back(f.name, f.value);
  return out;
}

}  // namespace fairlead::http
