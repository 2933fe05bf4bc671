// Active health checks of one cluster's endpoints (envoy.config.core.v3.HealthCheck): HTTP, TCP, gRPC.
//
// Main thread; owned by the ConfigManager. A host is out until its first check has passed; then the thresholds count.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "io/loop.h"
#include "proxy/config/model.h"

namespace fairlead::proxy {

// How one check ended.
struct CheckResult {
  enum class Kind : uint8_t {
    kPassed,
    kFailed,    // an answer that says no: the host is out at once
    kRetriable, // an answer that counts toward the threshold
    kNetwork,   // no answer: counts toward the threshold
  };
  Kind kind = Kind::kPassed;
  bool degraded = false;
  bool verified = false;  // it came so far that the name of the answering service was looked at
};

// One check under way. Destroying it cancels.
class Probe {
 public:
  virtual ~Probe() = default;
};
using CheckDone = std::function<void(CheckResult)>;

// Sends checks to one host; keeps its connection between them where that is configured.
class Prober {
 public:
  virtual ~Prober() = default;
  virtual std::unique_ptr<Probe> check(CheckDone done) = 0;  // done: once, never inside this call
};
std::unique_ptr<Prober> make_prober(io::Loop& loop, const ClusterConfig& cluster, const HealthCheckConfig& check, const HostPtr& host, int socket_mark);

class HealthChecker {
 public:
  struct Hooks {
    std::function<void()> changed;                       // a host's health flipped
    std::function<void(const HostPtr&)> passed;          // a check of an ejected host passed
    std::function<bool()> has_traffic;                   // the cluster was used
    std::function<uint64_t()> random;
    std::function<void(const std::string& path, std::string line)> log;
    std::function<std::unique_ptr<Prober>(const HostPtr&)> prober;
  };
  HealthChecker(io::Loop& loop, std::shared_ptr<const ClusterConfig> cluster, const HealthCheckConfig& check, Hooks hooks);
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  // Hosts that are new are out until their first check; those that are gone are forgotten.
  void update(const EndpointSet& endpoints);
  // Hosts that were in use before there was this checker stay as they are until it has found out more.
  void adopt(const EndpointSet& endpoints);
  bool all_checked() const;                              // every host had its first check

  struct Counts {
    uint64_t attempt = 0, success = 0, failure = 0, network_failure = 0, verify_cluster = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  void add(const HostPtr& host, bool known);
  struct Checked {
    Checked(io::Loop& loop, std::function<void()> start, std::function<void()> late) : next(loop, std::move(start)), timeout(loop, std::move(late)) {}
    HostPtr host;
    std::unique_ptr<Prober> prober;
    std::unique_ptr<Probe> probe;
    io::Timer next, timeout;
    uint32_t good = 0, bad = 0;
    bool first = true;
  };
  void start(Checked& c);
  void finish(Checked& c, CheckResult result);
  Nanos interval(const Checked& c, bool changed);
  void log(const Host& host, std::string_view event);

  io::Loop& loop_;
  std::shared_ptr<const ClusterConfig> cluster_;
  HealthCheckConfig check_;
  Hooks hooks_;
  std::unordered_map<const Host*, std::unique_ptr<Checked>> hosts_;
  Counts counts_;
};

}  // namespace fairlead::proxy
