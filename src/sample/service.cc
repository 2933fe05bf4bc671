#include "sample/service.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "base/strings.h"

namespace fairlead::sample {

namespace {

constexpr base::Nanos kKeepAccepting = std::chrono::seconds(1);
constexpr base::Nanos kDrain = std::chrono::seconds(5);

http::ClientOptions client_options() {
  http::ClientOptions options;
  options.keep_alive = false;
  return options;
}

// The fields of the trace propagation formats that Istio documents, and the application's own.
constexpr std::string_view kForwarded[] = {
    "x-request-id", "x-ot-span-context", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
    "traceparent", "tracestate", "x-cloud-trace-context", "grpc-trace-bin", "x-b3-traceid", "x-b3-spanid",
    "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3", "sw8", "user-agent", "cookie", "authorization", "jwt",
};

}  // namespace

Service::Service() {
  std::setvbuf(stdout, nullptr, _IOLBF, 8192);
  ::signal(SIGPIPE, SIG_IGN);
  client_ = std::make_unique<http::Client>(loop_, client_options());
}

Service::~Service() = default;

int Service::serve(const std::vector<Listen>& at, http::Handler handler) {
  server_ = std::make_unique<http::Server>(loop_, http::ServerOptions{}, std::move(handler));
  for (const auto& listen : at) {
    auto fd = open_listener(listen);
    if (!fd) {
      std::fprintf(stderr, "%s\n", fd.error().text().c_str());
      return 1;
    }
    server_->listen(std::move(*fd));
  }
  int code = run_loop();
  client_.reset();
  server_.reset();
  return code;
}

int Service::run_loop() {
  loop_.run();
  return 0;
}

void Service::begin_stop() {
  stopping_ = true;
  if (on_stop) on_stop();
  if (!server_) return loop_.stop();
  loop_.after(kKeepAccepting, [this] { server_->drain(kDrain, [this] { loop_.stop(); }); });
}

base::Result<io::Fd> open_listener(const Listen& at) {
  auto open = [&](std::string_view ip) -> base::Result<io::Fd> {
    auto address = io::Address::parse_ip(ip, at.port);
    if (!address) return std::unexpected(address.error());
    return io::listen(*address);
  };
  if (!at.host.empty() && at.host != "::" && at.host != "*") return open(at.host);
  auto dual = open("::");
  return dual ? std::move(dual) : open("0.0.0.0");
}

std::string env_or(const char* name, std::string_view fallback) {
  const char* value = std::getenv(name);
  return value ? value : std::string(fallback);
}

std::string host_name() {
  if (const char* name = std::getenv("HOSTNAME"); name && *name) return name;
  char buffer[256] = "";
  ::gethostname(buffer, sizeof buffer - 1);
  return buffer;
}

http::Headers forwarded(const http::RequestHead& request, bool end_user) {
  http::Headers out;
  for (auto name : kForwarded)
    if (const auto* value = request.headers.find(name)) out.add(name, *value);
  if (end_user)
    if (const auto* value = request.headers.find("end-user")) out.add("end-user", *value);
  return out;
}

std::string log_time() {
  char text[64];
  std::time_t now = std::time(nullptr);
  std::tm tm{};
  ::gmtime_r(&now, &tm);
  std::strftime(text, sizeof text, "[%d/%b/%Y %H:%M:%S]", &tm);
  return text;
}

void log_request(const http::Exchange& exchange, int status) {
  const auto& request = exchange.request();
  fmt::print(stdout, "{} - - {} \"{} {} HTTP/{}\" {} -\n", client_ip(exchange.peer()), log_time(), request.method,
             request.target, request.version == http::Version::kHttp2 ? "2" : "1.1", status);
}

void answer(const Exchange& exchange, int status, http::Headers headers, std::string_view body) {
  log_request(*exchange, status);
  exchange->respond(status, std::move(headers), body);
}

void answer(const Exchange& exchange, int status, std::string_view content_type, std::string_view body) {
  http::Headers headers;
  headers.add("content-type", content_type);
  answer(exchange, status, std::move(headers), body);
}

std::vector<std::string> path_segments(std::string_view path) {
  std::vector<std::string> out;
  for (auto piece : base::split(path, '/'))
    if (!piece.empty()) out.push_back(base::url_decode(piece));
  return out;
}

std::string client_ip(const io::Address& peer) {
  std::string ip = peer.ip();
  return ip.starts_with("::ffff:") && ip.find('.') != std::string::npos ? ip.substr(7) : ip;
}

std::optional<long long> number_within(std::string_view text, long long low, long long high) {
  auto n = base::to_int(text);
  return n && *n >= low && *n <= high ? n : std::nullopt;
}

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace fairlead::sample
