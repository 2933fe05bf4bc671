// Header compression of HTTP/2 (RFC 7541), without I/O.
//
// Decoding is complete. Encoding uses the static table and no Huffman code: a proxy writes most values once, and what the
// dynamic table would save in bytes on the wire costs a lookup for each field. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_codec.h"

namespace fairlead::http {

// A decoded section. Reused from section to section, so that decoding allocates only while it grows.
struct HpackSection {
  std::vector<FieldView> fields;  // pseudo header fields among them, in order; views into text() or static
  bool malformed = false;         // a name or value that RFC 9113 section 8.2.1 forbids
  bool too_large = false;         // over a limit: fields are incomplete, the table is in step all the same
  std::string_view text() const { return {buffer_.get(), used_}; }

 private:
  friend class HpackDecoder;
  void clear() {
    fields.clear();
    malformed = too_large = false;
    used_ = 0;
  }
  char* reserve(size_t bytes);    // room behind what is used; moves the views when it grows
  std::unique_ptr<char[]> buffer_;
  size_t used_ = 0, capacity_ = 0;
};

class HpackDecoder {
 public:
  // max_bytes counts name + value + 32 of each field (RFC 9113 section 6.5.2). False: the section can't be decoded, and
  // the connection is lost with it (COMPRESSION_ERROR).
  bool decode(std::string_view block, size_t max_bytes, size_t max_count, HpackSection& out);

 private:
  static constexpr size_t kTableBytes = 4096;  // we announce no other size
  struct Entry {
    uint32_t at, name, value;                  // offset in store_ and lengths
    bool malformed;
  };
  void insert(std::string_view name, std::string_view value, bool malformed);
  void evict(size_t limit);
  const Entry& entry(size_t index) const { return entries_[(newest_ - index) & (entries_.size() - 1)]; }  // 0: the newest

  std::vector<Entry> entries_;                 // a ring; its size is a power of two
  size_t newest_ = 0, count_ = 0;
  std::unique_ptr<char[]> store_;              // 2 x kTableBytes: appended to, moved to the front when it is full
  size_t store_end_ = 0;
  size_t used_ = 0, limit_ = kTableBytes;
};

// At most this many bytes for a field.
inline size_t hpack_most(std::string_view name, std::string_view value) { return name.size() + value.size() + 12; }
// Writes one field, and returns the end of it. Names are lower-case.
char* hpack_put(char* to, std::string_view name, std::string_view value);
char* hpack_put_status(char* to, int status);

}  // namespace fairlead::http
