// TlsSource: one TLS transport socket of a listener's chain or of a cluster, and the context that it works with now.
//
// The configuration around it is immutable; the context is not: secrets come late and are renewed. The main thread
// makes a new context when a secret or file changed; workers take the newest one for each new connection (a short lock
// once a handshake, never a request). Connections keep the context that they began with.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/tls.h"
#include "proxy/config/discovery_source.h"

namespace fairlead::proxy {

// Where a secret comes from (envoy...tls.v3.SdsSecretConfig).
struct SecretRef : DiscoverySource {
  std::string name;
  auto key() const { return std::tie(from, where, name); }
  bool operator<(const SecretRef& other) const { return key() < other.key(); }
  bool operator==(const SecretRef& other) const { return key() == other.key(); }
};
// The serialized envoy.extensions.transport_sockets.tls.v3.Secret, or nullptr while there is none.
using SecretBytes = std::shared_ptr<const std::string>;
using SecretLookup = std::function<SecretBytes(const SecretRef&)>;

class TlsSource {
 public:
  virtual ~TlsSource() = default;

  // --- constant
  bool server = false;
  std::vector<SecretRef> secrets;            // empty: everything is in place
  std::string identity;                      // equal: configured the same
  std::string sni;                           // client
  bool auto_host_sni = false;                // the endpoint's host name as SNI
  bool auto_san_validation = false;          // the certificate has to carry the SNI that was sent
  bool require_sni = false;                  // server

  // --- main thread
  // Takes what is there. Ok without a new context while a secret is missing; an error leaves the last good one. A context
  // that nobody has used yet is made at its first use: most clusters of a mesh are never spoken to.
  virtual base::Status build(const SecretLookup& lookup) = 0;
  virtual std::set<std::string> files() const = 0;   // read by the last build()
  // What is in use, for /certs: PEM texts.
  struct InUse {
    std::vector<std::string> certificates;   // chains
    std::string ca;
  };
  virtual InUse in_use() const = 0;

  virtual bool complete() const = 0;         // nothing is missing

  // --- any thread. nullptr: secrets are missing
  virtual std::shared_ptr<const io::TlsContext> context() = 0;
};

}  // namespace fairlead::proxy
