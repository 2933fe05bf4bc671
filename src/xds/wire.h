// Reading protobuf messages whose types are not generated here: Istio's own, of which few fields count.
#pragma once

#include <cstdint>
#include <string_view>

namespace fairlead::xds {

// Field after field of one message, as the wire has them. Ends at the first malformed byte; whole() tells.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  bool next() {
    if (rest_.empty() || broken_) return false;
    broken_ = !step();
    return !broken_;
  }
  bool whole() const { return !broken_ && rest_.empty(); }
  uint32_t field() const { return field_; }
  uint64_t number() const { return number_; }         // of a varint
  std::string_view bytes() const { return bytes_; }   // of everything else

 private:
  bool step() {
    uint64_t key = 0;
    if (!varint(key)) return false;
    field_ = static_cast<uint32_t>(key >> 3);
    bytes_ = {};
    number_ = 0;
    switch (key & 7) {
      case 0:
        return varint(number_);
      case 1:
        return take(8);
      case 2: {
        uint64_t length = 0;
        return varint(length) && length <= rest_.size() && take(length);
      }
      case 5:
        return take(4);
      default:
        return false;
    }
  }
  bool varint(uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      out |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool take(uint64_t n) {
    if (n > rest_.size()) return false;
    bytes_ = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return true;
  }

  std::string_view rest_, bytes_;
  uint64_t number_ = 0;
  uint32_t field_ = 0;
  bool broken_ = false;
};

}  // namespace fairlead::xds
