// Service rules: what kube-proxy's iptables mode writes, in the node's network namespace. Addresses of Services are
// translated to a random ready endpoint; Services without one are refused at once.
// Source: names of chains, marks and comments as in Kubernetes' pkg/proxy/iptables.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "io/loop.h"
#include "node/node.h"

namespace fairlead::node {

// The chains that a table needs, and the text for `iptables-restore --noflush` that makes them so. Pure.
struct RuleSet {
  std::set<std::string> nat_chains;   // KUBE-SVC-*, KUBE-SEP-*
  std::string text;
};
// stale: chains of an earlier table; those that are no longer needed are emptied and removed.
RuleSet service_rules(const ServiceTable& table, const std::set<std::string>& stale);

// kube-proxy's name for the chain of a service port: "KUBE-SVC-" and 16 characters of a hash.
std::string service_chain(const ServiceEntry& service, const ServicePort& port);
std::string endpoint_chain(const std::string& service_chain_name, const ServiceEndpoint& endpoint);

// Applies tables, one iptables-restore at a time, always ending with the newest. Loop thread only.
class ServiceRules final : public ServiceSink {
 public:
  // Makes the base chains and hooks. Fails with a sentence when iptables is missing or cannot be used here.
  static base::Result<std::unique_ptr<ServiceRules>> start(io::Loop& loop);
  ~ServiceRules() override;

  void apply(std::shared_ptr<const ServiceTable> table) override;

 private:
  class Run;
  explicit ServiceRules(io::Loop& loop);
  void run_next();

  io::Loop& loop_;
  std::shared_ptr<const ServiceTable> wanted_;   // not applied yet
  std::set<std::string> chains_;                 // that exist
  std::string applied_text_;
  std::unique_ptr<Run> running_;
  io::Timer retry_;
};

}  // namespace fairlead::node
