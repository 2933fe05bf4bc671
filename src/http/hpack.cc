#include "http/hpack.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/put.h"
#include "http/hpack_tables.h"

namespace fairlead::http {
namespace {

// ---- Huffman decoding, four bits at a time (the tree's inner nodes are the states)

struct Step {
  uint16_t next;
  uint8_t octet;
  uint8_t flags;  // kEmit: octet is complete; kEnd: the string may end here; kFail: no such code
};
constexpr uint8_t kEmit = 1, kEnd = 2, kFail = 4;

struct HuffmanMachine {
  std::vector<std::array<Step, 16>> steps;

  HuffmanMachine() {
    struct Node {
      int child[2] = {-1, -1};
      int octet = -1;
      uint8_t depth = 0;
      bool ones = true;  // only ones lead here
    };
    std::vector<Node> tree(1);
    for (int c = 0; c < 257; ++c) {
      // 256 is EOS, thirty ones: a complete one is an error, its front is padding.
      HuffmanCode code = c < 256 ? kHuffman[static_cast<size_t>(c)] : HuffmanCode{0x3fffffff, 30};
      size_t at = 0;
      for (int b = code.bits - 1; b >= 0; --b) {
        size_t bit = code.code >> b & 1;
        if (tree[at].child[bit] < 0) {
          Node n;
          n.depth = static_cast<uint8_t>(tree[at].depth + 1);
          n.ones = tree[at].ones && bit;
          tree[at].child[bit] = static_cast<int>(tree.size());
          tree.push_back(n);
        }
        at = static_cast<size_t>(tree[at].child[bit]);
      }
      tree[at].octet = c;
    }
    std::vector<int> state(tree.size(), -1);
    std::vector<size_t> inner;
    for (size_t i = 0; i < tree.size(); ++i)
      if (tree[i].octet < 0) state[i] = static_cast<int>(inner.size()), inner.push_back(i);
    steps.resize(inner.size());
    for (size_t s = 0; s < inner.size(); ++s) {
      for (unsigned nibble = 0; nibble < 16; ++nibble) {
        Step step{0, 0, 0};
        size_t at = inner[s];
        for (int b = 3; b >= 0 && !(step.flags & kFail); --b) {
          at = static_cast<size_t>(tree[at].child[nibble >> b & 1]);
          if (tree[at].octet == 256) {
            step.flags |= kFail;
          } else if (tree[at].octet >= 0) {
            step.octet = static_cast<uint8_t>(tree[at].octet);
            step.flags |= kEmit;
            at = 0;
          }
        }
        if (!(step.flags & kFail)) {
          step.next = static_cast<uint16_t>(state[at]);
          if (tree[at].ones && tree[at].depth < 8) step.flags |= kEnd;
        }
        steps[s][nibble] = step;
      }
    }
  }
};

const HuffmanMachine& machine() {
  static const HuffmanMachine m;
  return m;
}

// Room for 8/5 of the input. Returns the end, nullptr when the code is broken.
char* huffman_decode(std::string_view in, char* out) {
  const auto& steps = machine().steps;
  size_t state = 0;
  uint8_t flags = kEnd;
  for (char c : in) {
    auto byte = static_cast<unsigned char>(c);
    for (unsigned nibble : {unsigned{byte} >> 4, unsigned{byte} & 15}) {
      Step step = steps[state][nibble];
      if (step.flags & kFail) return nullptr;
      if (step.flags & kEmit) *out++ = static_cast<char>(step.octet);
      state = step.next;
      flags = step.flags;
    }
  }
  return flags & kEnd ? out : nullptr;
}

// ---- what names and values may consist of (RFC 9113 section 8.2.1, and RFC 9110 for what reaches HTTP/1.1)

constexpr std::array<bool, 256> kNameOctet = [] {
  std::array<bool, 256> t{};
  for (char c : std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")) t[static_cast<unsigned char>(c)] = true;
  return t;
}();

bool good_name(std::string_view name) {
  if (name.starts_with(':')) name.remove_prefix(1);
  return !name.empty() && std::ranges::all_of(name, [](char c) { return kNameOctet[static_cast<unsigned char>(c)]; });
}

bool good_value(std::string_view value) {
  if (value.empty()) return true;
  auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (blank(value.front()) || blank(value.back())) return false;
  return std::ranges::all_of(value, [](char ch) {
    auto c = static_cast<unsigned char>(ch);
    return (c >= 0x20 && c != 0x7f) || c == '\t';
  });
}

bool read_int(std::string_view& in, unsigned prefix, size_t& value) {
  size_t most = (1u << prefix) - 1;
  value = static_cast<unsigned char>(in.front()) & most;
  in.remove_prefix(1);
  if (value < most) return true;
  for (unsigned shift = 0; shift <= 21; shift += 7) {  // nothing here is larger than 2^28
    if (in.empty()) return false;
    auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value += static_cast<size_t>(byte & 127) << shift;
    if (!(byte & 128)) return true;
  }
  return false;
}

// ---- names of the static table

constexpr size_t name_hash(std::string_view n) {
  return (n.size() * 7 + static_cast<unsigned char>(n.front()) * 3 + static_cast<unsigned char>(n.back()) * 13 +
          static_cast<unsigned char>(n[n.size() / 2]) * 5) & 255;
}
constexpr std::array<uint8_t, 256> kByName = [] {
  std::array<uint8_t, 256> t{};
  for (size_t i = 0; i < kHpackStatic.size(); ++i) {
    if (i > 0 && kHpackStatic[i].name == kHpackStatic[i - 1].name) continue;
    size_t at = name_hash(kHpackStatic[i].name);
    while (t[at]) at = (at + 1) & 255;
    t[at] = static_cast<uint8_t>(i + 1);
  }
  return t;
}();

size_t static_index(std::string_view name) {
  if (name.empty()) return 0;
  for (size_t at = name_hash(name); kByName[at]; at = (at + 1) & 255)
    if (kHpackStatic[kByName[at] - 1u].name == name) return kByName[at];
  return 0;
}

char* put_int(char* to, unsigned first, unsigned prefix, size_t value) {
  size_t most = (1u << prefix) - 1;
  if (value < most) {
    *to++ = static_cast<char>(first | value);
    return to;
  }
  *to++ = static_cast<char>(first | most);
  for (value -= most; value >= 128; value >>= 7) *to++ = static_cast<char>(value | 128);
  *to++ = static_cast<char>(value);
  return to;
}

}  // namespace

char* hpack_put(char* to, std::string_view name, std::string_view value) {
  size_t index = static_index(name);
  // The few whole fields that are common.
  if (name.size() > 1 && name[0] == ':') {
    for (size_t i = index; i && i <= 7 && kHpackStatic[i - 1].name == name; ++i)
      if (i > 1 && kHpackStatic[i - 1].value == value) return put_int(to, 0x80, 7, i);
  }
  to = put_int(to, 0, 4, index);
  if (!index) {
    to = put_int(to, 0, 7, name.size());
    to = base::put(to, name);
  }
  to = put_int(to, 0, 7, value.size());
  return base::put(to, value);
}

char* hpack_put_status(char* to, int status) {
  char digits[3] = {static_cast<char>('0' + status / 100 % 10), static_cast<char>('0' + status / 10 % 10), static_cast<char>('0' + status % 10)};
  for (size_t i = 8; i <= 14; ++i)
    if (kHpackStatic[i - 1].value == std::string_view(digits, 3)) return put_int(to, 0x80, 7, i);
  to = put_int(to, 0, 4, 8);
  to = put_int(to, 0, 7, 3);
  return base::put(to, {digits, 3});
}

char* HpackSection::reserve(size_t bytes) {
  if (capacity_ - used_ < bytes || !buffer_) {
    size_t capacity = std::max<size_t>(std::max<size_t>(2 * capacity_, used_ + bytes), 1024);
    auto bigger = std::make_unique_for_overwrite<char[]>(capacity);
    if (used_) std::memcpy(bigger.get(), buffer_.get(), used_);
    auto move = [&](std::string_view& v) {
      if (v.data() >= buffer_.get() && v.data() < buffer_.get() + used_) v = {bigger.get() + (v.data() - buffer_.get()), v.size()};
    };
    if (used_)
      for (FieldView& f : fields) move(f.name), move(f.value);
    buffer_ = std::move(bigger);
    capacity_ = capacity;
  }
  return buffer_.get() + used_;
}

void HpackDecoder::evict(size_t limit) {
  while (used_ > limit) {
    const Entry& oldest = entry(count_ - 1);
    used_ -= oldest.name + oldest.value + 32;
    --count_;
  }
}

void HpackDecoder::insert(std::string_view name, std::string_view value, bool malformed) {
  size_t size = name.size() + value.size() + 32;
  if (size > limit_) {  // empties the table (RFC 7541 section 4.4)
    evict(0);
    return;
  }
  evict(limit_ - size);
  if (!store_) {
    store_ = std::make_unique_for_overwrite<char[]>(2 * kTableBytes);
    entries_.resize(16);
  }
  if (count_ == entries_.size()) {
    std::vector<Entry> bigger(2 * entries_.size());
    for (size_t i = 0; i < count_; ++i) bigger[count_ - 1 - i] = entry(i);
    newest_ = count_ - 1;
    entries_ = std::move(bigger);
  }
  size_t bytes = name.size() + value.size();
  if (store_end_ + bytes > 2 * kTableBytes) {
    // Entries lie in order, the oldest first: all of them are one piece of at most kTableBytes.
    size_t from = count_ ? entry(count_ - 1).at : store_end_;
    std::memmove(store_.get(), store_.get() + from, store_end_ - from);
    for (size_t i = 0; i < count_; ++i) entries_[(newest_ - i) & (entries_.size() - 1)].at -= static_cast<uint32_t>(from);
    store_end_ -= from;
  }
  // A name may come from the table itself: memmove above kept its bytes only when it is still an entry, so callers hand
  // in a copy.
  base::put(base::put(store_.get() + store_end_, name), value);
  newest_ = (newest_ + 1) & (entries_.size() - 1);
  entries_[newest_] = {static_cast<uint32_t>(store_end_), static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size()), malformed};
  store_end_ += bytes;
  used_ += size;
  ++count_;
}

bool HpackDecoder::decode(std::string_view in, size_t max_bytes, size_t max_count, HpackSection& out) {
  out.clear();
  size_t total = 0;
  bool fields_seen = false;
  // One string literal, into the section's text.
  auto literal = [&](std::string_view& into) {
    if (in.empty()) return false;
    bool huffman = in.front() & 0x80;
    size_t length;
    if (!read_int(in, 7, length) || length > in.size()) return false;
    std::string_view raw = in.substr(0, length);
    in.remove_prefix(length);
    char* at = out.reserve(huffman ? length * 8 / 5 + 1 : length);
    char* end = huffman ? huffman_decode(raw, at) : base::put(at, raw);
    if (!end) return false;
    into = {at, static_cast<size_t>(end - at)};
    out.used_ += into.size();
    return true;
  };
  auto add = [&](std::string_view name, std::string_view value, bool malformed) {
    fields_seen = true;
    total += name.size() + value.size() + 32;
    out.malformed |= malformed;
    if (total > max_bytes || out.fields.size() >= max_count) out.too_large = true;
    if (!out.too_large) out.fields.push_back({name, value});
  };

  while (!in.empty()) {
    auto first = static_cast<unsigned char>(in.front());
    if (first & 0x80) {  // indexed field
      size_t index;
      if (!read_int(in, 7, index) || index == 0) return false;
      if (index <= kHpackStatic.size()) {
        add(kHpackStatic[index - 1].name, kHpackStatic[index - 1].value, false);
        continue;
      }
      index -= kHpackStatic.size() + 1;
      if (index >= count_) return false;
      const Entry& e = entry(index);
      if (out.too_large) {
        total += e.name + e.value + 32;
        continue;
      }
      char* at = out.reserve(e.name + e.value);
      base::put(at, {store_.get() + e.at, e.name + e.value});
      out.used_ += e.name + e.value;
      add({at, e.name}, {at + e.name, e.value}, e.malformed);
      continue;
    }
    if ((first & 0xe0) == 0x20) {  // table size update: only in front (RFC 7541 section 4.2)
      size_t limit;
      if (fields_seen || !read_int(in, 5, limit) || limit > kTableBytes) return false;
      limit_ = limit;
      evict(limit_);
      continue;
    }
    bool keep = (first & 0xc0) == 0x40;
    size_t index;
    if (!read_int(in, keep ? 6 : 4, index)) return false;
    size_t before = out.used_;
    // What is dropped for its size would only grow the text; only the table still needs it.
    std::string_view name, value;
    bool malformed = false;
    size_t name_at = out.used_;
    bool name_in_text = true;
    if (index == 0) {
      if (!literal(name)) return false;
      malformed = !good_name(name);
    } else if (index <= kHpackStatic.size()) {
      name = kHpackStatic[index - 1].name;
      name_in_text = false;
    } else {
      index -= kHpackStatic.size() + 1;
      if (index >= count_) return false;
      const Entry& e = entry(index);
      char* at = out.reserve(e.name);
      base::put(at, {store_.get() + e.at, e.name});
      name = {at, e.name};
      out.used_ += e.name;
      malformed = !good_name(name);
    }
    if (!literal(value)) return false;
    if (name_in_text) name = {out.buffer_.get() + name_at, name.size()};  // the text may have moved
    malformed |= !good_value(value);
    if (keep) insert(name, value, malformed);
    add(name, value, malformed);
    if (out.too_large) out.used_ = before;
  }
  return true;
}

}  // namespace fairlead::http
