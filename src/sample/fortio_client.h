// One connection of fortio: blocking HTTP/1.1 with time-outs, reused while the answers are good. One thread each.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/address.h"
#include "io/fd.h"
#include "sample/fortio.h"

namespace fairlead::sample {

// What all connections of a run share. Constant but for the counter.
struct FortioTarget {
  std::vector<io::Address> addresses;  // of the URL's host; connections take them in turn
  std::atomic<size_t> next_address{0};
  std::string request;                 // the bytes to send
};
base::Result<std::unique_ptr<FortioTarget>> fortio_target(const FortioOptions& options);

// Where an HTTP/1.1 response ends, found without copying it. Fed with growing prefixes of the same bytes.
class ResponseEnd {
 public:
  enum class State : uint8_t { kMore, kDone, kUntilClose, kBroken };
  State scan(std::string_view bytes);   // all bytes so far
  int status() const { return status_; }
  size_t head_size() const { return head_size_; }
  bool keep_alive() const { return keep_alive_; }
  size_t end() const { return end_; }

 private:
  State scan_chunks(std::string_view bytes);
  int status_ = -1;
  size_t head_size_ = 0;
  bool keep_alive_ = true, chunked_ = false, until_close_ = false;
  size_t end_ = 0;    // known end, or of the chunks seen so far
};

class FortioClient {
 public:
  FortioClient(const FortioOptions& options, FortioTarget& target, const FortioLog& log, int id);

  struct Outcome {
    int code = -1;       // -1: no answer
    size_t size = 0;     // bytes on the wire, head included
    size_t head = 0;     // of the head; 0 unless the answer was good
  };
  Outcome fetch();
  const std::string& last() const { return in_; }  // bytes of the last answer

  const Histogram& connect_times() const { return connect_times_; }
  const std::map<std::string, int>& used() const { return used_; }  // address -> connections

 private:
  bool connect(base::TimePoint deadline);
  Outcome exchange(bool reused);
  bool wait(short events, base::TimePoint deadline) const;

  const FortioOptions& options_;
  FortioTarget& target_;
  const FortioLog& log_;
  int id_;
  io::Fd socket_;
  std::string in_;
  Histogram connect_times_;
  std::map<std::string, int> used_;
};

inline bool fortio_ok(int code) { return (code >= 200 && code <= 299) || code == 418; }

}  // namespace fairlead::sample
