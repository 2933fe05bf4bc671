#include "flow/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace fairlead::flow {
namespace {

constexpr int kMaxDepth = 64;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool run(Json& out, std::string& problem) {
    skip();
    if (at_ == text_.size()) return true;
    value(out, 0);
    if (problem_.empty()) {
      skip();
      if (at_ < text_.size()) fail("something after the end of the document; remove it");
    }
    problem = problem_;
    return problem_.empty();
  }

 private:
  void fail(std::string_view what) {
    if (!problem_.empty()) return;
    const std::string_view before = text_.substr(0, at_);
    const std::size_t line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    problem_ = "line " + std::to_string(line) + ", column " + std::to_string(at_ - start + 1) + ": " + std::string(what);
  }
  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  void value(Json& out, int depth) {
    if (depth > kMaxDepth) return fail("more than 64 levels within each other");
    if (take('"')) {
      out.type = Json::Type::String;
      return string(out.text);
    }
    if (take('{')) return object(out, depth);
    if (take('[')) return array(out, depth);
    if (take("null")) return;
    for (const char* word : {"true", "false"})
      if (take(word)) {
        out.type = Json::Type::Bool;
        out.text = word;
        return;
      }
    number(out);
  }

  void object(Json& out, int depth) {
    out.type = Json::Type::Object;
    skip();
    if (take('}')) return;
    do {
      skip();
      if (!take('"')) return fail("a name in double quotes is missing");
      string(out.keys.emplace_back());
      skip();
      if (!take(':')) return fail("':' is missing after the name");
      skip();
      value(out.items.emplace_back(), depth + 1);
      if (!problem_.empty()) return;
      skip();
    } while (take(','));
    if (!take('}')) fail("',' or '}' is missing");
  }

  void array(Json& out, int depth) {
    out.type = Json::Type::Array;
    skip();
    if (take(']')) return;
    do {
      skip();
      value(out.items.emplace_back(), depth + 1);
      if (!problem_.empty()) return;
      skip();
    } while (take(','));
    if (!take(']')) fail("',' or ']' is missing");
  }

  bool digits() {
    const std::size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > from;
  }

  void number(Json& out) {
    const std::size_t from = at_;
    take('-');
    const bool zero = take('0');
    bool good = zero || digits();
    if (good && take('.')) good = digits();
    if (good && (take('e') || take('E'))) {
      if (!take('+')) take('-');
      good = digits();
    }
    if (!good) {
      at_ = from;
      return fail("not a JSON value; write an object, a list, a number, a text in double quotes, true, false or null");
    }
    out.type = Json::Type::Number;
    out.text = text_.substr(from, at_ - from);
  }

  void string(std::string& out) {
    while (problem_.empty()) {
      if (at_ >= text_.size()) return fail("the text does not end; a '\"' is missing");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return;
      }
      if (c < 0x20) return fail("a control character within a text; write \\n, \\t or \\u00..");
      if (c == '\\') {
        ++at_;
        escape(out);
      } else if (c < 0x80) {
        out += text_[at_++];
      } else {
        letter(out);
      }
    }
  }

  // Several bytes of UTF-8.
  void letter(std::string& out) {
    const auto first = static_cast<unsigned char>(text_[at_]);
    const std::size_t size = first >= 0xF0 && first < 0xF5 ? 4 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xC2 && first < 0xE0 ? 2 : 0;
    if (size == 0 || at_ + size > text_.size()) return fail("bytes that are not UTF-8");
    unsigned point = first & (0x7FU >> size);
    for (std::size_t i = 1; i < size; ++i) {
      const auto next = static_cast<unsigned char>(text_[at_ + i]);
      if ((next & 0xC0) != 0x80) return fail("bytes that are not UTF-8");
      point = point << 6 | (next & 0x3FU);
    }
    constexpr unsigned kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[size] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return fail("bytes that are not UTF-8");
    out += text_.substr(at_, size);
    at_ += size;
  }

  void escape(std::string& out) {
    if (at_ >= text_.size()) return fail("the text does not end; a '\"' is missing");
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    const char c = text_[at_];
    if (const std::size_t index = kFrom.find(c); index != std::string_view::npos) {
      out += kTo[index];
      ++at_;
      return;
    }
    if (c != 'u') return fail("an unknown escape; write \\\\ for a backslash");
    ++at_;
    unsigned point = unit();
    if (point >= 0xD800 && point < 0xDC00 && take("\\u")) {
      const unsigned low = unit();
      if (low < 0xDC00 || low > 0xDFFF) return fail("half a pair of \\u escapes");
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    } else if (point >= 0xD800 && point < 0xE000) {
      return fail("half a pair of \\u escapes");
    }
    if (point < 0x80) {
      out += static_cast<char>(point);
      return;
    }
    const int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    out += static_cast<char>((0xF00U >> (more + 1) & 0xF0U) | point >> (6 * more));
    for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (point >> (6 * i) & 0x3F));
  }

  unsigned unit() {
    unsigned value = 0;
    const char* from = text_.data() + at_;
    if (at_ + 4 > text_.size() || std::from_chars(from, from + 4, value, 16).ptr != from + 4) {
      fail("\\u needs four hexadecimal digits");
      return 0;
    }
    at_ += 4;
    return value;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::string problem_;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (std::size_t i = keys.size(); i > 0; --i)
    if (keys[i - 1] == key) return &items[i - 1];
  return nullptr;
}

bool read_json(std::string_view text, Json& out, std::string& problem) { return Reader(text).run(out, problem); }

void append_json_text(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    } else if (const std::size_t index = std::string_view("\b\f\n\r\t").find(c); index != std::string_view::npos) {
      out += '\\';
      out += "bfnrt"[index];
    } else {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  out += '"';
}

void append_json_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char text[400];
  const double size = std::fabs(value);
  const bool plain = value == 0 || (size >= 1e-3 && size < 1e7);
  const char* end = std::to_chars(text, text + sizeof text, value, plain ? std::chars_format::fixed : std::chars_format::scientific).ptr;
  const std::string_view number(text, static_cast<std::size_t>(end - text));
  const std::string_view digits = number.substr(0, number.find('e'));
  out += digits;
  if (digits.find('.') == std::string_view::npos) out += ".0";
  if (plain) return;
  int exponent = 0;
  std::from_chars(text + digits.size() + (text[digits.size() + 1] == '+' ? 2 : 1), end, exponent);
  out += 'E' + std::to_string(exponent);
}

void append_json(std::string& out, const Json& value) {
  switch (value.type) {
    case Json::Type::Null:
      out += "null";
      return;
    case Json::Type::Bool:
    case Json::Type::Number:
      out += value.text;
      return;
    case Json::Type::String:
      return append_json_text(out, value.text);
    default:
      break;
  }
  const bool object = value.type == Json::Type::Object;
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) out += ',';
    if (object) {
      append_json_text(out, value.keys[i]);
      out += ':';
    }
    append_json(out, value.items[i]);
  }
  out += object ? '}' : ']';
}

}  // namespace fairlead::flow
