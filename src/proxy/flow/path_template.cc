#include "proxy/flow/path_template.h"

#include <algorithm>

namespace fairlead::proxy {
namespace {

bool is_method(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// Where the path of "/x" or "GET:/x" begins; npos: it is neither.
size_t path_at(std::string_view text) {
  if (text.starts_with('/')) return 0;
  const size_t colon = text.find(":/");
  return colon != std::string_view::npos && is_method(text.substr(0, colon)) ? colon + 1 : std::string_view::npos;
}

// Takes the next segment of what follows a slash.
std::string_view next_segment(std::string_view& rest) {
  const size_t end = std::min(rest.find('/'), rest.size());
  std::string_view segment = rest.substr(0, end);
  rest.remove_prefix(end);
  return segment;
}

}  // namespace

bool PathTemplate::looks_like(std::string_view resource) { return path_at(resource) != std::string_view::npos; }

bool PathTemplate::compile(std::string_view text, PathTemplate& out, std::string& problem) {
  const size_t at = path_at(text);
  if (at == std::string_view::npos) {
    problem = "must begin with / or with a method, as GET:/orders/{id}";
    return false;
  }
  out = {};
  out.text_ = text;
  if (at > 0) out.method_ = text.substr(0, at - 1);
  std::string_view rest = text.substr(at);
  while (rest.starts_with('/')) {
    rest.remove_prefix(1);
    std::string_view segment = next_segment(rest);
    if (segment == "**") {
      if (!rest.empty()) {
        problem = "** stands for the rest of a path, so it must be the last segment";
        return false;
      }
      out.rest_ = true;
    } else if (segment == "*") {
      out.segments_.push_back({Segment::Kind::kAny, {}});
    } else if (segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}')) {
      std::string_view name = segment.substr(1, segment.size() - 2);
      if (out.has_variable(name)) {
        problem = "{" + std::string(name) + "} stands twice";
        return false;
      }
      out.segments_.push_back({Segment::Kind::kVariable, std::string(name)});
    } else if (segment.find_first_of("{}*") != std::string_view::npos) {
      problem = "{name}, * and ** stand for whole segments; \"" + std::string(segment) + "\" is neither";
      return false;
    } else {
      out.segments_.push_back({Segment::Kind::kText, std::string(segment)});
    }
  }
  return true;
}

bool PathTemplate::has_variable(std::string_view name) const {
  return std::ranges::any_of(segments_, [&](const Segment& s) { return s.kind == Segment::Kind::kVariable && s.text == name; });
}

bool PathTemplate::matches(std::string_view method, std::string_view path, std::vector<Variable>& variables) const {
  if (!method_.empty() && method_ != method) return false;
  const size_t before = variables.size();
  const auto refuse = [&] {
    variables.resize(before);
    return false;
  };
  for (const Segment& s : segments_) {
    if (!path.starts_with('/')) return refuse();
    path.remove_prefix(1);
    std::string_view segment = next_segment(path);
    if (s.kind == Segment::Kind::kText ? segment != s.text : segment.empty()) return refuse();
    if (s.kind == Segment::Kind::kVariable) variables.push_back({s.text, segment});
  }
  return path.empty() || rest_ ? true : refuse();
}

std::string_view path_beginning(std::string_view path, size_t segments) {
  size_t end = 0;
  for (; segments > 0 && end < path.size(); --segments) end = std::min(path.find('/', end + 1), path.size());
  return end == 0 ? std::string_view("/") : path.substr(0, end);
}

}  // namespace fairlead::proxy
