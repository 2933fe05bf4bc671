// parse_json on nlohmann's SAX reader: it checks syntax and UTF-8, this file builds Values and counts.
#include <nlohmann/json.hpp>

#include "base/value.h"

namespace fairlead::base {
namespace {

class Builder {
 public:
  using number_integer_t = int64_t;
  using number_unsigned_t = uint64_t;
  using number_float_t = double;
  using string_t = std::string;
  using binary_t = nlohmann::json::binary_t;

  Builder(const ParseOptions& options, std::string_view text) : options_(options), text_(text) {}

  bool null() { return add(Value()); }
  bool boolean(bool v) { return add(Value(v)); }
  bool number_integer(int64_t v) { return add(Value(static_cast<long>(v))); }
  bool number_unsigned(uint64_t v) {
    return add(v > static_cast<uint64_t>(INT64_MAX) ? Value(static_cast<double>(v)) : Value(static_cast<long>(v)));
  }
  bool number_float(double v, const std::string&) { return add(Value(v)); }
  bool string(std::string& v) { return add(Value(std::move(v))); }
  bool binary(binary_t&) { return false; }
  bool start_object(size_t) { return open(Value::object()); }
  bool start_array(size_t) { return open(Value::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& k) {
    Frame& top = stack_.back();
    if (options_.duplicates && top.value.find(k)) options_.duplicates->push_back({path(k), {}});
    top.key = std::move(k);
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const nlohmann::json::exception& e) {
    size_t at = std::min(byte > 0 ? byte - 1 : 0, text_.size());
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; ++i) {
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      } else {
        ++column;
      }
    }
    std::string_view what = e.what();  // "[json.exception...] parse error at line 1, column 2: reason"
    size_t colon = what.find(": ");
    error_ = fmt::format("invalid JSON at line {}, column {}: {}", line, column,
                         colon == std::string_view::npos ? what : what.substr(colon + 2));
    return false;
  }

  Value take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  struct Frame {
    Value value;
    std::string key;  // the member being filled, for objects
  };

  bool open(Value v) {
    if (stack_.size() >= options_.max_depth) {
      error_ = fmt::format("invalid JSON: nested deeper than {} levels", options_.max_depth);
      return false;
    }
    stack_.push_back({std::move(v), {}});
    return true;
  }

  bool close() {
    Value v = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(v));
  }

  bool add(Value v) {
    if (stack_.empty()) {
      root_ = std::move(v);
    } else if (Frame& top = stack_.back(); top.value.is_array()) {
      top.value.push(std::move(v));
    } else {
      top.value.set(top.key, std::move(v));
    }
    return true;
  }

  std::string path(const std::string& last) const {
    std::string out;
    for (const auto& frame : stack_) {
      if (&frame == &stack_.back()) break;
      if (frame.value.is_array()) {
        out += '[' + std::to_string(frame.value.size()) + ']';
      } else {
        if (!out.empty()) out += '.';
        out += frame.key;
      }
    }
    if (!out.empty()) out += '.';
    return out + last;
  }

  const ParseOptions& options_;
  std::string_view text_;
  std::vector<Frame> stack_;
  Value root_;
  std::string error_;
};

}  // namespace

Result<Value> parse_json(std::string_view text, const ParseOptions& options) {
  if (text.size() > options.max_bytes)
    return fail(Code::kResourceExhausted, "JSON document of {} bytes is over the limit of {}", text.size(), options.max_bytes);
  Builder builder(options, text);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return fail(Code::kInvalidArgument, "{}", builder.error().empty() ? std::string("invalid JSON") : builder.error());
  }
  return builder.take();
}

}  // namespace fairlead::base
