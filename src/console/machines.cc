#include "console/machines.h"

#include <algorithm>

#include "base/strings.h"
#include "io/address.h"

namespace fairlead::console {

using base::Code;
using base::fail;

namespace {

constexpr std::size_t kMaxText = 256;

// What is shown on pages and used as a key: printable, not endless.
bool plain(std::string_view text) {
  return text.size() <= kMaxText && std::ranges::none_of(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

}  // namespace

const std::string& Machine::trouble() const {
  if (!problem.empty()) return problem;
  const auto refused = std::ranges::find_if(refusals, [](const std::string& each) { return !each.empty(); });
  return refused != refusals.end() ? *refused : problem;
}

std::string_view to_string(RuleState state) {
  switch (state) {
    case RuleState::Unknown:
      return "unknown";
    case RuleState::Same:
      return "same";
    case RuleState::Differs:
      return "differs";
    case RuleState::Unsupported:
      break;
  }
  return "unsupported";
}

base::Result<Heartbeat> read_heartbeat(const std::vector<std::pair<std::string, std::string>>& parameters, std::string_view peer_ip) {
  Heartbeat beat;
  std::optional<long long> port;
  for (const auto& [name, value] : parameters) {
    if (name == "app") beat.app = value;
    else if (name == "ip") beat.ip = value;
    else if (name == "hostname") beat.hostname = value;
    else if (name == "v") beat.version = value;
    else if (name == "app_type" || name == "appType") beat.app_type = static_cast<int>(std::clamp(base::to_int(value).value_or(0), 0LL, 1'000'000LL));
    else if (name == "port") port = base::to_int(value);
    else if (name == "pid") beat.pid = base::to_int(value);
  }
  if (base::trim(beat.app).empty()) return fail(Code::kInvalidArgument, "app: must be the app's name");
  if (!plain(beat.app) || beat.app.find('/') != std::string::npos || beat.app == "." || beat.app == "..")
    return fail(Code::kInvalidArgument, "app: must have at most {} bytes and no '/' or control characters", kMaxText);
  if (beat.ip.empty()) beat.ip = peer_ip;
  // Commands go to this address: a name would be resolved, here, to whatever its owner likes.
  if (!io::Address::parse((beat.ip.find(':') == std::string::npos ? beat.ip : "[" + beat.ip + "]") + ":1")) return fail(Code::kInvalidArgument, "invalid ip: {}", plain(beat.ip) ? beat.ip : "");
  if (!port || *port < -1 || *port > 65535) return fail(Code::kInvalidArgument, "invalid port");
  if (*port <= 0) return fail(Code::kFailedPrecondition, "your port not set yet");
  if (!plain(beat.hostname) || !plain(beat.version)) return fail(Code::kInvalidArgument, "hostname, v: must have at most {} bytes and no control characters", kMaxText);
  beat.port = static_cast<int>(*port);
  return beat;
}

base::Result<bool> Machines::beat(const Heartbeat& heartbeat) {
  Machine made;
  made.ip = heartbeat.ip;
  made.port = heartbeat.port;
  const auto key = std::pair(heartbeat.app, made.id());
  auto found = machines_.find(key);
  const bool added = found == machines_.end();
  if (added) {
    if (machines_.size() >= kMax) forget_old();
    if (machines_.size() >= kMax) {
      std::erase_if(machines_, [this](const auto& each) { return !healthy(each.second); });
      if (machines_.size() >= kMax) return fail(Code::kResourceExhausted, "there are {} machines, the most that one console takes", kMax);
    }
    found = machines_.emplace(key, std::move(made)).first;
    found->second.app = heartbeat.app;
    found->second.first_ms = now_ms_();
  }
  Machine& machine = found->second;
  const bool again = added || !healthy(machine) || machine.pid != heartbeat.pid || machine.hostname != heartbeat.hostname;
  machine.hostname = heartbeat.hostname;
  machine.version = heartbeat.version;
  machine.app_type = heartbeat.app_type;
  machine.pid = heartbeat.pid;
  machine.heartbeat_ms = now_ms_();
  if (again) machine.state.fill(RuleState::Unknown), machine.loaded.fill(std::nullopt), machine.problem.clear(), machine.refusals.fill({});
  return again;
}

Machine* Machines::find(std::string_view app, std::string_view id) {
  const auto found = machines_.find({std::string(app), std::string(id)});
  return found == machines_.end() ? nullptr : &found->second;
}

std::vector<const Machine*> Machines::of(std::string_view app) const {
  std::vector<const Machine*> out;
  for (auto at = machines_.lower_bound({std::string(app), ""}); at != machines_.end() && at->first.first == app; ++at) out.push_back(&at->second);
  return out;
}

std::vector<Machine*> Machines::all() {
  std::vector<Machine*> out;
  for (auto& [key, machine] : machines_) out.push_back(&machine);
  return out;
}

std::vector<std::string> Machines::apps() const {
  std::vector<std::string> out;
  for (const auto& [key, machine] : machines_)
    if (out.empty() || out.back() != key.first) out.push_back(key.first);
  return out;
}

bool Machines::remove(std::string_view app, std::string_view id) { return machines_.erase({std::string(app), std::string(id)}) > 0; }

void Machines::forget_old() {
  std::erase_if(machines_, [now = now_ms_()](const auto& each) { return now - each.second.heartbeat_ms > kForgottenMs; });
}

}  // namespace fairlead::console
