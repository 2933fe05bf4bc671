#include "proxy/output.h"

namespace fairlead::proxy {

void Output::consume(size_t n) {
  start_ += n;
  if (start_ < bytes_.size()) {
    // Keep the front from growing without bound under a slow reader. What is moved was paid for by as much that was written.
    if (start_ > kKeepBytes && start_ > size()) bytes_.erase(0, start_), start_ = 0;
    return;
  }
  start_ = 0;
  if (bytes_.capacity() > kKeepBytes) [[unlikely]]
    bytes_ = std::string();
  else
    bytes_.clear();
}

bool Output::flush(io::Transport& transport) {
  while (size_t waiting = size()) {
    iovec v{bytes_.data() + start_, waiting};
    io::IoResult r = transport.write(std::span<const iovec>(&v, 1));
    if (r.status != io::IoStatus::kOk) return r.status == io::IoStatus::kAgain;
    written_ += r.bytes;
    consume(r.bytes);
  }
  return true;
}

bool Output::write(io::Transport& transport, std::string_view bytes) {
  while (empty() && !bytes.empty()) {
    io::IoResult r = transport.write(bytes);
    if (r.status == io::IoStatus::kOk) {
      written_ += r.bytes;
      bytes.remove_prefix(r.bytes);
      continue;
    }
    append(bytes);
    return r.status == io::IoStatus::kAgain;
  }
  return bytes.empty() || write(transport, std::initializer_list<std::string_view>{bytes});
}

bool Output::write(io::Transport& transport, std::initializer_list<std::string_view> pieces) {
  iovec v[8];
  size_t count = 0;
  size_t waiting = size();
  if (waiting) v[count++] = {bytes_.data() + start_, waiting};
  for (std::string_view p : pieces)
    if (!p.empty()) v[count++] = {const_cast<char*>(p.data()), p.size()};
  if (count == 0) return true;
  size_t total = waiting;
  for (std::string_view p : pieces) total += p.size();

  size_t done = 0;
  bool ok = true;
  // One call nearly always; TLS and short writes take more.
  while (done < total) {
    iovec rest[8];
    size_t n = 0;
    size_t skip = done;
    for (size_t i = 0; i < count; ++i) {
      if (skip >= v[i].iov_len) {
        skip -= v[i].iov_len;
        continue;
      }
      rest[n++] = {static_cast<char*>(v[i].iov_base) + skip, v[i].iov_len - skip};
      skip = 0;
    }
    io::IoResult r = transport.write(std::span<const iovec>(rest, n));
    if (r.status == io::IoStatus::kOk) {
      done += r.bytes;
      continue;
    }
    ok = r.status == io::IoStatus::kAgain;
    break;
  }
  written_ += done;
  size_t from_queue = std::min(done, waiting);
  if (waiting) consume(from_queue);
  size_t skip = done - from_queue;
  for (std::string_view p : pieces) {
    if (skip >= p.size()) {
      skip -= p.size();
      continue;
    }
    bytes_ += p.substr(skip);
    skip = 0;
  }
  return ok;
}

}  // namespace fairlead::proxy
