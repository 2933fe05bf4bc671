// Output: bytes of a connection that wait for its socket. Flushable: what a worker flushes at the end of a round.
// Worker thread only.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "io/transport.h"

namespace fairlead::proxy {

// Marked with Worker::mark while it has something to do at the end of the round; flush() is then called once. Gathering
// writes this way turns a head and its body, or the frames of many streams, into one system call.
class Flushable {
 public:
  virtual void flush() = 0;
  bool marked_ = false;  // the worker's note

 protected:
  ~Flushable() = default;
};

class Output {
 public:
  std::string& bytes() { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size() - start_; }
  void append(std::string_view more) { bytes_ += more; }
  void clear() {  // as new, keeping the buffer
    bytes_.clear();
    start_ = 0;
    written_ = 0;
  }

  // Writes what waits. False when the connection is broken.
  bool flush(io::Transport& transport);
  // Writes what waits and then the pieces, straight from where they are; what the socket does not take is copied.
  bool write(io::Transport& transport, std::initializer_list<std::string_view> pieces);
  bool write(io::Transport& transport, std::string_view bytes);  // one piece
  uint64_t written() const { return written_; }

 private:
  static constexpr size_t kKeepBytes = 16 * 1024;  // capacity that an idle connection may keep
  void consume(size_t n);
  std::string bytes_;
  size_t start_ = 0;
  uint64_t written_ = 0;
};

}  // namespace fairlead::proxy
