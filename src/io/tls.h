// TLS on OpenSSL: contexts, transports, and the few X.509 operations the mesh needs.
//
// A TlsContext is immutable and may be shared between threads; transports belong to their loop.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/transport.h"

namespace fairlead::io {

struct KeyPair {
  std::string certificate_pem;  // chain, leaf first
  std::string key_pem;
};

// What a certificate says, in the forms in which logs, x-forwarded-client-cert and matchers want it.
struct CertificateFacts {
  std::string subject, issuer;          // RFC 2253
  std::string serial;                   // lower-case hex
  std::string sha256, sha1;             // of the DER form, lower-case hex
  std::vector<std::string> dns_names, uris, ips, emails;
  int64_t not_before = 0, not_after = 0;  // seconds since the epoch
};

// The outcome of a handshake. Certificates are kept as they came and read when somebody asks.
struct TlsInfo {
  std::string version;                  // "TLSv1.3"
  std::string cipher;                   // OpenSSL's name
  std::string session_id;               // hex
  std::string alpn, sni;
  std::string group;                    // of the key exchange, "X25519", "P-256"
  bool resumed = false;
  bool peer_verified = false;           // a chain to a trust anchor was found
  std::shared_ptr<const CertificateFacts> peer, local;  // nullptr: no certificate
  std::vector<std::string> peer_chain_pem;  // leaf first
};

// Counters of one owner (a listener, a cluster), added to by its transports on its thread.
struct TlsCounters {
  uint64_t handshake = 0, session_reused = 0, no_certificate = 0, connection_error = 0;
  uint64_t fail_verify_no_cert = 0, fail_verify_error = 0, fail_verify_san = 0, fail_verify_cert_hash = 0;
  std::map<std::string, uint64_t> versions, ciphers, curves;
};

struct TlsOptions {
  std::string certificate_pem;               // chain, leaf first; empty on clients without one
  std::string key_pem;
  std::string ca_pem;                        // trust anchors for the peer; empty: the peer's chain is not verified
  bool require_client_certificate = false;   // server
  bool request_client_certificate = false;   // server: verified when sent, admitted when not
  std::vector<std::string> alpn;             // in order of preference

  std::vector<KeyPair> more_certificates;    // server: beside the first; chosen by server name, then by kind of key
  std::string crl_pem;
  bool crl_leaf_only = false;
  bool partial_chain = false;                // an intermediate among ca_pem is an anchor
  bool accept_untrusted = false;             // a peer that fails verification is let in, and told apart by peer_verified
  bool accept_expired = false;
  int max_verify_depth = -1;
  std::function<bool(const CertificateFacts&)> accept_peer;  // any thread; false: the names are not among those wanted
  std::vector<std::string> spki_pins;        // base64 of the SHA-256 of the public key
  std::vector<std::string> certificate_pins; // lower-case hex of the SHA-256; one of either kind of pin has to fit
  int min_version = 0, max_version = 0;      // 10, 11, 12, 13; 0: TLS 1.2 to 1.3
  std::string ciphers;                       // of TLS 1.2, OpenSSL's syntax; empty: its defaults
  std::string groups, signature_algorithms;  // colon-separated
  std::vector<std::string> ticket_keys;      // 80 bytes each, the first encrypts; empty: the process's own, renewed daily
  bool tickets = true;                       // server
  unsigned max_sessions = 0;                 // client: sessions kept for each endpoint and name
  std::chrono::seconds session_timeout{0};   // 0: two hours
  std::string verification_identity;         // sessions are not resumed between contexts that differ in it
};

struct TlsState;  // io/tls_state.h

class TlsContext {
 public:
  // Errors are one sentence: a key that does not fit, a text that is no certificate.
  static base::Result<std::shared_ptr<const TlsContext>> server(const TlsOptions& options);
  static base::Result<std::shared_ptr<const TlsContext>> client(const TlsOptions& options);
  ~TlsContext();
  void* native() const { return context_; }  // SSL_CTX*
  const TlsOptions& options() const { return options_; }
  TlsState& state() const { return *state_; }

 private:
  TlsContext();
  void* context_ = nullptr;
  TlsOptions options_;
  std::unique_ptr<TlsState> state_;
};

// Wrap a connected transport. The handshake runs inside read() and write(), which say kAgain until it is done.
// The TLS transport takes over the inner one's sink. counters, when given, outlive the transport.
std::unique_ptr<Transport> make_tls_server(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           TlsCounters* counters = nullptr);
// server_name: SNI and, when the context has CAs, the name or IP that the certificate must carry ("" checks no name).
std::unique_ptr<Transport> make_tls_client(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           const std::string& server_name);
// As a proxy dials: what is sent as SNI and what is verified are two things.
struct TlsDial {
  std::string sni;
  std::string verify_name;          // a DNS name or IP that the certificate must carry; "": the context's matchers alone
  const std::vector<std::string>* alpn = nullptr;  // instead of the context's
  TlsCounters* counters = nullptr;  // outlive the transport
};
std::unique_ptr<Transport> make_tls_client(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           const TlsDial& dial);
// True once the handshake of a TLS transport is done (alpn() is then known); true for any other transport.
bool handshake_done(const Transport& transport);
// Goes on with a handshake without reading what follows it: kOk when it is done (or there is none to do), kAgain while
// the peer's answer is awaited (on_ready says when to call again), else kError.
IoStatus drive_handshake(Transport& transport);

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ips;
  std::vector<std::string> uris;        // SPIFFE ids
  bool is_ca = false;
  std::chrono::hours valid_for{24 * 365};
  std::chrono::seconds valid_for_seconds{0};  // instead, when not 0
};
// A P-256 key and a certificate; self-signed when issuer is nullptr.
base::Result<KeyPair> issue_certificate(const CertificateRequest& request, const KeyPair* issuer);

// A P-256 key and a signing request (PKCS #10) for it that asks for one URI; and a CA's answer to such a request: the
// certificate carries the names given here, whatever the request asked for.
struct SigningRequest {
  std::string csr_pem, key_pem;
};
base::Result<SigningRequest> make_signing_request(std::string_view uri);
base::Result<std::string> sign_request(std::string_view csr_pem, const CertificateRequest& names, const KeyPair& issuer);

// Names that the certificate (the first of a PEM) carries.
base::Result<CertificateFacts> certificate_facts(std::string_view pem);
base::Status check_key_pair(const KeyPair& pair);  // parse, and fit each other

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
