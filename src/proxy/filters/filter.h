// Filter: one HTTP filter of a connection manager's chain, compiled.
//
// A filter object is configuration: immutable, made on the main thread, shared by all workers and exchanges. What it needs
// to remember of one exchange it keeps in Exchange::state<T>(). Its hooks run on the worker's thread; a hook that a filter
// does not name in hooks() is never called, and a chain pays nothing for hooks that none of its filters has.
//
//   request head ->  on_request, in the chain's order  -> request body, if watched -> (router: upstream)
//   response head -> on_response, in reverse order     -> response body, if watched
//   end ->           on_end, in the chain's order, before the access log
//
// A new filter is one file here that defines a FilterType, and a line in registry.cc. Source of the order and of what
// runs for answers of our own: Envoy's source/common/http/filter_manager.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/headers.h"

namespace fairlead::proxy {

class Exchange;
struct FlowConfig;

// Configuration of a filter at a route, virtual host, route table or weighted cluster.
struct RouteFilter {
  virtual ~RouteFilter() = default;
};

// What a filter remembers of one exchange. cancel() runs when the exchange ends, before destruction at the end of the
// round: timers stop there.
struct FilterState {
  virtual ~FilterState() = default;
  virtual void cancel() {}
};

class Filter {
 public:
  enum class Next : uint8_t {
    kGoOn,
    kStop,  // it has answered (Exchange::reply), or will call Exchange::resume_filters() later
  };
  enum Hook : unsigned { kRequest = 1, kResponse = 2, kEnd = 4 };

  Filter(std::string name, unsigned hooks) : name_(std::move(name)), hooks_(hooks) {}
  virtual ~Filter() = default;
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  const std::string& name() const { return name_; }  // as in the chain; typed_per_filter_config goes by it
  unsigned hooks() const { return hooks_; }
  bool off() const { return off_; }                  // `disabled` in the chain: runs where a route has something for it
  void start_off() { off_ = true; }                  // main thread, before anybody else has it

  // Of a flow control filter: its rules hold while a listener has it (flow/flow_config.h).
  virtual std::shared_ptr<const FlowConfig> flow() const { return nullptr; }

  // The request's head is complete and its route chosen (there may be none: Exchange::route()).
  virtual Next on_request(Exchange&) const { return Next::kGoOn; }
  // The response's head, of the upstream or our own, with the route's changes applied. `end`: no body follows.
  virtual void on_response(Exchange&, bool /*end*/) const {}
  // The exchange is over; status, flags and times are final.
  virtual void on_end(Exchange&) const {}

  // Bodies, for exchanges where Exchange::watch_request_body() or watch_response_body() was called in the hooks above:
  // `bytes` may be changed, and what is left in it goes on. The end comes with trailers or without (nullptr); bytes may
  // be added there, trailers changed.
  virtual void on_request_data(Exchange&, std::string& /*bytes*/) const {}
  virtual void on_request_end(Exchange&, std::string& /*bytes*/, HeaderMap* /*trailers*/) const {}
  virtual void on_response_data(Exchange&, std::string& /*bytes*/) const {}
  virtual void on_response_end(Exchange&, std::string& /*bytes*/, HeaderMap* /*trailers*/) const {}

 private:
  std::string name_;
  unsigned hooks_;
  bool off_ = false;
};

}  // namespace fairlead::proxy
