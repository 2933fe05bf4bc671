#include "proxy/headers.h"

#include <algorithm>
#include <string>

namespace fairlead::proxy {

void Arena::grow(size_t bytes) {
  size_t size = chunks_.empty() ? kChunkBytes : std::max(bytes, 2 * kChunkBytes);
  if (chunks_.empty() && bytes > kChunkBytes) chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes)), size = bytes;
  chunks_.push_back(std::make_unique_for_overwrite<char[]>(size));
  next_ = chunks_.back().get();
  left_ = size;
}

bool HeaderMap::get_all(std::string_view name, std::string_view& value, std::string& scratch) const {
  const Field* first = find(name);
  if (!first) return false;
  value = first->value;
  bool joined = false;
  for (const Field* f = first + 1; f != fields_.data() + fields_.size(); ++f) {
    if (f->name != name) continue;
    if (!joined) scratch.assign(value), joined = true;
    scratch += ',';
    scratch += f->value;
  }
  if (joined) value = scratch;
  return true;
}

void HeaderMap::set(std::string_view name, std::string_view value) {
  std::string_view stored = store(value);
  bool done = false;
  std::erase_if(fields_, [&](Field& f) {
    if (f.name != name) return false;
    if (done) return true;
    f.value = stored;
    done = true;
    return false;
  });
  if (!done) add_view(name, stored);
}

void HeaderMap::set_copy(std::string_view name, std::string_view value) {
  if (has(name))
    set(name, value);
  else
    add_copy(name, value);
}

size_t HeaderMap::remove(std::string_view name) {
  return std::erase_if(fields_, [&](const Field& f) { return f.name == name; });
}

}  // namespace fairlead::proxy
