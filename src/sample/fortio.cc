// Command line and log of fortio.
#include "sample/fortio.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "base/strings.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
    {"debug", LogLevel::kDebug}, {"verbose", LogLevel::kVerbose}, {"info", LogLevel::kInfo}, {"warning", LogLevel::kWarning},
    {"warn", LogLevel::kWarning}, {"error", LogLevel::kError}, {"critical", LogLevel::kCritical}, {"fatal", LogLevel::kFatal}};

constexpr std::string_view kUsage =
    "Usage: fortio load|curl|server|version [flags] URL\n"
    "  -c N          connections, each with a thread of its own (default 4)\n"
    "  -qps F        requests per second over all connections, 0: as many as possible (default 8)\n"
    "  -n N          exactly N requests instead of a duration\n"
    "  -t DURATION   how long, 0: until ^C (default 5s)\n"
    "  -timeout D    of connecting and of reading an answer (default 3s)\n"
    "  -H NAME:VALUE one more header field (may be repeated)\n"
    "  -keepalive=false    a connection per request\n"
    "  -loglevel L   Debug, Verbose, Info, Warning, Error (default Info); -quiet: Error\n"
    "  -curl         fetch once and show the answer\n"
    "  -X METHOD, -payload TEXT, -content-type TYPE, -user NAME:PASSWORD\n"
    "  -p LIST       percentiles (default 50,75,90,99,99.9)\n"
    "  -json FILE    result as JSON, -: stdout;  -a: to a file named by time and -labels\n"
    "  -allow-initial-errors, -log-errors=false, -abort-on CODE, -jitter, -uniform, -nocatchup, -r SECONDS\n"
    "  -http-port P, -tcp-port P   of server (8080, 8078; \"disabled\": none)\n";

base::Result<double> number(std::string_view flag, std::string_view text) {
  auto n = base::to_double(text);
  if (!n) return base::fail(base::Code::kInvalidArgument, "invalid value \"{}\" for flag -{}: a number is needed", text, flag);
  return *n;
}

}  // namespace

base::Result<FortioOptions> parse_fortio(const std::vector<std::string>& args) {
  using base::Code;
  FortioOptions o;
  if (args.empty()) return base::fail(Code::kInvalidArgument, "a command is missing");
  o.command = args[0];
  constexpr std::string_view kBools[] = {"keepalive", "curl", "quiet", "allow-initial-errors", "log-errors", "jitter", "uniform",
                                         "nocatchup", "a", "stdclient", "sequential-warmup", "halfclose", "httpccch", "h2", "k",
                                         "https-insecure", "logger-json", "logger-timestamp", "logger-file-line",
                                         "logger-goroutine", "logger-no-color", "logger-force-color", "http1.0", "compression", "L",
                                         "grpc", "ping"};
  for (size_t i = 1; i < args.size(); ++i) {
    std::string_view arg = args[i];
    if (!arg.starts_with('-') || arg == "-") {
      if (!o.url.empty()) return base::fail(Code::kInvalidArgument, "one URL is enough: \"{}\" and \"{}\"; flags go before it", o.url, arg);
      o.url = arg;
      continue;
    }
    arg.remove_prefix(arg.starts_with("--") ? 2 : 1);
    size_t equals = arg.find('=');
    std::string flag(arg.substr(0, equals));
    bool is_bool = std::find(std::begin(kBools), std::end(kBools), flag) != std::end(kBools);
    std::string value;
    if (equals != std::string_view::npos) value = arg.substr(equals + 1);
    else if (is_bool) value = "true";
    else if (i + 1 < args.size()) value = args[++i];
    else return base::fail(Code::kInvalidArgument, "flag needs an argument: -{}", flag);

    if (is_bool) {
      bool on = value == "true" || value == "1" || value == "t" || value == "T" || value == "TRUE" || value == "True";
      if (flag == "keepalive") o.keep_alive = on;
      else if (flag == "curl") o.curl = on;
      else if (flag == "quiet") o.quiet = on;
      else if (flag == "allow-initial-errors") o.allow_initial_errors = on;
      else if (flag == "log-errors") o.log_errors = on;
      else if (flag == "jitter") o.jitter = on;
      else if (flag == "uniform") o.uniform = on;
      else if (flag == "nocatchup") o.no_catchup = on;
      else if (flag == "a") o.save_json = on;
      else if (on && (flag == "grpc" || flag == "ping" || flag == "h2" || flag == "L" || flag == "compression" || flag == "http1.0"))
        return base::fail(Code::kUnimplemented, "-{} is not built in: this fortio speaks HTTP/1.1", flag);
      continue;
    }
    if (flag == "c" || flag == "n" || flag == "qps" || flag == "r" || flag == "abort-on") {
      auto n = number(flag, value);
      if (!n) return std::unexpected(n.error());
      if (flag == "c") o.connections = static_cast<int>(std::clamp(*n, 1.0, 10'000.0));
      else if (flag == "n") o.calls = static_cast<long long>(*n);
      else if (flag == "qps") o.qps = *n;
      else if (flag == "r") o.resolution = *n > 0 ? *n : o.resolution;
      else o.abort_on = static_cast<int>(*n);
    } else if (flag == "t" || flag == "timeout") {
      auto d = base::parse_duration(value);
      if (!d) return base::fail(Code::kInvalidArgument, "invalid value \"{}\" for flag -{}: a duration such as 5s or 100ms is needed", value, flag);
      (flag == "t" ? o.duration : o.timeout) = *d;
    } else if (flag == "H") {
      size_t colon = value.find(':');
      if (colon == std::string::npos) return base::fail(Code::kInvalidArgument, "invalid value \"{}\" for flag -H: NAME:VALUE is needed", value);
      o.headers.emplace_back(value.substr(0, colon), std::string(base::trim(std::string_view(value).substr(colon + 1))));
    } else if (flag == "loglevel") {
      auto it = std::find_if(std::begin(kLevels), std::end(kLevels), [&](const auto& l) { return base::iequals(l.first, value); });
      if (it == std::end(kLevels))
        return base::fail(Code::kInvalidArgument, "invalid value \"{}\" for flag -loglevel: Debug, Verbose, Info, Warning, Error, Critical or Fatal", value);
      o.level = it->second;
    } else if (flag == "p") {
      o.percentiles.clear();
      for (auto piece : base::split(value, ',')) {
        auto n = number(flag, base::trim(piece));
        if (!n) return std::unexpected(n.error());
        o.percentiles.push_back(*n);
      }
    }
    else if (flag == "json") o.json_path = value;
    else if (flag == "data-dir") o.data_dir = value;
    else if (flag == "labels") o.labels = value;
    else if (flag == "X") o.method = value;
    else if (flag == "payload") o.payload = value;
    else if (flag == "content-type") o.content_type = value;
    else if (flag == "user") o.user = value;
    else if (flag == "http-port") o.http_port = value;
    else if (flag == "tcp-port") o.tcp_port = value;
    else if (flag == "grpc-port" || flag == "udp-port" || flag == "redirect-port" || flag == "httpbufferkb" || flag == "gomaxprocs" ||
             flag == "maxpayloadsizekb" || flag == "runid" || flag == "dns-method" || flag == "resolve-ip-type" || flag == "config-dir" ||
             flag == "ui-path" || flag == "echo-debug-path" || flag == "config-port" || flag == "static-dir") {
      // Nothing here depends on these.
    } else {
      return base::fail(Code::kInvalidArgument, "flag provided but not defined: -{}", flag);
    }
  }
  if (o.quiet) o.level = LogLevel::kError;
  if (o.command == "load" && o.curl) o.command = "curl";
  bool needs_url = o.command == "load" || o.command == "curl";
  if (needs_url && o.url.empty()) return base::fail(Code::kInvalidArgument, "a URL is missing");
  if (needs_url && o.url.find("://") == std::string::npos) o.url = "http://" + o.url;
  if (needs_url && !o.url.starts_with("http://"))
    return base::fail(Code::kUnimplemented, "{}: this fortio speaks plain HTTP/1.1; leave TLS to the sidecar", o.url);
  return o;
}

FortioLog::FortioLog(LogLevel level) : level_(level), terminal_(::isatty(2) == 1) {}

void FortioLog::write(LogLevel level, std::string_view message, const std::vector<std::pair<std::string, std::string>>& fields) const {
  if (!enabled(level)) return;
  constexpr std::string_view kJson[] = {"dbug", "trace", "info", "warn", "err", "crit", "fatal"};
  constexpr std::string_view kShort[] = {"DBG", "VRB", "INF", "WRN", "ERR", "CRI", "FTL"};
  auto now = std::chrono::system_clock::now().time_since_epoch();
  auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  std::string line;
  if (terminal_) {
    std::time_t seconds = static_cast<std::time_t>(micros / 1'000'000);
    std::tm tm{};
    ::localtime_r(&seconds, &tm);
    line = fmt::format("{:02}:{:02}:{:02}.{:03} [{}] {}", tm.tm_hour, tm.tm_min, tm.tm_sec, micros / 1000 % 1000,
                       kShort[static_cast<size_t>(level)], message);
    for (const auto& [name, value] : fields) line += fmt::format(", {}={}", name, value);
  } else {
    line = fmt::format("{{\"ts\":{}.{:06},\"level\":\"{}\",\"msg\":", micros / 1'000'000, micros % 1'000'000, kJson[static_cast<size_t>(level)]);
    base::append_json_string(line, message);
    for (const auto& [name, value] : fields) line += fmt::format(",\"{}\":{}", name, value);
    line += '}';
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // one call: threads do not mix their lines
}

int fortio_main(int argc, char** argv) {
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  if (!args.empty() && (args[0] == "version" || args[0] == "-version" || args[0] == "--version")) {
    fmt::print("{}\n", kFortioVersion);
    return 0;
  }
  if (!args.empty() && (args[0] == "help" || args[0] == "-h" || args[0] == "--help" || args[0] == "-help")) {
    fmt::print("{}", kUsage);
    return 0;
  }
  auto options = parse_fortio(args);
  if (!options) {
    fmt::print(stderr, "fortio: {}\n{}", options.error().text(), kUsage);
    return options.error().code == base::Code::kUnimplemented ? 1 : 2;
  }
  if (options->command == "load") return fortio_load(*options);
  if (options->command == "curl") return fortio_curl(*options);
  if (options->command == "server") return fortio_server(*options);
  fmt::print(stderr, "fortio: no command \"{}\" here: load, curl, server, version\n{}", options->command, kUsage);
  return 2;
}

}  // namespace fairlead::sample
