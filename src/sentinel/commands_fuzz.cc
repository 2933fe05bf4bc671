// Any bytes as the body of a request for each command: the first line is the target, the rest the parameters. Answers are UTF-8, and
// rules that are held are read again as they were printed.
#include <cstdlib>

#include "base/log.h"
#include "sentinel/commands.h"
#include "sentinel/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace fairlead;
  [[maybe_unused]] static const bool quiet = [] {
    base::set_log_level(base::LogLevel::kOff);
    return true;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(text.find('\n'), text.size());
  flow::Engine engine;
  sentinel::Commands commands(engine, {});
  const auto ask = [&](std::string_view method, std::string_view target, std::string_view body) {
    const auto answer = commands.serve({.method = method, .target = target, .has_content_type = false, .body = body});
    if (!sentinel::is_utf8(answer.body)) std::abort();
    return answer;
  };
  { const auto entry = engine.enter(text.substr(0, line), {.context = "web", .origin = text.substr(line)}); }
  ask("POST", text.substr(0, line), text.substr(line));
  ask("GET", text.substr(0, line), {});
  for (const char* target : {"/clusterNode", "/jsonTree", "/tree", "/cnode?id=a", "/getParamFlowRules", "/gateway/getRules", "/gateway/getApiDefinitions"}) ask("GET", target, {});
  const auto rules = ask("GET", "/getRules?type=flow", {});
  if (!flow::read_rules<flow::FlowRule>(rules.body).faults.empty()) std::abort();
  return 0;
}
