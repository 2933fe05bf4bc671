#include "proxy/config/route_index.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>

namespace fairlead::proxy {

namespace {
constexpr size_t kFew = 16;             // routes up to which trying each is faster than hashing
constexpr size_t kFewRegexes = 4;
}  // namespace

struct RouteIndex::Set {
  explicit Set(const re2::RE2::Options& options) : set(options, re2::RE2::ANCHOR_BOTH) {}
  re2::RE2::Set set;
  List routes;                          // by number in the set
};

RouteIndex::RouteIndex() = default;
RouteIndex::~RouteIndex() = default;

std::shared_ptr<const RouteIndex> RouteIndex::make(const std::vector<Route>& routes) {
  if (routes.size() <= kFew) return nullptr;
  auto out = std::shared_ptr<RouteIndex>(new RouteIndex);
  using Kind = PathMatch::Kind;
  size_t regexes = static_cast<size_t>(std::ranges::count_if(routes, [](const Route& r) { return r.path.kind == Kind::kRegex || r.path.kind == Kind::kTemplate; }));
  if (regexes > kFewRegexes) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    // The automaton is built as paths need it and thrown away when it is full; small ones would be built over and over.
    options.set_max_mem(static_cast<int64_t>(std::min<size_t>(64u << 20, (8u << 20) + regexes * 32 * 1024)));
    out->set_ = std::make_unique<Set>(options);
  }
  for (uint32_t i = 0; i < routes.size(); ++i) {
    const PathMatch& p = routes[i].path;
    if ((p.ignore_case && !p.regex) || p.kind == Kind::kConnect) {
      out->always_.push_back(i);
    } else if (p.kind == Kind::kExact) {
      out->exact_[p.text].push_back(i);
    } else if (p.kind == Kind::kPrefix || p.kind == Kind::kSeparatedPrefix) {
      auto at = std::ranges::lower_bound(out->prefixes_, p.text.size(), {}, [](const auto& e) { return e.first; });
      if (at == out->prefixes_.end() || at->first != p.text.size()) at = out->prefixes_.insert(at, {p.text.size(), {}});
      at->second[p.text].push_back(i);
    } else if (out->set_ && out->set_->set.Add(p.regex->pattern(), nullptr) >= 0) {
      out->set_->routes.push_back(i);
    } else {
      out->always_.push_back(i);
    }
  }
  if (out->set_ && !out->set_->set.Compile()) {
    // Too large for one automaton: each is tried.
    for (uint32_t i : out->set_->routes) out->always_.push_back(i);
    std::ranges::sort(out->always_);
    out->set_.reset();
  }
  return out;
}

void RouteIndex::Found::add(const List& list) {
  std::pair<const uint32_t*, const uint32_t*> range{list.data(), list.data() + list.size()};
  if (range.first == range.second) return;
  if (count < kMost) lists[count++] = range;
  else more.push_back(range);
}

uint32_t RouteIndex::Found::next() {
  std::pair<const uint32_t*, const uint32_t*>* best = nullptr;
  auto look = [&](auto& range) {
    if (range.first != range.second && (!best || *range.first < *best->first)) best = &range;
  };
  for (size_t i = 0; i < count; ++i) look(lists[i]);
  for (auto& range : more) look(range);
  return best ? *best->first++ : kNone;
}

void RouteIndex::collect(std::string_view path, Found& found) const {
  if (auto at = exact_.find(path); at != exact_.end()) found.add(at->second);
  for (const auto& [length, table] : prefixes_) {
    if (length > path.size()) break;
    if (auto at = table.find(path.substr(0, length)); at != table.end()) found.add(at->second);
  }
  found.add(always_);
  if (!set_) return;
  std::vector<int> hits;
  re2::RE2::Set::ErrorInfo error{};
  if (set_->set.Match(re2::StringPiece(path.data(), path.size()), &hits, &error)) {
    for (int hit : hits) found.regexes.push_back(set_->routes[static_cast<size_t>(hit)]);
    std::ranges::sort(found.regexes);
    found.add(found.regexes);
  } else if (error.kind != re2::RE2::Set::kNoError) {
    found.add(set_->routes);  // out of memory: each is tried
  }
}

}  // namespace fairlead::proxy
