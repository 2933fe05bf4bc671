#include "node/rules/service_rules.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "io/tls.h"

extern char** environ;

namespace fairlead::node {
namespace {

// Base chains and their hooks; made once in a namespace that starts empty.
constexpr std::string_view kBase =
    "*nat\n"
    ":KUBE-SERVICES - [0:0]\n"
    ":KUBE-MARK-MASQ - [0:0]\n"
    ":KUBE-POSTROUTING - [0:0]\n"
    "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
    "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n"
    "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
    "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
    "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE\n"
    "COMMIT\n"
    "*filter\n"
    ":KUBE-SERVICES - [0:0]\n"
    "-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-A OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "COMMIT\n";

std::string hash16(std::string_view text) {
  static constexpr char kBase32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";  // RFC 4648, as kube-proxy
  std::string digest = io::sha256(text), out;
  unsigned bits = 0, have = 0;
  for (char c : digest) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    have += 8;
    while (have >= 5 && out.size() < 16) {
      out += kBase32[bits >> (have - 5) & 31];
      have -= 5;
    }
    if (out.size() == 16) break;
  }
  return out;
}

std::string lower_protocol(const ServicePort& port) { return base::to_lower(port.protocol.empty() ? "TCP" : port.protocol); }

std::string port_name(const ServiceEntry& s, const ServicePort& p) {
  return s.ns + "/" + s.name + (p.name.empty() ? "" : ":" + p.name);
}

}  // namespace

std::string service_chain(const ServiceEntry& service, const ServicePort& port) {
  return "KUBE-SVC-" + hash16(port_name(service, port) + lower_protocol(port));
}

std::string endpoint_chain(const std::string& service_chain_name, const ServiceEndpoint& endpoint) {
  return "KUBE-SEP-" + hash16(service_chain_name + endpoint.ip + ":" + std::to_string(endpoint.port));
}

RuleSet service_rules(const ServiceTable& table, const std::set<std::string>& stale) {
  RuleSet out;
  std::string services, chains, filter;
  for (const auto& s : table.services) {
    if (s.cluster_ip.empty()) continue;
    for (const auto& p : s.ports) {
      std::string protocol = lower_protocol(p), name = port_name(s, p);
      std::vector<const ServiceEndpoint*> ready;
      for (const auto& e : p.endpoints)
        if (e.ready || s.publish_not_ready) ready.push_back(&e);
      std::vector<std::string> addresses = s.external_ips;
      addresses.insert(addresses.begin(), s.cluster_ip);
      std::string chain = service_chain(s, p);
      for (const auto& ip : addresses) {
        std::string match = fmt::format("-A KUBE-SERVICES -d {}/32 -p {} -m {} --dport {} -m comment --comment \"{} {}\"", ip, protocol,
                                        protocol, p.port, name, ready.empty() ? "has no endpoints" : "cluster IP");
        if (ready.empty()) filter += match + " -j REJECT --reject-with icmp-port-unreachable\n";
        else services += match + " -j " + chain + "\n";
      }
      if (ready.empty()) continue;
      out.nat_chains.insert(chain);
      // A client that was sent to an endpoint within the time-out goes there again.
      if (s.client_ip_affinity)
        for (const auto* e : ready) {
          std::string endpoint = endpoint_chain(chain, *e);
          chains += fmt::format("-A {} -m comment --comment \"{}\" -m recent --name {} --rcheck --seconds 10800 --reap --rsource -j {}\n", chain, name, endpoint, endpoint);
        }
      for (size_t i = 0; i < ready.size(); ++i) {
        const ServiceEndpoint& e = *ready[i];
        std::string endpoint = endpoint_chain(chain, e);
        out.nat_chains.insert(endpoint);
        std::string pick = i + 1 < ready.size() ? fmt::format(" -m statistic --mode random --probability {:.10f}", 1.0 / static_cast<double>(ready.size() - i)) : "";
        chains += fmt::format("-A {} -m comment --comment \"{} -> {}:{}\"{} -j {}\n", chain, name, e.ip, e.port, pick, endpoint);
        // A pod that reaches itself through its Service: answers have to come back through the translation.
        chains += fmt::format("-A {} -s {}/32 -m comment --comment \"{}\" -j KUBE-MARK-MASQ\n", endpoint, e.ip, name);
        chains += fmt::format("-A {} -p {} -m comment --comment \"{}\"{} -m {} -j DNAT --to-destination {}:{}\n", endpoint, protocol, name,
                              s.client_ip_affinity ? " -m recent --name " + endpoint + " --set --rsource" : "", protocol, e.ip, e.port);
      }
    }
  }
  // Naming a chain in the header empties it; --noflush leaves all others as they are.
  out.text = "*nat\n:KUBE-SERVICES - [0:0]\n";
  for (const auto& chain : out.nat_chains) out.text += ":" + chain + " - [0:0]\n";
  for (const auto& chain : stale)
    if (!out.nat_chains.contains(chain)) out.text += ":" + chain + " - [0:0]\n";
  out.text += services + chains;
  for (const auto& chain : stale)
    if (!out.nat_chains.contains(chain)) out.text += "-X " + chain + "\n";
  out.text += "COMMIT\n*filter\n:KUBE-SERVICES - [0:0]\n" + filter + "COMMIT\n";
  return out;
}

// One iptables-restore process: input from a memory file, words of complaint into another.
class ServiceRules::Run {
 public:
  Run(io::Loop& loop, std::string_view text, std::function<void(base::Status)> done)
      : in_(::memfd_create("rules", MFD_CLOEXEC)), errors_(::memfd_create("errors", MFD_CLOEXEC)), done_(std::move(done)) {
    while (!text.empty()) {
      ssize_t n = ::write(in_.get(), text.data(), text.size());
      if (n <= 0) break;
      text.remove_prefix(static_cast<size_t>(n));
    }
    ::lseek(in_.get(), 0, SEEK_SET);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, errors_.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, errors_.get(), 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const char* argv[] = {"iptables-restore", "--noflush", "--wait", nullptr};
    // An ordinary user's PATH often lacks the sbin folders.
    int error = ENOENT;
    for (const char* path : {"/usr/sbin/iptables-restore", "/sbin/iptables-restore", "/usr/local/sbin/iptables-restore"}) {
      error = ::posix_spawn(&pid_, path, &actions, &attributes, const_cast<char**>(argv), environ);
      if (error == 0) break;
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
      loop.defer([this, error, alive = alive_] {
        if (!*alive) return;
        finish(base::fail(base::Code::kFailedPrecondition, "iptables-restore cannot be started ({}): install it with apt-get install iptables",
                          std::string(::strerror(error))));
      });
      return;
    }
    pidfd_ = io::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    watch_ = std::make_unique<io::FdWatch>(loop, pidfd_.get(), EPOLLIN, [this](uint32_t) { ended(); });
  }
  ~Run() { *alive_ = false; }

 private:
  void ended() {
    siginfo_t info{};
    watch_.reset();
    // Somebody else's waitpid(-1) may have taken the status; the words then tell.
    bool known = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) == 0;
    std::string words(4096, '\0');
    ssize_t n = ::pread(errors_.get(), words.data(), words.size(), 0);
    words.resize(n > 0 ? static_cast<size_t>(n) : 0);
    bool failed = known ? info.si_code != CLD_EXITED || info.si_status != 0 : !words.empty();
    if (failed) finish(base::fail(base::Code::kInternal, "iptables-restore: {}", base::trim(words)));
    else finish({});
  }
  void finish(base::Status status) {
    auto done = std::move(done_);
    done(std::move(status));
  }

  io::Fd in_, errors_, pidfd_;
  pid_t pid_ = -1;
  std::function<void(base::Status)> done_;
  std::unique_ptr<io::FdWatch> watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

ServiceRules::ServiceRules(io::Loop& loop) : loop_(loop), retry_(loop, [this] { run_next(); }) {}
ServiceRules::~ServiceRules() = default;

base::Result<std::unique_ptr<ServiceRules>> ServiceRules::start(io::Loop& loop) {
  std::unique_ptr<ServiceRules> rules(new ServiceRules(loop));
  std::optional<base::Status> result;
  Run run(loop, kBase, [&](base::Status s) { result = std::move(s); });
  while (!result) loop.run_once(std::chrono::milliseconds(50));
  if (!*result) return std::unexpected(result->error());
  return rules;
}

void ServiceRules::apply(std::shared_ptr<const ServiceTable> table) {
  wanted_ = std::move(table);
  if (!running_) run_next();
}

void ServiceRules::run_next() {
  if (!wanted_ || running_) return;
  auto table = wanted_;
  RuleSet rules = service_rules(*table, chains_);
  wanted_.reset();
  if (rules.text == applied_text_) return;
  running_ = std::make_unique<Run>(loop_, rules.text, [this, table, rules](base::Status status) {
    loop_.dispose(std::move(running_));
    if (status) {
      chains_ = rules.nat_chains;
      // The text without the removal of stale chains is what the next one is compared with.
      applied_text_ = service_rules(*table, chains_).text;
    } else {
      FL_LOG_ERROR("rules", "{}", status.error().text());
      if (!wanted_) wanted_ = table;
      retry_.arm(std::chrono::seconds(1));
      return;
    }
    run_next();
  });
}

}  // namespace fairlead::node
