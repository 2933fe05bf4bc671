// Values of a parameter with a little state each, the one used longest ago at one end. Not for two threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "flow/param.h"

namespace fairlead::flow {

std::size_t hash_of(const Param& value);  // not of lists

// A value that owns its text.
class ParamKey {
 public:
  ParamKey() = default;
  explicit ParamKey(const Param& value) { *this = value; }
  ParamKey& operator=(const Param& value) {
    type_ = value.type();
    bits_ = value.bits();
    text_ = value.text();
    return *this;
  }
  bool is(const Param& value) const {
    return type_ == value.type() && bits_ == value.bits() && (type_ != Param::Type::String || text_ == value.text());
  }
  Param view() const;

 private:
  Param::Type type_ = Param::Type::None;
  std::uint64_t bits_ = 0;
  std::string text_;
};

class ParamTable {
 public:
  struct Slot {
    ParamKey key;
    std::size_t hash = 0;
    std::int64_t time = 0;
    std::int64_t amount = 0;
    Slot* chain = nullptr;
    Slot* older = nullptr;
    Slot* newer = nullptr;
  };

  Slot* find(const Param& value, std::size_t hash) const;
  Slot& add(const Param& value, std::size_t hash);  // which is not there yet; becomes the newest
  void use(Slot& slot);                             // becomes the newest
  void remove(Slot& slot);
  Slot* oldest() const { return oldest_; }
  std::size_t size() const { return size_; }

 private:
  void unlink(Slot& slot);
  void link(Slot& slot);
  void grow();

  std::vector<Slot*> heads_;  // a power of two of them
  std::deque<Slot> slots_;
  Slot* free_ = nullptr;
  Slot* oldest_ = nullptr;
  Slot* newest_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fairlead::flow
