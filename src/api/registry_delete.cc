// Deletion: grace, finalizers, propagation to dependents, and namespaces that empty themselves.
#include <fmt/core.h>

#include <algorithm>

#include "api/ids.h"
#include "api/registry.h"
#include "base/log.h"

namespace fairlead::api {

using base::Value;
using mesh::Kind;
using store::Key;
using store::ObjectPtr;

static constexpr std::string_view kForeground = "foregroundDeletion";

static bool is_namespace(const Kind& kind) { return kind.group.empty() && kind.kind == "Namespace"; }
static bool is_pod(const Kind& kind) { return kind.group.empty() && kind.kind == "Pod"; }

// How long a pod may take to end; 0 when nothing of it runs.
static int64_t pod_grace(const Value& pod, const std::optional<int64_t>& asked) {
  const std::string& phase = pod["status"]["phase"].as_string();
  if (pod["spec"]["nodeName"].as_string().empty() || phase == "Succeeded" || phase == "Failed") return 0;
  int64_t grace = asked ? *asked : pod["spec"]["terminationGracePeriodSeconds"].as_int(30);
  return grace < 0 ? 1 : grace;
}

Outcome<Deleted> Registry::remove(const Kind& kind, const Key& key, const DeleteOptions& options) {
  auto found = store_.get(key);
  if (!found) return refuse(not_found(kind, key.name));
  const Value& meta = (**found)["metadata"];
  if (!options.uid.empty() && options.uid != meta["uid"].as_string())
    return refuse(conflict(kind, key.name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", options.uid, meta["uid"].as_string())));
  if (!options.resource_version.empty() && options.resource_version != meta["resourceVersion"].as_string())
    return refuse(conflict(kind, key.name, fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}",
                                                       options.resource_version, meta["resourceVersion"].as_string())));
  if (is_namespace(kind) && (key.name == "default" || key.name == "kube-system" || key.name == "kube-public"))
    return refuse(forbidden(kind, key.name, "this namespace may not be deleted"));

  const bool was_deleting = meta.contains("deletionTimestamp");
  int64_t grace = is_pod(kind) ? pod_grace(**found, options.grace_seconds) : 0;
  Value next = **found;
  Value& marks = next["metadata"];
  Value finalizers = meta["finalizers"].is_array() ? meta["finalizers"] : Value::array();
  auto has = [&](std::string_view wanted) {
    return std::any_of(finalizers.items().begin(), finalizers.items().end(), [&](const Value& f) { return f.as_string() == wanted; });
  };
  if (options.propagation == Propagation::kOrphan) {
    if (!options.dry_run)
      if (auto done = release_dependents(**found); !done) return std::unexpected(done.error());
  } else if (options.propagation == Propagation::kForeground && !has(kForeground) &&
             !dependents(meta["uid"].as_string(), key.ns).empty()) {
    finalizers.push(kForeground);
  }
  if (!finalizers.empty()) marks.set("finalizers", finalizers);

  if (was_deleting) {
    const int64_t left = meta["deletionGracePeriodSeconds"].as_int();
    if (grace >= left && grace != 0 && finalizers == meta["finalizers"]) return Deleted{*found, false};
    grace = std::min(grace, left);
  }
  const bool waits = grace > 0 || !finalizers.empty() || is_namespace(kind);
  if (!waits) return erase(kind, key, options.dry_run);

  if (!was_deleting || grace < meta["deletionGracePeriodSeconds"].as_int()) {
    marks.set("deletionTimestamp", base::format_rfc3339(std::chrono::system_clock::now() + std::chrono::seconds(grace)));
    marks.set("deletionGracePeriodSeconds", grace);
    if (marks.contains("generation") && !was_deleting) marks.set("generation", meta["generation"].as_int() + 1);
    if (is_namespace(kind)) {
      marks.erase("deletionGracePeriodSeconds");
      next["status"].set("phase", "Terminating");  // last: `marks` may move
    }
  }
  if (options.dry_run) return Deleted{std::make_shared<const Value>(std::move(next)), false};
  auto stored = store_.update(key, std::move(next), 0);
  if (!stored) return refuse(from_store(stored.error(), kind, key.name));
  if (is_namespace(kind)) schedule_emptying(key.name);
  const Value& left = (**stored)["metadata"]["finalizers"];
  if (std::any_of(left.items().begin(), left.items().end(), [](const Value& f) { return f.as_string() == kForeground; })) {
    for (const auto& [child_kind, child] : dependents(meta["uid"].as_string(), key.ns)) {
      DeleteOptions cascade;
      cascade.propagation = Propagation::kForeground;
      if (!(*child)["metadata"].contains("deletionTimestamp"))
        (void)remove(*child_kind, key_of(*child_kind, (*child)["metadata"]["namespace"].as_string(), (*child)["metadata"]["name"].as_string()), cascade);
    }
    settle_foreground(kind, key);
  }
  return Deleted{*stored, false};
}

Outcome<Deleted> Registry::erase(const Kind& kind, const Key& key, bool dry_run) {
  if (dry_run) {
    auto found = store_.get(key);
    if (!found) return refuse(not_found(kind, key.name));
    return Deleted{*found, true};
  }
  const Key copy = key;
  auto removed = store_.remove(copy, 0);
  if (!removed) return refuse(from_store(removed.error(), kind, copy.name));
  after_erase(kind, **removed);
  return Deleted{*removed, true};
}

void Registry::after_erase(const Kind& kind, const Value& object) {
  const std::string& name = object["metadata"]["name"].as_string();
  const std::string& ns = object["metadata"]["namespace"].as_string();
  if (kind.resource() == kCrdResource) {
    // The objects of a kind go with its definition.
    for (const auto& orphan : store_.list(name)) {
      Key key{name, (*orphan)["metadata"]["namespace"].as_string(), (*orphan)["metadata"]["name"].as_string()};
      (void)store_.remove(key, 0);
    }
    kinds_.undefine(name);
  }
  // Not from inside the deletion: a long chain must not recurse, and the client gets its answer first.
  loop_.post([this, alive = alive_, owner = object] {
    if (*alive) collect_dependents(owner);
  });
  if (!ns.empty()) {
    auto space = store_.get({"namespaces", "", ns});
    if (space && (**space)["metadata"].contains("deletionTimestamp")) schedule_emptying(ns);
  }
}

std::vector<std::pair<const Kind*, ObjectPtr>> Registry::dependents(std::string_view uid, std::string_view ns) const {
  std::vector<std::pair<const Kind*, ObjectPtr>> out;
  for (const Kind* kind : kinds_.all()) {
    if (!ns.empty() && !kind->namespaced) continue;  // an owner in a namespace owns nothing outside of it
    for (const auto& object : store_.list(kind->resource(), ns)) {
      const Value& owners = (*object)["metadata"]["ownerReferences"];
      if (std::any_of(owners.items().begin(), owners.items().end(), [&](const Value& o) { return o["uid"].as_string() == uid; }))
        out.emplace_back(kind, object);
    }
  }
  return out;
}

bool Registry::owner_alive(const Value& reference, std::string_view ns) const {
  const Kind* kind = kinds_.find_by_name(reference["apiVersion"].as_string(), reference["kind"].as_string());
  if (!kind) return false;
  auto owner = store_.get(key_of(*kind, ns, reference["name"].as_string()));
  return owner && (**owner)["metadata"]["uid"] == reference["uid"];
}

void Registry::collect_dependents(const Value& owner) {
  const std::string& uid = owner["metadata"]["uid"].as_string();
  const std::string& ns = owner["metadata"]["namespace"].as_string();
  for (const auto& [kind, object] : dependents(uid, ns)) {
    const Value& meta = (*object)["metadata"];
    const Key key = key_of(*kind, meta["namespace"].as_string(), meta["name"].as_string());
    const auto& owners = meta["ownerReferences"].items();
    if (std::none_of(owners.begin(), owners.end(), [&](const Value& o) { return owner_alive(o, key.ns); })) {
      if (!meta.contains("deletionTimestamp")) (void)remove(*kind, key, DeleteOptions{});
      continue;
    }
    Value next = *object;  // another owner holds it: only the reference goes
    std::erase_if(next["metadata"]["ownerReferences"].mutable_items(), [&](const Value& o) { return o["uid"].as_string() == uid; });
    (void)store_.update(key, std::move(next), 0);
  }
  // An owner that waits for its dependents (foreground deletion) may be done now.
  for (const Value& reference : owner["metadata"]["ownerReferences"].items()) {
    const Kind* kind = kinds_.find_by_name(reference["apiVersion"].as_string(), reference["kind"].as_string());
    if (kind) settle_foreground(*kind, key_of(*kind, ns, reference["name"].as_string()));
  }
}

void Registry::collect_orphans() {
  std::vector<std::pair<const Kind*, Key>> gone;
  for (const Kind* kind : kinds_.all())
    for (const auto& object : store_.list(kind->resource())) {
      const Value& meta = (*object)["metadata"];
      const auto& owners = meta["ownerReferences"].items();
      const Key key = key_of(*kind, meta["namespace"].as_string(), meta["name"].as_string());
      if (!owners.empty() && std::none_of(owners.begin(), owners.end(), [&](const Value& o) { return owner_alive(o, key.ns); }))
        gone.emplace_back(kind, key);
      settle_foreground(*kind, key);
    }
  for (const auto& [kind, key] : gone) (void)remove(*kind, key, DeleteOptions{});
}

Outcome<void> Registry::release_dependents(const Value& owner) {
  const std::string& uid = owner["metadata"]["uid"].as_string();
  for (const auto& [kind, object] : dependents(uid, owner["metadata"]["namespace"].as_string())) {
    Value next = *object;
    Value& meta = next["metadata"];
    std::erase_if(meta["ownerReferences"].mutable_items(), [&](const Value& o) { return o["uid"].as_string() == uid; });
    if (meta["ownerReferences"].empty()) meta.erase("ownerReferences");
    const Key key = key_of(*kind, meta["namespace"].as_string(), meta["name"].as_string());
    if (auto stored = store_.update(key, std::move(next), 0); !stored) return refuse(from_store(stored.error(), *kind, key.name));
  }
  return {};
}

void Registry::settle_foreground(const Kind& kind, const Key& key) {
  auto found = store_.get(key);
  if (!found) return;
  const Value& meta = (**found)["metadata"];
  if (!meta.contains("deletionTimestamp")) return;
  const auto& finalizers = meta["finalizers"].items();
  if (std::none_of(finalizers.begin(), finalizers.end(), [](const Value& f) { return f.as_string() == kForeground; })) return;
  for (const auto& [child_kind, child] : dependents(meta["uid"].as_string(), key.ns)) {
    const auto& owners = (*child)["metadata"]["ownerReferences"].items();
    if (std::any_of(owners.begin(), owners.end(), [&](const Value& o) {
          return o["uid"] == meta["uid"] && o["blockOwnerDeletion"].as_bool();
        }))
      return;
  }
  Value next = **found;
  Value& marks = next["metadata"];
  std::erase_if(marks["finalizers"].mutable_items(), [](const Value& f) { return f.as_string() == kForeground; });
  const bool last = marks["finalizers"].empty();
  if (last) marks.erase("finalizers");
  if (!store_.update(key, std::move(next), 0)) return;
  if (last && meta["deletionGracePeriodSeconds"].as_int() == 0) (void)erase(kind, key, false);
}

void Registry::schedule_emptying(const std::string& ns) {
  if (!emptying_.insert(ns).second) return;
  loop_.post([this, alive = alive_, ns] {
    if (!*alive) return;
    emptying_.erase(ns);
    empty_namespace(ns);
  });
}

void Registry::empty_namespace(const std::string& ns) {
  auto space = store_.get({"namespaces", "", ns});
  if (!space || !(**space)["metadata"].contains("deletionTimestamp")) return;
  bool left = false;
  // Workloads before what they use, so that pods still find their ConfigMaps while they end: two passes, pods' owners
  // and pods first; the rest once no pod is left.
  auto pass = [&](auto wanted) {
    for (const Kind* kind : kinds_.all()) {
      if (!kind->namespaced || !wanted(*kind)) continue;
      for (const auto& object : store_.list(kind->resource(), ns)) {
        const Value& meta = (*object)["metadata"];
        if (!meta.contains("deletionTimestamp")) (void)remove(*kind, key_of(*kind, ns, meta["name"].as_string()), DeleteOptions{});
      }
      left = left || !store_.list(kind->resource(), ns).empty();
    }
  };
  pass([](const Kind& k) { return k.group == "apps"; });
  pass([](const Kind& k) { return is_pod(k); });
  if (left) return;  // after_erase() comes back here with each one that goes
  pass([](const Kind& k) { return k.group != "apps" && !is_pod(k); });
  if (left) return;
  if (!(**space)["metadata"]["finalizers"].empty()) return;
  const Kind* kind = kinds_.find("", "v1", "namespaces");
  if (kind) (void)erase(*kind, {"namespaces", "", ns}, false);
}

}  // namespace fairlead::api
