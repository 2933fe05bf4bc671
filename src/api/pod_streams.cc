#include "api/pod_streams.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "base/value.h"

namespace fairlead::api {

using base::Value;

namespace {

// A reader that lags by this much pauses what it reads.
constexpr size_t kPauseBytes = 1u << 20;

bool known_container(const Value& pod, std::string_view name) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
    for (const Value& c : pod["spec"][list].items())
      if (c["name"].as_string() == name) return true;
  return false;
}

Outcome<PodRef> resolve(const Value& pod, const Target& target, std::string name) {
  const auto& containers = pod["spec"]["containers"].items();
  if (name.empty()) {
    if (containers.size() != 1) {
      auto join = [&](const char* list) {
        std::vector<std::string> names;
        for (const Value& c : pod["spec"][list].items()) names.push_back(c["name"].as_string());
        return base::join(names, " ");
      };
      std::string message = fmt::format("a container name must be specified for pod {}, choose one of: [{}]", target.name, join("containers"));
      if (!pod["spec"]["initContainers"].empty()) message += fmt::format(" or one of the init containers: [{}]", join("initContainers"));
      return refuse(bad_request(message));
    }
    name = containers.front()["name"].as_string();
  } else if (!known_container(pod, name)) {
    return refuse(bad_request(fmt::format("container {} is not valid for pod {}", name, target.name)));
  }
  return PodRef{target.ns, target.name, name};
}

Failure from_backend(const base::Error& error) {
  switch (error.code) {
    case base::Code::kNotFound: return failure(404, "NotFound", error.message);
    case base::Code::kInvalidArgument:
    case base::Code::kFailedPrecondition: return bad_request(error.message);
    case base::Code::kUnavailable: return failure(503, "ServiceUnavailable", error.message);
    default: return internal(error.text());
  }
}

// --- log

class LogResponse : public std::enable_shared_from_this<LogResponse> {
 public:
  LogResponse(io::Loop& loop, RequestPtr request) : loop_(loop), request_(std::move(request)) {}

  void begin(PodBackend& pods, const PodRef& pod, const LogOptions& options) {
    auto self = shared_from_this();
    auto stream = pods.logs(pod, options, {[self](std::string_view bytes) { self->on_data(bytes); }, [self] { self->on_end(); }});
    if (!stream) {
      ended_ = true;
      return request_->answer(from_backend(stream.error()));
    }
    start();
    if (ended_) return loop_.dispose(std::move(*stream));
    stream_ = std::move(*stream);
    request_->exchange().on_close([self](bool) { self->stop(); });
    request_->exchange().on_drain([self] {
      if (self->paused_ && self->stream_) {
        self->paused_ = false;
        self->stream_->pause(false);
      }
    });
  }

 private:
  void start() {
    if (started_) return;
    started_ = true;
    http::Headers headers;
    headers.add("content-type", "text/plain");
    request_->exchange().start(200, std::move(headers));
  }
  void on_data(std::string_view bytes) {
    if (ended_) return;
    start();
    request_->exchange().write(bytes);
    if (!paused_ && stream_ && request_->exchange().pending_bytes() > kPauseBytes) {
      paused_ = true;
      stream_->pause(true);
    }
  }
  void on_end() {
    if (ended_) return;
    ended_ = true;
    start();
    request_->exchange().finish();
    stop();
  }
  void stop() {
    ended_ = true;
    loop_.dispose(std::move(stream_));  // this may be one of its own callbacks
  }

  io::Loop& loop_;
  RequestPtr request_;
  std::unique_ptr<LogStream> stream_;
  bool started_ = false, ended_ = false, paused_ = false;
};

Outcome<LogOptions> log_options(const Request& request) {
  LogOptions out;
  out.follow = request.flag("follow");
  out.previous = request.flag("previous");
  out.timestamps = request.flag("timestamps");
  auto number = [&](const char* name, int64_t least) -> Outcome<std::optional<int64_t>> {
    const std::string text = request.query(name);
    if (text.empty()) return std::optional<int64_t>();
    auto value = base::to_int(text);
    if (!value) return refuse(bad_request(fmt::format("unable to decode query parameter {}: \"{}\" is no number", name, text)));
    if (*value < least)
      return refuse(failure(422, "Invalid", fmt::format("PodLogOptions \"\" is invalid: {}: Invalid value: {}: must be greater than or equal to {}", name, *value, least)));
    return std::optional<int64_t>(*value);
  };
  auto tail = number("tailLines", 0), limit = number("limitBytes", 1), since = number("sinceSeconds", 1);
  for (auto* n : {&tail, &limit, &since})
    if (!*n) return std::unexpected(n->error());
  out.tail_lines = *tail;
  out.limit_bytes = *limit;
  if (*since) out.since = std::chrono::system_clock::now() - std::chrono::seconds(**since);
  if (const std::string text = request.query("sinceTime"); !text.empty()) {
    out.since = base::parse_rfc3339(text);
    if (!out.since) return refuse(bad_request(fmt::format("unable to decode query parameter sinceTime: \"{}\" is no RFC 3339 time", text)));
  }
  return out;
}

// --- exec and attach

std::string exit_status(int code) {
  if (code == 0) return R"({"metadata":{},"status":"Success"})";
  return Value::object({{"metadata", Value::object()},
                        {"status", "Failure"},
                        {"message", fmt::format("command terminated with non-zero exit code: exit status {}", code)},
                        {"reason", "NonZeroExitCode"},
                        {"details", Value::object({{"causes", Value::array({Value::object({{"reason", "ExitCode"}, {"message", std::to_string(code)}})})}})}})
      .dump();
}

class Console : public std::enable_shared_from_this<Console> {
 public:
  Console(io::Loop& loop, PodBackend& pods, PodRef pod, std::unique_ptr<RemoteConsole> client)
      : loop_(loop), pods_(pods), pod_(std::move(pod)), client_(std::move(client)), resume_(loop, [this] { look_at_backlog(); }) {}

  void begin(ExecOptions options, bool attach) {
    self_ = shared_from_this();
    RemoteConsole::Callbacks c;
    c.on_ready = [this, options = std::move(options), attach] { start(options, attach); };
    c.on_stdin = [this](std::string_view bytes) {
      if (session_) session_->write_stdin(bytes);
      else if (!ended_) early_stdin_ += bytes;
    };
    c.on_stdin_end = [this] {
      if (session_) session_->close_stdin();
      else stdin_ended_ = true;
    };
    c.on_resize = [this](uint16_t columns, uint16_t rows) {
      columns_ = columns;
      rows_ = rows;
      if (session_) session_->resize(columns, rows);
    };
    c.on_gone = [this] { finish(); };
    client_->set_callbacks(std::move(c));
  }

 private:
  void start(const ExecOptions& options, bool attach) {
    auto weak = weak_from_this();
    auto output = [weak](bool error_stream) {
      return [weak, error_stream](std::string_view bytes) {
        if (auto self = weak.lock()) self->on_output(error_stream, bytes);
      };
    };
    ExecSession::Callbacks callbacks{output(false), output(true), [weak](int code) {
                                       if (auto self = weak.lock()) self->on_exit(exit_status(code));
                                     }};
    auto session = attach ? pods_.attach(pod_, options, std::move(callbacks)) : pods_.exec(pod_, options, std::move(callbacks));
    if (!session) return on_exit(from_backend(session.error()).status.dump());
    session_ = std::move(*session);
    if (ended_) return finish();
    if (columns_ && rows_) session_->resize(columns_, rows_);
    if (!early_stdin_.empty()) session_->write_stdin(std::exchange(early_stdin_, {}));
    if (stdin_ended_) session_->close_stdin();
  }
  void on_output(bool error_stream, std::string_view bytes) {
    if (ended_) return;
    client_->out(error_stream, bytes);
    if (!paused_ && client_->pending_bytes() > kPauseBytes) {
      pause(true);
      resume_.arm(std::chrono::milliseconds(5));
    }
  }
  // Neither wire tells when it has drained.
  void look_at_backlog() {
    if (client_->pending_bytes() > kPauseBytes / 4) return resume_.arm(std::chrono::milliseconds(5));
    pause(false);
  }
  void pause(bool paused) {
    paused_ = paused;
    if (session_) session_->pause(paused);
  }
  void on_exit(const std::string& status) {
    if (ended_) return;
    ended_ = true;
    resume_.cancel();
    client_->end(status);
    loop_.dispose(std::move(session_));
    linger_until_ = loop_.now() + std::chrono::seconds(30);
    linger();
  }
  // The last bytes may still wait for a slow client, and closing while input of its is unread would lose them (RST).
  void linger() {
    if (!client_) return;
    if (client_->pending_bytes() > 0 && loop_.now() < linger_until_)
      return loop_.after(std::chrono::milliseconds(5), [self = shared_from_this()] { self->linger(); });
    loop_.after(std::chrono::milliseconds(500), [self = shared_from_this()] { self->finish(); });
  }
  void finish() {
    ended_ = true;
    resume_.cancel();
    // One of their own callbacks may be running.
    loop_.dispose(std::move(session_));
    loop_.dispose(std::move(client_));
    if (self_) loop_.defer([keep = std::move(self_)] {});
  }

  io::Loop& loop_;
  PodBackend& pods_;
  const PodRef pod_;
  std::unique_ptr<RemoteConsole> client_;
  io::Timer resume_;
  std::unique_ptr<ExecSession> session_;
  std::string early_stdin_;
  uint16_t columns_ = 0, rows_ = 0;
  bool stdin_ended_ = false, ended_ = false, paused_ = false;
  base::TimePoint linger_until_{};
  std::shared_ptr<Console> self_;  // until it is over
};

}  // namespace

bool is_pod_stream(const Target& t) {
  return t.group.empty() && t.plural == "pods" && !t.name.empty() &&
         (t.subresource == "log" || t.subresource == "exec" || t.subresource == "attach" || t.subresource == "portforward");
}

void handle_pod_stream(Services& services, const RequestPtr& request) {
  const Target& t = request->target;
  auto pod = services.store.get({"pods", t.ns, t.name});
  if (!pod) return request->answer(not_found(*request->kind, t.name));
  auto ref = t.subresource == "portforward" ? Outcome<PodRef>(PodRef{t.ns, t.name, (**pod)["spec"]["containers"][0]["name"].as_string()})
                                            : resolve(**pod, t, request->query("container"));
  if (!ref) return request->answer(ref.error());
  const std::string& node = (**pod)["spec"]["nodeName"].as_string();
  if (node.empty() && t.subresource == "log") return request->answer_text(200, "text/plain", "");
  if (node.empty()) return request->answer(bad_request(fmt::format("pod {} does not have a host assigned", t.name)));
  if (!services.pods) return request->answer(failure(503, "ServiceUnavailable", "no node runs here: pods have neither logs nor processes"));
  if (t.subresource == "log") {
    auto options = log_options(*request);
    if (!options) return request->answer(options.error());
    std::make_shared<LogResponse>(services.loop, request)->begin(*services.pods, *ref, *options);
    return;
  }
  if (t.subresource == "portforward") return serve_port_forward(services.loop, request, *services.pods, *ref);

  ExecOptions options;
  for (const auto& [name, value] : http::query_params(request->head().query()))
    if (name == "command") options.command.push_back(value);
  ConsoleStreams streams{request->flag("stdin"), request->flag("stdout"), request->flag("stderr"), request->flag("tty")};
  options.stdin_open = streams.in;
  options.stdout_open = streams.out;
  options.stderr_open = streams.err;
  options.tty = streams.tty;
  const bool attach = t.subresource == "attach";
  if (attach) {
    // As the container has it, whatever the client asks for.
    for (const char* list : {"containers", "initContainers"})
      for (const Value& c : (**pod)["spec"][list].items())
        if (c["name"].as_string() == ref->container) {
          options.stdin_open = streams.in = streams.in && c["stdin"].as_bool();
          options.tty = streams.tty = c["tty"].as_bool();
        }
    if (options.tty) streams.err = options.stderr_open = false;
  }
  if (!attach && options.command.empty()) return request->answer(bad_request("you must specify at least 1 command for the container"));
  if (!streams.in && !streams.out && !streams.err) return request->answer(bad_request("you must specify at least 1 of stdin, stdout, stderr"));
  auto client = accept_console(services.loop, request, streams);
  if (!client) return;
  std::make_shared<Console>(services.loop, *services.pods, *ref, std::move(client))->begin(std::move(options), attach);
}

}  // namespace fairlead::api
