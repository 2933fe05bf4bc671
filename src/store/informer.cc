#include "store/informer.h"

namespace fairlead::store {
namespace {

constexpr size_t kMaxEventBytes = 16u << 20;

InformerCore::ObjectKey key_of(const base::Value& object) {
  const auto& metadata = object["metadata"];
  return {metadata["namespace"].as_string(), metadata["name"].as_string()};
}

}  // namespace

void InformerCore::put(ObjectPtr object, std::vector<Change>& changes) {
  auto [it, added] = objects_.try_emplace(key_of(*object));
  if (!added && (*it->second)["metadata"]["resourceVersion"] == (*object)["metadata"]["resourceVersion"]) return;
  it->second = object;
  changes.push_back({added ? EventType::kAdded : EventType::kModified, std::move(object)});
}

std::vector<InformerCore::Change> InformerCore::page(base::Value list, bool last) {
  std::vector<Change> changes;
  for (auto& item : list["items"].mutable_items()) {
    if (!item.contains("kind")) item.set("kind", kind_);
    if (!item.contains("apiVersion")) item.set("apiVersion", api_version_);
    listed_.insert(key_of(item));
    put(std::make_shared<const base::Value>(std::move(item)), changes);
  }
  if (!last) return changes;
  for (auto it = objects_.begin(); it != objects_.end();) {
    if (listed_.contains(it->first)) {
      ++it;
      continue;
    }
    changes.push_back({EventType::kDeleted, it->second});
    it = objects_.erase(it);
  }
  listed_.clear();
  version_ = list["metadata"]["resourceVersion"].as_string();
  return changes;
}

base::Status InformerCore::feed(std::string_view bytes, std::vector<Change>& changes) {
  buffer_ += bytes;
  size_t begin = 0;
  for (size_t end; (end = buffer_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (end == begin) continue;
    if (auto done = line(std::string_view(buffer_).substr(begin, end - begin), changes); !done) return done;
  }
  buffer_.erase(0, begin);
  if (buffer_.size() > kMaxEventBytes)
    return base::fail(base::Code::kUnavailable, "a watch event is larger than {} bytes", kMaxEventBytes);
  return {};
}

base::Status InformerCore::line(std::string_view text, std::vector<Change>& changes) {
  auto event = base::parse_json(text);
  if (!event) return base::fail(base::Code::kUnavailable, "a watch event is not JSON: {}", event.error().text());
  const std::string type = (*event)["type"].as_string();
  base::Value& object = (*event)["object"];
  if (type == "ERROR") {
    bool gone = object["code"].as_int() == 410;
    return base::fail(gone ? base::Code::kExpired : base::Code::kUnavailable, "{}", object["message"].string_or("watch failed"));
  }
  std::string version = object["metadata"]["resourceVersion"].as_string();
  if (type == "ADDED" || type == "MODIFIED") {
    put(std::make_shared<const base::Value>(std::move(object)), changes);
  } else if (type == "DELETED") {
    if (objects_.erase(key_of(object)) != 0)
      changes.push_back({EventType::kDeleted, std::make_shared<const base::Value>(std::move(object))});
  } else if (type != "BOOKMARK") {
    return base::fail(base::Code::kUnavailable, "unknown watch event type \"{}\"", type);
  }
  if (!version.empty()) version_ = std::move(version);
  return {};
}

}  // namespace fairlead::store
