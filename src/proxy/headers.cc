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

void append_name(std::string& out, std::string_view name, const SentNames& sent, bool proper) {
  for (const auto& [lower, as_sent] : sent)
    if (lower == name) return void(out.append(as_sent));
  if (!proper) return void(out.append(name));
  bool first = true;
  for (char c : name) {
    out += first && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    first = c == '-';
  }
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

void HeaderMap::set(std::string_view name, std::string_view value) { set_view(name, store(value)); }

void HeaderMap::set_view(std::string_view name, std::string_view stored) {
  size_t i = 0, n = fields_.size();
  while (i < n && fields_[i].name != name) ++i;
  if (i == n) return add_view(name, stored);
  fields_[i].value = stored;
  size_t kept = i + 1;
  for (size_t j = kept; j < n; ++j)
    if (fields_[j].name != name) fields_[kept++] = fields_[j];
  fields_.resize(kept);
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
