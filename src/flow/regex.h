// Regular expressions as Java writes them, for rules with `regex`, gateway parameters and paths: a text matches as a whole. The time is
// linear in text and expression, whatever they are (names of resources may come from anybody), so there are no back-references, no
// look-around, no possessive or atomic parts; Java's set operations and Unicode classes are missing too. Immutable; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::flow {

class Regex {
 public:
  // Nothing if the expression is wrong or not supported; then `problem` says what, where, and what to do.
  static std::optional<Regex> compile(std::string_view expression, std::string& problem);
  bool matches(std::string_view text) const;

 private:
  friend class RegexParser;
  using Range = std::array<char32_t, 2>;
  enum class Op : std::uint8_t { One, Set, NotSet, Split, Jump, TextBegin, TextEnd, LastLineEnd, Word, NotWord, Match };
  struct Step {
    Op op;
    std::uint32_t to = 0;    // Split, Jump: a step; Set: where its ranges begin; One: the character
    std::uint32_t also = 0;  // Split: the other step; Set: how many ranges
  };

  bool holds(const Step& step, const std::vector<char32_t>& text, std::size_t at) const;
  bool takes(const Step& step, char32_t c) const;

  std::vector<Step> steps_;
  std::vector<Range> ranges_;
};

}  // namespace fairlead::flow
