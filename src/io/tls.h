// TLS on OpenSSL: contexts, transports, and the few X.509 operations the mesh needs.
//
// A TlsContext is immutable and may be shared between threads; transports belong to their loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/transport.h"

namespace fairlead::io {

struct TlsOptions {
  std::string certificate_pem;               // chain, leaf first; empty on clients without one
  std::string key_pem;
  std::string ca_pem;                        // trust anchors for the peer; empty: the peer is not verified
  bool require_client_certificate = false;   // server
  bool request_client_certificate = false;   // server: verified when sent, admitted when not
  std::vector<std::string> alpn;             // in order of preference
};

class TlsContext {
 public:
  static base::Result<std::shared_ptr<const TlsContext>> server(const TlsOptions& options);
  static base::Result<std::shared_ptr<const TlsContext>> client(const TlsOptions& options);
  ~TlsContext();
  void* native() const { return context_; }  // SSL_CTX*
  const TlsOptions& options() const { return options_; }

 private:
  TlsContext() = default;
  void* context_ = nullptr;
  TlsOptions options_;
};

// Wrap a connected transport. The handshake runs inside read() and write(), which say kAgain until it is done.
// The TLS transport takes over the inner one's sink.
std::unique_ptr<Transport> make_tls_server(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context);
// server_name: SNI and, when the context has CAs, the name or IP that the certificate must carry ("" checks no name).
std::unique_ptr<Transport> make_tls_client(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           const std::string& server_name);
// True once the handshake of a TLS transport is done (alpn() is then known); true for any other transport.
bool handshake_done(const Transport& transport);

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ips;
  std::vector<std::string> uris;        // SPIFFE ids
  bool is_ca = false;
  std::chrono::hours valid_for{24 * 365};
};
struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};
// A P-256 key and a certificate; self-signed when issuer is nullptr.
base::Result<KeyPair> issue_certificate(const CertificateRequest& request, const KeyPair* issuer);

struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> uris;
  int64_t not_after = 0;  // seconds since the epoch
};
base::Result<CertificateInfo> inspect_certificate(std::string_view pem);

// JWT (RFC 7519) with ES256, for service account tokens: header and claims are compact JSON.
base::Result<std::string> sign_jwt_es256(std::string_view claims_json, std::string_view key_pem);
base::Result<std::string> verify_jwt_es256(std::string_view token, std::string_view key_pem);  // returns the claims JSON

std::string sha256(std::string_view bytes);  // 32 raw bytes
std::string random_bytes(size_t count);

}  // namespace fairlead::io
