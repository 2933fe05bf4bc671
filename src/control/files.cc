#include "control/files.h"

#include <dirent.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace fairlead::control {

base::Result<std::vector<base::Value>> read_folder(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (!dir) return base::fail_errno("open folder " + path);
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json")) names.push_back(name);
  }
  ::closedir(dir);
  std::ranges::sort(names);
  std::vector<base::Value> objects;
  for (const auto& name : names) {
    std::ifstream in(path + "/" + name, std::ios::binary);
    if (!in) return base::fail_errno("open file " + path + "/" + name);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    auto documents = base::parse_yaml(text, name);
    if (!documents) return std::unexpected(documents.error());
    std::ranges::move(*documents, std::back_inserter(objects));
  }
  return objects;
}

}  // namespace fairlead::control
