#include "proxy/config/matchers.h"

#include <re2/re2.h>

#include "base/strings.h"

namespace fairlead::proxy {

Regex::Regex(std::unique_ptr<re2::RE2> re) : re_(std::move(re)) {}
Regex::~Regex() = default;

std::shared_ptr<const Regex> Regex::compile(const std::string& pattern, std::string* error) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto re = std::make_unique<re2::RE2>(pattern, options);
  if (!re->ok()) {
    if (error) *error = re->error();
    return nullptr;
  }
  return std::shared_ptr<const Regex>(new Regex(std::move(re)));
}

bool Regex::full_match(std::string_view text) const {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *re_);
}

std::string Regex::replace_all(std::string_view text, const std::string& substitution) const {
  std::string out(text);
  re2::RE2::GlobalReplace(&out, *re_, substitution);
  return out;
}

const std::string& Regex::pattern() const { return re_->pattern(); }

int Regex::group(const std::string& name) const {
  const auto& known = re_->NamedCapturingGroups();
  auto at = known.find(name);
  return at == known.end() ? 0 : at->second;
}

std::vector<std::string_view> Regex::groups(std::string_view text) const {
  std::vector<re2::StringPiece> found(static_cast<size_t>(re_->NumberOfCapturingGroups()) + 1);
  if (!re_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(), re2::RE2::ANCHOR_BOTH, found.data(), static_cast<int>(found.size()))) return {};
  std::vector<std::string_view> out;
  for (const auto& f : found) out.emplace_back(f.data(), f.size());
  return out;
}

static bool contains_ignoring_case(std::string_view text, std::string_view part) {
  if (part.size() > text.size()) return false;
  for (size_t i = 0; i + part.size() <= text.size(); ++i)
    if (base::iequals(text.substr(i, part.size()), part)) return true;
  return false;
}

bool StringMatcher::matches(std::string_view value) const {
  switch (kind) {
    case Kind::kExact:
      return ignore_case ? base::iequals(value, text) : value == text;
    case Kind::kPrefix:
      return ignore_case ? base::iequals(value.substr(0, text.size()), text) : value.starts_with(text);
    case Kind::kSuffix:
      if (value.size() < text.size()) return false;
      return ignore_case ? base::iequals(value.substr(value.size() - text.size()), text) : value.ends_with(text);
    case Kind::kContains:
      return ignore_case ? contains_ignoring_case(value, text) : value.find(text) != std::string_view::npos;
    case Kind::kRegex:
      return regex && regex->full_match(value);
  }
  return false;
}

bool request_header(const RequestHeaders& request, std::string_view name, std::string_view& value, std::string& scratch) {
  if (!name.empty() && name[0] == ':') {
    if (name == ":path") return value = request.target, true;
    if (name == ":method") return value = request.method, true;
    if (name == ":authority") return value = request.authority, !value.empty();
    if (name == ":scheme") return value = request.scheme, !value.empty();
    if (name == ":protocol") return value = request.protocol, !value.empty();
    return false;
  }
  if (name == "host") return value = request.authority, !value.empty();
  return request.fields.get_all(name, value, scratch);
}

bool HeaderMatcher::decide(bool found, std::string_view value) const {
  if (kind == Kind::kPresent) return (found == present) != invert;
  // A missing header matches an inverted matcher only (Envoy's HeaderUtility::matchHeaders).
  if (!found && !missing_as_empty) return invert;
  bool hit = false;
  if (kind == Kind::kString) {
    hit = string.matches(value);
  } else if (auto n = base::to_int(value)) {
    hit = *n >= range_start && *n < range_end;
  }
  return hit != invert;
}

bool HeaderMatcher::matches(const RequestHeaders& request) const {
  std::string_view value;
  std::string scratch;
  bool found = request_header(request, name, value, scratch);
  return decide(found, value);
}

bool HeaderMatcher::matches(const ResponseHeaders& response) const {
  std::string_view value;
  std::string scratch;
  if (name == ":status") {
    scratch = std::to_string(response.status);
    return decide(true, scratch);
  }
  bool found = response.fields.get_all(name, value, scratch);
  return decide(found, value);
}

bool all_match(const std::vector<HeaderMatcher>& matchers, const RequestHeaders& request) {
  for (const HeaderMatcher& m : matchers)
    if (!m.matches(request)) return false;
  return true;
}

bool QueryMatcher::matches(std::string_view query) const {
  if (!http::has_query_param(query, name)) return false;
  return !string || string->matches(http::query_param(query, name));
}

}  // namespace fairlead::proxy
