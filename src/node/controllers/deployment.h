// DeploymentController: rolls a Deployment's template out over ReplicaSets. Loop thread only. Owner: Controllers.
//
// Source: Kubernetes' Deployment controller: revision annotations and history, pod-template-hash, RollingUpdate with
// maxSurge and maxUnavailable, Recreate, proportional scaling, pausing, progress deadline.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/client.h"
#include "node/controllers/events.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

// Ten letters of the alphabet that Kubernetes uses for generated names, from a pod template.
std::string pod_template_hash(const base::Value& pod_template, int64_t collision_count);

// maxSurge or maxUnavailable of `replicas` ("25%" or 2).
int64_t scaled_value(const base::Value& int_or_percent, int64_t replicas, bool round_up);

class DeploymentController {
 public:
  DeploymentController(io::Loop& loop, store::Store& store, api::Client& client, EventRecorder& events);

 private:
  // One Deployment while it is looked at.
  struct View {
    store::ObjectPtr object;
    int64_t replicas = 1, surge = 0, unavailable = 0;
    bool recreate = false;
    store::ObjectPtr current;                  // the ReplicaSet of the template; nullptr when there is none yet
    std::vector<store::ObjectPtr> old;         // by creation
    int64_t collisions = 0;
    bool created = false;                      // current was made in this pass
    const base::Value& spec() const { return (*object)["spec"]; }
    std::vector<store::ObjectPtr> all() const;
  };

  base::Status reconcile(const ObjectName& name);
  base::Status claim(View& view);
  base::Status ensure_current(View& view);
  base::Status roll(View& view);
  base::Status roll_recreate(View& view);
  base::Result<bool> scale_old(View& view);
  base::Status scale_only(View& view);
  base::Status scale(View& view, store::ObjectPtr& set, int64_t to);
  base::Status clean_history(View& view);
  base::Status write_status(View& view);
  bool complete(const View& view) const;
  bool resized(const View& view) const;
  base::Status annotate(View& view);

  store::Store& store_;
  api::Client& client_;
  EventRecorder& events_;
  Reconciler queue_;
  std::unique_ptr<Watch> deployments_, sets_, pods_;
};

}  // namespace fairlead::node
