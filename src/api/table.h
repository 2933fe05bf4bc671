// Tables: the server-side printing behind `kubectl get` (meta.k8s.io Table). Pure functions, any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/value.h"
#include "mesh/kinds.h"
#include "store/store.h"

namespace fairlead::api {

struct TableOptions {
  std::string version = "v1";    // meta.k8s.io/v1 or v1beta1
  std::string include;           // includeObject: None, Metadata (the default) or Object
  bool columns = true;           // false: rows only, for all but the first event of a watch
  std::string continue_token;
  int64_t remaining = -1;        // remainingItemCount when not negative
};

std::string table_text(const mesh::Kind& kind, std::string_view version, std::span<const base::Value> objects,
                       std::string_view resource_version, const TableOptions& options);
std::string table_text(const mesh::Kind& kind, std::string_view version, std::span<const store::ObjectPtr> objects,
                       std::string_view resource_version, const TableOptions& options);

}  // namespace fairlead::api
