#include "store/cached_store.h"

#include <algorithm>

namespace fairlead::store {

using base::Code;
using base::fail;
using base::Value;

struct CachedStore::Watcher {
  std::string resource, ns;
  uint64_t cursor = 0;  // the newest revision it was told of
  std::function<void(const Event&)> callback;
  bool cancelled = false;
};

struct CachedStore::Watchers {
  std::vector<std::shared_ptr<Watcher>> list;
};

class CachedStore::Handle final : public Subscription {
 public:
  Handle(std::weak_ptr<Watchers> watchers, std::shared_ptr<Watcher> watcher)
      : watchers_(std::move(watchers)), watcher_(std::move(watcher)) {}
  ~Handle() override {
    watcher_->cancelled = true;
    if (auto all = watchers_.lock()) std::erase(all->list, watcher_);
  }
  uint64_t position() const override { return watcher_->cursor; }

 private:
  std::weak_ptr<Watchers> watchers_;
  std::shared_ptr<Watcher> watcher_;
};

CachedStore::CachedStore(io::Loop& loop, size_t history_events)
    : loop_(loop), history_events_(history_events), watchers_(std::make_shared<Watchers>()),
      alive_(std::make_shared<bool>(true)) {}

CachedStore::~CachedStore() { *alive_ = false; }

void CachedStore::restore(Key key, Value object) {
  objects_[std::move(key)] = std::make_shared<const Value>(std::move(object));
}

void CachedStore::restore_revision(uint64_t revision) { revision_ = oldest_ = revision; }

base::Result<ObjectPtr> CachedStore::get(const Key& key) const {
  auto it = objects_.find(key);
  if (it == objects_.end()) return fail(Code::kNotFound, "{} \"{}\" not found", key.resource, key.name);
  return it->second;
}

std::vector<ObjectPtr> CachedStore::list(std::string_view resource, std::string_view ns) const {
  std::vector<ObjectPtr> out;
  for (auto it = objects_.lower_bound(Key{std::string(resource), std::string(ns), ""}); it != objects_.end(); ++it) {
    if (it->first.resource != resource || (!ns.empty() && it->first.ns != ns)) break;
    out.push_back(it->second);
  }
  return out;
}

base::Result<ObjectPtr> CachedStore::commit(EventType type, const Key& key, Value object, ObjectPtr previous) {
  uint64_t revision = revision_ + 1;
  object["metadata"].set("resourceVersion", std::to_string(revision));
  auto shared = std::make_shared<const Value>(std::move(object));
  if (auto saved = persist(key, type == EventType::kDeleted ? nullptr : shared.get(), revision); !saved)
    return std::unexpected(saved.error());
  revision_ = revision;
  if (type == EventType::kDeleted)
    objects_.erase(key);
  else
    objects_[key] = shared;
  history_.push_back(Event{type, key, shared, std::move(previous), revision});
  schedule_delivery();
  return shared;
}

base::Result<ObjectPtr> CachedStore::create(const Key& key, Value object) {
  if (objects_.contains(key)) return fail(Code::kAlreadyExists, "{} \"{}\" already exists", key.resource, key.name);
  return commit(EventType::kAdded, key, std::move(object), nullptr);
}

static std::unexpected<base::Error> stale(const Key& key) {
  return fail(Code::kConflict,
              "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your changes to the "
              "latest version and try again",
              key.resource, key.name);
}

base::Result<ObjectPtr> CachedStore::update(const Key& key, Value object, uint64_t expected_revision) {
  auto it = objects_.find(key);
  if (it == objects_.end()) return fail(Code::kNotFound, "{} \"{}\" not found", key.resource, key.name);
  const std::string& stored = (*it->second)["metadata"]["resourceVersion"].as_string();
  if (expected_revision != 0 && stored != std::to_string(expected_revision)) return stale(key);
  object["metadata"].set("resourceVersion", stored);
  if (object == *it->second) return it->second;
  ObjectPtr previous = it->second;
  return commit(EventType::kModified, key, std::move(object), std::move(previous));
}

base::Result<ObjectPtr> CachedStore::remove(const Key& key, uint64_t expected_revision) {
  auto it = objects_.find(key);
  if (it == objects_.end()) return fail(Code::kNotFound, "{} \"{}\" not found", key.resource, key.name);
  ObjectPtr previous = it->second;
  if (expected_revision != 0 && (*previous)["metadata"]["resourceVersion"].as_string() != std::to_string(expected_revision))
    return stale(key);
  const Key copy = key;  // the caller's key may live in the object that goes away
  return commit(EventType::kDeleted, copy, *previous, previous);
}

base::Result<std::unique_ptr<Subscription>> CachedStore::watch(std::string_view resource, std::string_view ns,
                                                               uint64_t from_revision,
                                                               std::function<void(const Event&)> callback) {
  // A revision from the future belongs to a database that is gone: the client has to list again as well.
  if (from_revision != 0 && (from_revision < oldest_ || from_revision > revision_))
    return fail(Code::kExpired, "too old resource version: {} ({})", from_revision, oldest_);
  auto watcher = std::make_shared<Watcher>();
  watcher->resource = resource;
  watcher->ns = ns;
  watcher->cursor = from_revision == 0 ? revision_ : from_revision;
  watcher->callback = std::move(callback);
  watchers_->list.push_back(watcher);
  if (watcher->cursor < revision_) schedule_delivery();
  return std::make_unique<Handle>(watchers_, std::move(watcher));
}

void CachedStore::schedule_delivery() {
  if (delivery_posted_) return;
  delivery_posted_ = true;
  loop_.post([this, alive = alive_] {
    if (*alive) deliver();
  });
}

void CachedStore::deliver() {
  delivery_posted_ = false;
  auto alive = alive_;
  const uint64_t until = revision_;  // what callbacks write is delivered in the next round
  const auto watchers = watchers_->list;  // callbacks may add and cancel
  uint64_t from = until;
  for (const auto& w : watchers) from = std::min(from, w->cursor);
  // By revision, not by iterator: callbacks may append to history_. It is trimmed only below.
  for (uint64_t revision = std::max(from, oldest_) + 1; revision <= until; ++revision) {
    const Event event = history_[revision - oldest_ - 1];
    for (const auto& w : watchers) {
      if (w->cancelled || w->cursor >= revision) continue;
      w->cursor = revision;
      if (w->resource != event.key.resource || (!w->ns.empty() && w->ns != event.key.ns)) continue;
      auto callback = w->callback;  // may cancel itself
      callback(event);
      if (!*alive) return;
    }
  }
  while (history_.size() > history_events_ && history_.front().revision <= until) {
    // A watcher that subscribed inside a callback may still want this one.
    bool wanted = false;
    for (const auto& w : watchers_->list) wanted = wanted || w->cursor < history_.front().revision;
    if (wanted) break;
    oldest_ = history_.front().revision;
    history_.pop_front();
  }
}

}  // namespace fairlead::store
