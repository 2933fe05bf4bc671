// What istio.stats counts, of requests (the HTTP filter) and of connections (the network filter).
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "proxy/config/workload.h"
#include "proxy/filters/registry.h"
#include "proxy/stats.h"
#include "proxy/worker.h"

namespace fairlead::proxy {

// Constant; any thread.
struct IstioStatsConfig {
  struct Override {
    bool drop = false;
    std::set<std::string, std::less<>> removed;  // labels
  };
  Workload self;
  bool source = true;  // this proxy is the client's; else the server's
  bool disable_host_header_fallback = false;
  std::map<std::string, Override, std::less<>> overrides;  // by metric, without "istio_"; "": all
};
std::shared_ptr<const IstioStatsConfig> compile_istio_stats(const CompileContext& at, const FilterSource& source);

// One worker's series.
class IstioMetrics final : public WorkerLocal {
 public:
  static constexpr size_t kMost = 10'000;  // Host header fields may be anything
  enum class Special : uint8_t { kNone, kBlackHole, kPassthrough, kInboundPassthrough };
  enum class Protocol : uint8_t { kHttp, kGrpc, kTcp };
  struct Key {
    const IstioStatsConfig* config = nullptr;
    const ServiceIdentity* service = nullptr;
    const Workload* peer = nullptr;
    Special special = Special::kNone;
    Protocol protocol = Protocol::kHttp;
    int16_t status = 0, grpc_status = -1;
    uint32_t flags = 0;
    std::string host;
    bool operator==(const Key&) const = default;
  };
  struct Series {
    // Holding on to them keeps the key's pointers theirs.
    std::shared_ptr<const IstioStatsConfig> config;
    std::shared_ptr<const ServiceIdentity> service;
    std::shared_ptr<const Workload> peer;
    uint64_t requests = 0;
    Histogram duration, request_bytes, response_bytes;
    uint64_t opened = 0, closed = 0, sent_bytes = 0, received_bytes = 0;
  };

  static IstioMetrics& of(Worker& worker);
  static Special special(std::string_view route, std::string_view cluster);
  // nullptr: there are too many already.
  Series* series(const Key& key, const std::shared_ptr<const IstioStatsConfig>& config, const std::shared_ptr<const ServiceIdentity>& service,
                 const std::shared_ptr<const Workload>& peer);
  void collect(StatsSnapshot& into) override;

 private:
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  std::unordered_map<Key, Series, Hash> series_;
};

}  // namespace fairlead::proxy
