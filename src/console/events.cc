#include "console/events.h"

#include <algorithm>
#include <chrono>

namespace fairlead::console {

using namespace std::chrono_literals;

Events::Events(io::Loop& loop)
    : keep_alive_(loop, [this] {
        keep_alive_.arm(15s);
        write(": still here\n\n");  // a comment: keeps proxies from closing, finds listeners that are gone
      }) {
  keep_alive_.arm(15s);
}

void Events::listen(std::shared_ptr<http::Exchange> exchange) {
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  headers.set("cache-control", "no-store");
  headers.set("x-accel-buffering", "no");
  exchange->start(200, std::move(headers));
  exchange->write("retry: 2000\n\n");
  if (listeners_.size() >= kMaxListeners) {
    listeners_.front()->abort();
    listeners_.erase(listeners_.begin());
  }
  listeners_.push_back(std::move(exchange));
}

void Events::write(std::string_view bytes) {
  std::erase_if(listeners_, [&](const std::shared_ptr<http::Exchange>& each) {
    if (each->closed()) return true;
    if (each->pending_bytes() > kMaxPending) {
      each->abort();
      return true;
    }
    each->write(bytes);
    return false;
  });
}

void Events::tell(const base::Value& event) { write("data: " + event.dump() + "\n\n"); }

}  // namespace fairlead::console
