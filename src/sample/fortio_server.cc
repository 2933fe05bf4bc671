// fortio server: an HTTP echo whose query says how to answer (status, delay, size, close, header), and a TCP echo.
#include <random>
#include <utility>

#include "base/strings.h"
#include "base/time.h"
#include "sample/echo_server.h"
#include "sample/fortio.h"
#include "sample/httpbin.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

constexpr size_t kMaxBody = 256 * 1024;
constexpr base::Nanos kMaxDelay = std::chrono::milliseconds(1500);

// "503" always; "503:20,404:10": so many percent each, the rest 200.
int echo_status(std::string_view spec, double dice) {
  if (spec.empty()) return 200;
  if (spec.find(':') == std::string_view::npos) return static_cast<int>(number_within(spec, 200, 599).value_or(400));
  double point = dice * 100;
  for (auto piece : base::split(spec, ',')) {
    size_t colon = piece.find(':');
    auto code = number_within(piece.substr(0, colon), 200, 599);
    auto percent = colon == std::string_view::npos ? std::nullopt : base::to_double(piece.substr(colon + 1));
    if (!code || !percent) return 400;
    if ((point -= *percent) < 0) return static_cast<int>(*code);
  }
  return 200;
}

std::string debug_text(const Exchange& exchange, std::string_view body) {
  const auto& request = exchange->request();
  std::string out = fmt::format("Φορτίο version {} echo debug server on {} - request from {}\n\n{} {} HTTP/1.1\n\nheaders:\n\nHost: {}\n",
                                kFortioVersion, host_name(), exchange->peer().text(), request.method, request.target, request.authority);
  for (const auto& [name, value] : request.headers) out += fmt::format("{}: {}\n", canonical_header(name), value);
  return out + fmt::format("\nbody:\n\n{}\n", body);
}

std::optional<Listen> listen_at(const std::string& text) {
  size_t colon = text.rfind(':');
  auto port = number_within(colon == std::string::npos ? text : text.substr(colon + 1), 0, 65535);
  if (!port) return std::nullopt;
  return Listen{colon == std::string::npos ? "" : text.substr(0, colon), static_cast<uint16_t>(*port)};
}

}  // namespace

int fortio_server(const FortioOptions& options) {
  Service service;
  std::mt19937 random(std::random_device{}());
  FortioLog log(options.level);
  if (options.http_port == "disabled") {
    fmt::print(stderr, "fortio: nothing to serve: -http-port is disabled\n");
    return 1;
  }
  auto http_at = listen_at(options.http_port), tcp_at = listen_at(options.tcp_port);
  if (!http_at || (options.tcp_port != "disabled" && !tcp_at)) {
    fmt::print(stderr, "fortio: \"{}\": a port, or HOST:PORT, is needed\n", http_at ? options.tcp_port : options.http_port);
    return 2;
  }
  EchoServer tcp(service, [](std::string& in) { return std::exchange(in, std::string()); });
  if (tcp_at) {
    if (auto listening = tcp.listen(*tcp_at); !listening) {
      fmt::print(stderr, "fortio: {}\n", listening.error().text());
      return 1;
    }
    log.write(LogLevel::kInfo, fmt::format("Fortio {} tcp-echo server listening on tcp [::]:{}", kFortioVersion, tcp_at->port));
  }
  log.write(LogLevel::kInfo, fmt::format("Fortio {} http-echo server listening on tcp [::]:{}", kFortioVersion, http_at->port));
  return service.serve({*http_at}, [&](Exchange exchange) {
    exchange->read_body(kMaxBody, [&, exchange](std::string body) {
      const auto& request = exchange->request();
      if (request.path() == "/debug") return exchange->respond(200, "text/plain; charset=UTF-8", debug_text(exchange, body));
      auto query = request.query();
      int status = echo_status(http::query_param(query, "status"), std::uniform_real_distribution<>(0, 1)(random));
      if (auto size = number_within(http::query_param(query, "size"), 0, kMaxBody)) body.assign(static_cast<size_t>(*size), 'x');
      http::Headers headers;
      if (const auto* type = request.headers.find("content-type")) headers.add("content-type", *type);
      if (http::query_param(query, "close") == "true") headers.add("connection", "close");
      for (const auto& [name, value] : http::query_params(query))
        if (size_t colon = value.find(':'); name == "header" && colon != std::string::npos && value.find('\n') == std::string::npos)
          headers.add(value.substr(0, colon), base::trim(std::string_view(value).substr(colon + 1)));
      auto delay = base::parse_duration(http::query_param(query, "delay"));
      auto respond = [exchange, status, headers = std::move(headers), body = std::move(body)]() mutable {
        exchange->respond(status, std::move(headers), body);
      };
      if (delay && *delay > base::Nanos(0)) service.loop().after(std::min(*delay, kMaxDelay), std::move(respond));
      else respond();
    });
  });
}

}  // namespace fairlead::sample
