#include "cli/agent_probes.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "io/transport.h"

namespace fairlead::cli {

using base::Value;

AgentProbes::AgentProbes(io::Loop& loop, const std::string& probers, std::string pod_ip, int socket_mark)
    : loop_(loop), pod_ip_(std::move(pod_ip)), mark_(socket_mark) {
  if (probers.empty()) return;
  auto parsed = base::parse_json(probers);
  if (parsed && parsed->is_object()) probers_ = std::move(*parsed);
  else FL_LOG_ERROR("agent", "ISTIO_KUBE_APP_PROBERS is not a JSON object{}", parsed ? "" : ": " + parsed.error().text());
}

AgentProbes::~AgentProbes() = default;

bool AgentProbes::serve(const std::string& path, const std::shared_ptr<http::Exchange>& exchange) {
  if (!path.starts_with("/app-health/") && !path.starts_with("/app-lifecycle/")) return false;
  const Value* probe = probers_.is_object() ? std::as_const(probers_).find(path) : nullptr;
  if (!probe) {
    exchange->respond(400, "text/plain", "app prober config does not exists for " + path);
    return true;
  }
  // It goes to the pod, whatever host the probe names: that is for the kubelet, and the kubelet has come here.
  Value action = Value::object();
  for (const auto& m : probe->members())
    if (m.value.is_object()) action.set(m.key, m.value);
  for (auto& m : action.mutable_members()) m.value.erase("host");
  auto timeout = std::chrono::seconds(std::max<int64_t>((*probe)["timeoutSeconds"].as_int(), 1));
  uint64_t id = ++next_;
  running_[id] = node::run_action(loop_, *this, action, timeout, [this, id, exchange](base::Status result) {
    int status = 200;
    if (!result) {
      // "HTTP probe failed with statuscode: 503": the kubelet is to say the same.
      constexpr std::string_view kStatus = "statuscode: ";
      const std::string& why = result.error().message;
      size_t at = why.rfind(kStatus);
      status = at == std::string::npos ? 500 : static_cast<int>(base::to_int(std::string_view(why).substr(at + kStatus.size())).value_or(500));
      if (at == std::string::npos) FL_LOG_WARN("agent", "probe: {}", why);
    }
    exchange->respond(status, "text/plain", "");
    auto it = running_.find(id);
    if (it == running_.end()) return;
    loop_.dispose(std::move(it->second));  // it is what is calling
    running_.erase(it);
  });
  return true;
}

void AgentProbes::dial(const std::string& ip, uint16_t port, std::function<void(base::Result<io::Fd>)> done) {
  auto to = io::Address::parse_ip(ip, port);
  auto from = io::Address::parse_ip(ip.find(':') == std::string::npos ? "127.0.0.6" : "::6", 0);
  if (!to || !from) return done(base::fail(base::Code::kInvalidArgument, "{} is no address", ip));
  io::ConnectOptions options;
  options.timeout = std::chrono::seconds(10);
  options.mark = mark_;
  options.setup = std::make_shared<const io::SocketSetup>(io::SocketSetup{.bind = {*from}, .freebind = false, .options = {}});
  // Ends with its timeout at the latest; who asked has its own and looks whether it still wants to know.
  auto held = std::make_shared<std::unique_ptr<io::Connecting>>();
  *held = io::connect(loop_, *to, options, [this, held, done = std::move(done)](base::Result<std::unique_ptr<io::Transport>> result) {
    loop_.dispose(std::move(*held));
    if (!result) return done(std::unexpected(result.error()));
    io::Fd own(::dup((*result)->fd()));
    (*result)->close();
    loop_.dispose(std::move(*result));
    done(std::move(own));
  });
}

void AgentProbes::exec(const std::vector<std::string>&, std::function<void(base::Result<ExecResult>)> done) {
  done(base::fail(base::Code::kUnimplemented, "the agent runs no commands"));
}

}  // namespace fairlead::cli
