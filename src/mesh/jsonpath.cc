#include "mesh/jsonpath.h"

#include <string>

#include "base/strings.h"

namespace fairlead::mesh {

std::vector<const base::Value*> json_path(const base::Value& root, std::string_view path) {
  std::vector<const base::Value*> nodes{&root};
  if (path.starts_with('$')) path.remove_prefix(1);
  while (!path.empty() && !nodes.empty()) {
    std::string key;
    bool index = false;
    if (path[0] == '[') {
      size_t close = path.find(']');
      if (close == std::string_view::npos) return {};
      key = std::string(path.substr(1, close - 1));
      path.remove_prefix(close + 1);
      if (key.size() >= 2 && (key[0] == '\'' || key[0] == '"')) {
        key = key.substr(1, key.size() - 2);
      } else {
        index = true;
      }
    } else {
      if (path[0] == '.') path.remove_prefix(1);
      size_t i = 0;
      for (; i < path.size() && path[i] != '.' && path[i] != '['; ++i) {
        if (path[i] == '\\' && i + 1 < path.size()) ++i;
        key += path[i];
      }
      path.remove_prefix(i);
      if (key.empty()) continue;
    }
    std::vector<const base::Value*> next;
    for (const base::Value* node : nodes) {
      if (key == "*") {
        for (const auto& item : node->items()) next.push_back(&item);
        for (const auto& member : node->members()) next.push_back(&member.value);
      } else if (index) {
        auto n = base::to_int(key);
        if (!n) return {};
        long long at = *n < 0 ? *n + static_cast<long long>(node->items().size()) : *n;
        if (at >= 0 && static_cast<size_t>(at) < node->items().size()) next.push_back(&node->items()[static_cast<size_t>(at)]);
      } else if (const base::Value* found = node->find(key)) {
        next.push_back(found);
      }
    }
    nodes = std::move(next);
  }
  return nodes;
}

}  // namespace fairlead::mesh
