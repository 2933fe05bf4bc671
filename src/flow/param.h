// An argument of a call, for rules about single values (Sentinel's hot parameters). A view: a text or a list must outlive the call.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace fairlead::flow {

// Two values are the same only if their types are, as in Java: the Integer 1 is not the Long 1. Exceptions of a rule name the type.
class Param {
 public:
  enum class Type : std::uint8_t { None, Boolean, Byte, Short, Integer, Long, Float, Double, Character, String, List };

  Param() = default;  // None: no rule asks about it
  Param(std::nullptr_t) {}
  template <std::same_as<bool> T>
  Param(T value) : type_(Type::Boolean), bits_(value ? 1 : 0) {}
  template <std::signed_integral T>
  Param(T value)
      : type_(sizeof(T) == 1 ? Type::Byte : sizeof(T) == 2 ? Type::Short : sizeof(T) == 4 ? Type::Integer : Type::Long),
        bits_(static_cast<std::uint64_t>(static_cast<std::int64_t>(value))) {}
  Param(char) = delete;  // char16_t is a character, std::int8_t a byte
  Param(char16_t value) : type_(Type::Character), bits_(value) {}
  Param(float value) : type_(Type::Float), bits_(std::bit_cast<std::uint32_t>(std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value)) {}
  Param(double value) : type_(Type::Double), bits_(std::bit_cast<std::uint64_t>(std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value)) {}
  Param(const char* text) : Param(std::string_view(text)) {}
  Param(const std::string& text) : Param(std::string_view(text)) {}
  Param(std::string_view text) : type_(Type::String), bits_(text.size()), data_(text.data()) {}
  Param(std::span<const Param> list) : type_(Type::List), bits_(list.size()), data_(list.data()) {}  // each of its values is asked about

  Type type() const { return type_; }
  std::uint64_t bits() const { return bits_; }  // of numbers, booleans and characters
  std::string_view text() const { return type_ == Type::String ? std::string_view(static_cast<const char*>(data_), bits_) : std::string_view(); }
  std::span<const Param> list() const {
    return type_ == Type::List ? std::span(static_cast<const Param*>(data_), bits_) : std::span<const Param>();
  }

 private:
  Type type_ = Type::None;
  std::uint64_t bits_ = 0;  // of texts and lists: the size
  const void* data_ = nullptr;
};

}  // namespace fairlead::flow
