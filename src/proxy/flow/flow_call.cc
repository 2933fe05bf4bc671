#include "proxy/flow/flow_call.h"

#include "io/tls.h"
#include "io/x509.h"
#include "proxy/downstream.h"

namespace fairlead::proxy {

std::string_view flow_peer(const ConnectionInfo& connection) {
  constexpr std::string_view kScheme = "spiffe://";
  const auto tls = connection.tls ? connection.tls->tls_info() : nullptr;
  if (!tls || !tls->peer || !tls->peer_verified) return {};
  for (const std::string& uri : tls->peer->uris)
    if (uri.starts_with(kScheme)) return std::string_view(uri).substr(kScheme.size());
  return {};
}

bool FlowCall::enter(std::string_view resource, const flow::Call& call) {
  flow::Call within = call;
  if (size_ > 0) within.within = &entries_[0];  // one request is one call of the entrance, whatever else it is called
  flow::Entry entry = config_.app->enter(resource, within);
  if (!entry) {
    verdict_ = entry.verdict();
    count_refused(config_.counters, verdict_);
    return false;
  }
  // What is entered together waits together: each rule has reserved its place by now.
  wait_ns_ = std::max(wait_ns_, entry.wait_ns());
  if (size_ < entries_.size()) entries_[size_] = std::move(entry);
  else more_.push_back(std::move(entry));
  ++size_;
  return true;
}

void FlowCall::wait(io::Loop& loop, std::function<void()> then) {
  config_.counters.queued->fetch_add(1, std::memory_order_relaxed);
  timer_.emplace(loop, std::move(then));
  timer_->arm(base::Nanos(wait_ns_));
}

void FlowCall::leave(bool failed) {
  if (size_ == 0) return;
  if (failed) config_.counters.exception->fetch_add(1, std::memory_order_relaxed);
  const auto end = [failed](flow::Entry& entry) {
    if (failed) entry.trace();
    entry.leave();
  };
  // The last entered leaves first.
  for (; !more_.empty(); more_.pop_back()) end(more_.back());
  for (size_t i = std::min(size_, entries_.size()); i-- > 0;) end(entries_[i]);
  size_ = 0;
}

std::unique_ptr<FlowCall> enter_connection(const FlowConfig& config, const ConnectionInfo& connection, std::string_view cluster) {
  auto call = std::make_unique<FlowCall>(config);
  std::array<flow::Param, kMostFlowParameters> params;
  for (size_t i = 0; i < config.parameters.size(); ++i) {
    std::string_view value = config.parameters[i].from == FlowParameter::From::kAddress ? connection.peer_ip() : std::string_view(connection.server_name);
    if (!value.empty()) params[i] = value;
  }
  std::string_view origin = config.origin.peer ? flow_peer(connection) : std::string_view();
  if (origin.empty() && config.origin.address) origin = connection.peer_ip();
  const flow::Call how{.context = config.context, .origin = origin, .inbound = config.inbound, .params = std::span(params).first(config.parameters.size())};
  for (const FlowResource& resource : config.resources) {
    std::string_view name = resource.by == FlowResource::By::kText ? std::string_view(resource.text) : cluster;
    if (!name.empty() && !call->enter(name, how)) return call;
  }
  if (call->empty()) return nullptr;
  config.counters.pass->fetch_add(1, std::memory_order_relaxed);
  return call;
}

}  // namespace fairlead::proxy
