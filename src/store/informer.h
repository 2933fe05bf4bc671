// InformerCore: what an informer knows and makes of a watch stream, without the network. Internal to store/.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "store/store.h"

namespace fairlead::store {

class InformerCore {
 public:
  using ObjectKey = std::pair<std::string, std::string>;
  struct Change {
    EventType type;
    ObjectPtr object;
  };

  // api_version and kind are put into listed items, which come without.
  InformerCore(std::string api_version, std::string kind) : api_version_(std::move(api_version)), kind_(std::move(kind)) {}

  // One page of a list; the last one ends the list: what was known and not listed is gone.
  std::vector<Change> page(base::Value list, bool last);
  void restart_list() { listed_.clear(); }

  // A piece of a watch's body. Whole lines become changes; Expired on an ERROR event with code 410, Unavailable on any
  // other ERROR event or on bytes that are no event.
  base::Status feed(std::string_view bytes, std::vector<Change>& changes);
  void reset_stream() { buffer_.clear(); }

  const std::string& version() const { return version_; }
  const std::map<ObjectKey, ObjectPtr>& objects() const { return objects_; }

 private:
  void put(ObjectPtr object, std::vector<Change>& changes);
  base::Status line(std::string_view text, std::vector<Change>& changes);

  std::string api_version_, kind_;
  std::string version_;  // resourceVersion to watch from
  std::string buffer_;
  std::map<ObjectKey, ObjectPtr> objects_;
  std::set<ObjectKey> listed_;
};

}  // namespace fairlead::store
