#include "sample/echo_server.h"
#include "sample/helloworld.h"

namespace fairlead::sample {

int tcp_echo_main(const std::vector<uint16_t>& ports, const std::string& word) {
  Service service;
  EchoServer server(service, [&](std::string& in) {
    std::string out;
    for (size_t end; (end = in.find('\n')) != std::string::npos; in.erase(0, end + 1)) {
      std::string line = in.substr(0, end + 1);
      fmt::print(stdout, "request: {}response: {} {}", line, word, line);
      out += word + " " + line;
    }
    return out;
  });
  for (uint16_t port : ports) {
    if (auto listening = server.listen({"", port}); !listening) {
      fmt::print(stderr, "failed to create listener, err: {}\n", listening.error().text());
      return 1;
    }
    fmt::print(stdout, "listening on [::]:{}, prefix: {}\n", port, word);
  }
  return service.run_loop();
}

}  // namespace fairlead::sample
