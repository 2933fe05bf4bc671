#include "node/webhook_caller.h"

#include <algorithm>

#include <fmt/format.h>

#include "node/service_table.h"

namespace fairlead::node {

using base::Code;
using base::fail;

namespace {
constexpr size_t kMaxClients = 32;  // each CA that ever was configured would keep one otherwise
}

base::Result<std::vector<std::string>> WebhookCaller::endpoints(const std::string& ns, const std::string& name, uint16_t port) const {
  auto table = build_service_table(store_);
  auto service = std::find_if(table->services.begin(), table->services.end(), [&](auto& s) { return s.ns == ns && s.name == name; });
  if (service == table->services.end()) return fail(Code::kNotFound, "service \"{}\" not found", name);
  auto p = std::find_if(service->ports.begin(), service->ports.end(), [&](auto& q) { return q.port == port; });
  if (p == service->ports.end()) return fail(Code::kNotFound, "service \"{}\" has no port {}", name, port);
  std::vector<std::string> out;
  for (auto& e : p->endpoints)
    if (e.ready) out.push_back(fmt::format("{}:{}", e.ip, e.port));
  if (out.empty()) return fail(Code::kUnavailable, "no endpoints available for service \"{}\"", name);
  return out;
}

http::Client* WebhookCaller::client_for(const std::string& ca_pem, const std::string& server_name, base::Result<void>& problem) {
  auto it = clients_.find({ca_pem, server_name});
  if (it != clients_.end()) return it->second.get();
  io::TlsOptions tls;
  tls.ca_pem = ca_pem;
  auto context = io::TlsContext::client(tls);
  if (!context) {
    problem = std::unexpected(context.error());
    return nullptr;
  }
  http::ClientOptions options;
  options.tls = *context;
  options.tls_server_name = server_name;
  // Connections to a pod that went away would fail the first call after it.
  options.keep_alive = false;
  if (clients_.size() >= kMaxClients) clients_.clear();
  auto& slot = clients_[{ca_pem, server_name}];
  slot = std::make_unique<http::Client>(loop_, std::move(options));
  return slot.get();
}

void WebhookCaller::call(api::WebhookCall call, std::function<void(base::Result<std::string>)> done) {
  auto shared = std::make_shared<api::WebhookCall>(std::move(call));
  base::Result<void> problem;
  std::vector<std::string> targets;
  std::string server_name;
  if (shared->url.empty()) {
    auto found = endpoints(shared->service_ns, shared->service_name, shared->port);
    if (!found) return done(std::unexpected(found.error()));
    targets = std::move(*found);
    std::rotate(targets.begin(), targets.begin() + static_cast<long>(turn_++ % targets.size()), targets.end());
    for (auto& t : targets) t = fmt::format("https://{}{}", t, shared->path);
    server_name = fmt::format("{}.{}.svc", shared->service_name, shared->service_ns);
  } else {
    targets = {shared->url};
  }
  http::Client* client = client_for(shared->ca_pem, server_name, problem);
  if (!client) return done(std::unexpected(problem.error()));
  post(*client, std::move(targets), std::move(shared), std::move(done));
}

void WebhookCaller::post(http::Client& client, std::vector<std::string> targets, std::shared_ptr<api::WebhookCall> call,
                         std::function<void(base::Result<std::string>)> done) {
  std::string url = targets.front();
  targets.erase(targets.begin());
  http::Headers headers;
  headers.add("content-type", "application/json");
  headers.add("accept", "application/json");
  client.fetch("POST", url, std::move(headers), call->body, call->timeout,
               [this, &client, targets = std::move(targets), call, done = std::move(done), url](base::Result<http::Response> response) mutable {
                 if (!response) {
                   // An endpoint that just went away: the next one may answer.
                   if (response.error().code == Code::kUnavailable && !targets.empty()) return post(client, std::move(targets), std::move(call), std::move(done));
                   return done(fail(response.error().code, "Post \"{}\": {}", url, response.error().message));
                 }
                 if (response->status != 200)
                   return done(fail(Code::kUnavailable, "an error on the server (\"{}\") has prevented the request from succeeding", response->body.substr(0, 200)));
                 done(std::move(response->body));
               });
}

}  // namespace fairlead::node
