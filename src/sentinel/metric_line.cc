#include "sentinel/metric_line.h"

#include <charconv>
#include <ctime>
#include <limits>

#include "sentinel/utf8.h"

namespace fairlead::sentinel {
namespace {

using base::Code;

void append_number(std::string& out, std::int64_t value) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void append_name(std::string& out, std::string_view name) {
  for (const char c : to_utf8(name)) out += c == '|' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '_' : c;
}

void append_from_name(std::string& out, const MetricLine& line) {
  const flow::Metric& m = line.values;
  append_name(out, m.resource);
  for (const std::int64_t value : {m.pass, m.block, m.success, m.exception, m.rt_ms, m.occupied, m.threads, std::int64_t{line.classification}}) {
    out += '|';
    append_number(out, value);
  }
}

class Fields {
 public:
  explicit Fields(std::string_view rest) : rest_(rest) {}

  bool next(std::string_view& field) {
    if (ended_) return false;
    const std::size_t bar = rest_.find('|');
    field = rest_.substr(0, bar);
    ended_ = bar == std::string_view::npos;
    if (!ended_) rest_.remove_prefix(bar + 1);
    return true;
  }
  bool ended() const { return ended_; }

 private:
  std::string_view rest_;
  bool ended_ = false;
};

template <class T>
bool number(std::string_view text, T& value, T max = std::numeric_limits<T>::max()) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size() && value >= 0 && value <= max;
}

base::Result<MetricLine> parse(std::string_view text, bool fat) {
  if (text.size() > kMaxMetricLineBytes)
    return base::fail(Code::kInvalidArgument, "metric line of {} bytes; at most {} are read", text.size(), kMaxMetricLineBytes);
  if (text.ends_with('\r')) text.remove_suffix(1);
  Fields fields(text);
  std::string_view field;
  MetricLine line;
  flow::Metric& m = line.values;
  if (!fields.next(field) || !number(field, m.time_ms, kMaxMetricTimeMs))
    return base::fail(Code::kInvalidArgument, "metric line: the first field must be a time in milliseconds, at most {}", kMaxMetricTimeMs);
  if (fat) fields.next(field);
  if (!fields.next(field) || field.empty() || !is_utf8(field))
    return base::fail(Code::kInvalidArgument, "metric line: the name of the resource is {}", field.empty() ? "missing" : "not UTF-8");
  m.resource = field;

  struct Count {
    const char* name;
    std::int64_t* to;
  };
  const Count counts[] = {{"pass", &m.pass}, {"block", &m.block}, {"success", &m.success}, {"exception", &m.exception}, {"rt", &m.rt_ms}, {"occupied", &m.occupied}, {"concurrency", &m.threads}};
  constexpr int kRequired = 5;
  int index = 0;
  for (const Count& count : counts) {
    if (!fields.next(field)) {
      if (index >= kRequired) return line;
      return base::fail(Code::kInvalidArgument, "metric line: {} is missing", count.name);
    }
    if (!number(field, *count.to)) return base::fail(Code::kInvalidArgument, "metric line: {} must be a whole number from 0", count.name);
    ++index;
  }
  if (fields.next(field) && !number(field, line.classification)) return base::fail(Code::kInvalidArgument, "metric line: classification must be a whole number from 0");
  if (!fields.ended()) return base::fail(Code::kInvalidArgument, "metric line: there are fields after classification, the last one");
  return line;
}

}  // namespace

void append_thin(std::string& out, const MetricLine& line) {
  append_number(out, line.values.time_ms);
  out += '|';
  append_from_name(out, line);
}

void append_fat(std::string& out, const MetricLine& line) {
  append_number(out, line.values.time_ms);
  out += '|';
  const std::time_t second = line.values.time_ms / 1000;
  std::tm local{};
  localtime_r(&second, &local);
  char date[64];
  out.append(date, std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local));
  out += '|';
  append_from_name(out, line);
  out += '\n';
}

base::Result<MetricLine> parse_thin(std::string_view line) { return parse(line, false); }
base::Result<MetricLine> parse_fat(std::string_view line) { return parse(line, true); }

MetricLines parse_thin_lines(std::string_view text, std::size_t max_lines) {
  MetricLines out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line == "\r") continue;
    if (out.lines.size() >= max_lines) {
      out.cut = true;
      break;
    }
    auto parsed = parse_thin(line);
    if (parsed) {
      out.lines.push_back(std::move(*parsed));
    } else {
      if (out.refused++ == 0) out.first_fault = parsed.error().text();
    }
  }
  return out;
}

}  // namespace fairlead::sentinel
