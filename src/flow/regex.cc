#include "flow/regex.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

namespace fairlead::flow {
namespace {

constexpr std::size_t kMaxSteps = 20'000;
constexpr int kMaxDepth = 100;
constexpr int kMaxRepeat = 1'000;
constexpr char32_t kLast = 0x10FFFF;

// One code point; a byte that is none stands for itself, beyond Unicode.
char32_t decode(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const int more = first < 0x80 ? 0 : first >= 0xF0 && first < 0xF5 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : -1;
  if (more == 0) return text[at++];
  if (more > 0 && first < 0xF5 && at + static_cast<std::size_t>(more) < text.size()) {
    char32_t point = first & (0x3FU >> more);
    bool good = true;
    for (std::size_t i = 1; i <= static_cast<std::size_t>(more); ++i) {
      good = good && (byte(at + i) & 0xC0) == 0x80;
      point = point << 6 | (byte(at + i) & 0x3FU);
    }
    if (good) {
      at += static_cast<std::size_t>(more) + 1;
      return point;
    }
  }
  return 0x110000 + byte(at++);
}

std::vector<char32_t> points(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) out.push_back(decode(text, at));
  return out;
}

// \Q...\E as single characters: what follows \E repeats the last of them alone.
std::vector<char32_t> unquoted(const std::vector<char32_t>& text) {
  std::vector<char32_t> out;
  const auto at = [&](std::size_t i, char32_t c) { return i < text.size() && text[i] == c; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!at(i, '\\')) {
      out.push_back(text[i]);
    } else if (!at(i + 1, 'Q')) {
      out.push_back(text[i]);
      if (++i < text.size()) out.push_back(text[i]);
    } else {
      for (i += 2; i < text.size() && !(at(i, '\\') && at(i + 1, 'E')); ++i) {
        const bool letter = text[i] >= 0x80 || (text[i] >= '0' && text[i] <= '9') || ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z');
        if (!letter) out.push_back('\\');
        out.push_back(text[i]);
      }
      ++i;
    }
  }
  return out;
}

bool is_word(char32_t c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool ends_line(char32_t c) { return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029; }

}  // namespace

class RegexParser {
 public:
  RegexParser(std::string_view expression, Regex& out) : text_(unquoted(points(expression))), out_(out) {}

  bool run(std::string& problem) {
    const int root = alternatives(0);
    if (problem_.empty() && at_ < text_.size()) fail("')' without '('");
    if (problem_.empty()) {
      emit(root);
      add({.op = Regex::Op::Match});
    }
    problem = problem_;
    return problem_.empty();
  }

 private:
  using Ranges = std::vector<Regex::Range>;
  enum class Kind : std::uint8_t { Empty, Set, Assert, Sequence, Choice, Repeat };
  struct Piece {
    Kind kind = Kind::Empty;
    bool negated = false;                 // Set
    Regex::Op op = Regex::Op::TextBegin;  // Assert
    int least = 0, most = 0;              // Repeat; most -1: any number
    std::vector<int> parts = {};
    Ranges ranges = {};
  };

  int fail(std::string_view what) {
    if (problem_.empty()) problem_ = "at character " + std::to_string(at_ + 1) + ": " + std::string(what);
    at_ = text_.size();
    return piece({});
  }
  void too_long() { problem_ = "too long with its repetitions; make the counts smaller"; }
  int piece(Piece made) {
    pieces_.push_back(std::move(made));
    return static_cast<int>(pieces_.size()) - 1;
  }
  bool more() const { return at_ < text_.size(); }
  bool next(char32_t c) const { return more() && text_[at_] == c; }
  bool take(char32_t c) {
    if (!next(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    for (std::size_t i = 0; i < word.size(); ++i)
      if (at_ + i >= text_.size() || text_[at_ + i] != static_cast<char32_t>(word[i])) return false;
    at_ += word.size();
    return true;
  }

  int alternatives(int depth) {
    if (depth > kMaxDepth) return fail("more than 100 groups within each other; use fewer");
    // Flags set within a group hold to its end.
    const std::pair before{ignore_case_, dot_all_};
    Piece choice{.kind = Kind::Choice};
    do {
      Piece sequence{.kind = Kind::Sequence};
      while (more() && !next('|') && !next(')')) sequence.parts.push_back(repeated(depth));
      choice.parts.push_back(piece(std::move(sequence)));
    } while (take('|'));
    std::tie(ignore_case_, dot_all_) = before;
    return choice.parts.size() == 1 ? choice.parts[0] : piece(std::move(choice));
  }

  int repeated(int depth) {
    const int one = atom(depth);
    int all = one;
    for (;;) {
      Piece repeat{.kind = Kind::Repeat, .parts = {all}};
      if (take('*')) repeat.most = -1;
      else if (take('+')) repeat.least = 1, repeat.most = -1;
      else if (take('?')) repeat.most = 1;
      else if (take('{')) {
        if (!counts(repeat)) return fail("'{' must be followed by {n}, {n,} or {n,m}, at most 1000; write \\{ for the character");
      } else {
        return all;
      }
      if (all != one) return fail("nothing to repeat; put the part before into a group");
      if (next('+')) return fail("possessive repetition is not supported; leave the second + out");
      take('?');  // the whole text has to match: greedy or not makes no difference
      all = piece(std::move(repeat));
    }
  }

  bool counts(Piece& repeat) {
    const auto number = [this](int& value) {
      const std::size_t from = at_;
      for (value = 0; more() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) value = std::min(value * 10 + static_cast<int>(text_[at_] - '0'), kMaxRepeat + 1);
      return at_ > from;
    };
    if (!number(repeat.least)) return false;
    repeat.most = repeat.least;
    if (take(',') && !number(repeat.most)) repeat.most = -1;
    return take('}') && repeat.least <= kMaxRepeat && repeat.most <= kMaxRepeat && (repeat.most < 0 || repeat.least <= repeat.most);
  }

  int atom(int depth) {
    const char32_t c = text_[at_++];
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return set();
      case '.':
        return dot_all_ ? characters({{0, 0x1100FF}}) : characters({{'\n', '\n'}, {'\r', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}, true);
      case '^':
        return assertion(Regex::Op::TextBegin);
      case '$':
        return assertion(Regex::Op::LastLineEnd);
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        --at_;
        return fail("nothing to repeat; write a \\ before the character if it is meant");
      case '{':
        --at_;
        return fail("nothing to repeat; write \\{ for the character");
      default:
        return characters({{c, c}});
    }
  }

  int group(int depth) {
    if (take('?')) {
      if (take(':')) return close(depth);
      if (take("<=") || take("<!") || take('=') || take('!') || take('>')) return fail("look-around and atomic groups are not supported; use a plain group");
      if (take('<')) {
        std::u32string name;
        for (; more() && is_word(text_[at_]) && text_[at_] != '_'; ++at_) name += text_[at_];
        if (!take('>') || name.empty() || name[0] <= '9') return fail("a group's name is letters and digits; write (?<name>...)");
        if (std::find(names_.begin(), names_.end(), name) != names_.end()) return fail("two groups of one name; rename one of them");
        names_.push_back(std::move(name));
        return close(depth);
      }
      bool on = true;
      const std::pair before{ignore_case_, dot_all_};
      while (more() && !next(')') && !next(':')) {
        if (take('i')) ignore_case_ = on;
        else if (take('s')) dot_all_ = on;
        else if (on && take('-')) on = false;
        else return fail("of the flags only i and s are supported");
      }
      if (take(')')) return piece({});  // holds to the end of the group around it
      if (!take(':')) return fail("the group does not end; write (?i) or (?i:...)");
      const int inside = close(depth);
      std::tie(ignore_case_, dot_all_) = before;
      return inside;
    }
    return close(depth);
  }

  int close(int depth) {
    const int inside = alternatives(depth + 1);
    if (problem_.empty() && !take(')')) return fail("'(' without ')'");
    return inside;
  }

  int assertion(Regex::Op op) { return piece({.kind = Kind::Assert, .op = op}); }

  int characters(Ranges ranges, bool negated = false) {
    if (ignore_case_) {
      Ranges others;
      for (const auto& [from, to] : ranges)
        for (const auto& [first, last, shift] : {std::tuple<char32_t, char32_t, int>{'a', 'z', -32}, {'A', 'Z', 32}})
          if (const char32_t low = std::max(from, first), high = std::min(to, last); low <= high)
            others.push_back({static_cast<char32_t>(static_cast<int>(low) + shift), static_cast<char32_t>(static_cast<int>(high) + shift)});
      ranges.insert(ranges.end(), others.begin(), others.end());
    }
    return piece({.kind = Kind::Set, .negated = negated, .ranges = std::move(ranges)});
  }

  static Ranges inverse(Ranges ranges) {
    std::sort(ranges.begin(), ranges.end());
    Ranges out;
    char32_t from = 0;
    for (const auto& [low, high] : ranges) {
      if (low > from) out.push_back({from, low - 1});
      from = std::max<char32_t>(from, high + 1);
    }
    out.push_back({from, 0x1100FF});
    return out;
  }

  // A class after '\'; false: it is none.
  bool named_class(Ranges& ranges) {
    const char32_t c = text_[at_], lower = c | 0x20;
    if (lower > 'z' || std::string_view("dwshvp").find(static_cast<char>(lower)) == std::string_view::npos) return false;
    ++at_;
    if (lower == 'd') ranges = {{'0', '9'}};
    else if (lower == 'w') ranges = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    else if (lower == 's') ranges = {{'\t', '\r'}, {' ', ' '}};
    else if (lower == 'h') ranges = {{'\t', '\t'}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200A}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
    else if (lower == 'v') ranges = {{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}};
    else return posix_class(c == 'P', ranges);
    if (c != lower) ranges = inverse(std::move(ranges));
    return true;
  }

  bool posix_class(bool negated, Ranges& ranges) {
    static const std::pair<std::string_view, Ranges> kClasses[] = {
        {"{Lower}", {{'a', 'z'}}}, {"{Upper}", {{'A', 'Z'}}}, {"{ASCII}", {{0, 0x7F}}}, {"{Alpha}", {{'A', 'Z'}, {'a', 'z'}}}, {"{Digit}", {{'0', '9'}}},
        {"{Alnum}", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}}, {"{Punct}", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}}, {"{Graph}", {{'!', '~'}}},
        {"{Print}", {{' ', '~'}}}, {"{Blank}", {{'\t', '\t'}, {' ', ' '}}}, {"{Cntrl}", {{0, 0x1F}, {0x7F, 0x7F}}},
        {"{XDigit}", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}}, {"{Space}", {{'\t', '\r'}, {' ', ' '}}}};
    for (const auto& [name, of] : kClasses)
      if (take(name)) {
        ranges = negated ? inverse(of) : of;
        return true;
      }
    fail("this class is not supported; use \\d, \\w, \\s, \\p{Alpha}, \\p{Alnum} and the like, or a set");
    return true;
  }

  int escape() {
    if (!more()) return fail("'\\' at the end; write \\\\ for the character");
    if (take('A')) return assertion(Regex::Op::TextBegin);
    if (take('z')) return assertion(Regex::Op::TextEnd);
    if (take('Z')) return assertion(Regex::Op::LastLineEnd);
    if (take('b')) return assertion(Regex::Op::Word);
    if (take('B')) return assertion(Regex::Op::NotWord);
    Ranges ranges;
    if (named_class(ranges)) return characters(std::move(ranges));
    const char32_t c = character();
    return characters({{c, c}});
  }

  // A single character after '\'.
  char32_t character() {
    const char32_t c = text_[at_++];
    const auto hex = [this](int least, int most) {
      char32_t value = 0;
      int digits = 0;
      for (; digits < most && more(); ++digits, ++at_) {
        const char32_t d = text_[at_] | 0x20;
        if (d >= '0' && d <= '9') value = value * 16 + (d - '0');
        else if (d >= 'a' && d <= 'f') value = value * 16 + (d - 'a' + 10);
        else break;
      }
      if (digits < least || value > kLast) fail("not enough hexadecimal digits; write \\xhh, \\x{h...} or \\uhhhh");
      return value;
    };
    switch (c) {
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'a':
        return 7;
      case 'e':
        return 27;
      case 'u':
        return hex(4, 4);
      case 'x':
        if (take('{')) {
          const char32_t value = hex(1, 6);
          if (problem_.empty() && !take('}')) fail("'}' is missing; write \\x{h...}");
          return value;
        }
        return hex(2, 2);
      default:
        if (c >= '0' && c <= '9') fail("back-references and octal numbers are not supported; repeat the part, or write \\xhh");
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') fail("this escape is not supported");
        return c;
    }
  }

  int set() {
    const bool negated = take('^');
    Ranges ranges;
    bool first = true;
    for (;; first = false) {
      if (!more()) return fail("'[' without ']'");
      if (!first && take(']')) break;
      if (next('[') || take("&&")) return fail("sets within sets are not supported; write one set, with \\[ for the character");
      Ranges named;
      char32_t low = text_[at_++];
      if (low == '\\') {
        if (!more()) return fail("'\\' at the end");
        if (named_class(named)) {
          ranges.insert(ranges.end(), named.begin(), named.end());
          continue;
        }
        low = character();
      }
      char32_t high = low;
      if (next('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        high = text_[at_++];
        if (high == '[') return fail("sets within sets are not supported; write one set, with \\[ for the character");
        if (high == '\\') {
          if (!more()) return fail("'\\' at the end");
          high = character();
        }
        if (high < low) return fail("the range goes backwards; write the smaller character first");
      }
      ranges.push_back({low, high});
    }
    return characters(std::move(ranges), negated);
  }

  void add(Regex::Step step) {
    if (out_.steps_.size() < kMaxSteps) out_.steps_.push_back(step);
    else too_long();
  }

  std::uint32_t here() const { return static_cast<std::uint32_t>(out_.steps_.size()); }

  void emit(int index) {
    if (++emitted_ > kMaxSteps * 10) too_long();  // repetitions of nothing make no steps
    if (!problem_.empty()) return;
    const Piece& made = pieces_[static_cast<std::size_t>(index)];
    switch (made.kind) {
      case Kind::Empty:
        return;
      case Kind::Assert:
        return add({.op = made.op});
      case Kind::Set:
        if (!made.negated && made.ranges.size() == 1 && made.ranges[0][0] == made.ranges[0][1]) return add({.op = Regex::Op::One, .to = made.ranges[0][0]});
        add({.op = made.negated ? Regex::Op::NotSet : Regex::Op::Set,
             .to = static_cast<std::uint32_t>(out_.ranges_.size()),
             .also = static_cast<std::uint32_t>(made.ranges.size())});
        out_.ranges_.insert(out_.ranges_.end(), made.ranges.begin(), made.ranges.end());
        return;
      case Kind::Sequence:
        for (const int part : made.parts) emit(part);
        return;
      case Kind::Choice:
        return choose(made.parts);
      case Kind::Repeat:
        return repeat(made);
    }
  }

  void choose(const std::vector<int>& parts) {
    std::vector<std::uint32_t> ends;
    for (std::size_t i = 0; i < parts.size() && problem_.empty(); ++i) {
      const std::uint32_t split = here();
      const bool last = i + 1 == parts.size();
      if (!last) add({.op = Regex::Op::Split, .to = split + 1});
      emit(parts[i]);
      if (last || !problem_.empty()) break;
      ends.push_back(here());
      add({.op = Regex::Op::Jump});
      if (problem_.empty()) out_.steps_[split].also = here();
    }
    if (problem_.empty())
      for (const std::uint32_t end : ends) out_.steps_[end].to = here();
  }

  void repeat(const Piece& made) {
    for (int i = 0; i < made.least; ++i) emit(made.parts[0]);
    if (made.most < 0) {
      const std::uint32_t split = here();
      add({.op = Regex::Op::Split, .to = split + 1});
      emit(made.parts[0]);
      add({.op = Regex::Op::Jump, .to = split});
      if (problem_.empty()) out_.steps_[split].also = here();
      return;
    }
    std::vector<std::uint32_t> splits;
    for (int i = made.least; i < made.most && problem_.empty(); ++i) {
      splits.push_back(here());
      add({.op = Regex::Op::Split, .to = here() + 1});
      emit(made.parts[0]);
    }
    if (problem_.empty())
      for (const std::uint32_t split : splits) out_.steps_[split].also = here();
  }

  const std::vector<char32_t> text_;
  Regex& out_;
  std::size_t at_ = 0;
  bool ignore_case_ = false, dot_all_ = false;
  std::vector<Piece> pieces_;
  std::vector<std::u32string> names_;
  std::size_t emitted_ = 0;
  std::string problem_;
};

std::optional<Regex> Regex::compile(std::string_view expression, std::string& problem) {
  Regex regex;
  if (!RegexParser(expression, regex).run(problem)) return std::nullopt;
  return regex;
}

bool Regex::takes(const Step& step, char32_t c) const {
  if (step.op == Op::One) return step.to == c;
  const std::span ranges(ranges_.data() + step.to, step.also);
  return std::ranges::any_of(ranges, [c](const Range& each) { return each[0] <= c && c <= each[1]; }) == (step.op == Op::Set);
}

bool Regex::holds(const Step& step, const std::vector<char32_t>& text, std::size_t at) const {
  const bool word = (at > 0 && is_word(text[at - 1])) != (at < text.size() && is_word(text[at]));
  const std::size_t left = text.size() - at;
  switch (step.op) {
    case Op::TextBegin:
      return at == 0;
    case Op::TextEnd:
      return left == 0;
    case Op::LastLineEnd:
      if (left == 2) return text[at] == '\r' && text[at + 1] == '\n';
      return left == 0 || (left == 1 && ends_line(text[at]) && !(text[at] == '\n' && at > 0 && text[at - 1] == '\r'));
    case Op::Word:
      return word;
    default:
      return !word;
  }
}

// All ways through the steps at once, character by character.
bool Regex::matches(std::string_view bytes) const {
  const std::vector<char32_t> text = points(bytes);
  std::vector<std::uint32_t> later, todo{0};
  std::vector<std::size_t> seen(steps_.size(), 0);  // at which character, from 1
  bool matched = false;
  for (std::size_t at = 0;; ++at) {
    later.clear();
    matched = false;
    while (!todo.empty()) {
      const std::uint32_t index = todo.back();
      todo.pop_back();
      if (std::exchange(seen[index], at + 1) == at + 1) continue;
      const Step& step = steps_[index];
      switch (step.op) {
        case Op::Split:
          todo.push_back(step.also);
          [[fallthrough]];
        case Op::Jump:
          todo.push_back(step.to);
          break;
        case Op::Match:
          matched = true;
          break;
        case Op::One:
        case Op::Set:
        case Op::NotSet:
          if (at < text.size() && takes(step, text[at])) later.push_back(index + 1);
          break;
        default:
          if (holds(step, text, at)) todo.push_back(index + 1);
      }
    }
    if (at == text.size()) return matched;
    if (later.empty()) return false;
    todo.swap(later);
  }
}

}  // namespace fairlead::flow
