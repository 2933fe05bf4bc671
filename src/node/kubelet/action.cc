#include "node/kubelet/action.h"

#include <array>

#include <fmt/format.h>

#include "base/strings.h"
#include "http/grpc.h"
#include "http/h2_session.h"
#include "io/tls.h"
#include "io/transport.h"

namespace fairlead::node {

using base::Code;
using base::fail;
using base::Value;

namespace {

// Everything an action waits for looks at `alive` first: the action may be gone by then.
class ActionBase : public Action {
 public:
  ActionBase(io::Loop& loop, base::Nanos timeout, std::function<void(base::Status)> done)
      : loop_(loop), done_(std::move(done)), alive_(std::make_shared<bool>(true)), deadline_(loop, [this] { timed_out(); }) {
    deadline_.arm(timeout);
  }
  ~ActionBase() override { *alive_ = false; }

 protected:
  virtual void timed_out() = 0;
  void finish(base::Status result) {
    if (!done_) return;
    deadline_.cancel();
    auto done = std::exchange(done_, nullptr);
    loop_.post([done = std::move(done), result = std::move(result), alive = alive_]() mutable {
      if (*alive) done(std::move(result));
    });
  }
  io::Loop& loop_;
  std::function<void(base::Status)> done_;
  std::shared_ptr<bool> alive_;

 private:
  io::Timer deadline_;
};

uint16_t port_of(const Value& port, ActionTarget& target) {
  if (!port.is_string()) return static_cast<uint16_t>(port.as_int());
  if (auto number = base::to_int(port.as_string())) return static_cast<uint16_t>(*number);
  return target.named_port(port.as_string());
}

// The runtime's sentence for a connection that failed, as Go's net package has it, which is what people search for.
std::string dial_failure(const std::string& address, const base::Error& error) {
  std::string_view why = error.message;
  for (auto [ours, theirs] : {std::pair<std::string_view, std::string_view>{"refused", "connect: connection refused"},
                              {"unreachable", "connect: no route to host"},
                              {"timed out", "i/o timeout"}})
    if (why.find(ours) != std::string_view::npos) why = theirs;
  return fmt::format("dial tcp {}: {}", address, why);
}

class TcpAction final : public ActionBase {
 public:
  TcpAction(io::Loop& loop, ActionTarget& target, const Value& spec, base::Nanos timeout, std::function<void(base::Status)> done)
      : ActionBase(loop, timeout, std::move(done)) {
    std::string host = spec["host"].string_or(target.pod_ip());
    uint16_t port = port_of(spec["port"], target);
    where_ = fmt::format("{}:{}", host, port);
    target.dial(host, port, [this, alive = alive_](base::Result<io::Fd> fd) {
      if (!*alive) return;
      if (fd) return finish({});
      finish(fail(Code::kUnavailable, "{}", dial_failure(where_, fd.error())));
    });
  }

 private:
  void timed_out() override { finish(fail(Code::kDeadlineExceeded, "dial tcp {}: i/o timeout", where_)); }
  std::string where_;
};

class HttpAction final : public ActionBase, io::TransportSink {
 public:
  HttpAction(io::Loop& loop, ActionTarget& target, const Value& spec, base::Nanos timeout, std::function<void(base::Status)> done)
      : ActionBase(loop, timeout, std::move(done)) {
    std::string host = spec["host"].string_or(target.pod_ip());
    uint16_t port = port_of(spec["port"], target);
    bool tls = base::iequals(spec["scheme"].as_string(), "HTTPS");
    std::string path = spec["path"].string_or("/");
    if (!path.starts_with('/')) path = fmt::format("/{}", path);
    url_ = fmt::format("{}://{}:{}{}", tls ? "https" : "http", host, port, path);
    std::string authority = fmt::format("{}:{}", host, port), headers;
    bool agent = false, accept = false;
    for (auto& h : spec["httpHeaders"].items()) {
      const std::string &name = h["name"].as_string(), &value = h["value"].as_string();
      if (base::iequals(name, "host")) {
        authority = value;
        continue;
      }
      agent = agent || base::iequals(name, "user-agent");
      accept = accept || base::iequals(name, "accept");
      headers += fmt::format("{}: {}\r\n", name, value);
    }
    if (!agent) headers += "User-Agent: kube-probe/1.32\r\n";
    if (!accept) headers += "Accept: */*\r\n";
    out_ = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n{}Connection: close\r\n\r\n", path, authority, headers);
    target.dial(host, port, [this, alive = alive_, tls, address = fmt::format("{}:{}", host, port)](base::Result<io::Fd> fd) {
      if (!*alive || !done_) return;
      if (!fd) return finish(fail(Code::kUnavailable, "Get \"{}\": {}", url_, dial_failure(address, fd.error())));
      transport_ = io::make_socket_transport(loop_, std::move(*fd));
      if (tls) {
        // Like Kubernetes' probes: whoever answers is believed.
        static const auto context = io::TlsContext::client({});
        if (!context) return finish(std::unexpected(context.error()));
        transport_ = io::make_tls_client(loop_, std::move(transport_), *context, "");
      }
      transport_->set_sink(this);
      on_ready(true, true);
    });
  }
  ~HttpAction() override {
    if (transport_) transport_->close();
  }

 private:
  void timed_out() override {
    finish(fail(Code::kDeadlineExceeded, "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)", url_));
  }

  void on_ready(bool, bool) override {
    if (!done_) return;
    while (!out_.empty()) {
      auto r = transport_->write(out_);
      if (r.status == io::IoStatus::kOk) {
        out_.erase(0, r.bytes);
      } else if (r.status == io::IoStatus::kAgain) {
        break;
      } else {
        return broken();
      }
    }
    std::array<char, 2048> buffer;
    while (in_.size() < 64) {
      auto r = transport_->read(buffer);
      if (r.status == io::IoStatus::kOk)
        in_.append(buffer.data(), r.bytes);
      else if (r.status == io::IoStatus::kAgain)
        break;
      else
        return judge() ? void() : broken();
    }
    judge();
  }

  // The status line is all that counts.
  bool judge() {
    size_t space = in_.find(' ');
    if (space == std::string::npos || in_.size() < space + 4) return false;
    auto status = base::to_int(std::string_view(in_).substr(space + 1, 3));
    if (!in_.starts_with("HTTP/1.") || !status) {
      finish(fail(Code::kUnavailable, "Get \"{}\": malformed HTTP response \"{}\"", url_, in_.substr(0, in_.find('\r'))));
      return true;
    }
    // 1xx answers come before the real one; no probe of ours provokes them.
    if (*status >= 200 && *status < 400)
      finish({});
    else
      finish(fail(Code::kUnavailable, "HTTP probe failed with statuscode: {}", *status));
    return true;
  }

  void broken() {
    const std::string& why = transport_->error();
    finish(fail(Code::kUnavailable, "Get \"{}\": {}", url_, why.empty() ? "EOF" : why));
  }

  std::string url_, out_, in_;
  std::unique_ptr<io::Transport> transport_;
};

class ExecAction final : public ActionBase {
 public:
  ExecAction(io::Loop& loop, ActionTarget& target, const Value& spec, base::Nanos timeout, std::function<void(base::Status)> done)
      : ActionBase(loop, timeout, std::move(done)), timeout_(timeout) {
    std::vector<std::string> command;
    for (auto& word : spec["command"].items()) command.push_back(word.as_string());
    command_ = base::join(command, " ");
    target.exec(command, [this, alive = alive_](base::Result<ActionTarget::ExecResult> result) {
      if (!*alive) return;
      if (!result) return finish(fail(Code::kUnavailable, "{}", result.error().message));
      if (result->exit_code == 0) return finish({});
      std::string output(base::trim(result->output));
      finish(fail(Code::kUnavailable, "{}", output.empty() ? fmt::format("command \"{}\" exited with {}", command_, result->exit_code) : output));
    });
  }

 private:
  void timed_out() override { finish(fail(Code::kDeadlineExceeded, "command \"{}\" timed out after {}", command_, base::format_duration(timeout_))); }
  std::string command_;
  base::Nanos timeout_;
};

class SleepAction final : public ActionBase {
 public:
  SleepAction(io::Loop& loop, const Value& spec, base::Nanos timeout, std::function<void(base::Status)> done)
      : ActionBase(loop, std::min<base::Nanos>(timeout, std::chrono::seconds(spec["seconds"].as_int())), std::move(done)) {}

 private:
  void timed_out() override { finish({}); }
};

// grpc.health.v1.Health/Check: SERVING is healthy.
class GrpcAction final : public ActionBase, io::TransportSink, http::H2Sink {
 public:
  GrpcAction(io::Loop& loop, ActionTarget& target, const Value& spec, base::Nanos timeout, std::function<void(base::Status)> done)
      : ActionBase(loop, timeout, std::move(done)), session_(http::H2Session::Side::kClient, *this) {
    address_ = fmt::format("{}:{}", target.pod_ip(), port_of(spec["port"], target));
    // HealthCheckRequest { string service = 1; }
    const std::string& service = spec["service"].as_string().substr(0, 127);
    std::string message;
    if (!service.empty()) message = fmt::format("{}{}{}", '\x0a', static_cast<char>(service.size()), service);
    body_ = http::grpc_frame(message);
    target.dial(target.pod_ip(), port_of(spec["port"], target), [this, alive = alive_](base::Result<io::Fd> fd) {
      if (!*alive || !done_) return;
      if (!fd) return finish(fail(Code::kUnavailable, "timeout: failed to connect service \"{}\": {}", address_, dial_failure(address_, fd.error())));
      transport_ = io::make_socket_transport(loop_, std::move(*fd));
      transport_->set_sink(this);
      http::RequestHead head;
      head.method = "POST";
      head.target = "/grpc.health.v1.Health/Check";
      head.authority = address_;
      head.scheme = "http";
      head.headers.add("content-type", "application/grpc");
      head.headers.add("te", "trailers");
      head.headers.add("user-agent", "kube-probe/1.32");
      auto stream = session_.request(head, false);
      if (!stream) return finish(std::unexpected(stream.error()));
      session_.write(*stream, body_);
      session_.finish(*stream);
      on_ready(true, true);
    });
  }
  ~GrpcAction() override {
    if (transport_) transport_->close();
  }

 private:
  void timed_out() override { finish(fail(Code::kDeadlineExceeded, "timeout: health rpc did not complete within its time")); }

  void on_ready(bool, bool) override {
    std::array<char, 4096> buffer;
    while (done_) {
      for (std::string* out = &session_.output(); !out->empty(); out = &session_.output()) {
        auto w = transport_->write(*out);
        if (w.status != io::IoStatus::kOk) break;
        out->erase(0, w.bytes);
      }
      auto r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk || !session_.feed({buffer.data(), r.bytes}))
        return finish(fail(Code::kUnavailable, "the connection to {} broke off before it answered", address_));
    }
  }

  void on_response(http::H2Stream, http::ResponseHead head, bool end) override {
    if (end) judge(head.headers);
  }
  void on_data(http::H2Stream, std::string_view bytes) override { reader_.feed(bytes); }
  void on_trailers(http::H2Stream, http::Headers trailers) override { judge(trailers); }
  void on_end(http::H2Stream) override {}
  void on_drained(http::H2Stream) override {}
  void on_closed(http::H2Stream, http::H2Error) override { finish(fail(Code::kUnavailable, "service unhealthy: the stream was reset")); }

  void judge(const http::Headers& trailers) {
    std::string status(trailers.get("grpc-status"));
    if (status == "12") return finish(fail(Code::kUnavailable, "this server does not implement the grpc health protocol (grpc.health.v1.Health)"));
    if (status != "0") return finish(fail(Code::kUnavailable, "service unhealthy: grpc-status {} {}", status, trailers.get("grpc-message")));
    auto message = reader_.next();
    // HealthCheckResponse { ServingStatus status = 1; } with SERVING = 1
    bool serving = message && *message && (**message).find(std::string_view("\x08\x01", 2)) == 0;
    if (serving) return finish({});
    finish(fail(Code::kUnavailable, "service unhealthy (responded with \"NOT_SERVING\")"));
  }

  std::string address_, body_;
  http::H2Session session_;
  http::GrpcReader reader_;
  std::unique_ptr<io::Transport> transport_;
};

class RefusedAction final : public ActionBase {
 public:
  RefusedAction(io::Loop& loop, base::Nanos timeout, std::function<void(base::Status)> done) : ActionBase(loop, timeout, std::move(done)) {
    finish(fail(Code::kUnimplemented, "one of httpGet, tcpSocket, exec, grpc and sleep is needed"));
  }

 private:
  void timed_out() override {}
};

}  // namespace

std::unique_ptr<Action> run_action(io::Loop& loop, ActionTarget& target, const Value& spec, base::Nanos timeout, std::function<void(base::Status)> done) {
  if (spec.contains("httpGet")) return std::make_unique<HttpAction>(loop, target, spec["httpGet"], timeout, std::move(done));
  if (spec.contains("tcpSocket")) return std::make_unique<TcpAction>(loop, target, spec["tcpSocket"], timeout, std::move(done));
  if (spec.contains("exec")) return std::make_unique<ExecAction>(loop, target, spec["exec"], timeout, std::move(done));
  if (spec.contains("grpc")) return std::make_unique<GrpcAction>(loop, target, spec["grpc"], timeout, std::move(done));
  if (spec.contains("sleep")) return std::make_unique<SleepAction>(loop, spec["sleep"], timeout, std::move(done));
  return std::make_unique<RefusedAction>(loop, timeout, std::move(done));
}

}  // namespace fairlead::node
