#include "mesh/selector.h"

#include <algorithm>

#include "base/strings.h"
#include "mesh/validate.h"

namespace fairlead::mesh {
namespace {

using base::Code;
using base::fail;
using Op = LabelSelector::Op;

// Words and punctuation of a label selector.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  std::string_view peek() {
    if (current_.empty() && !done_) current_ = lex();
    return current_;
  }
  std::string_view take() {
    std::string_view t = peek();
    current_ = {};
    return t;
  }

 private:
  static bool special(char c) { return std::string_view("=!(),<>").find(c) != std::string_view::npos; }
  std::string_view lex() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
    if (at_ >= text_.size()) {
      done_ = true;
      return {};
    }
    size_t begin = at_;
    for (std::string_view op : {"==", "!=", "=", "!", "(", ")", ",", "<", ">"}) {
      if (!text_.substr(at_).starts_with(op)) continue;
      at_ += op.size();
      return text_.substr(begin, op.size());
    }
    while (at_ < text_.size() && !special(text_[at_]) && text_[at_] != ' ' && text_[at_] != '\t') ++at_;
    return text_.substr(begin, at_ - begin);
  }
  std::string_view text_, current_;
  size_t at_ = 0;
  bool done_ = false;
};

bool word(std::string_view t) { return !t.empty() && std::string_view("=!(),<>").find(t[0]) == std::string_view::npos; }

base::Status check(const LabelSelector::Requirement& r) {
  if (const char* e = qualified_name_error(r.key)) return fail(Code::kInvalidArgument, "unable to parse requirement: key: Invalid value: \"{}\": {}", r.key, e);
  for (const auto& v : r.values)
    if (const char* e = label_value_error(v))
      return fail(Code::kInvalidArgument, "unable to parse requirement: values[0][{}]: Invalid value: \"{}\": {}", r.key, v, e);
  return {};
}

}  // namespace

base::Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector out;
  Lexer lexer(text);
  if (lexer.peek().empty()) return out;
  auto refuse = [&](std::string_view found, std::string_view expected) {
    return fail(Code::kInvalidArgument, "unable to parse requirement: found '{}', expected: {}", found, expected);
  };
  for (;;) {
    Requirement r;
    std::string_view t = lexer.take();
    bool negated = t == "!";
    if (negated) t = lexer.take();
    if (!word(t)) return refuse(t, "identifier");
    r.key = std::string(t);
    std::string_view op = lexer.peek();
    if (negated) {
      r.op = Op::kDoesNotExist;
    } else if (op.empty() || op == ",") {
      r.op = Op::kExists;
    } else if (op == "=" || op == "==" || op == "!=" || op == ">" || op == "<") {
      lexer.take();
      r.op = op == "!=" ? Op::kNotIn : op == ">" ? Op::kGreater : op == "<" ? Op::kLess : Op::kIn;
      std::string_view v = lexer.peek();
      if (word(v)) {
        r.values.emplace_back(lexer.take());
      } else if (v.empty() || v == ",") {
        r.values.emplace_back();
      } else {
        return refuse(v, "identifier");
      }
      if ((r.op == Op::kGreater || r.op == Op::kLess) && !base::to_int(r.values[0]))
        return fail(Code::kInvalidArgument, "values[0]: Invalid value: \"{}\": for 'Gt', 'Lt' operators, the value must be an integer",
                    r.values[0]);
    } else if (op == "in" || op == "notin") {
      lexer.take();
      r.op = op == "in" ? Op::kIn : Op::kNotIn;
      if (lexer.peek() != "(") return refuse(lexer.peek(), "'('");
      lexer.take();
      for (;;) {
        if (word(lexer.peek())) {
          r.values.emplace_back(lexer.take());
        } else if (lexer.peek() == "," || lexer.peek() == ")") {
          r.values.emplace_back();
        } else {
          return refuse(lexer.peek(), "',', ')' or identifier");
        }
        std::string_view next = lexer.take();
        if (next == ")") break;
        if (next != ",") return refuse(next, "',' or ')'");
      }
      std::sort(r.values.begin(), r.values.end());
    } else {
      return refuse(op, "in, notin, =, ==, !=, gt, lt");
    }
    if (auto ok = check(r); !ok) return std::unexpected(ok.error());
    out.requirements_.push_back(std::move(r));
    std::string_view next = lexer.take();
    if (next.empty()) break;
    if (next != ",") return refuse(next, "',' or 'end of string'");
    if (lexer.peek().empty()) return refuse("", "identifier after ','");
  }
  return out;
}

base::Result<LabelSelector> LabelSelector::from_object(const base::Value& selector) {
  LabelSelector out;
  if (selector.is_null()) {
    out.nothing_ = true;
    return out;
  }
  out = from_map(selector["matchLabels"]);
  for (const auto& e : selector["matchExpressions"].items()) {
    Requirement r;
    r.key = e["key"].as_string();
    const std::string& op = e["operator"].as_string();
    if (op == "In") {
      r.op = Op::kIn;
    } else if (op == "NotIn") {
      r.op = Op::kNotIn;
    } else if (op == "Exists") {
      r.op = Op::kExists;
    } else if (op == "DoesNotExist") {
      r.op = Op::kDoesNotExist;
    } else {
      return fail(Code::kInvalidArgument, "\"{}\" is not a valid label selector operator", op);
    }
    for (const auto& v : e["values"].items()) r.values.push_back(v.as_string());
    if (auto ok = check(r); !ok) return std::unexpected(ok.error());
    out.requirements_.push_back(std::move(r));
  }
  return out;
}

LabelSelector LabelSelector::from_map(const base::Value& labels) {
  LabelSelector out;
  for (const auto& m : labels.members()) out.requirements_.push_back({m.key, Op::kIn, {m.value.as_string()}});
  std::sort(out.requirements_.begin(), out.requirements_.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return out;
}

bool LabelSelector::matches(const base::Value& labels) const {
  if (nothing_) return false;
  for (const Requirement& r : requirements_) {
    const base::Value* v = labels.find(r.key);
    bool in = v && std::find(r.values.begin(), r.values.end(), v->as_string()) != r.values.end();
    bool ok = false;
    switch (r.op) {
      case Op::kIn: ok = in; break;
      case Op::kNotIn: ok = !in; break;
      case Op::kExists: ok = v != nullptr; break;
      case Op::kDoesNotExist: ok = v == nullptr; break;
      case Op::kGreater:
      case Op::kLess: {
        if (!v) break;
        auto have = base::to_int(v->as_string());
        auto want = base::to_int(r.values[0]);
        if (have.has_value() && want.has_value()) ok = r.op == Op::kGreater ? *have > *want : *have < *want;
        break;
      }
    }
    if (!ok) return false;
  }
  return true;
}

std::string LabelSelector::text() const {
  std::vector<std::string> parts;
  for (const Requirement& r : requirements_) {
    std::string values = base::join(r.values, ",");
    switch (r.op) {
      case Op::kIn: parts.push_back(r.values.size() == 1 ? r.key + "=" + values : r.key + " in (" + values + ")"); break;
      case Op::kNotIn: parts.push_back(r.values.size() == 1 ? r.key + "!=" + values : r.key + " notin (" + values + ")"); break;
      case Op::kExists: parts.push_back(r.key); break;
      case Op::kDoesNotExist: parts.push_back("!" + r.key); break;
      case Op::kGreater: parts.push_back(r.key + ">" + values); break;
      case Op::kLess: parts.push_back(r.key + "<" + values); break;
    }
  }
  return base::join(parts, ",");
}

base::Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector out;
  if (text.empty()) return out;
  // A comma or '=' inside a value is escaped by a backslash.
  std::vector<std::string> pieces(1);
  std::vector<std::pair<size_t, std::string>> operators;
  auto finish = [&]() -> base::Status {
    if (pieces.size() == 1 && pieces[0].empty() && operators.empty()) return {};
    if (operators.size() != 1)
      return fail(Code::kInvalidArgument, "invalid selector: '{}'; can't understand '{}'", text, pieces[0]);
    out.terms_.push_back({pieces[0], pieces[1], operators[0].second != "!="});
    pieces.assign(1, {});
    operators.clear();
    return {};
  };
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      pieces.back() += text[++i];
    } else if (c == ',') {
      if (auto ok = finish(); !ok) return std::unexpected(ok.error());
    } else if (operators.empty() && (text.substr(i).starts_with("!=") || text.substr(i).starts_with("=="))) {
      operators.emplace_back(i, std::string(text.substr(i, 2)));
      pieces.emplace_back();
      ++i;
    } else if (operators.empty() && c == '=') {
      operators.emplace_back(i, "=");
      pieces.emplace_back();
    } else {
      pieces.back() += c;
    }
  }
  if (auto ok = finish(); !ok) return std::unexpected(ok.error());
  return out;
}

bool FieldSelector::matches(const base::Value& object) const {
  for (const Term& t : terms_) {
    const base::Value& v = object.at(t.path);
    std::string have = v.is_string() ? v.as_string() : v.is_null() ? std::string() : v.dump();
    if ((have == t.value) != t.equal) return false;
  }
  return true;
}

}  // namespace fairlead::mesh
