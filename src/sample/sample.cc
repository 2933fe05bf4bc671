#include "sample/sample.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/strings.h"
#include "sample/bookinfo.h"
#include "sample/fortio.h"
#include "sample/helloworld.h"
#include "sample/httpbin.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

using Args = std::vector<std::string>;  // after the name

constexpr const char* kNames[] = {"productpage", "details", "reviews",    "ratings", "httpbin",
                                  "go-httpbin",  "fortio",  "helloworld", "tcp-echo"};

int complain(std::string_view text) {
  fmt::print(stderr, "fairlead sample: {}\n", text);
  return 2;
}

// "8080", "0.0.0.0:8080", "[::]:80", ":80".
std::optional<Listen> listen_of(std::string_view text, std::string host = "") {
  size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    host = text.substr(0, colon);
    if (host.size() >= 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    if (host == "0.0.0.0") host = "";
    text = text.substr(colon + 1);
  }
  auto port = number_within(text, 0, 65535);
  if (!port) return std::nullopt;
  return Listen{host, static_cast<uint16_t>(*port)};
}

int httpbin(const Args& args, Dialect dialect) {
  Listen at{env_or("HOST", ""), dialect == Dialect::kGo ? uint16_t{8080} : uint16_t{80}};
  if (at.host == "0.0.0.0") at.host = "";
  if (dialect == Dialect::kGo)
    if (auto port = listen_of(env_or("PORT", ""))) at.port = port->port;
  for (size_t i = 0; i < args.size(); ++i) {
    std::string_view flag = args[i], value;
    if (!flag.starts_with('-')) {
      if (flag.find(':') == std::string_view::npos || flag.starts_with(':') || flag.starts_with('[') || base::to_int(flag))
        if (auto port = listen_of(flag)) at = *port;
      continue;  // gunicorn's httpbin:app
    }
    size_t equals = flag.find('=');
    std::string_view name = flag.substr(0, equals);
    bool ours = name == "-b" || name == "--bind" || name == "-port" || name == "--port" || name == "-host" || name == "--host";
    if (!ours) continue;  // gunicorn's -k gevent and the like choose nothing here
    if (equals != std::string_view::npos) value = flag.substr(equals + 1);
    else if (i + 1 < args.size()) value = args[++i];
    auto parsed = listen_of(value, at.host);
    if (name.ends_with("host")) at.host = value == "0.0.0.0" ? "" : std::string(value);
    else if (parsed) at = *parsed;
    else return complain(fmt::format("httpbin: {} {} is no address to listen on: [HOST:]PORT", name, value));
  }
  return httpbin_main(dialect, at);
}

int tcp_echo(const Args& args) {
  if (args.size() != 2) return complain("tcp-echo PORT[,PORT...] WORD");
  std::vector<uint16_t> ports;
  for (auto piece : base::split(args[0], ',')) {
    auto port = number_within(base::trim(piece), 1, 65535);
    if (!port) return complain(fmt::format("tcp-echo: \"{}\" is no port", piece));
    ports.push_back(static_cast<uint16_t>(*port));
  }
  return tcp_echo_main(ports, args[1]);
}

}  // namespace

std::vector<std::string> names() { return {std::begin(kNames), std::end(kNames)}; }

base::Status check_name(std::string_view name) {
  std::vector<std::string_view> known(std::begin(kNames), std::end(kNames));
  std::string_view program = name;
  if (size_t dash = name.rfind("-v"); dash != std::string_view::npos) program = name.substr(0, dash);
  if (std::ranges::find(known, program) != known.end()) return {};
  auto guess = base::nearest(program, known);
  return base::fail(base::Code::kInvalidArgument, "no sample \"{}\"{}. Names: {}", name, guess ? fmt::format("; did you mean \"{}\"?", *guess) : "",
                    base::join(names(), ", "));
}

int run(int argc, char** argv) {
  const char* slash = argc > 0 ? std::strrchr(argv[0], '/') : nullptr;
  std::string name = argc > 0 ? (slash ? slash + 1 : argv[0]) : "sample";
  int first = 1;
  if (name == "sample") {
    if (argc < 2 || std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h") {
      fmt::print(argc < 2 ? stderr : stdout, "Usage: fairlead sample NAME [ARGS]\n\nNames: {}\n", base::join(names(), ", "));
      return argc < 2 ? 2 : 0;
    }
    name = argv[1];
    first = 2;
  }
  if (name == "fortio") return fortio_main(argc - first + 1, argv + first - 1);
  Args args(argv + first, argv + argc);
  if (name == "httpbin" || name == "gunicorn") return httpbin(args, Dialect::kPython);
  if (name == "go-httpbin") return httpbin(args, Dialect::kGo);
  if (name == "tcp-echo") return tcp_echo(args);

  // NAME-VERSION or NAME VERSION, then a port.
  std::string version = "v1";
  if (size_t dash = name.rfind("-v"); dash != std::string::npos) {
    version = name.substr(dash + 1);
    name.resize(dash);
  } else if (!args.empty() && args[0].starts_with('v')) {
    version = args[0];
    args.erase(args.begin());
  }
  uint16_t port = name == "helloworld" ? 5000 : 9080;
  if (!args.empty()) {
    auto given = number_within(args[0], 1, 65535);
    if (!given) return complain(fmt::format("{}: \"{}\" is no port", name, args[0]));
    port = static_cast<uint16_t>(*given);
  }
  if (name == "productpage") return productpage_main(port);
  if (name == "details") return details_main(port, version);
  if (name == "reviews") return reviews_main(port, version);
  if (name == "ratings") return ratings_main(port, version);
  if (name == "helloworld") return helloworld_main(port, version);

  return complain(check_name(name).error().message);
}

}  // namespace fairlead::sample
