// Store: where resources live. Objects are whole JSON documents as the API serves them; the store gives each write the
// next revision (metadata.resourceVersion), keeps a bounded history for watches, and tells watchers.
//
// Thread: the loop that owns it. A write that returned without an error survives kill -9 of the process.
// Source of the semantics: Kubernetes API conventions (resourceVersion, optimistic concurrency, watch, 410 Gone).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::store {

// Identifies one object. `resource` is "plural" for the core group, else "plural.group" ("virtualservices.networking.istio.io").
struct Key {
  std::string resource;
  std::string ns;    // "" for cluster-scoped
  std::string name;
  auto operator<=>(const Key&) const = default;
};

using ObjectPtr = std::shared_ptr<const base::Value>;  // immutable, shared with watchers

enum class EventType : unsigned char { kAdded, kModified, kDeleted };
struct Event {
  EventType type;
  Key key;
  ObjectPtr object;      // for kDeleted: the last state, with the revision of the deletion
  ObjectPtr previous;    // nullptr for kAdded
  uint64_t revision = 0;
};

// Cancels on destruction.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // Everything up to this revision was delivered, or was not for this watch: where a new watch may take over.
  virtual uint64_t position() const = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual uint64_t revision() const = 0;          // of the newest write
  virtual uint64_t oldest_revision() const = 0;   // watches from before this are Expired (410)

  virtual base::Result<ObjectPtr> get(const Key& key) const = 0;  // NotFound
  // In order of namespace, name. ns "" lists all namespaces.
  virtual std::vector<ObjectPtr> list(std::string_view resource, std::string_view ns = "") const = 0;

  // Sets metadata.resourceVersion (a decimal revision) in what it stores and returns.
  virtual base::Result<ObjectPtr> create(const Key& key, base::Value object) = 0;  // AlreadyExists
  // expected_revision 0: unconditional; else Conflict when the stored one differs. An update that changes nothing but
  // resourceVersion writes nothing and returns the stored object.
  virtual base::Result<ObjectPtr> update(const Key& key, base::Value object, uint64_t expected_revision) = 0;
  virtual base::Result<ObjectPtr> remove(const Key& key, uint64_t expected_revision = 0) = 0;

  // Events after `from_revision` (0: from now on; any other: history is replayed first), in order, one call each on the
  // loop's thread, never inside this call or inside a write. Expired when history no longer reaches back.
  virtual base::Result<std::unique_ptr<Subscription>> watch(std::string_view resource, std::string_view ns, uint64_t from_revision,
                                                            std::function<void(const Event&)> callback) = 0;
};

}  // namespace fairlead::store
