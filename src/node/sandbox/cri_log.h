// Container output as the CRI writes it: "2024-05-01T10:20:30.123456789Z stdout F line\n", P instead of F for a piece
// of a line that was cut because it is long. What has no newline at the end of the output is an F line, as containerd has it.
//
// Pure: bytes in, text out. One object per stream of a container.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace fairlead::node {

class CriLines {
 public:
  static constexpr size_t kMaxLineBytes = 16384;  // as containerd cuts them
  explicit CriLines(std::string_view stream) : stream_(stream) {}

  // Appends whole lines to `out`; keeps the rest.
  void feed(std::string_view bytes, std::chrono::system_clock::time_point now, std::string& out);
  // The container ended: what is left becomes a line.
  void finish(std::chrono::system_clock::time_point now, std::string& out);

 private:
  void line(char tag, std::string_view text, std::string_view stamp, std::string& out) const;
  std::string stream_;
  std::string rest_;
};

}  // namespace fairlead::node
