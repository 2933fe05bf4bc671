// RouteIndex: candidates among many routes by their path, in the order of the configuration.
//
// Exact paths are found by hashing, prefixes by hashing each length that occurs, regular expressions by one pass of an
// RE2::Set over all of them; every other kind (CONNECT, without regard to case) is always a candidate. What is found is
// only a candidate: the caller still asks the route itself. Immutable; any thread.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "proxy/config/model.h"

namespace re2 {
class RE2;
}

namespace fairlead::proxy {

class RouteIndex {
 public:
  // nullptr when trying one by one is as fast: for few routes.
  static std::shared_ptr<const RouteIndex> make(const std::vector<Route>& routes);
  ~RouteIndex();

  // The first route that `accept` takes, in their order, of those whose path may match. accept(route) -> bool.
  template <class Accept>
  const Route* find(const std::vector<Route>& routes, std::string_view path, Accept accept) const {
    Found found;
    collect(path, found);
    for (uint32_t i = found.next(); i != kNone; i = found.next())
      if (accept(routes[i])) return &routes[i];
    return nullptr;
  }

 private:
  static constexpr uint32_t kNone = ~0u;
  using List = std::vector<uint32_t>;
  // Merges sorted lists of candidates; few, so that looking at all heads is the fastest.
  struct Found {
    static constexpr size_t kMost = 24;
    std::pair<const uint32_t*, const uint32_t*> lists[kMost];
    size_t count = 0;
    std::vector<uint32_t> regexes;               // of the set, sorted
    std::vector<std::pair<const uint32_t*, const uint32_t*>> more;
    void add(const List& list);
    uint32_t next();
  };
  RouteIndex();
  void collect(std::string_view path, Found& found) const;

  StringMap<List> exact_;
  std::vector<std::pair<size_t, StringMap<List>>> prefixes_;  // by length, shortest first
  List always_;
  struct Set;
  std::unique_ptr<Set> set_;
};

}  // namespace fairlead::proxy
