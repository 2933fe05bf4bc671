// Client: the API server's writes without HTTP, for controllers and the kubelet in the same process.
//
// The same path as a request takes: defaulting, admission, validation, revisions, owner and namespace rules. Reads and
// watches go straight to the store (store/store.h). Loop thread only. Owner: ApiServer (api/server.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/value.h"
#include "store/store.h"

namespace fairlead::api {

enum class Propagation : unsigned char { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;          // pods; nothing: the pod's own. 0 removes at once (the kubelet's last step)
  Propagation propagation = Propagation::kBackground;
  std::string uid;                               // precondition; "": none
  std::string resource_version;                  // precondition; "": none
  bool dry_run = false;
};

class Client {
 public:
  using Done = std::function<void(base::Result<store::ObjectPtr>)>;
  virtual ~Client() = default;

  // `object` carries apiVersion, kind, metadata.name or metadata.generateName, and metadata.namespace (default
  // "default"). Mutating webhooks are called, which may take their timeout; `done` may run inside this call.
  virtual void create(base::Value object, Done done) = 0;
  // As create, without webhooks: for what no webhook of ours looks at (events, endpoint slices, leases, replica sets).
  virtual base::Result<store::ObjectPtr> create_now(base::Value object) = 0;

  // As PUT: everything but status. metadata.resourceVersion in `object`: Conflict when stale; absent: unconditional.
  virtual base::Result<store::ObjectPtr> update(base::Value object) = 0;
  // As PUT on the status subresource: status alone is taken.
  virtual base::Result<store::ObjectPtr> update_status(base::Value object) = 0;
  // JSON merge patch (RFC 7386) on the object (everything but status), or on its status subresource (status alone).
  virtual base::Result<store::ObjectPtr> patch(const store::Key& key, const base::Value& merge_patch) = 0;
  virtual base::Result<store::ObjectPtr> patch_status(const store::Key& key, const base::Value& merge_patch) = 0;

  // Pods with a grace period and objects with finalizers are only marked (deletionTimestamp); the state as it then is
  // comes back.
  virtual base::Result<store::ObjectPtr> remove(const store::Key& key, const DeleteOptions& options = {}) = 0;
};

}  // namespace fairlead::api
