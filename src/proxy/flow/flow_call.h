// A request or connection as calls of the flow engine, from entering to leaving. Worker thread; owned by the exchange or connection.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/recycled.h"
#include "io/loop.h"
#include "proxy/flow/flow_config.h"

namespace fairlead::proxy {

struct ConnectionInfo;

// "cluster.local/ns/default/sa/web", of the client's verified certificate; empty: there is none.
std::string_view flow_peer(const ConnectionInfo& connection);

// Its calls end when it is destroyed, if they did not before.
class FlowCall final : public FilterState, public base::Recycled<FlowCall> {
 public:
  explicit FlowCall(const FlowConfig& config) : config_(config) {}
  ~FlowCall() override { leave(false); }

  // False: refused, and verdict() says by what.
  bool enter(std::string_view resource, const flow::Call& call);
  flow::Verdict verdict() const { return verdict_; }
  bool empty() const { return size_ == 0; }
  int64_t wait_ns() const { return wait_ns_; }
  // Calls back after wait_ns(), unless it is cancelled before.
  void wait(io::Loop& loop, std::function<void()> then);
  void cancel() override {
    if (timer_) timer_->cancel();
  }
  void leave(bool failed);

 private:
  const FlowConfig& config_;
  std::array<flow::Entry, 2> entries_;  // a mesh has two: the service and the path
  std::vector<flow::Entry> more_;
  size_t size_ = 0;
  std::optional<io::Timer> timer_;
  int64_t wait_ns_ = 0;
  flow::Verdict verdict_ = flow::Verdict::Pass;
};

// A connection's call. nullptr: there is nothing to be asked; else ask verdict() and wait_ns().
std::unique_ptr<FlowCall> enter_connection(const FlowConfig& config, const ConnectionInfo& connection, std::string_view cluster);

}  // namespace fairlead::proxy
