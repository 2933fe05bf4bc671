// CachedStore: the objects in memory, their revisions, the history that watches replay, and the watchers.
//
// The common half of MemoryStore and SqliteStore: reads never leave memory; a write is first made durable by persist()
// and only then becomes visible. Owner: whoever made it, on the loop that it was given.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "io/loop.h"
#include "store/store.h"

namespace fairlead::store {

class CachedStore : public Store {
 public:
  // Events kept for watches that start in the past. A client that comes back later than that lists again (410). Each
  // holds an object of some kilobytes, so this is memory as well: bookmarks keep idle clients within it.
  static constexpr size_t kHistoryEvents = 1024;

  explicit CachedStore(io::Loop& loop, size_t history_events = kHistoryEvents);
  ~CachedStore() override;
  CachedStore(const CachedStore&) = delete;
  CachedStore& operator=(const CachedStore&) = delete;

  uint64_t revision() const override { return revision_; }
  uint64_t oldest_revision() const override { return oldest_; }
  base::Result<ObjectPtr> get(const Key& key) const override;
  std::vector<ObjectPtr> list(std::string_view resource, std::string_view ns) const override;
  base::Result<ObjectPtr> create(const Key& key, base::Value object) override;
  base::Result<ObjectPtr> update(const Key& key, base::Value object, uint64_t expected_revision) override;
  base::Result<ObjectPtr> remove(const Key& key, uint64_t expected_revision) override;
  base::Result<std::unique_ptr<Subscription>> watch(std::string_view resource, std::string_view ns, uint64_t from_revision,
                                                    std::function<void(const Event&)> callback) override;

 protected:
  // Makes one write durable: `object` nullptr is a removal. An error leaves everything as it was.
  virtual base::Status persist(const Key& key, const base::Value* object, uint64_t revision) = 0;
  // For loading at start: no event, no persist().
  void restore(Key key, base::Value object);
  void restore_revision(uint64_t revision);

 private:
  struct Watcher;
  struct Watchers;
  class Handle;

  base::Result<ObjectPtr> commit(EventType type, const Key& key, base::Value object, ObjectPtr previous);
  void schedule_delivery();
  void deliver();

  io::Loop& loop_;
  const size_t history_events_;
  std::map<Key, ObjectPtr> objects_;
  uint64_t revision_ = 0;
  uint64_t oldest_ = 0;               // the revision before the first event of history_
  std::deque<Event> history_;         // ascending revisions, without gaps since oldest_
  std::shared_ptr<Watchers> watchers_;
  bool delivery_posted_ = false;
  std::shared_ptr<bool> alive_;       // false once destroyed: posted deliveries look at it
};

}  // namespace fairlead::store
