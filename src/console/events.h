// Events: what changed, told to the pages that listen (text/event-stream).
//
// Loop thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "http/server.h"
#include "io/loop.h"

namespace fairlead::console {

class Events {
 public:
  static constexpr std::size_t kMaxListeners = 500;           // the one that came first goes
  static constexpr std::size_t kMaxPending = 256 * 1024;      // bytes that a listener has not taken: it is cut, and comes again

  explicit Events(io::Loop& loop);
  void listen(std::shared_ptr<http::Exchange> exchange);
  void tell(const base::Value& event);
  std::size_t listeners() const { return listeners_.size(); }

 private:
  void write(std::string_view bytes);

  std::vector<std::shared_ptr<http::Exchange>> listeners_;
  io::Timer keep_alive_;
};

}  // namespace fairlead::console
