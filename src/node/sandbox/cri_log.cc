#include "node/sandbox/cri_log.h"

#include <fmt/format.h>

#include <ctime>

namespace fairlead::node {
namespace {

std::string stamp_of(std::chrono::system_clock::time_point now) {
  auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  time_t seconds = static_cast<time_t>(nanos / 1000000000);
  tm t{};
  ::gmtime_r(&seconds, &t);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                     t.tm_min, t.tm_sec, nanos % 1000000000);
}

}  // namespace

void CriLines::line(char tag, std::string_view text, std::string_view stamp, std::string& out) const {
  out.append(stamp).append(" ").append(stream_).append(" ");
  out.push_back(tag);
  out.append(" ").append(text).append("\n");
}

void CriLines::feed(std::string_view bytes, std::chrono::system_clock::time_point now, std::string& out) {
  std::string stamp = stamp_of(now);
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    size_t room = kMaxLineBytes - rest_.size();
    if (end != std::string_view::npos && end <= room) {
      rest_.append(bytes.substr(0, end));
      line('F', rest_, stamp, out);
      rest_.clear();
      bytes.remove_prefix(end + 1);
    } else if (bytes.size() < room) {
      rest_.append(bytes);
      return;
    } else {
      rest_.append(bytes.substr(0, room));
      line('P', rest_, stamp, out);
      rest_.clear();
      bytes.remove_prefix(room);
    }
  }
}

void CriLines::finish(std::chrono::system_clock::time_point now, std::string& out) {
  if (rest_.empty()) return;
  line('F', rest_, stamp_of(now), out);
  rest_.clear();
}

}  // namespace fairlead::node
