#include "flow/param_table.h"

#include <functional>

namespace fairlead::flow {

std::size_t hash_of(const Param& value) {
  if (value.type() == Param::Type::String) return std::hash<std::string_view>{}(value.text());
  std::uint64_t mixed = (value.bits() + static_cast<std::uint64_t>(value.type())) * 0x9E37'79B9'7F4A'7C15ULL;
  return static_cast<std::size_t>(mixed ^ mixed >> 32);
}

Param ParamKey::view() const {
  switch (type_) {
    case Param::Type::Boolean:
      return bits_ != 0;
    case Param::Type::Byte:
      return static_cast<std::int8_t>(bits_);
    case Param::Type::Short:
      return static_cast<std::int16_t>(bits_);
    case Param::Type::Integer:
      return static_cast<std::int32_t>(bits_);
    case Param::Type::Long:
      return static_cast<std::int64_t>(bits_);
    case Param::Type::Float:
      return std::bit_cast<float>(static_cast<std::uint32_t>(bits_));
    case Param::Type::Double:
      return std::bit_cast<double>(bits_);
    case Param::Type::Character:
      return static_cast<char16_t>(bits_);
    case Param::Type::String:
      return std::string_view(text_);
    default:
      return {};
  }
}

ParamTable::Slot* ParamTable::find(const Param& value, std::size_t hash) const {
  if (heads_.empty()) return nullptr;
  for (Slot* slot = heads_[hash & (heads_.size() - 1)]; slot != nullptr; slot = slot->chain)
    if (slot->hash == hash && slot->key.is(value)) return slot;
  return nullptr;
}

ParamTable::Slot& ParamTable::add(const Param& value, std::size_t hash) {
  if (size_ >= heads_.size()) grow();
  Slot* slot = free_;
  if (slot != nullptr) free_ = slot->chain;
  else slot = &slots_.emplace_back();
  slot->key = value;
  slot->hash = hash;
  slot->time = slot->amount = 0;
  Slot*& head = heads_[hash & (heads_.size() - 1)];
  slot->chain = head;
  head = slot;
  link(*slot);
  ++size_;
  return *slot;
}

void ParamTable::use(Slot& slot) {
  if (&slot == newest_) return;
  unlink(slot);
  link(slot);
}

void ParamTable::remove(Slot& slot) {
  Slot** at = &heads_[slot.hash & (heads_.size() - 1)];
  while (*at != &slot) at = &(*at)->chain;
  *at = slot.chain;
  unlink(slot);
  slot.chain = free_;
  free_ = &slot;
  --size_;
}

void ParamTable::unlink(Slot& slot) {
  (slot.older != nullptr ? slot.older->newer : oldest_) = slot.newer;
  (slot.newer != nullptr ? slot.newer->older : newest_) = slot.older;
}

void ParamTable::link(Slot& slot) {
  slot.older = newest_;
  slot.newer = nullptr;
  (newest_ != nullptr ? newest_->newer : oldest_) = &slot;
  newest_ = &slot;
}

void ParamTable::grow() {
  heads_.assign(heads_.empty() ? 16 : heads_.size() * 2, nullptr);
  for (Slot* slot = oldest_; slot != nullptr; slot = slot->newer) {
    Slot*& head = heads_[slot->hash & (heads_.size() - 1)];
    slot->chain = head;
    head = slot;
  }
}

}  // namespace fairlead::flow
