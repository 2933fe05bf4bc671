#include "http/h2_head.h"

#include <algorithm>

namespace fairlead::http {
namespace {

// Its views end with the call that asked for the head.
thread_local std::string cookies;

bool token(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}
// No blanks and nothing that another parser could take for a delimiter of the authority.
bool good_authority(std::string_view s) {
  return std::ranges::all_of(s, [](char ch) {
    auto c = static_cast<unsigned char>(ch);
    return c > 0x20 && c != '/' && c != '?' && c != '#' && c != '@' && c != '\\' && c != ',' && c != '"' && c != '<' && c != '>' && c != '{' &&
           c != '}' && c != '|' && c != '^' && c != '`';
  });
}
bool good_path(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) { return c != ' ' && c != '\t'; });  // the decoder has seen to the rest
}

}  // namespace

bool read_head(const HpackSection& section, bool response, bool extended_connect, H2Head& head, std::vector<FieldView>& fields, int64_t& content_length) {
  fields.clear();
  bool method = false, scheme = false, path = false, authority = false, protocol = false, status = false;
  std::string_view host;
  size_t cookie = 0;
  auto once = [](bool& seen, std::string_view& into, std::string_view value) {
    into = value;
    return !std::exchange(seen, true);
  };
  for (const FieldView& f : section.fields) {
    if (f.name.front() == ':') {
      if (!fields.empty() || !host.empty()) return false;  // pseudo header fields come first
      bool ok = false;
      if (response) {
        std::string_view digits;
        ok = f.name == ":status" && once(status, digits, f.value) && digits.size() == 3 &&
             std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }) && digits[0] != '0';
        if (ok) head.status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
      } else if (f.name == ":method") {
        ok = once(method, head.method, f.value) && (f.value == "GET" || f.value == "POST" || token(f.value));
      } else if (f.name == ":path") {
        ok = once(path, head.path, f.value) && good_path(f.value);
      } else if (f.name == ":scheme") {
        ok = once(scheme, head.scheme, f.value) && token(f.value);
      } else if (f.name == ":authority") {
        ok = once(authority, head.authority, f.value) && good_authority(f.value);
      } else if (f.name == ":protocol") {
        ok = extended_connect && once(protocol, head.protocol, f.value) && token(f.value);
      }
      if (!ok) return false;
      continue;
    }
    switch (f.name.size()) {
      case 2:
        if (f.name == "te" && f.value != "trailers") return false;
        break;
      case 4:
        if (f.name == "host") {
          if (!host.empty() || f.value.empty() || !good_authority(f.value)) return false;
          host = f.value;
          continue;
        }
        break;
      case 6:
        if (f.name == "cookie" && ++cookie > 1) continue;  // joined below
        break;
      case 7:
        if (f.name == "upgrade") return false;
        break;
      case 10:
        if (f.name == "connection" || f.name == "keep-alive") return false;
        break;
      case 14:
        if (f.name == "content-length") {
          if (f.value.empty() || f.value.size() > 18) return false;
          int64_t n = 0;
          for (char c : f.value) {
            if (c < '0' || c > '9') return false;
            n = n * 10 + (c - '0');
          }
          if (content_length >= 0) {
            if (content_length != n) return false;
            continue;  // the same again
          }
          content_length = n;
        }
        break;
      case 16:
        if (f.name == "proxy-connection") return false;
        break;
      case 17:
        if (f.name == "transfer-encoding") return false;
        break;
      default: break;
    }
    fields.push_back(f);
  }
  head.text = section.text();
  if (cookie > 1) {
    // Crumbs become one field (section 8.2.3); the text is copied with the crumbs behind it.
    cookies.assign(section.text());
    auto moved = [&](std::string_view v) {
      bool inside = v.data() >= section.text().data() && v.data() < section.text().data() + section.text().size();
      return inside ? static_cast<size_t>(v.data() - section.text().data()) : std::string::npos;
    };
    size_t at = cookies.size(), crumbs = 0;
    for (const FieldView& f : section.fields) {
      if (f.name != "cookie") continue;
      if (crumbs++) cookies += "; ";
      cookies += f.value;
    }
    std::string_view text = cookies;
    auto rebase = [&](std::string_view& v) {
      if (size_t offset = moved(v); offset != std::string::npos) v = text.substr(offset, v.size());
    };
    for (FieldView& f : fields) {
      if (f.name == "cookie") f.value = text.substr(at);
      else rebase(f.value);
      rebase(f.name);
    }
    for (std::string_view* v : {&head.method, &head.path, &head.authority, &head.scheme, &head.protocol, &host}) rebase(*v);
    head.text = text;
  }
  if (response) return status;
  if (!method) return false;
  if (!authority) head.authority = host;
  if (head.method == "CONNECT" && !protocol) return !scheme && !path && authority;
  if (protocol && head.method != "CONNECT") return false;
  return scheme && path;
}

}  // namespace fairlead::http
