#include "console/clients.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "base/strings.h"
#include "sentinel/commands.h"
#include "sentinel/metric_line.h"

namespace fairlead::console {

using base::Code;
using base::fail;
using store::RuleKind;
using namespace std::chrono_literals;

namespace {

constexpr base::Nanos kTimeout = 5s;
constexpr base::Nanos kSecond = 1s;
constexpr std::uint64_t kSlices = 20;           // of a second
constexpr std::uint64_t kLookEvery = 30;        // seconds
constexpr std::int64_t kSettledMs = 2'000;      // a second is complete in a client's log after this
constexpr std::int64_t kFetchMost = 60'000;     // of metrics at a time
constexpr std::size_t kMostBody = 8u << 20;
constexpr std::size_t kMostLines = 200'000;
constexpr std::int64_t kFarFuture = 60'000, kFarPast = 3'600'000;

struct Commands {
  std::string_view get, set;  // paths; `type` is a parameter of the common ones
  std::string_view type;
};

Commands commands(RuleKind kind) {
  switch (kind) {
    case RuleKind::Flow:
      return {"/getRules", "/setRules", "flow"};
    case RuleKind::Degrade:
      return {"/getRules", "/setRules", "degrade"};
    case RuleKind::System:
      return {"/getRules", "/setRules", "system"};
    case RuleKind::Authority:
      return {"/getRules", "/setRules", "authority"};
    case RuleKind::ParamFlow:
      return {"/getParamFlowRules", "/setParamFlowRules", ""};
    case RuleKind::GatewayFlow:
      return {"/gateway/getRules", "/gateway/updateRules", ""};
    case RuleKind::GatewayApi:
      break;
  }
  return {"/gateway/getApiDefinitions", "/gateway/updateApiDefinitions", ""};
}

// Java's handlers of rules decode `data` once more than its form asks for, so that "+" would become a blank and "%2B" a plus. Written
// without either, a document says the same to clients that decode once and to those that do it twice.
std::string without_plus_and_percent(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\' && i + 1 < json.size()) {
      out.append(json.substr(i++, 2));
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (c == '%') out += "\\u0025";
    else if (c != '+') out += c;
    else if (in_string) out += "\\u002b";  // outside it is the sign of an exponent, which needs none
  }
  return out;
}

bool unknown_command(const base::Error& error) { return error.code == Code::kUnimplemented; }

http::ClientOptions options() {
  http::ClientOptions options;
  options.connect_timeout = 2s;
  options.keep_alive = false;  // the original closes after each answer
  options.max_connections_per_host = 8;
  return options;
}

}  // namespace

Clients::Clients(io::Loop& loop, Machines& machines, Rulebook& rulebook, Metrics& metrics, std::function<std::int64_t()> now_ms)
    : loop_(loop), machines_(machines), rulebook_(rulebook), metrics_(metrics), now_ms_(std::move(now_ms)), client_(loop, options()), timer_(loop, [this] { tick(); }) {
  rulebook_.on_change([this](const store::RuleKey& key) {
    for (const Machine* machine : machines_.of(key.app))
      if (machines_.healthy(*machine)) push({machine->app, machine->id()}, key.kind);
  });
}

Clients::~Clients() = default;

void Clients::start() { timer_.arm(kSecond / kSlices); }

// One request to a machine. Its answer is bounded: whoever sends heartbeats is asked.
struct Clients::Asking {
  std::unique_ptr<http::Call> call;
  std::unique_ptr<io::Timer> timer;
  std::string id, body;
  int status = 0;
  Answer done;
};

void Clients::command(const Machine& machine, std::string_view path, std::string body, Answer done) {
  const std::uint64_t number = ++asked_;
  auto& asking = *asking_.emplace(number, std::make_unique<Asking>()).first->second;
  asking.id = machine.id();
  asking.done = std::move(done);
  http::RequestHead head;
  head.method = body.empty() ? "GET" : "POST";
  if (!body.empty()) {
    head.headers.add("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    head.headers.add("content-length", std::to_string(body.size()));
  }
  http::Call::Callbacks callbacks;
  callbacks.on_head = [&asking](const http::ResponseHead& h) { asking.status = h.status; };
  callbacks.on_data = [this, number, &asking](std::string_view bytes) {
    asking.body += bytes;
    if (asking.body.size() > kMostBody) answer(number, fail(Code::kResourceExhausted, "{} answers with more than {} MiB", asking.id, kMostBody >> 20));
  };
  callbacks.on_end = [this, number, &asking](base::Result<http::Headers> end) {
    if (!end) return answer(number, fail(Code::kUnavailable, "{} does not answer: {}", asking.id, end.error().text()));
    // The original answers unknown commands with 400 (or, before 1.8, with 200) and this sentence.
    if (asking.body.starts_with("Unknown command")) return answer(number, fail(Code::kUnimplemented, "{} does not have this command", asking.id));
    if (asking.status != 200) return answer(number, fail(Code::kFailedPrecondition, "{} answers {}: {}", asking.id, asking.status, asking.body.substr(0, 200)));
    answer(number, std::move(asking.body));
  };
  asking.timer = std::make_unique<io::Timer>(loop_, [this, number, id = asking.id] { answer(number, fail(Code::kDeadlineExceeded, "{} does not answer in time", id)); });
  asking.timer->arm(kTimeout);
  asking.call = client_.start("http://" + asking.id + std::string(path), std::move(head), !body.empty(), std::move(callbacks));
  if (body.empty()) return;
  asking.call->write(body);
  asking.call->finish();
}

void Clients::answer(std::uint64_t number, base::Result<std::string> result) {
  const auto found = asking_.find(number);
  if (found == asking_.end()) return;
  Answer done = std::exchange(found->second->done, nullptr);
  loop_.dispose(std::move(found->second));  // not inside its own callback
  asking_.erase(found);
  done(std::move(result));
}

void Clients::loaded_rules(const Machine& machine, RuleKind kind, Answer done) {
  const Commands with = commands(kind);
  command(machine, with.type.empty() ? std::string(with.get) : std::string(with.get) + "?type=" + std::string(with.type), "", std::move(done));
}

void Clients::came(const std::string& app, const std::string& id) {
  look_at_all({app, id});
  changed_(app);
}

void Clients::look_at_all(const MachineKey& key) {
  for (RuleKind kind : store::kRuleKinds) {
    const Document& document = rulebook_.find({key.first, kind});
    // Gateway commands only where they may be there: others have no such rules.
    const bool gateway = kind == RuleKind::GatewayFlow || kind == RuleKind::GatewayApi;
    const Machine* machine = machines_.find(key.first, key.second);
    if (machine && (!gateway || machine->app_type != 0 || !document.stored_version.empty())) look(key, kind, true);
  }
}

void Clients::push(const MachineKey& key, RuleKind kind) {
  Machine* machine = machines_.find(key.first, key.second);
  const Document& document = rulebook_.find({key.first, kind});
  if (!machine || document.stored_version.empty()) return;
  if (auto [at, free] = pushing_.try_emplace({key, kind}, false); !free) {
    at->second = true;
    return;
  }
  const Commands with = commands(kind);
  std::string body = "data=" + base::url_encode(document.good.empty() ? "[]" : without_plus_and_percent(document.good));
  if (!with.type.empty()) body = "type=" + std::string(with.type) + "&" + body;
  command(*machine, with.set, std::move(body), [this, key, kind, alive = std::weak_ptr(alive_)](base::Result<std::string> answer) {
    if (alive.expired()) return;
    const auto at = pushing_.find({key, kind});
    const bool again = at->second;
    pushing_.erase(at);
    Machine* m = machines_.find(key.first, key.second);
    if (!m) return;
    if (!answer) {
      ++counts_.push_failures;
      const bool refused = answer.error().code == Code::kFailedPrecondition;
      m->of(kind) = unknown_command(answer.error()) ? RuleState::Unsupported : refused ? RuleState::Differs : RuleState::Unknown;
      if (!unknown_command(answer.error())) (refused ? m->refusal(kind) : m->problem) = answer.error().message;
      return changed_(key.first);
    }
    ++counts_.pushed;
    m->refusal(kind).clear();
    if (again) return push(key, kind);
    look(key, kind, false);
  });
}

void Clients::look(const MachineKey& key, RuleKind kind, bool may_push) {
  Machine* machine = machines_.find(key.first, key.second);
  if (!machine) return;
  loaded_rules(*machine, kind, [this, key, kind, may_push, alive = std::weak_ptr(alive_)](base::Result<std::string> answer) {
    if (alive.expired()) return;
    Machine* m = machines_.find(key.first, key.second);
    if (!m) return;
    const RuleState before = m->of(kind);
    const std::string problem_before = m->problem;
    auto& loaded = m->loaded[static_cast<std::size_t>(kind)];
    if (!answer) {
      m->of(kind) = unknown_command(answer.error()) ? RuleState::Unsupported : RuleState::Unknown;
      if (!unknown_command(answer.error())) m->problem = answer.error().message;
      loaded.reset();
    } else {
      m->problem.clear();
      const Document& document = rulebook_.find({key.first, kind});
      loaded = static_cast<int>(read_document(kind, *answer).rules.size());
      const bool same = compare_rules(kind, document.good, *answer).none();
      m->of(kind) = same ? RuleState::Same : RuleState::Differs;
      if (same) m->refusal(kind).clear();
      if (!same && may_push) push(key, kind);
    }
    if (m->of(kind) != before || m->problem != problem_before) changed_(key.first);
  });
}

// A slice of the machines each time, so that thousands are not asked in one breath while pages wait.
void Clients::tick() {
  timer_.arm(kSecond / kSlices);
  const std::uint64_t slice = ticks_++ % kSlices, second = ticks_ / kSlices;
  std::uint64_t index = 0;
  for (Machine* machine : machines_.all()) {
    if (++index % kSlices != slice || !machines_.healthy(*machine)) continue;
    fetch_metrics(*machine);
    if ((second + index / kSlices) % kLookEvery == 0) look_at_all({machine->app, machine->id()});
  }
  if (slice != 0) return;
  metrics_.flush();
  if (second % 60 != 0) return;
  metrics_.prune();
  machines_.forget_old();
  std::erase_if(fetched_until_, [this](const auto& each) { return !machines_.find(each.first.first, each.first.second); });
}

void Clients::fetch_metrics(Machine& machine) {
  const MachineKey key{machine.app, machine.id()};
  if (!fetching_.insert(key).second) return;
  const std::int64_t end = (now_ms_() - kSettledMs) / 1000 * 1000 - 1;
  std::int64_t& until = fetched_until_.try_emplace(key, end - 1000).first->second;
  const std::int64_t begin = std::max(until + 1, end - kFetchMost);
  if (begin > end) {
    fetching_.erase(key);
    return;
  }
  const std::string path = "/metric?startTime=" + std::to_string(begin) + "&endTime=" + std::to_string(end) + "&refetch=false";
  command(machine, path, "", [this, key, end, alive = std::weak_ptr(alive_)](base::Result<std::string> answer) {
    if (alive.expired()) return;
    fetching_.erase(key);
    Machine* m = machines_.find(key.first, key.second);
    if (!m) return;
    if (!answer) {
      m->problem = answer.error().message;
      return;
    }
    fetched_until_[key] = end;
    take_metrics(key, *answer);
  });
}

void Clients::take_metrics(const MachineKey& key, std::string_view body) {
  if (base::trim(body).empty() || body.starts_with("No metrics")) return;
  const sentinel::MetricLines read = sentinel::parse_thin_lines(body, kMostLines);
  counts_.bad_metric_lines += read.refused;
  for (const sentinel::MetricLine& line : read.lines) {
    const flow::Metric& metric = line.values;
    // A clock far from ours would fill the tables with nonsense.
    if (const std::int64_t age = now_ms_() - metric.time_ms; age < -kFarFuture || age > kFarPast) {
      ++counts_.bad_metric_lines;
      continue;
    }
    ++counts_.metric_lines;
    // Not calls: ten thousandths of the load and of a processor's time.
    if (metric.resource == sentinel::kLoadResource || metric.resource == sentinel::kCpuResource) continue;
    metrics_.add(key.first, metric.resource, metric.time_ms,
                 {.pass = metric.pass, .block = metric.block, .success = metric.success, .exception = metric.exception, .rt_ms = metric.rt_ms * metric.success});
  }
}

}  // namespace fairlead::console
