// Path templates of flow control: what requests of many paths are called together. "/orders/{id}" is a segment in braces, "*" any
// segment, "**" at the end any rest; a method may stand before it: "GET:/orders/{id}". Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fairlead::proxy {

class PathTemplate {
 public:
  struct Variable {
    std::string_view name, value;  // of the template and of the path
  };

  // Why not goes into `problem`.
  static bool compile(std::string_view text, PathTemplate& out, std::string& problem);
  // Whether a rule's resource can be meant as one: "/..." or "METHOD:/...".
  static bool looks_like(std::string_view resource);

  // `path` is without its query. Variables are added to `variables` if it matches.
  bool matches(std::string_view method, std::string_view path, std::vector<Variable>& variables) const;
  const std::string& text() const { return text_; }
  bool has_method() const { return !method_.empty(); }
  bool has_variable(std::string_view name) const;
  bool operator==(const PathTemplate& other) const { return text_ == other.text_; }

 private:
  struct Segment {
    enum class Kind : unsigned char { kText, kAny, kVariable } kind = Kind::kText;
    std::string text;
  };
  std::string text_, method_;
  std::vector<Segment> segments_;
  bool rest_ = false;  // "**"
};

// The first `segments` segments: "/orders/17/items", 1 -> "/orders". "/" if there are none.
std::string_view path_beginning(std::string_view path, size_t segments);

}  // namespace fairlead::proxy
