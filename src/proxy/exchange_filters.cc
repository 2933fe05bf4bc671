// The chain of HTTP filters around an exchange, and what filters may ask of it (filters/filter.h).
#include "proxy/exchange.h"

namespace fairlead::proxy {

void Exchange::resume_filters() {
  while (filter_ < config_->request_filters.size()) {
    const Filter& filter = *config_->request_filters[filter_++];
    if (filter_off(filter)) continue;
    if (filter.on_request(*this) == Filter::Next::kStop) return;
  }
  after_filters();
}

void Exchange::run_response_filters(bool end) {
  for (const Filter* filter : config_->response_filters)
    if (!filter_off(*filter)) filter->on_response(*this, end);
}

const PerFilter::Entry* Exchange::filter_entry(const Filter& filter) const {
  if (!route_) return nullptr;
  if (route_cluster_ && !route_cluster_->filters.entries.empty())
    if (const auto* e = route_cluster_->filters.find(filter.name())) return e;
  for (const PerFilter* level : {&route_->filters, &host_config_->filters, &table_->filters})
    if (!level->entries.empty())
      if (const auto* e = level->find(filter.name())) return e;
  return nullptr;
}

bool Exchange::filter_off(const Filter& filter) const {
  const auto* entry = filter_entry(filter);
  return entry ? entry->disabled : filter.off();
}

const RouteFilter* Exchange::route_filter(const Filter& filter) const {
  const auto* entry = filter_entry(filter);
  return entry ? entry->config.get() : nullptr;
}

Cluster* Exchange::upstream_cluster() const {
  if (cluster_) return cluster_;
  return route_cluster_ && route_cluster_->id != kNoCluster ? worker_.cluster(route_cluster_->id) : nullptr;
}

void Exchange::keep(const Filter& filter, std::unique_ptr<FilterState> state) {
  for (auto& [owner, kept] : filter_states_)
    if (owner == &filter) {
      kept = std::move(state);
      return;
    }
  filter_states_.emplace_back(&filter, std::move(state));
}

FilterState* Exchange::kept(const Filter& filter) const {
  for (const auto& [owner, state] : filter_states_)
    if (owner == &filter) return state.get();
  return nullptr;
}

// Bodies that filters watch are copied once, and changed in place.

void Exchange::filter_request_data(std::string& bytes) {
  for (const Filter* f : request_watchers_) f->on_request_data(*this, bytes);
}

void Exchange::filter_request_end(std::string& bytes) {
  for (const Filter* f : request_watchers_) f->on_request_end(*this, bytes, has_request_trailers_ ? &request_trailer_map_ : nullptr);
}

void Exchange::filter_response_data(std::string& bytes) {
  for (const Filter* f : response_watchers_) f->on_response_data(*this, bytes);
}

void Exchange::filter_response_end(std::string& bytes, HeaderMap* trailers) {
  for (const Filter* f : response_watchers_) f->on_response_end(*this, bytes, trailers);
}

}  // namespace fairlead::proxy
