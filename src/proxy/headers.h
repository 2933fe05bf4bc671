// The data path's message heads: header fields as views into one arena, so that a head costs one copy and no
// allocation per field.
//
// Worker thread only; owned by an Exchange and reused from request to request.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/put.h"
#include "http/message.h"

namespace fairlead::proxy {

// Bump allocator. clear() keeps the first chunk.
class Arena {
 public:
  static constexpr size_t kChunkBytes = 2048;

  char* allocate(size_t bytes) {
    if (bytes > left_) grow(bytes);
    char* at = next_;
    next_ += bytes;
    left_ -= bytes;
    return at;
  }
  std::string_view copy(std::string_view bytes) {
    if (bytes.empty()) return {};
    char* at = allocate(bytes.size());
    base::put(at, bytes);
    return {at, bytes.size()};
  }
  void clear() {
    if (chunks_.empty()) return;
    if (chunks_.size() > 1) chunks_.resize(1);
    next_ = chunks_[0].get();
    left_ = kChunkBytes;
  }

 private:
  void grow(size_t bytes);
  std::vector<std::unique_ptr<char[]>> chunks_;  // chunks_[0] is kChunkBytes long
  char* next_ = nullptr;
  size_t left_ = 0;
};

// Names are lower-case. Views stay valid until clear(), also those of removed or replaced fields.
class HeaderMap {
 public:
  struct Field {
    std::string_view name, value;
  };

  void clear() {
    fields_.clear();
    arena_.clear();
  }
  std::string_view store(std::string_view bytes) { return arena_.copy(bytes); }
  char* allocate(size_t bytes) { return arena_.allocate(bytes); }

  void add_view(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }  // nothing copied
  void add(std::string_view name, std::string_view value) { add_view(name, store(value)); }           // name outlives
  void add_copy(std::string_view name, std::string_view value) { add_view(store(name), store(value)); }

  const Field* find(std::string_view name) const {
    for (const Field& f : fields_)
      if (f.name.size() == name.size() && std::memcmp(f.name.data(), name.data(), name.size()) == 0) return &f;
    return nullptr;
  }
  std::string_view get(std::string_view name) const {
    const Field* f = find(name);
    return f ? f->value : std::string_view();
  }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // All values joined by ',' (RFC 9110 section 5.3) when repeated; `scratch` holds the joined text.
  bool get_all(std::string_view name, std::string_view& value, std::string& scratch) const;
  void set(std::string_view name, std::string_view value);       // the first is replaced, the others go; name outlives
  void set_view(std::string_view name, std::string_view value);  // set(), but the value outlives, too
  void set_copy(std::string_view name, std::string_view value);
  size_t remove(std::string_view name);
  // Copies what `from` has; `block` is its ResponseHeaders::block.
  void add_all(const HeaderMap& from, std::string_view block) {
    if (!block.empty()) return (void)add_fields(from.fields_, block);
    for (const Field& f : from.fields_) add_copy(f.name, f.value);
  }
  // {name, value} views by one copy of the text that they lie in; those outside of it are static. Returns the copy.
  template <class Fields>
  const char* add_fields(const Fields& from, std::string_view text) {
    const char* copy = store(text).data();
    fields_.reserve(fields_.size() + from.size() + 8);
    for (const auto& f : from) add_view(moved(f.name, text, copy), moved(f.value, text, copy));
    return copy;
  }
  static std::string_view moved(std::string_view view, std::string_view text, const char* copy) {
    bool inside = view.data() >= text.data() && view.data() < text.data() + text.size();
    return inside ? std::string_view(copy + (view.data() - text.data()), view.size()) : view;
  }

  std::vector<Field>& fields() { return fields_; }
  const std::vector<Field>& fields() const { return fields_; }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t byte_size() const {
    size_t n = 0;
    for (const Field& f : fields_) n += f.name.size() + f.value.size() + 4;
    return n;
  }

 private:
  std::vector<Field> fields_;
  Arena arena_;
};

// What concerns one connection only (RFC 9110 section 7.6.1). "te" is left to those who know what it says.
inline bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 7:
      return name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return false;
  }
}

// Writes "name: value\r\n" of each field: byte_size() bytes. Returns the end.
inline char* put_fields(char* p, const HeaderMap& fields) {
  for (const HeaderMap::Field& f : fields) {
    p = base::put(p, f.name);
    *p++ = ':';
    *p++ = ' ';
    p = base::put(p, f.value);
    *p++ = '\r';
    *p++ = '\n';
  }
  return p;
}

// Names as a peer spelled them, of fields that are not written in lower case. Empty unless header case is preserved.
using SentNames = std::vector<std::pair<std::string_view, std::string_view>>;  // lower-case -> as sent
// How `name` is spelled on HTTP/1.1: as sent, else in proper case ("X-Request-Id") when asked, else as it is.
void append_name(std::string& out, std::string_view name, const SentNames& sent, bool proper);

struct RequestHeaders {
  std::string_view method, target, authority, scheme, protocol;  // into `fields`' arena, or static
  http::Version version = http::Version::kHttp11;
  HeaderMap fields;                                              // without Host and pseudo header fields
  SentNames sent_names;
  bool certificate_presented = false, certificate_validated = false;  // the client's; known where a route asks

  std::string_view path() const { return target.substr(0, target.find('?')); }
  std::string_view query() const {
    size_t q = target.find('?');
    return q == std::string_view::npos ? std::string_view() : target.substr(q + 1);
  }
  void clear() {
    method = target = authority = scheme = protocol = {};
    version = http::Version::kHttp11;
    fields.clear();
    sent_names.clear();
    certificate_presented = certificate_validated = false;
  }
};

struct ResponseHeaders {
  int status = 0;
  http::Version version = http::Version::kHttp11;
  HeaderMap fields;
  std::string_view block;                                        // holds every name and value of fields that is not static
  SentNames sent_names;
  bool close = false;                                            // an answer of our own that ends its connection
  void clear() {
    status = 0;
    close = false;
    block = {};
    fields.clear();
    sent_names.clear();
  }
};

}  // namespace fairlead::proxy
