// ReplicaSetController: as many pods as spec.replicas says. Loop thread only. Owner: Controllers.
// Source: Kubernetes' ReplicaSet controller (adoption by selector and ownerReferences, which pods go first).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "api/client.h"
#include "node/controllers/events.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

class ReplicaSetController {
 public:
  ReplicaSetController(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events);
  ~ReplicaSetController();

 private:
  base::Status reconcile(const ObjectName& name);
  base::Result<std::vector<store::ObjectPtr>> claim_pods(const base::Value& set);
  void create_pods(const base::Value& set, int64_t count);
  void delete_pods(const base::Value& set, std::vector<store::ObjectPtr> pods, int64_t count);
  base::Status write_status(const store::ObjectPtr& set, const std::vector<store::ObjectPtr>& pods);
  void on_pod(const store::Event& event);

  store::Store& store_;
  api::Client& client_;
  EventRecorder& events_;
  Reconciler queue_;
  std::map<std::string, int64_t> creating_;       // by uid: creations under way (a webhook takes its time)
  std::map<std::string, std::string> failures_;   // by uid: why the last creation was refused
  std::shared_ptr<bool> alive_;
  std::unique_ptr<Watch> sets_, pods_;
};

// The pods in the order in which a ReplicaSet gives them up.
void sort_for_deletion(std::vector<store::ObjectPtr>& pods);
// An object's pod as its template says: labels, annotations, owner; the name is made from the owner's.
base::Value pod_from_template(const base::Value& owner);

}  // namespace fairlead::node
