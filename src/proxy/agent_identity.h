// Identity: a workload's key and certificate, as Istio's agent gets them: the key is made here and never leaves; a signing
// request goes to istiod's CA with the ServiceAccount's token; the answer is renewed long before it ends.
// Gives secrets under the names that Istio's agent serves by SDS: default, ROOTCA, file-cert:CERT~KEY, file-root:CA.
// Main thread only. Source of names: Istio's security/pkg/nodeagent, pkg/security.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "http/client.h"
#include "io/loop.h"

namespace fairlead::proxy {

struct IdentityOptions {
  std::string ca_host;                 // CA_ADDR
  uint16_t ca_port = 15012;
  std::string ca_root_pem_file = "/var/run/secrets/istio/root-cert.pem";
  std::string token_file = "/var/run/secrets/tokens/istio-token";
  std::string spiffe_id;               // "spiffe://cluster.local/ns/default/sa/default"
  std::chrono::seconds lifetime{24 * 3600};  // SECRET_TTL
  double grace = 0.5;                  // SECRET_GRACE_PERIOD_RATIO: renewed when this share of its life is left
  int socket_mark = 0;
  std::function<void(const std::string& name, const std::string& secret)> put;  // a serialized Secret
};

class Identity {
 public:
  Identity(io::Loop& loop, IdentityOptions options);
  ~Identity();
  void want(const std::string& name);  // somebody asked for this secret
  // The secret that a name of files stands for ("file-cert:...", "file-root:..."), serialized; nothing for other names.
  static std::optional<std::string> file_secret(const std::string& name);

 private:
  void request();
  void answered(base::Result<http::Response> answer);
  void failed(const std::string& why);
  void give(const std::string& name);

  io::Loop& loop_;
  IdentityOptions options_;
  io::Timer renew_;
  std::unique_ptr<http::Client> client_;
  std::set<std::string> wanted_;
  std::string pending_key_, certificate_, key_, root_;
  unsigned attempts_ = 0;
  bool asking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::proxy
