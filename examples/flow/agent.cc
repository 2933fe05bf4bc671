// Calls a resource again and again and says each second how many calls passed and how many were refused. Its rules come from a dashboard.
//
//   flow_agent --dashboard 127.0.0.1:8080 --app demo
//
// --resource NAME   what is called (orders)         --rate N      calls a second (20)
// --seconds N       ends after them (60)            --port N      of the commands (8719, or the next that is free; 0: any)
// --address IP      of the commands (127.0.0.1)     --log FOLDER  of the metric log
// What is not said is taken from Sentinel's settings (CSP_SENTINEL_DASHBOARD_SERVER, ...).
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "flow/engine.h"
#include "flow/guarded.h"
#include "sentinel/agent.h"

namespace flow = fairlead::flow;
namespace sentinel = fairlead::sentinel;

namespace {

bool number(std::string_view text, int least, int most, int& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size() && to >= least && to <= most;
}

}  // namespace

int main(int argc, char** argv) {
  sentinel::AgentOptions options = sentinel::AgentOptions::from_environment();
  if (options.address.empty()) options.address = "127.0.0.1";  // an example is not for the network
  std::string resource = "orders";
  int rate = 20, seconds = 60;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    bool good = !value.empty();
    if (name == "--dashboard") options.dashboards = {std::string(value)};
    else if (name == "--app") options.app = value;
    else if (name == "--resource") resource = value;
    else if (name == "--address") options.address = value;
    else if (name == "--log") options.log_folder = value;
    else if (name == "--rate") good = number(value, 1, 100'000, rate);
    else if (name == "--seconds") good = number(value, 1, 1'000'000, seconds);
    else if (name == "--port") good = number(value, 0, 65'535, options.port);
    else good = false;
    if (!good) {
      std::fprintf(stderr, "flow_agent: %s %s: write --dashboard HOST:PORT, --app NAME, --resource NAME, --rate 1..100000, --seconds 1..1000000, --port 0..65535, --address IP or --log FOLDER\n",
                   name.data(), value.data());
      return 2;
    }
  }

  flow::Engine engine;
  const sentinel::Agent agent(engine, options);
  std::printf("commands: %s:%d\n", options.address.c_str(), agent.port());
  const auto begin = std::chrono::steady_clock::now();
  for (int second = 1; second <= seconds; ++second) {
    int passed = 0, refused = 0;
    for (int call = 0; call < rate; ++call) {
      std::this_thread::sleep_until(begin + std::chrono::seconds(second - 1) + std::chrono::seconds(1) * call / rate);
      flow::guarded(engine, resource, {.inbound = true}, [&] { ++passed; }, [&] { ++refused; });
    }
    std::printf("%s: %d passed, %d refused\n", resource.c_str(), passed, refused);
    std::fflush(stdout);
  }
}
