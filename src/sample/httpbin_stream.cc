// Slowly, or much.
#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "sample/httpbin.h"

namespace fairlead::sample {

namespace {

constexpr base::Nanos kMaxDelay = std::chrono::seconds(10);
constexpr long long kMaxBytes = 100 * 1024;

http::Headers cors(std::string_view content_type) {
  http::Headers headers;
  headers.add("content-type", content_type);
  headers.add("access-control-allow-origin", "*");
  headers.add("access-control-allow-credentials", "true");
  return headers;
}

std::string noise(std::mt19937_64& random, size_t count) {
  std::string out(count, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// A body in pieces: `next` gives one piece a call, "" at the end; the next one follows after `pause`, and not before
// the peer has taken the last.
class Pieces : public std::enable_shared_from_this<Pieces> {
 public:
  Pieces(io::Loop& loop, Exchange exchange, base::Nanos pause, std::function<std::string()> next)
      : exchange_(std::move(exchange)), pause_(pause), next_(std::move(next)), timer_(loop, [this] { step(); }) {}

  static void run(io::Loop& loop, const Exchange& exchange, base::Nanos pause, std::function<std::string()> next) {
    auto pieces = std::make_shared<Pieces>(loop, exchange, pause, std::move(next));
    // The exchange keeps the pieces; they let go of it at its end.
    exchange->on_close([pieces](bool) { pieces->timer_.cancel(); pieces->exchange_.reset(); });
    exchange->on_drain([weak = std::weak_ptr(pieces)] {
      if (auto p = weak.lock(); p && p->waiting_) p->timer_.arm(p->pause_);
    });
    pieces->step();
  }

 private:
  void step() {
    waiting_ = false;
    auto exchange = exchange_;
    if (!exchange || exchange->closed()) return;
    std::string piece = next_();
    if (piece.empty()) return exchange->finish();
    exchange->write(piece);
    if (exchange->pending_bytes() > 0) waiting_ = true;
    else timer_.arm(pause_);
  }

  Exchange exchange_;
  base::Nanos pause_;
  std::function<std::string()> next_;
  io::Timer timer_;
  bool waiting_ = false;
};

}  // namespace

std::optional<base::Nanos> delay_of(std::string_view text) {
  std::optional<base::Nanos> out;
  if (auto seconds = base::to_double(text)) out = base::Nanos(static_cast<int64_t>(std::min(*seconds, 1e6) * 1e9));
  else out = base::parse_duration(text);
  if (!out || *out < base::Nanos(0)) return std::nullopt;
  return std::min(*out, kMaxDelay);
}

void Httpbin::delay(const Exchange& exchange, const Path& path) {
  auto wait = delay_of(path[1]);
  if (!wait) return fail(exchange, 400, "invalid duration: " + path[1]);
  service_.loop().after(*wait, [this, exchange] {
    if (!exchange->closed()) echo(exchange, dialect_ == Dialect::kGo);
  });
}

void Httpbin::stream(const Exchange& exchange, const Path& path) {
  auto n = number_within(path[1], 0, INT64_MAX);
  if (!n) return fail(exchange, 400, "stream/N");
  auto line = echo_json(dialect_, exchange->request(), client_ip(exchange->peer()), "", false);
  log_request(*exchange, 200);
  exchange->start(200, cors("application/json"));
  auto id = std::make_shared<long long>(0);
  long long count = std::min(*n, 100LL);
  Pieces::run(service_.loop(), exchange, base::Nanos(0), [=, this]() mutable -> std::string {
    if (*id >= count) return "";
    line.set("id", (*id)++);
    return line.dump(0, dialect_ == Dialect::kPython) + "\n";
  });
}

void Httpbin::bytes(const Exchange& exchange, const Path& path) {
  auto n = number_within(path[1], 0, INT64_MAX);
  if (!n) return fail(exchange, 400, "bytes/N");
  auto query = exchange->request().query();
  auto count = static_cast<size_t>(std::min(*n, kMaxBytes));
  std::mt19937_64 random(random_());
  if (auto seed = base::to_int(http::query_param(query, "seed"))) random.seed(static_cast<uint64_t>(*seed));
  std::string body = noise(random, count);
  if (path[0] == "bytes") return send(exchange, 200, "application/octet-stream", body);
  auto size = static_cast<size_t>(number_within(http::query_param(query, "chunk_size"), 1, kMaxBytes).value_or(10 * 1024));
  log_request(*exchange, 200);
  exchange->start(200, cors("application/octet-stream"));
  Pieces::run(service_.loop(), exchange, base::Nanos(0), [body = std::move(body), size, at = size_t{0}]() mutable {
    std::string piece = body.substr(std::min(at, body.size()), size);
    at += size;
    return piece;
  });
}

std::optional<std::pair<size_t, size_t>> byte_range(std::string_view header, size_t size) {
  if (!header.starts_with("bytes=") || size == 0) return std::nullopt;
  auto first = base::split(header.substr(6), ',')[0];
  size_t dash = first.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  auto from = number_within(base::trim(first.substr(0, dash)), 0, INT64_MAX);
  auto to = number_within(base::trim(first.substr(dash + 1)), 0, INT64_MAX);
  if (!from) {  // the last N bytes
    if (!to || *to == 0) return std::nullopt;
    return std::pair(size - std::min(size, static_cast<size_t>(*to)), size - 1);
  }
  size_t begin = static_cast<size_t>(*from);
  size_t end = to ? std::min(static_cast<size_t>(*to), size - 1) : size - 1;
  if (begin >= size || end < begin) return std::nullopt;
  return std::pair(begin, end);
}

void Httpbin::range(const Exchange& exchange, const Path& path) {
  auto n = number_within(path[1], 1, kMaxBytes);
  if (!n) return fail(exchange, 404, fmt::format("number of bytes must be in the range (0, {}]", kMaxBytes));
  auto size = static_cast<size_t>(*n);
  std::string body(size, 'a');
  for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 26);
  http::Headers headers;
  headers.add("content-type", "application/octet-stream");
  headers.add("etag", fmt::format("range{}", size));
  headers.add("accept-ranges", "bytes");
  const auto* wanted = exchange->request().headers.find("range");
  if (!wanted) return send(exchange, 200, std::move(headers), body);
  auto part = byte_range(*wanted, size);
  if (!part) {
    headers.add("content-range", fmt::format("bytes */{}", size));
    return send(exchange, 416, std::move(headers), "");
  }
  headers.add("content-range", fmt::format("bytes {}-{}/{}", part->first, part->second, size));
  send(exchange, 206, std::move(headers), std::string_view(body).substr(part->first, part->second - part->first + 1));
}

void Httpbin::drip(const Exchange& exchange, const Path&) {
  auto query = exchange->request().query();
  auto parameter = [&](const char* name, std::string_view fallback) {
    std::string value = http::query_param(query, name);
    return value.empty() ? std::string(fallback) : value;
  };
  auto duration = delay_of(parameter("duration", "2")), wait = delay_of(parameter("delay", "0"));
  auto count = number_within(parameter("numbytes", "10"), 1, 10 << 20);
  auto code = number_within(parameter("code", "200"), 200, 599);
  if (!duration || !wait || !count || !code) return fail(exchange, 400, "drip?duration=&numbytes=&code=&delay=");
  auto pause = *duration / std::max(1LL, *count - 1);
  service_.loop().after(*wait, [this, exchange, pause, count = *count, code = *code] {
    if (exchange->closed()) return;
    log_request(*exchange, static_cast<int>(code));
    http::Headers headers = cors("application/octet-stream");
    headers.add("content-length", std::to_string(count));
    exchange->start(static_cast<int>(code), std::move(headers));
    Pieces::run(service_.loop(), exchange, pause, [left = count]() mutable -> std::string { return left-- > 0 ? "*" : ""; });
  });
}

}  // namespace fairlead::sample
