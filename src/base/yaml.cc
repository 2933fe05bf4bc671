// parse_yaml on libyaml's event stream, to_yaml in the style of sigs.k8s.io/yaml.
#include <yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>

#include "base/value.h"

namespace fairlead::base {
namespace {

constexpr size_t kMaxNodes = 2'000'000;  // aliases may multiply; this bounds what one text can expand to

bool parse_int(std::string_view s, int64_t& out) {
  bool negative = false;
  std::string_view digits = s;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  int radix = 10;
  if (digits.starts_with("0x")) {
    radix = 16;
    digits.remove_prefix(2);
  } else if (digits.starts_with("0o")) {
    radix = 8;
    digits.remove_prefix(2);
  } else if (digits.starts_with("0b")) {
    radix = 2;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    radix = 8;  // YAML 1.1: file modes such as 0644
  }
  if (digits.empty()) return false;
  uint64_t magnitude = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, radix);
  if (ec != std::errc() || end != digits.data() + digits.size()) return false;
  if (magnitude > static_cast<uint64_t>(INT64_MAX)) return false;
  out = negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  return true;
}

bool parse_float(std::string_view s, double& out) {
  if (s.empty()) return false;
  std::string_view body = s;
  if (body[0] == '+') body.remove_prefix(1);
  if (body.empty() || !(std::isdigit(static_cast<unsigned char>(body[0])) || body[0] == '.' || body[0] == '-')) return false;
  if (body.find_first_of("0123456789") == std::string_view::npos) return false;
  if (body.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return false;
  auto [end, ec] = std::from_chars(body.data(), body.data() + body.size(), out);
  return ec == std::errc() && end == body.data() + body.size();
}

// go-yaml's resolver: what a plain scalar means.
Value resolve_plain(std::string_view s) {
  if (s.empty() || s == "~" || s == "null" || s == "Null" || s == "NULL") return Value();
  if (s == "true" || s == "True" || s == "TRUE" || s == "yes" || s == "Yes" || s == "YES" || s == "on" || s == "On" || s == "ON")
    return Value(true);
  if (s == "false" || s == "False" || s == "FALSE" || s == "no" || s == "No" || s == "NO" || s == "off" || s == "Off" ||
      s == "OFF")
    return Value(false);
  int64_t i = 0;
  if (parse_int(s, i)) return Value(static_cast<long>(i));
  double d = 0;
  if (parse_float(s, d)) return Value(d);
  return Value(s);
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view name, const ParseOptions& options) : name_(name), options_(options) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Reader() {
    if (have_event_) yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<std::vector<Value>> documents() {
    std::vector<Value> out;
    while (true) {
      if (!next()) return std::unexpected(error_);
      switch (event_.type) {
        case YAML_STREAM_END_EVENT: return out;
        case YAML_DOCUMENT_START_EVENT: {
          anchors_.clear();
          if (!next()) return std::unexpected(error_);
          Value v;
          if (!node(v, 0, "")) return std::unexpected(error_);
          if (!v.is_null()) out.push_back(std::move(v));
          break;
        }
        default: break;
      }
    }
  }

 private:
  bool next() {
    if (have_event_) yaml_event_delete(&event_);
    have_event_ = false;
    if (!yaml_parser_parse(&parser_, &event_)) {
      return error(parser_.problem_mark, parser_.problem ? parser_.problem : "cannot be read");
    }
    have_event_ = true;
    return true;
  }

  bool error(const yaml_mark_t& mark, std::string_view what) {
    error_ = Error{Code::kInvalidArgument, fmt::format("invalid YAML: line {}: {}", mark.line + 1, what),
                   name_.empty() ? "" : fmt::format("{}:{}:{}", name_, mark.line + 1, mark.column + 1)};
    return false;
  }

  Position position() const {
    return {static_cast<uint32_t>(event_.start_mark.line + 1), static_cast<uint32_t>(event_.start_mark.column + 1)};
  }

  static size_t count(const Value& v) {
    size_t n = 1;
    for (const auto& i : v.items()) n += count(i);
    for (const auto& m : v.members()) n += count(m.value);
    return n;
  }

  // Reads the node whose first event is current.
  bool node(Value& out, size_t depth, const std::string& path) {
    if (depth > options_.max_depth) return error(event_.start_mark, fmt::format("nested deeper than {} levels", options_.max_depth));
    if (++nodes_ > kMaxNodes) return error(event_.start_mark, "expands to too many nodes");
    Position at = position();
    switch (event_.type) {
      case YAML_ALIAS_EVENT: {
        auto it = anchors_.find(reinterpret_cast<const char*>(event_.data.alias.anchor));
        if (it == anchors_.end()) return error(event_.start_mark, "unknown alias");
        nodes_ += count(it->second);
        if (nodes_ > kMaxNodes) return error(event_.start_mark, "expands to too many nodes");
        out = it->second;
        break;
      }
      case YAML_SCALAR_EVENT: {
        const auto& s = event_.data.scalar;
        std::string_view text(reinterpret_cast<const char*>(s.value), s.length);
        std::string_view tag = s.tag ? reinterpret_cast<const char*>(s.tag) : "";
        if (tag == "tag:yaml.org,2002:str" || !(s.style == YAML_PLAIN_SCALAR_STYLE && s.plain_implicit))
          out = Value(text);
        else
          out = resolve_plain(text);
        if (s.anchor) anchors_[reinterpret_cast<const char*>(s.anchor)] = out;
        break;
      }
      case YAML_SEQUENCE_START_EVENT: {
        std::string anchor = event_.data.sequence_start.anchor ? reinterpret_cast<const char*>(event_.data.sequence_start.anchor) : "";
        out = Value::array();
        while (true) {
          if (!next()) return false;
          if (event_.type == YAML_SEQUENCE_END_EVENT) break;
          Value item;
          if (!node(item, depth + 1, fmt::format("{}[{}]", path, out.size()))) return false;
          out.push(std::move(item));
        }
        if (!anchor.empty()) anchors_[anchor] = out;
        break;
      }
      case YAML_MAPPING_START_EVENT: {
        std::string anchor = event_.data.mapping_start.anchor ? reinterpret_cast<const char*>(event_.data.mapping_start.anchor) : "";
        out = Value::object();
        while (true) {
          if (!next()) return false;
          if (event_.type == YAML_MAPPING_END_EVENT) break;
          if (event_.type != YAML_SCALAR_EVENT) return error(event_.start_mark, "a mapping key has to be a scalar");
          Position key_at = position();
          std::string key(reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length);
          bool merge = key == "<<" && event_.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
          std::string child = path.empty() ? key : path + "." + key;
          if (!next()) return false;
          Value v;
          if (!node(v, depth + 1, child)) return false;
          if (merge) {
            merge_into(out, v);
            continue;
          }
          if (Value* old = out.find(key)) {
            if (options_.duplicates) options_.duplicates->push_back({child, key_at});
            *old = std::move(v);
          } else {
            out.mutable_members().push_back(Member{std::move(key), std::move(v), key_at});
          }
        }
        if (!anchor.empty()) anchors_[anchor] = out;
        break;
      }
      default: return error(event_.start_mark, "unexpected content");
    }
    out.position = at;
    return true;
  }

  static void merge_into(Value& out, const Value& source) {
    for (const auto& item : source.items()) merge_into(out, item);
    for (const auto& m : source.members())
      if (!out.find(m.key)) out.mutable_members().push_back(m);
  }

  yaml_parser_t parser_;
  yaml_event_t event_;
  bool have_event_ = false;
  std::string name_;
  const ParseOptions& options_;
  std::map<std::string, Value> anchors_;
  size_t nodes_ = 0;
  Error error_;
};

bool needs_quotes(std::string_view s) {
  if (s.empty()) return true;
  if (!resolve_plain(s).is_string()) return true;
  if (s == "y" || s == "Y" || s == "n" || s == "N") return true;
  if (std::isspace(static_cast<unsigned char>(s.front())) || std::isspace(static_cast<unsigned char>(s.back()))) return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(s.front()) != std::string_view::npos) {
    // "-x", "?x" and ":x" are plain scalars when no space follows.
    bool indicator_needs_space = s.front() == '-' || s.front() == '?' || s.front() == ':';
    if (!indicator_needs_space || s.size() == 1 || s[1] == ' ' || s.starts_with("---")) return true;
  }
  if (s.find(": ") != std::string_view::npos || s.find(" #") != std::string_view::npos || s.back() == ':') return true;
  // Dates resolve to timestamps in YAML 1.1.
  if (s.size() >= 8 && std::isdigit(static_cast<unsigned char>(s[0])) && std::isdigit(static_cast<unsigned char>(s[3])) && s[4] == '-') return true;
  for (char c : s)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  return false;
}

void scalar_to(std::string& out, const Value& v, size_t indent) {
  if (!v.is_string()) {
    out += v.is_array() ? "[]" : v.is_object() ? "{}" : v.dump();
    out += '\n';
    return;
  }
  const std::string& s = v.as_string();
  bool printable = std::ranges::all_of(s, [](char c) { return c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20; });
  if (s.find('\n') != std::string::npos && printable && s.front() != ' ' && s.front() != '\n') {
    size_t trailing = s.size() - (s.find_last_not_of('\n') + 1);
    out += trailing == 0 ? "|-" : trailing == 1 ? "|" : "|+";
    out += '\n';
    size_t start = 0;
    while (start < s.size()) {
      size_t end = s.find('\n', start);
      if (end == std::string::npos) end = s.size();
      if (end > start) out.append(indent, ' ').append(s, start, end - start);
      out += '\n';
      start = end + 1;
    }
    return;
  }
  if (!needs_quotes(s)) {
    out += s;
  } else if (printable && s.find_first_of("\n\t") == std::string::npos && s.find('\'') == std::string::npos &&
             resolve_plain(s).is_string() && s != "y" && s != "n" && s != "Y" && s != "N") {
    out += '\'' + s + '\'';
  } else {
    append_json_string(out, s);
  }
  out += '\n';
}

void emit(std::string& out, const Value& v, size_t indent) {
  if (v.is_object() && !v.empty()) {
    std::vector<const Member*> members;
    for (const auto& m : v.members()) members.push_back(&m);
    std::ranges::stable_sort(members, {}, [](const Member* m) -> const std::string& { return m->key; });
    bool first = true;
    for (const auto* m : members) {
      if (!first) out.append(indent, ' ');
      first = false;
      if (needs_quotes(m->key))
        append_json_string(out, m->key);
      else
        out += m->key;
      out += ':';
      const Value& c = m->value;
      if (c.is_object() && !c.empty()) {
        out += '\n';
        out.append(indent + 2, ' ');
        emit(out, c, indent + 2);
      } else if (c.is_array() && !c.empty()) {
        out += '\n';
        out.append(indent, ' ');
        emit(out, c, indent);  // Kubernetes does not indent sequences below their key
      } else {
        out += ' ';
        scalar_to(out, c, indent + 2);
      }
    }
  } else if (v.is_array() && !v.empty()) {
    bool first = true;
    for (const auto& item : v.items()) {
      if (!first) out.append(indent, ' ');
      first = false;
      out += "- ";
      if ((item.is_object() || item.is_array()) && !item.empty())
        emit(out, item, indent + 2);
      else
        scalar_to(out, item, indent + 2);
    }
  } else {
    scalar_to(out, v, indent);
  }
}

}  // namespace

Result<std::vector<Value>> parse_yaml(std::string_view text, std::string_view name, const ParseOptions& options) {
  if (text.size() > options.max_bytes)
    return fail(Code::kResourceExhausted, "YAML text of {} bytes is over the limit of {}", text.size(), options.max_bytes);
  return Reader(text, name, options).documents();
}

std::string to_yaml(const Value& value) {
  std::string out;
  emit(out, value, 0);
  return out;
}

}  // namespace fairlead::base
