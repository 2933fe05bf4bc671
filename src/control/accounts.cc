// Registry: which ServiceAccounts the endpoints of a service have, so that a client knows whom it may meet there (secure
// naming). Source: Istio's pilot/pkg/model/push_context.go (ServiceAccounts), pkg/spiffe.
#include <algorithm>

#include <fmt/format.h>

#include "control/registry.h"

namespace fairlead::control {
namespace {

void sort_out(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

std::set<std::string> Registry::accounts_in(const base::Value& slice) const {
  std::set<std::string> out;
  for (const auto& e : slice["endpoints"].items()) {
    if (const std::string& name = e["targetRef"]["name"].as_string(); !name.empty()) {
      auto pod = pods_.find(slice["metadata"]["namespace"].as_string() + "/" + name);
      if (pod != pods_.end()) out.insert(pod->second->service_account);
      continue;
    }
    // Written by hand.
    for (const auto& address : e["addresses"].items())
      for (const auto& [name, pod] : pods_)
        if (pod->ip == address.as_string()) out.insert(pod->service_account);
  }
  return out;
}

// Of endpoints that are not ready, too: clients are to know a name before they meet it, and a rollout is to change nothing.
const std::vector<std::string>& Registry::slice_accounts(const Service& service, const Snapshot& out) const {
  auto [at, fresh] = account_cache_.try_emplace(service.ns + "/" + service.name);
  auto& accounts = at->second;
  if (!fresh) return accounts;
  auto slices = slices_of_.find(at->first);
  if (slices == slices_of_.end()) return accounts;
  auto add = [&](const Pod& pod) {
    if (!pod.service_account.empty()) accounts.push_back(fmt::format("ns/{}/sa/{}", pod.ns, pod.service_account));
  };
  for (const auto& slice_name : slices->second)
    for (const auto& e : (*slices_.at(slice_name).object)["endpoints"].items())
      for (const auto& address : e["addresses"].items()) {
        if (auto pod = out.pods_by_ip.find(address.as_string()); pod != out.pods_by_ip.end()) {
          add(*pod->second);
        } else if (auto by_name = out.pods_by_name.find(service.ns + "/" + e["targetRef"]["name"].as_string()); by_name != out.pods_by_name.end()) {
          add(*by_name->second);
        }
      }
  sort_out(accounts);
  return accounts;
}

void Registry::entry_accounts(const Config& entry, Snapshot& out) const {
  const auto& spec = entry.spec;
  std::vector<std::string> accounts;
  auto add = [&](const std::string& account) {
    if (!account.empty()) accounts.push_back(fmt::format("ns/{}/sa/{}", entry.ns, account));
  };
  for (const auto& e : spec["endpoints"].items()) add(e["serviceAccount"].as_string());
  if (Labels selector = labels_of(spec["workloadSelector"]["labels"]); !selector.empty()) {
    for (const auto& [name, pod] : pods_)
      if (pod->ns == entry.ns && !pod->ip.empty() && subset_of(selector, pod->labels)) add(pod->service_account);
    for (const auto& [name, workload] : workload_entries_)
      if (workload->ns == entry.ns && subset_of(selector, labels_of(workload->spec["labels"]))) add(workload->spec["serviceAccount"].as_string());
  }
  auto names = whole(accounts);
  for (const auto& name : spec["subjectAltNames"].items()) names.push_back(name.as_string());
  sort_out(names);
  for (const auto& service : entry_services(entry)) out.accounts[service->ns + "/" + service->host] = names;
}

std::vector<std::string> Registry::whole(const std::vector<std::string>& accounts) const {
  std::vector<std::string> out;
  for (const auto& account : accounts)
    for (const auto& domain : mesh_.trust_domains) out.push_back(fmt::format("spiffe://{}/{}", domain, account));
  sort_out(out);
  return out;
}

void Registry::build_accounts(Snapshot& out) const {
  for (const auto& [name, service] : services_)
    if (service->resolution != Resolution::kAlias) out.accounts[service->ns + "/" + service->host] = whole(slice_accounts(*service, out));
  for (const auto& [name, entry] : service_entries_) entry_accounts(*entry, out);
}

}  // namespace fairlead::control
