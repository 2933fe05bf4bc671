// TLS contexts: certificates, verification of peers, session tickets and sessions.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "io/tls_state.h"

namespace fairlead::io {

SSL_CTX* native(const TlsContext& context) { return static_cast<SSL_CTX*>(context.native()); }

namespace {

constexpr size_t kMaxSessionPeers = 256;

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned in_length, void* arg) {
  const auto* wanted = static_cast<const std::vector<std::string>*>(arg);
  for (const auto& protocol : *wanted) {
    for (unsigned i = 0; i < in_length; i += 1u + in[i]) {
      std::string_view offered(reinterpret_cast<const char*>(in) + i + 1, in[i]);
      if (offered == protocol) {
        *out = in + i + 1;
        *out_length = in[i];
        return SSL_TLSEXT_ERR_OK;
      }
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// ---------------------------------------------------------------------------------------------------- verification

std::string digest(const unsigned char* data, int length) {
  return sha256(std::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(length)));
}

bool pinned(const TlsState& state, X509* leaf) {
  unsigned char* der = nullptr;
  int length = i2d_X509(leaf, &der);
  std::string whole = digest(der, length);
  OPENSSL_free(der);
  if (std::ranges::find(state.certificate_pins, whole) != state.certificate_pins.end()) return true;
  der = nullptr;
  length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
  std::string key = digest(der, length);
  OPENSSL_free(der);
  return std::ranges::find(state.spki_pins, key) != state.spki_pins.end();
}

int verify_peer(X509_STORE_CTX* store, void* arg) {
  const auto& context = *static_cast<const TlsContext*>(arg);
  const TlsOptions& options = context.options();
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* notes = static_cast<TlsConnectionNotes*>(SSL_get_app_data(ssl));
  using Failure = TlsConnectionNotes::Failure;
  notes->presented = true;
  Failure failure = Failure::kNone;
  if (!options.ca_pem.empty()) {
    if (X509_verify_cert(store) == 1) {
      notes->verified = true;
    } else {
      failure = Failure::kChain;
      notes->failure_text = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    }
  }
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (failure == Failure::kNone && options.accept_peer && !options.accept_peer(*facts_of(leaf))) {
    failure = Failure::kName;
    notes->failure_text = "verify SAN list";
  }
  const TlsState& state = context.state();
  if (failure == Failure::kNone && !(state.spki_pins.empty() && state.certificate_pins.empty()) && !pinned(state, leaf)) {
    failure = Failure::kPin;
    notes->failure_text = "cert hash and spki";
  }
  if (failure == Failure::kNone || options.accept_untrusted) {
    if (failure != Failure::kNone) notes->verified = false;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  notes->failure = failure;
  if (X509_STORE_CTX_get_error(store) == X509_V_OK) X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

// ------------------------------------------------------------------------------------------------- session tickets

struct TicketKey {
  unsigned char name[16], hmac[32], aes[32];
};

TicketKey key_from(std::string_view bytes) {
  TicketKey key;
  std::memcpy(key.name, bytes.data(), 16);
  std::memcpy(key.hmac, bytes.data() + 16, 32);
  std::memcpy(key.aes, bytes.data() + 48, 32);
  return key;
}

// Keys of the process, for all contexts and workers: a client may come back to any of them, also after its listener was
// replaced. What keeps contexts apart is the session id context.
class ProcessTicketKeys {
 public:
  std::vector<TicketKey> get() {
    std::lock_guard lock(mutex_);
    auto now = base::Clock::now();
    if (keys_.empty() || now - made_ > std::chrono::hours(24)) {
      keys_.insert(keys_.begin(), key_from(random_bytes(80)));
      if (keys_.size() > 2) keys_.resize(2);  // yesterday's still decrypts
      made_ = now;
    }
    return keys_;
  }

 private:
  std::mutex mutex_;
  std::vector<TicketKey> keys_;
  base::TimePoint made_;
};

int ticket_keys(SSL* ssl, unsigned char name[16], unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt) {
  static ProcessTicketKeys process_keys;
  static EVP_CIPHER* const aes = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  const auto* notes = static_cast<const TlsConnectionNotes*>(SSL_get_app_data(ssl));
  std::vector<TicketKey> keys;
  for (const auto& k : notes->context->options().ticket_keys) keys.push_back(key_from(k));
  if (keys.empty()) keys = process_keys.get();
  auto use = [&](TicketKey& key) {
    char hash[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.hmac, sizeof key.hmac),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0), OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, params) == 1 && EVP_CipherInit_ex(cipher, aes, nullptr, key.aes, iv, encrypt) == 1;
  };
  if (encrypt) {
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1) return -1;
    std::memcpy(name, keys[0].name, 16);
    return use(keys[0]) ? 1 : -1;
  }
  // A ticket of TLS 1.3 is for one connection (RFC 8446 appendix C.4): without a new one the client's next is a full handshake.
  bool single_use = SSL_version(ssl) >= TLS1_3_VERSION;
  for (size_t i = 0; i < keys.size(); ++i)
    if (std::memcmp(name, keys[i].name, 16) == 0) return !use(keys[i]) ? -1 : i == 0 && !single_use ? 1 : 2;  // 2: give a new one
  return 0;
}

int new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* notes = static_cast<const TlsConnectionNotes*>(SSL_get_app_data(ssl));
  TlsState& state = notes->context->state();
  unsigned most = notes->context->options().max_sessions;
  std::lock_guard lock(state.mutex);
  if (state.sessions.size() >= kMaxSessionPeers && !state.sessions.contains(notes->session_key)) state.sessions.erase(state.sessions.begin());
  auto& kept = state.sessions[notes->session_key];
  kept.emplace_front(session);
  if (kept.size() > most) kept.pop_back();
  return 1;  // taken
}

// ---------------------------------------------------------------------------------------------- several certificates

bool names_fit(const CertificateFacts& facts, const std::string& name, bool wildcard) {
  return std::ranges::any_of(facts.dns_names, [&](const std::string& n) {
    if (!wildcard) return base::to_lower(n) == name;
    size_t dot = name.find('.');
    return n.starts_with("*.") && dot != std::string::npos && base::to_lower(n.substr(1)) == name.substr(dot);
  });
}

// The certificate for a server name: one that carries it, else one with a fitting wildcard, else the first. Among
// equals an elliptic key, where the client can verify it.
int choose_certificate(SSL* ssl, void* arg) {
  const auto& state = static_cast<const TlsContext*>(arg)->state();
  const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  std::vector<const Certificate*> fitting;
  if (sni) {
    std::string name = base::to_lower(sni);
    for (bool wildcard : {false, true}) {
      if (!fitting.empty()) break;
      for (const auto& c : state.certificates)
        if (names_fit(*c.facts, name, wildcard)) fitting.push_back(&c);
    }
  }
  if (fitting.empty())
    for (const auto& c : state.certificates) fitting.push_back(&c);
  std::ranges::stable_sort(fitting, [](const auto* a, const auto* b) {
    return EVP_PKEY_get_base_id(a->key.get()) == EVP_PKEY_EC && EVP_PKEY_get_base_id(b->key.get()) != EVP_PKEY_EC;
  });
  const Certificate* chosen = fitting.front();
  for (const auto* c : fitting)
    if (SSL_check_chain(ssl, c->leaf.get(), c->key.get(), c->chain.get()) & CERT_PKEY_SIGN) {
      chosen = c;
      break;
    }
  SSL_certs_clear(ssl);
  return SSL_use_cert_and_key(ssl, chosen->leaf.get(), chosen->key.get(), chosen->chain.get(), 1);
}

base::Result<Certificate> load(const KeyPair& pair) {
  auto certificates = certificates_from_pem(pair.certificate_pem);
  if (!certificates) return std::unexpected(certificates.error());
  auto key = key_from_pem(pair.key_pem);
  if (!key) return std::unexpected(key.error());
  Certificate out;
  out.leaf = std::move(certificates->front());
  out.key = std::move(*key);
  if (X509_check_private_key(out.leaf.get(), out.key.get()) != 1) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalidArgument, "the private key does not fit the certificate of {}", facts_of(out.leaf.get())->subject);
  }
  out.chain.reset(sk_X509_new_null());
  for (size_t i = 1; i < certificates->size(); ++i) sk_X509_push(out.chain.get(), (*certificates)[i].release());
  out.facts = facts_of(out.leaf.get());
  return out;
}

int version_number(int version) {
  switch (version) {
    case 10:
      return TLS1_VERSION;
    case 11:
      return TLS1_1_VERSION;
    case 12:
      return TLS1_2_VERSION;
    default:
      return TLS1_3_VERSION;
  }
}

// BoringSSL's "[A|B]" (equal preference) as a plain list; names that only it knows are left to OpenSSL to refuse.
std::string cipher_list(std::string text, bool old_versions) {
  std::erase_if(text, [](char c) { return c == '[' || c == ']'; });
  std::ranges::replace(text, '|', ':');
  if (text.empty() && old_versions) text = "DEFAULT";
  return old_versions ? text + ":@SECLEVEL=0" : text;
}

base::Status configure(SSL_CTX* context, const TlsOptions& options, TlsState& state) {
  bool old = options.min_version == 10 || options.min_version == 11;
  SSL_CTX_set_min_proto_version(context, version_number(options.min_version ? options.min_version : 12));
  SSL_CTX_set_max_proto_version(context, version_number(options.max_version ? options.max_version : 13));
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (std::string list = cipher_list(options.ciphers, old); !list.empty() && SSL_CTX_set_cipher_list(context, list.c_str()) != 1) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalidArgument, "none of the cipher suites {} is known", options.ciphers);
  }
  if (!options.groups.empty() && SSL_CTX_set1_groups_list(context, options.groups.c_str()) != 1) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalidArgument, "ecdh_curves {}: not all are known", options.groups);
  }
  if (!options.signature_algorithms.empty() && SSL_CTX_set1_sigalgs_list(context, options.signature_algorithms.c_str()) != 1) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalidArgument, "signature_algorithms {}: not all are known", options.signature_algorithms);
  }
  std::vector<KeyPair> pairs = options.more_certificates;
  if (!options.certificate_pem.empty()) pairs.insert(pairs.begin(), {options.certificate_pem, options.key_pem});
  for (const auto& pair : pairs) {
    auto loaded = load(pair);
    if (!loaded) return std::unexpected(loaded.error());
    state.certificates.push_back(std::move(*loaded));
  }
  if (!state.certificates.empty()) {
    const Certificate& c = state.certificates.front();
    if (SSL_CTX_use_cert_and_key(context, c.leaf.get(), c.key.get(), c.chain.get(), 1) != 1) return openssl_failure("the certificate is not usable");
  }
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  if (!options.ca_pem.empty()) {
    auto anchors = certificates_from_pem(options.ca_pem);
    if (!anchors) return std::unexpected(anchors.error());
    for (const auto& anchor : *anchors) X509_STORE_add_cert(store, anchor.get());
    X509_VERIFY_PARAM* param = SSL_CTX_get0_param(context);
    if (options.partial_chain) X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    if (options.accept_expired) X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
    if (options.max_verify_depth >= 0) X509_VERIFY_PARAM_set_depth(param, options.max_verify_depth);
  }
  if (!options.crl_pem.empty()) {
    BioPtr bio(BIO_new_mem_buf(options.crl_pem.data(), static_cast<int>(options.crl_pem.size())));
    size_t count = 0;
    while (X509_CRL* crl = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)) {
      X509_STORE_add_crl(store, crl);
      X509_CRL_free(crl);
      ++count;
    }
    ERR_clear_error();
    if (count == 0) return base::fail(base::Code::kInvalidArgument, "no PEM certificate revocation list found");
    X509_STORE_set_flags(store, options.crl_leaf_only ? X509_V_FLAG_CRL_CHECK : X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  for (const auto& pin : options.spki_pins) {
    auto raw = base::base64_decode(pin);
    if (!raw || raw->size() != 32) return base::fail(base::Code::kInvalidArgument, "verify_certificate_spki {}: not the base64 of a SHA-256", pin);
    state.spki_pins.push_back(std::move(*raw));
  }
  for (const auto& pin : options.certificate_pins) {
    std::string raw;
    for (size_t i = 0; i + 1 < pin.size(); i += 2) raw += static_cast<char>(std::strtol(pin.substr(i, 2).c_str(), nullptr, 16));
    if (raw.size() != 32 || pin.find_first_not_of("0123456789abcdef") != std::string::npos)
      return base::fail(base::Code::kInvalidArgument, "verify_certificate_hash {}: not the hex of a SHA-256", pin);
    state.certificate_pins.push_back(std::move(raw));
  }
  for (const auto& key : options.ticket_keys)
    if (key.size() != 80) return base::fail(base::Code::kInvalidArgument, "a session ticket key has {} bytes instead of 80", key.size());
  return {};
}

bool verifies(const TlsOptions& o) { return !o.ca_pem.empty() || o.accept_peer || !o.spki_pins.empty() || !o.certificate_pins.empty(); }

}  // namespace

TlsContext::TlsContext() : state_(std::make_unique<TlsState>()) {}

TlsContext::~TlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

base::Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsOptions& options) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->options_ = options;
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  out->context_ = context;
  if (auto s = configure(context, options, *out->state_); !s) return std::unexpected(s.error());
  int mode = SSL_VERIFY_NONE;
  if (options.require_client_certificate) mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  else if (options.request_client_certificate && verifies(options)) mode = SSL_VERIFY_PEER;
  SSL_CTX_set_verify(context, mode, nullptr);
  if (mode != SSL_VERIFY_NONE) {
    SSL_CTX_set_cert_verify_callback(context, verify_peer, out.get());
    if (auto anchors = options.ca_pem.empty() ? base::Result<std::vector<X509Ptr>>() : certificates_from_pem(options.ca_pem))
      for (const auto& anchor : *anchors) SSL_CTX_add_client_CA(context, anchor.get());
  }
  if (out->state_->certificates.size() > 1) SSL_CTX_set_cert_cb(context, choose_certificate, out.get());
  // A session means "this peer was verified by these rules, by this server": both go into its mark.
  std::string identity = options.ca_pem + options.crl_pem + options.verification_identity + std::to_string(mode);
  for (const auto& c : out->state_->certificates) identity += c.facts->subject + base::join(c.facts->dns_names, ",") + base::join(c.facts->uris, ",");
  std::string mark = sha256(identity);
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(mark.data()), static_cast<unsigned>(mark.size()));
  // Stateless: what a session needs is in the ticket that the client keeps.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, static_cast<long>(options.session_timeout.count() ? options.session_timeout.count() : 7200));
  if (options.tickets) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_keys);
    // One for each handshake, as Go's servers give: a client that resumes gets its next one, and two cost twice the work.
    SSL_CTX_set_num_tickets(context, 1);
  } else {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  if (!options.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, select_alpn, &out->options_.alpn);
  return std::shared_ptr<const TlsContext>(out);
}

base::Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsOptions& options) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->options_ = options;
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  out->context_ = context;
  if (auto s = configure(context, options, *out->state_); !s) return std::unexpected(s.error());
  if (verifies(options)) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context, verify_peer, out.get());
  } else {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  }
  if (options.max_sessions > 0) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, new_session);
  }
  if (!options.alpn.empty()) {
    std::string wire = alpn_wire(options.alpn);
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
  }
  return std::shared_ptr<const TlsContext>(out);
}

base::Status check_key_pair(const KeyPair& pair) {
  auto loaded = load(pair);
  if (!loaded) return std::unexpected(loaded.error());
  return {};
}

}  // namespace fairlead::io
