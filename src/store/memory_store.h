// MemoryStore: a store that lasts as long as the process; for tests and throw-away meshes. One loop.
#pragma once

#include "store/cached_store.h"

namespace fairlead::store {

class MemoryStore final : public CachedStore {
 public:
  using CachedStore::CachedStore;

 private:
  base::Status persist(const Key&, const base::Value*, uint64_t) override { return {}; }
};

}  // namespace fairlead::store
