// Discovery: which groups, versions, resources and subresources there are, in the old form (/api, /apis, APIResourceList)
// and the aggregated one (apidiscovery.k8s.io v2), and the OpenAPI documents. Loop thread only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/kind_table.h"
#include "base/value.h"

namespace fairlead::api {

class Discovery {
 public:
  explicit Discovery(const KindTable& kinds) : kinds_(kinds) {}

  // The body for /api, /apis, /api/v1, /apis/GROUP, /apis/GROUP/VERSION; nothing when there is none.
  std::optional<base::Value> document(std::string_view path) const;
  // The body for /api (core) or /apis in the aggregated form; version "v2" or "v2beta1".
  base::Value aggregated(bool core, std::string_view version) const;

  // /openapi/v3, /openapi/v3/..., /openapi/v2 as JSON text; nothing when there is none. Made on first use.
  std::optional<std::string> openapi(std::string_view path);

 private:
  struct Resource {
    const mesh::Kind* kind;     // nullptr for those without storage (reviews)
    std::string name, singular, kind_name;
    bool namespaced;
    std::vector<std::string> verbs, short_names, categories;
    struct Sub {
      std::string name, group, version, kind;
      std::vector<std::string> verbs;
    };
    std::vector<Sub> subresources;
  };
  struct Version {
    std::string name;
    std::vector<Resource> resources;
  };
  struct Group {
    std::string name;
    std::vector<Version> versions;  // the preferred one first
  };
  std::vector<Group> groups() const;
  base::Value group_document(const Group& group) const;
  base::Value resource_list(const Group& group, const Version& version) const;

  const KindTable& kinds_;
  uint64_t openapi_generation_ = 0;
  std::map<std::string, std::string, std::less<>> openapi_cache_;
};

}  // namespace fairlead::api
