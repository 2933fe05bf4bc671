#include "sample/helloworld.h"

#include "sample/service.h"

namespace fairlead::sample {

int helloworld_main(uint16_t port, std::string_view version) {
  Service service;
  std::string text =
      fmt::format("Hello version: {}, instance: {}\n", env_or("SERVICE_VERSION", version), host_name());
  return service.serve({{"", port}}, [&](Exchange exchange) {
    auto path = exchange->request().path();
    if (path == "/hello") return answer(exchange, 200, "text/html; charset=utf-8", text);
    if (path == "/health") return answer(exchange, 200, "text/html; charset=utf-8", "Helloworld is healthy");
    answer(exchange, 404, "text/plain", "not found\n");
  });
}

}  // namespace fairlead::sample
