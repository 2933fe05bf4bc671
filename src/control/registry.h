// Registry: turns objects of the API into Snapshots.
//
// One thread (the control plane's loop). Each object is read once, when it changes; a new Snapshot shares what did not
// change with the old one. Source of the semantics: Istio's pilot/pkg/serviceregistry and pilot/pkg/model.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "control/snapshot.h"
#include "store/store.h"

namespace fairlead::control {

// What a change can affect.
enum class Scope : unsigned char {
  kNothing,
  kEndpoints,  // EDS alone
  kAll,
};

class Registry {
 public:
  // The resources it reads ("services", "virtualservices.networking.istio.io" ...).
  static std::span<const std::string_view> resources();
  // Whether an API server may not have it: our own kinds, where their definitions are not installed.
  static bool optional(std::string_view resource);

  // An object was added, changed or deleted.
  Scope apply(std::string_view resource, store::EventType type, const store::ObjectPtr& object);
  // Replaces everything by these documents (YAML files); names the ones that are of no kind it reads.
  void replace(const std::vector<base::Value>& objects);

  // The state of now; the same pointer as before when nothing changed.
  SnapshotPtr snapshot();

 private:
  struct Slice {
    std::string service;  // "ns/name"
    store::ObjectPtr object;
  };
  using Name = std::string;  // "ns/name"

  void read_service(const Name& name, const base::Value& object);
  ConfigPtr read_config(std::string_view kind, const base::Value& object) const;
  void read_mesh(const base::Value& config_map);
  std::vector<ServicePtr> entry_services(const Config& entry) const;
  void build_services(Snapshot& out) const;
  EndpointsPtr slice_endpoints(const Service& service, const Snapshot& out) const;
  void entry_endpoints(const Config& entry, Snapshot& out) const;
  // accounts.cc
  std::set<std::string> accounts_in(const base::Value& slice) const;
  const std::vector<std::string>& slice_accounts(const Service& service, const Snapshot& out) const;
  void entry_accounts(const Config& entry, Snapshot& out) const;
  std::vector<std::string> whole(const std::vector<std::string>& accounts) const;
  void build_accounts(Snapshot& out) const;

  uint64_t version_ = 0;
  SnapshotPtr current_;
  bool changed_ = true;

  MeshConfig mesh_;
  std::map<Name, ServicePtr> services_;
  std::map<Name, Slice> slices_;
  std::map<Name, std::set<Name>> slices_of_;  // service -> slices
  std::map<Name, PodPtr> pods_;
  std::map<Name, ConfigPtr> virtual_services_, destination_rules_, gateways_, service_entries_, workload_entries_, sidecars_,
      peer_authentications_;
  std::map<std::string, std::map<Name, ConfigPtr>> flow_rules_;  // by resource
  std::map<std::string, Labels> namespaces_;
  std::map<Name, std::shared_ptr<const Credential>> credentials_;
  mutable std::map<Name, EndpointsPtr> endpoint_cache_;  // by service; dropped when a slice or pod of it changes
  mutable std::map<Name, std::vector<std::string>> account_cache_;  // likewise
};

}  // namespace fairlead::control
