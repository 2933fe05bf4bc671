// KindTable: the kinds served right now: the built-in ones, Istio's as long as their CustomResourceDefinition is there,
// and those of the user's own definitions. Loop thread only. Owner: ApiServer.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/kinds.h"
#include "store/store.h"

namespace fairlead::api {

inline constexpr std::string_view kCrdResource = "customresourcedefinitions.apiextensions.k8s.io";

struct CustomKind;

class KindTable {
 public:
  explicit KindTable(store::Store& store);
  ~KindTable();

  // nullptr when there is none (any more).
  const mesh::Kind* find(std::string_view group, std::string_view version, std::string_view plural) const;
  const mesh::Kind* find_by_name(std::string_view api_version, std::string_view kind) const;
  const mesh::Kind* find_by_resource(std::string_view store_resource) const;
  std::vector<const mesh::Kind*> all() const;
  // Goes up whenever the answer of all() changes.
  uint64_t generation() const { return generation_; }
  // Kinds of a definition: shape problems are 422, resourceVersion is required on PUT, no strategic merge patch.
  bool is_custom(const mesh::Kind& kind) const;

  // A definition was stored, changed or removed.
  void define(const base::Value& crd);
  void undefine(std::string_view crd_name);

  // Where a kind with the subresource /scale keeps what it shows: JSON paths such as ".spec.replicas"; `selector` may be empty.
  struct ScalePaths {
    std::string spec = ".spec.replicas", status = ".status.replicas", selector;
    bool operator==(const ScalePaths&) const = default;
  };
  ScalePaths scale_paths(const mesh::Kind& kind) const;

  // The OpenAPI v3 schema that a custom kind was defined with, for the OpenAPI document; nullptr for others.
  const base::Value* custom_schema(const mesh::Kind& kind) const;

 private:
  bool served(const mesh::Kind& kind) const;
  store::Store& store_;
  std::map<std::string, CustomKind*, std::less<>> custom_;  // by CRD name
  // Every description ever made: requests in flight and watches keep pointers to them.
  std::deque<std::unique_ptr<CustomKind>> made_;
  uint64_t generation_ = 1;
};

}  // namespace fairlead::api
