#include "proxy/config/uri_template.h"

#include <fmt/format.h>

#include <algorithm>

namespace fairlead::proxy {

namespace {

constexpr size_t kMostVariables = 5, kLongestName = 16;
constexpr std::string_view kSegment = "[a-zA-Z0-9-._~%!$&'()+,;:@=*]+", kSegments = "[a-zA-Z0-9-._~%!$&'()+,;:@=*/]*";

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_literal(std::string_view text, std::string_view more = {}) {
  constexpr std::string_view kMarks = "-._~%!$&'()+,;:@=*";
  return !text.empty() && std::ranges::all_of(text, [&](char c) { return is_alpha(c) || is_digit(c) || kMarks.contains(c) || more.contains(c); });
}

bool is_name(std::string_view text) {
  return !text.empty() && is_alpha(text[0]) && std::ranges::all_of(text, [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

std::unexpected<base::Error> bad(std::string text) { return std::unexpected(base::Error{base::Code::kInvalidArgument, std::move(text)}); }

// As Envoy writes literals into expressions: a * that is not a segment's beginning repeats what stands before it.
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("$()+.").contains(c)) out += '\\';
    out += c;
  }
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  base::Result<std::string> whole() {
    if (rest_.empty() || rest_[0] != '/' || !std::ranges::all_of(rest_, [](char c) { return c > ' ' && c < 127; }))
      return bad("a template begins with a slash and has printable characters only");
    std::string out;
    while (!rest_.empty()) {
      rest_.remove_prefix(1);  // the slash
      out += '/';
      if (rest_.empty()) break;
      auto one = segment();
      if (!one) return one;
      out += *one;
      if (!rest_.empty() && rest_[0] != '/') return bad("after * and ** in a segment only a suffix may come, and nothing after it");
    }
    return out;
  }

 private:
  base::Result<std::string> segment() {
    if (rest_[0] == '*') {
      auto out = wildcard(rest_);
      if (!out || rest_.empty() || rest_[0] == '/') return out;
      // A suffix of a wildcard is the template's end.
      if (!is_literal(rest_)) return bad(fmt::format("\"{}\" can't follow a wildcard", rest_));
      return *out + escaped(std::exchange(rest_, {}));
    }
    size_t slash = std::min(rest_.find('/'), rest_.size()), open = rest_.find('{');
    // With text before it a variable's pattern has no slash.
    if (open == 0 || rest_.find('}') < slash) return variable(open);
    std::string_view literal = rest_.substr(0, slash);
    rest_.remove_prefix(slash);
    if (!is_literal(literal)) return bad(fmt::format("\"{}\" can't be a segment", literal));
    return escaped(literal);
  }

  base::Result<std::string> wildcard(std::string_view& from) {
    bool many = from.starts_with("**");
    from.remove_prefix(many ? 2 : 1);
    return wildcard(many);
  }
  base::Result<std::string> wildcard(bool many) {
    if (many_seen_) return bad("no wildcard may follow **, nor a variable without a pattern of its own");
    many_seen_ = many;
    return std::string(many ? kSegments : kSegment);
  }

  // "prefix{name=pattern}suffix"
  base::Result<std::string> variable(size_t open) {
    std::string_view prefix = rest_.substr(0, open);
    if (open > 0 && !is_literal(prefix)) return bad(fmt::format("\"{}\" can't stand before a variable", prefix));
    size_t close = rest_.find('}');
    if (open > close || close == std::string_view::npos) return bad(fmt::format("a bracket of \"{}\" has no counterpart", rest_));
    std::string_view inside = rest_.substr(open + 1, close - open - 1);
    rest_.remove_prefix(close + 1);
    std::string_view suffix = rest_.substr(0, rest_.find('/'));
    rest_.remove_prefix(suffix.size());
    if (!suffix.empty() && !is_literal(suffix)) return bad(fmt::format("\"{}\" can't follow a variable", suffix));
    size_t equals = inside.find('=');
    std::string_view name = inside.substr(0, equals);
    if (!is_name(name)) return bad(fmt::format("\"{}\" is not a name: a letter comes first, then letters, digits and _", name));
    if (name.size() > kLongestName) return bad(fmt::format("\"{}\" is longer than {} characters", name, kLongestName));
    if (std::ranges::find(names_, name) != names_.end()) return bad(fmt::format("the variable \"{}\" stands there twice", name));
    if (names_.size() == kMostVariables) return bad(fmt::format("there are more than {} variables", kMostVariables));
    names_.push_back(name);
    auto pattern = equals == std::string_view::npos ? wildcard(false) : inner(inside.substr(equals + 1));
    if (!pattern) return pattern;
    return fmt::format("{}(?P<{}>{}){}", escaped(prefix), name, *pattern, escaped(suffix));
  }

  base::Result<std::string> inner(std::string_view text) {
    std::string out;
    do {
      if (text.starts_with('*')) {
        auto one = wildcard(text);
        if (!one) return one;
        out += *one;
        if (!text.empty() && text[0] != '/') return bad(fmt::format("\"{}\" can't follow a wildcard inside of a variable", text));
      } else {
        std::string_view literal = text.substr(0, text.find('/'));
        if (!is_literal(literal)) return bad("a variable's pattern has segments that are neither empty nor begin with a slash");
        out += escaped(literal);
        text.remove_prefix(literal.size());
      }
      if (text.empty()) return out;
      out += '/';
      text.remove_prefix(1);
    } while (true);
  }

  std::string_view rest_;
  bool many_seen_ = false;               // **
  std::vector<std::string_view> names_;
};

}  // namespace

base::Result<std::shared_ptr<const Regex>> compile_uri_template(std::string_view text) {
  auto expression = Parser(text).whole();
  if (!expression) return std::unexpected(expression.error());
  std::string error;
  auto regex = Regex::compile(*expression, &error);
  if (!regex) return bad(std::move(error));
  return regex;
}

base::Result<UriRewrite> UriRewrite::make(std::string_view text, std::shared_ptr<const Regex> match) {
  if (!text.starts_with('/')) return bad("a path begins with a slash");
  if (text.find("//") != std::string_view::npos) return bad("a path has no empty segments");
  UriRewrite out;
  while (!text.empty()) {
    std::string_view literal = text.substr(0, text.find('{'));
    text.remove_prefix(literal.size());
    if (!literal.empty()) {
      if (!is_literal(literal, "/")) return bad(fmt::format("\"{}\" can't stand in a path", literal));
      out.pieces_.push_back({std::string(literal)});
      continue;
    }
    size_t close = text.find('}');
    if (close == std::string_view::npos) return bad(fmt::format("a bracket of \"{}\" has no counterpart", text));
    std::string_view name = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    int group = is_name(name) ? match->group(std::string(name)) : 0;
    if (group == 0) return bad(fmt::format("\"{}\" is not a variable of the route's path_match_policy", name));
    out.pieces_.push_back({{}, group});
  }
  out.match_ = std::move(match);
  return out;
}

std::string UriRewrite::operator()(std::string_view path) const {
  std::vector<std::string_view> groups = match_->groups(path);
  std::string out;
  if (groups.empty()) return out;
  for (const Piece& p : pieces_) out += p.group > 0 ? groups[static_cast<size_t>(p.group)] : std::string_view(p.text);
  return out;
}

}  // namespace fairlead::proxy
