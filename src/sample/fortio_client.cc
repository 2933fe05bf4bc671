#include "sample/fortio_client.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/strings.h"
#include "base/value.h"
#include "http/client.h"

namespace fairlead::sample {

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  base::append_json_string(out, text);
  return out;
}

}  // namespace

base::Result<std::unique_ptr<FortioTarget>> fortio_target(const FortioOptions& options) {
  auto url = http::parse_url(options.url);
  if (!url) return std::unexpected(url.error());
  auto target = std::make_unique<FortioTarget>();

  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = AF_INET;
  int rc = ::getaddrinfo(url->host.c_str(), std::to_string(url->port).c_str(), &hints, &found);
  if (rc != 0) {
    hints.ai_family = AF_UNSPEC;
    rc = ::getaddrinfo(url->host.c_str(), std::to_string(url->port).c_str(), &hints, &found);
  }
  if (rc != 0) return base::fail(base::Code::kUnavailable, "lookup {}: {}", url->host, ::gai_strerror(rc));
  for (auto* a = found; a; a = a->ai_next) target->addresses.push_back(io::Address::from_sockaddr(a->ai_addr, a->ai_addrlen));
  ::freeaddrinfo(found);

  std::string method = options.method;
  bool has_body = !options.payload.empty() || !options.content_type.empty();
  if (method.empty()) method = has_body ? "POST" : "GET";
  std::string host = url->authority();
  std::string fields;
  bool own_agent = false;
  for (const auto& [name, value] : options.headers) {
    if (base::iequals(name, "host")) {
      host = value;
      continue;
    }
    own_agent = own_agent || base::iequals(name, "user-agent");
    fields += fmt::format("{}: {}\r\n", name, value);
  }
  if (!options.user.empty()) fields += fmt::format("Authorization: Basic {}\r\n", base::base64_encode(options.user));
  if (!own_agent) fields = fmt::format("User-Agent: fortio.org/fortio-{}\r\n", kFortioVersion) + fields;
  if (has_body) {
    fields += fmt::format("Content-Length: {}\r\nContent-Type: {}\r\n", options.payload.size(),
                          options.content_type.empty() ? "application/octet-stream" : options.content_type);
  }
  if (!options.keep_alive) fields += "Connection: close\r\n";
  target->request = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}\r\n{}", method, url->target, host, fields, options.payload);
  return target;
}

ResponseEnd::State ResponseEnd::scan(std::string_view bytes) {
  if (head_size_ == 0) {
    size_t blank = bytes.find("\r\n\r\n");
    if (blank == std::string_view::npos) return bytes.size() > 256 * 1024 ? State::kBroken : State::kMore;
    std::string_view head = bytes.substr(0, blank);
    if (!head.starts_with("HTTP/1.") || head.size() < 12) return State::kBroken;
    auto code = base::to_int(head.substr(9, 3));
    if (!code) return State::kBroken;
    status_ = static_cast<int>(*code);
    if (head[7] == '0') keep_alive_ = false;
    bool has_length = false;
    head_size_ = end_ = blank + 4;
    for (auto line : base::split(head, '\n')) {
      size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      auto name = line.substr(0, colon), value = base::trim(line.substr(colon + 1));
      if (base::iequals(name, "content-length")) {
        auto length = base::to_int(value);
        if (!length || *length < 0) return State::kBroken;
        end_ = head_size_ + static_cast<size_t>(*length);
        has_length = true;
      } else if (base::iequals(name, "transfer-encoding")) {
        chunked_ = base::to_lower(value).find("chunked") != std::string::npos;
      } else if (base::iequals(name, "connection")) {
        if (base::iequals(value, "close")) keep_alive_ = false;
      }
    }
    if (chunked_) end_ = head_size_;
    else if (!has_length && status_ != 204 && status_ != 304) until_close_ = true;
  }
  if (chunked_) return scan_chunks(bytes);
  if (until_close_) {
    keep_alive_ = false;
    return State::kUntilClose;
  }
  return bytes.size() >= end_ ? State::kDone : State::kMore;
}

ResponseEnd::State ResponseEnd::scan_chunks(std::string_view bytes) {
  // end_ stands at the beginning of a chunk's size line.
  for (;;) {
    size_t line = bytes.find("\r\n", end_);
    if (line == std::string_view::npos) return State::kMore;
    size_t size = 0;
    auto [stop, error] = std::from_chars(bytes.data() + end_, bytes.data() + line, size, 16);
    if (error != std::errc() || stop == bytes.data() + end_ || size > (1u << 30)) return State::kBroken;
    if (size == 0) {
      // Trailers, then an empty line.
      size_t at = line + 2;
      for (;;) {
        size_t next = bytes.find("\r\n", at);
        if (next == std::string_view::npos) return State::kMore;
        if (next == at) {
          end_ = at + 2;
          return State::kDone;
        }
        at = next + 2;
      }
    }
    if (bytes.size() < line + 2 + size + 2) return State::kMore;
    end_ = line + 2 + size + 2;
  }
}

FortioClient::FortioClient(const FortioOptions& options, FortioTarget& target, const FortioLog& log, int id)
    : options_(options), target_(target), log_(log), id_(id), connect_times_(options.resolution) {}

bool FortioClient::wait(short events, base::TimePoint deadline) const {
  for (;;) {
    auto left = std::chrono::duration_cast<base::Millis>(deadline - base::Clock::now()).count() + 1;
    if (left <= 0) return errno = ETIMEDOUT, false;
    pollfd p{socket_.get(), events, 0};
    int rc = ::poll(&p, 1, static_cast<int>(std::min<long long>(left, 1 << 30)));
    if (rc > 0) return true;
    if (rc < 0 && errno != EINTR) return false;
  }
}

bool FortioClient::connect(base::TimePoint deadline) {
  const auto& address = target_.addresses[target_.next_address++ % target_.addresses.size()];
  auto start = base::Clock::now();
  socket_ = io::Fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int error = 0;
  if (!socket_.valid() || (::connect(socket_.get(), address.get(), address.length()) != 0 && errno != EINPROGRESS)) {
    error = errno;
  } else if (!wait(POLLOUT, deadline)) {
    error = errno;
  } else {
    socklen_t length = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  }
  connect_times_.record(std::chrono::duration<double>(base::Clock::now() - start).count());
  ++used_[address.text()];
  if (error == 0) {
    int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return true;
  }
  socket_.reset();
  log_.write(LogLevel::kError, "Unable to connect",
             {{"dest", quoted(address.text())}, {"err", quoted(std::strerror(error))}, {"thread", std::to_string(id_)}, {"run", "0"}});
  return false;
}

FortioClient::Outcome FortioClient::fetch() {
  bool reused = socket_.valid();
  Outcome outcome = exchange(reused);
  // A kept connection that the server had closed in the meantime is not a failure: once more on a new one.
  if (outcome.code == -1 && reused && in_.empty() && !socket_.valid() && errno != ETIMEDOUT) outcome = exchange(false);
  return outcome;
}

FortioClient::Outcome FortioClient::exchange(bool reused) {
  in_.clear();
  auto deadline = base::Clock::now() + options_.timeout;
  if (!reused && !connect(deadline)) return {};
  auto broken = [&](std::string_view what, int error) -> Outcome {
    socket_.reset();
    errno = error;
    if (reused && in_.empty() && error != ETIMEDOUT) return {};
    log_.write(LogLevel::kError, what,
               {{"err", quoted(error ? std::strerror(error) : "EOF")}, {"size", std::to_string(in_.size())},
                {"url", quoted(options_.url)}, {"thread", std::to_string(id_)}, {"run", "0"}});
    return {-1, in_.size(), 0};
  };
  for (std::string_view out = target_.request; !out.empty();) {
    ssize_t put = ::send(socket_.get(), out.data(), out.size(), MSG_NOSIGNAL);
    if (put > 0) out.remove_prefix(static_cast<size_t>(put));
    else if (put < 0 && errno == EAGAIN) {
      if (!wait(POLLOUT, deadline)) return broken("Timeout error (write)", errno);
    } else if (put < 0 && errno != EINTR) {
      return broken("Unable to write", errno);
    }
  }
  ResponseEnd end;
  auto state = ResponseEnd::State::kMore;
  while (state == ResponseEnd::State::kMore || state == ResponseEnd::State::kUntilClose) {
    char buffer[16384];
    ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got > 0) {
      in_.append(buffer, static_cast<size_t>(got));
      state = end.scan(in_);
      // Interim responses (100, 103) are not the answer.
      while (end.head_size() > 0 && end.status() < 200) {
        in_.erase(0, end.head_size());
        end = ResponseEnd();
        state = end.scan(in_);
      }
    } else if (got == 0) {
      if (state == ResponseEnd::State::kUntilClose) break;
      return broken("Incomplete response", 0);
    } else if (errno == EAGAIN) {
      if (!wait(POLLIN, deadline)) return broken("Timeout error (incomplete/invalid response)", errno);
    } else if (errno != EINTR) {
      return broken("Read error", errno);
    }
  }
  if (state == ResponseEnd::State::kBroken) return broken("Not an HTTP/1.x response", EPROTO);
  bool ok = fortio_ok(end.status());
  if (!ok && options_.log_errors)
    log_.write(LogLevel::kWarning, "Non ok http code",
               {{"code", std::to_string(end.status())}, {"status", quoted(in_.substr(0, 12))}, {"thread", std::to_string(id_)}, {"run", "0"}});
  if (!ok || !options_.keep_alive || !end.keep_alive()) socket_.reset();
  return {end.status(), in_.size(), ok ? end.head_size() : 0};
}

}  // namespace fairlead::sample
