// Webhooks: calls the MutatingWebhookConfigurations that want to see an object (AdmissionReview v1, JSONPatch answers),
// and the ValidatingWebhookConfigurations that may refuse what came of it.
//
// Loop thread only. Owner: Registry. How a Service is reached is the node's knowledge: it hands in a WebhookTransport.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/kind_table.h"
#include "api/status.h"
#include "base/time.h"
#include "io/loop.h"
#include "store/store.h"

namespace fairlead::api {

struct WebhookCall {
  std::string service_ns, service_name;  // "" when `url` is given
  uint16_t port = 443;
  std::string path = "/";                // with query (timeout=10s)
  std::string url;                       // clientConfig.url
  std::string ca_pem;                    // "": the caller's own trust
  std::string body;                      // AdmissionReview, JSON
  base::Nanos timeout{};
};
// Posts the body and hands back that of a 200 response, or why there is none. `done` runs once.
using WebhookTransport = std::function<void(WebhookCall call, std::function<void(base::Result<std::string>)> done)>;

struct Caller {
  std::string user, uid;
  std::vector<std::string> groups;
};

class Webhooks {
 public:
  Webhooks(store::Store& store, WebhookTransport transport) : store_(store), transport_(std::move(transport)) {}

  struct Request {
    const mesh::Kind* kind = nullptr;
    std::string version, ns, name, operation;  // CREATE, UPDATE
    base::Value object;
    store::ObjectPtr old;
    bool dry_run = false;
    Caller caller;
  };
  struct Reviewed {
    base::Value object;
    std::vector<std::string> warnings;
    bool changed = false;
  };
  using Done = std::function<void(Outcome<Reviewed>)>;

  enum class Phase : unsigned char { kMutating, kValidating };
  // True when at least one webhook would be called.
  bool wanted(Phase phase, const Request& request) const;
  // Calls them one after another, each with what the one before made of the object. `done` may run inside this call
  // when none is wanted.
  void review(Phase phase, Request request, Done done);

 private:
  struct Run;
  std::vector<base::Value> matching(Phase phase, const Request& request) const;
  void next(std::shared_ptr<Run> run);
  void answered(const std::shared_ptr<Run>& run, const base::Value& hook, base::Result<std::string> answer);

  store::Store& store_;
  WebhookTransport transport_;
};

}  // namespace fairlead::api
