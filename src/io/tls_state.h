// What a TlsContext keeps beside OpenSSL's context. For io/ alone.
#pragma once

#include <openssl/ssl.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/tls.h"
#include "io/x509.h"

namespace fairlead::io {

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), FreeStack>;

struct Certificate {
  X509Ptr leaf;
  KeyPtr key;
  StackPtr chain;
  std::shared_ptr<const CertificateFacts> facts;
};

struct TlsState {
  std::vector<Certificate> certificates;
  std::vector<std::string> spki_pins, certificate_pins;  // raw digests

  // Sessions that servers gave a client context, by where they came from. Touched once a handshake, by any thread.
  using SessionPtr = std::unique_ptr<SSL_SESSION, FreeWith<SSL_SESSION_free>>;
  std::mutex mutex;
  std::map<std::string, std::deque<SessionPtr>> sessions;
};

// Of one connection, reachable from its SSL (SSL_get_app_data): callbacks of the context report here.
struct TlsConnectionNotes {
  const TlsContext* context = nullptr;
  std::string session_key;
  bool verified = false;       // a chain was found
  bool presented = false;
  enum class Failure : unsigned char { kNone, kChain, kName, kPin } failure = Failure::kNone;
  std::string failure_text;
};

std::shared_ptr<const CertificateFacts> facts_of(X509* certificate);
SSL_CTX* native(const TlsContext& context);
std::string alpn_wire(const std::vector<std::string>& protocols);

}  // namespace fairlead::io
