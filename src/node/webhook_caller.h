// WebhookCaller: how the API server's admission calls reach a webhook: a ready endpoint of the Service, by HTTPS with the
// CA of the webhook's configuration. Loop thread only. Owner: the node.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/webhook.h"
#include "http/client.h"
#include "io/loop.h"
#include "store/store.h"

namespace fairlead::node {

class WebhookCaller {
 public:
  WebhookCaller(io::Loop& loop, store::Store& store) : loop_(loop), store_(store) {}
  void call(api::WebhookCall call, std::function<void(base::Result<std::string>)> done);

 private:
  http::Client* client_for(const std::string& ca_pem, const std::string& server_name, base::Result<void>& problem);
  // "IP:port" of the ready endpoints; the Service's port is found by number.
  base::Result<std::vector<std::string>> endpoints(const std::string& ns, const std::string& name, uint16_t port) const;
  void post(http::Client& client, std::vector<std::string> targets, std::shared_ptr<api::WebhookCall> call, std::function<void(base::Result<std::string>)> done);

  io::Loop& loop_;
  store::Store& store_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<http::Client>> clients_;  // by CA and server name
  size_t turn_ = 0;
};

}  // namespace fairlead::node
