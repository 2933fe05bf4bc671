// Service: what the HTTP samples share: a loop, a server, a client, signals, a log line per request.
// Main thread of the process; owner: the sample's main function.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "http/server.h"
#include "io/loop.h"
#include "io/signals.h"

namespace fairlead::sample {

using Exchange = std::shared_ptr<http::Exchange>;

struct Listen {
  std::string host;  // "": all addresses, IPv6 too where the kernel has it
  uint16_t port = 0;
};

class Service {
 public:
  Service();
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  io::Loop& loop() { return loop_; }
  // One connection per request, as Bookinfo's original does it, so that load balancing shows request by request.
  http::Client& client() { return *client_; }
  bool stopping() const { return stopping_; }

  // Called at SIGTERM, for what is not an exchange of the HTTP server. Optional.
  std::function<void()> on_stop;

  // Serves until SIGTERM or SIGINT. Goes on accepting for a moment after the signal, because load balancers learn a
  // little later than the process that it is leaving; then drains. Returns the exit code.
  int serve(const std::vector<Listen>& at, http::Handler handler);
  // Only the loop and the signals.
  int run_loop();

 private:
  void begin_stop();

  io::Loop loop_;
  io::SignalWatch signals_{loop_, {SIGTERM, SIGINT}, [this](int signal) {
                             if (signal == SIGINT || stopping_) loop_.stop();  // ^C, or the second signal: now
                             else begin_stop();
                           }};
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<http::Server> server_;
  bool stopping_ = false;
};

// Opens a listening socket; says on stderr why not.
base::Result<io::Fd> open_listener(const Listen& at);

// The environment variable, or the fallback when it is not set.
std::string env_or(const char* name, std::string_view fallback);
// Name of this pod.
std::string host_name();

// The fields that an application has to hand on so that spans become one trace, and those that Bookinfo hands on
// besides (user-agent, cookie, authorization, jwt, and end-user unless `end_user` is false).
http::Headers forwarded(const http::RequestHead& request, bool end_user = true);

// "[22/Nov/2026 23:23:36]" as access logs have it.
std::string log_time();
// Writes `10.244.0.7 - - [time] "GET /path HTTP/1.1" 200 -` to stdout.
void log_request(const http::Exchange& exchange, int status);
// Answers, and logs.
void answer(const Exchange& exchange, int status, std::string_view content_type, std::string_view body);
void answer(const Exchange& exchange, int status, http::Headers headers, std::string_view body);

// Pieces of the path between slashes, decoded; "/a//b/" gives {"a", "b"}.
std::vector<std::string> path_segments(std::string_view path);
// Without the ::ffff: of an IPv4 client on an IPv6 socket.
std::string client_ip(const io::Address& peer);
// A decimal number of the whole text within [low, high].
std::optional<long long> number_within(std::string_view text, long long low, long long high);
std::string html_escape(std::string_view text);

}  // namespace fairlead::sample
