#include "api/kind_table.h"

#include "api/custom_kind.h"
#include "base/strings.h"

namespace fairlead::api {

KindTable::KindTable(store::Store& store) : store_(store) {
  for (const auto& crd : store.list(kCrdResource)) define(*crd);
}

KindTable::~KindTable() = default;

bool KindTable::served(const mesh::Kind& kind) const {
  return !kind.istio || store_.get({std::string(kCrdResource), "", std::string(kind.resource())}).has_value();
}

const mesh::Kind* KindTable::find(std::string_view group, std::string_view version, std::string_view plural) const {
  if (const mesh::Kind* kind = mesh::find_kind(group, version, plural)) return served(*kind) ? kind : nullptr;
  for (const auto& [name, custom] : custom_)
    if (custom->kind.group == group && custom->kind.plural == plural && custom->kind.serves(version)) return &custom->kind;
  return nullptr;
}

const mesh::Kind* KindTable::find_by_name(std::string_view api_version, std::string_view kind_name) const {
  if (const mesh::Kind* kind = mesh::find_kind_by_name(api_version, kind_name)) return served(*kind) ? kind : nullptr;
  const size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return nullptr;
  for (const auto& [name, custom] : custom_)
    if (custom->kind.kind == kind_name && custom->kind.group == api_version.substr(0, slash) &&
        custom->kind.serves(api_version.substr(slash + 1)))
      return &custom->kind;
  return nullptr;
}

const mesh::Kind* KindTable::find_by_resource(std::string_view resource) const {
  if (const mesh::Kind* kind = mesh::find_kind_by_resource(resource)) return served(*kind) ? kind : nullptr;
  auto it = custom_.find(resource);
  return it == custom_.end() ? nullptr : &it->second->kind;
}

std::vector<const mesh::Kind*> KindTable::all() const {
  std::vector<const mesh::Kind*> out;
  for (const mesh::Kind& kind : mesh::all_kinds())
    if (served(kind)) out.push_back(&kind);
  for (const auto& [name, custom] : custom_) out.push_back(&custom->kind);
  return out;
}

bool KindTable::is_custom(const mesh::Kind& kind) const {
  return kind.istio || mesh::find_kind_by_resource(kind.resource()) == nullptr;
}

void KindTable::define(const base::Value& crd) {
  const std::string& name = crd["metadata"]["name"].as_string();
  ++generation_;
  if (mesh::find_kind_by_resource(name)) return;  // ours, described by the tables
  auto made = make_custom_kind(crd);
  if (!made) return;
  if (auto it = custom_.find(name); it != custom_.end() && it->second->schema == made->schema) {
    // A change of status or labels must not pile up descriptions.
    const auto& old = it->second->kind;
    if (old.versions.size() == made->kind.versions.size() && old.columns.size() == made->kind.columns.size() &&
        old.short_names.size() == made->kind.short_names.size() && old.has_status == made->kind.has_status && it->second->scale == made->scale)
      return;
  }
  custom_[name] = made.get();
  made_.push_back(std::move(made));
}

void KindTable::undefine(std::string_view crd_name) {
  ++generation_;
  if (auto it = custom_.find(crd_name); it != custom_.end()) custom_.erase(it);
}

KindTable::ScalePaths KindTable::scale_paths(const mesh::Kind& kind) const {
  auto it = custom_.find(kind.resource());
  return it == custom_.end() || &it->second->kind != &kind ? ScalePaths{} : it->second->scale;
}

const base::Value* KindTable::custom_schema(const mesh::Kind& kind) const {
  auto it = custom_.find(kind.resource());
  return it == custom_.end() || &it->second->kind != &kind ? nullptr : &it->second->schema;
}

}  // namespace fairlead::api
