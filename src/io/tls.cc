// TLS contexts and transports on OpenSSL 3. Bytes move through memory BIOs, so that any Transport can be below.
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "io/x509.h"

namespace fairlead::io {
namespace {

SSL_CTX* native(const TlsContext& context) { return static_cast<SSL_CTX*>(context.native()); }

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

std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& p : protocols) {
    wire += static_cast<char>(p.size());
    wire += p;
  }
  return wire;
}

class TlsTransport final : public Transport, TransportSink {
 public:
  TlsTransport(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context, bool server,
               const std::string& server_name)
      : loop_(loop), inner_(std::move(inner)), context_(std::move(context)), ssl_(SSL_new(native(*context_))) {
    peer_ = inner_->peer();
    local_ = inner_->local();
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    BIO_set_mem_eof_return(out_, -1);
    SSL_set_bio(ssl_, in_, out_);
    if (server) {
      SSL_set_accept_state(ssl_);
    } else {
      SSL_set_connect_state(ssl_);
      bool is_ip = Address::parse_ip(server_name, 0).has_value();
      if (!server_name.empty()) {
        if (!is_ip) SSL_set_tlsext_host_name(ssl_, server_name.c_str());
        if (!context_->options().ca_pem.empty()) {
          if (is_ip) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), server_name.c_str());
          else SSL_set1_host(ssl_, server_name.c_str());
        }
      }
      SSL_do_handshake(ssl_);
    }
    inner_->set_sink(this);
    flush();
  }
  ~TlsTransport() override {
    close(false);
    *alive_ = false;
    SSL_free(ssl_);
  }

  IoResult read(std::span<char> into) override {
    if (!inner_) return {IoStatus::kError};
    while (true) {
      ERR_clear_error();
      int n = SSL_read(ssl_, into.data(), static_cast<int>(std::min<size_t>(into.size(), INT_MAX)));
      if (n > 0) {
        flush();  // a handshake or key update may have produced output
        notice_handshake();
        return {IoStatus::kOk, static_cast<size_t>(n)};
      }
      int error = SSL_get_error(ssl_, n);
      flush();
      notice_handshake();
      if (error == SSL_ERROR_ZERO_RETURN) return {IoStatus::kEof};
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return tls_failure();
      IoResult filled = fill();
      if (filled.status == IoStatus::kOk) continue;
      if (filled.status == IoStatus::kEof) {
        // Without close_notify an attacker may have cut the stream: inside a handshake that is an error; after it, codecs
        // above check their own framing, and many peers never send close_notify.
        if (SSL_is_init_finished(ssl_)) return {IoStatus::kEof};
        error_ = "connection closed during the TLS handshake";
        return {IoStatus::kError};
      }
      if (filled.status == IoStatus::kError) error_ = inner_->error();
      return filled;
    }
  }

  IoResult write(std::span<const iovec> from) override {
    if (!inner_) return {IoStatus::kError};
    if (!flush()) return {IoStatus::kError};
    if (!SSL_is_init_finished(ssl_)) {
      write_blocked_ = true;
      return {IoStatus::kAgain};
    }
    if (BIO_ctrl_pending(out_) > 0) {
      write_blocked_ = true;
      return {IoStatus::kAgain};
    }
    size_t total = 0;
    for (const auto& v : from) {
      const char* data = static_cast<const char*>(v.iov_base);
      size_t left = v.iov_len;
      while (left > 0) {
        size_t chunk = std::min<size_t>(left, 16384);
        ERR_clear_error();
        int n = SSL_write(ssl_, data, static_cast<int>(chunk));
        if (n <= 0) {
          int error = SSL_get_error(ssl_, n);
          if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) goto done;
          return tls_failure();
        }
        data += n;
        left -= static_cast<size_t>(n);
        total += static_cast<size_t>(n);
        // What does not fit into the socket waits in out_; stop there, so that what we took and the peer did not stays small.
        if (BIO_ctrl_pending(out_) >= 64 * 1024) {
          if (!flush()) return {IoStatus::kError};
          if (BIO_ctrl_pending(out_) > 0) goto done;
        }
        if (total >= 256 * 1024) goto done;
      }
    }
  done:
    if (!flush()) return {IoStatus::kError};
    if (total == 0) {
      write_blocked_ = true;
      return {IoStatus::kAgain};
    }
    return {IoStatus::kOk, total};
  }

  void shutdown_write() override {
    if (!inner_) return;
    if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    flush();
    if (BIO_ctrl_pending(out_) == 0) inner_->shutdown_write();
    else shutdown_after_flush_ = true;
  }

  void close(bool reset) override {
    if (!inner_) return;
    if (!reset && SSL_is_init_finished(ssl_) && !failed_) {
      SSL_shutdown(ssl_);
      flush();
    }
    inner_->close(reset);
    inner_.reset();
    sink_ = nullptr;
  }

  int fd() const override { return inner_ ? inner_->fd() : -1; }
  bool secure() const override { return true; }
  bool handshaken() const { return SSL_is_init_finished(ssl_); }

  std::string_view alpn() const override {
    const unsigned char* data = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl_, &data, &length);
    return {reinterpret_cast<const char*>(data), length};
  }
  std::string_view sni() const override {
    const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name ? name : "";
  }
  std::string peer_certificate_pem() const override {
    if (SSL_get_verify_result(ssl_) != X509_V_OK || !(SSL_get_verify_mode(ssl_) & SSL_VERIFY_PEER)) return {};
    X509* certificate = SSL_get0_peer_certificate(ssl_);
    return certificate ? to_pem(certificate) : std::string();
  }

 private:
  // Moves what OpenSSL wrote to the inner transport. False when that is broken.
  bool flush() {
    if (!inner_) return false;
    while (size_t pending = BIO_ctrl_pending(out_)) {
      char* data = nullptr;
      BIO_get_mem_data(out_, &data);
      IoResult r = inner_->write(std::string_view(data, pending));
      if (r.status == IoStatus::kOk) {
        // Drops what was taken; reading into a scratch buffer keeps to the BIO's own bookkeeping.
        char scratch[16384];
        size_t left = r.bytes;
        while (left > 0) left -= static_cast<size_t>(BIO_read(out_, scratch, static_cast<int>(std::min(left, sizeof scratch))));
        continue;
      }
      if (r.status == IoStatus::kAgain) return true;
      error_ = inner_->error();
      failed_ = true;
      return false;
    }
    if (shutdown_after_flush_) {
      shutdown_after_flush_ = false;
      inner_->shutdown_write();
    }
    return true;
  }

  IoResult fill() {
    char buffer[16384 + 512];
    IoResult r = inner_->read(buffer);
    if (r.status == IoStatus::kOk) BIO_write(in_, buffer, static_cast<int>(r.bytes));
    return r;
  }

  // A write that waited for the handshake may go on.
  void notice_handshake() {
    if (!write_blocked_ || !SSL_is_init_finished(ssl_)) return;
    write_blocked_ = false;
    loop_.defer([this, alive = alive_] {
      if (*alive && sink_) sink_->on_ready(false, true);
    });
  }

  IoResult tls_failure() {
    failed_ = true;
    char text[256] = "TLS error";
    if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
    error_ = text;
    long verify = SSL_get_verify_result(ssl_);
    if (verify != X509_V_OK) error_ += fmt::format(" ({})", X509_verify_cert_error_string(verify));
    ERR_clear_error();
    flush();  // the alert
    return {IoStatus::kError};
  }

  void on_ready(bool readable, bool writable) override {
    auto alive = alive_;
    if (writable) {
      flush();
      writable = BIO_ctrl_pending(out_) == 0 && SSL_is_init_finished(ssl_);
      if (writable) write_blocked_ = false;
    }
    if (readable && !SSL_is_init_finished(ssl_) && !sink_) return;
    if (sink_ && *alive && (readable || writable)) sink_->on_ready(readable, writable);
  }

  Loop& loop_;
  std::unique_ptr<Transport> inner_;
  std::shared_ptr<const TlsContext> context_;
  SSL* ssl_;
  BIO* in_;
  BIO* out_;
  bool write_blocked_ = false;
  bool shutdown_after_flush_ = false;
  bool failed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

base::Status configure(SSL_CTX* context, const TlsOptions& options) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
  if (!options.certificate_pem.empty()) {
    auto certificates = certificates_from_pem(options.certificate_pem);
    if (!certificates) return std::unexpected(certificates.error());
    auto key = key_from_pem(options.key_pem);
    if (!key) return std::unexpected(key.error());
    if (SSL_CTX_use_certificate(context, certificates->front().get()) != 1) return openssl_failure("certificate");
    for (size_t i = 1; i < certificates->size(); ++i) SSL_CTX_add1_chain_cert(context, (*certificates)[i].get());
    if (SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1)
      return openssl_failure("the private key does not fit the certificate");
  }
  if (!options.ca_pem.empty()) {
    auto anchors = certificates_from_pem(options.ca_pem);
    if (!anchors) return std::unexpected(anchors.error());
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    for (const auto& anchor : *anchors) X509_STORE_add_cert(store, anchor.get());
  }
  return {};
}

}  // namespace

base::Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsOptions& options) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->options_ = options;
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  out->context_ = context;
  if (auto s = configure(context, options); !s) return std::unexpected(s.error());
  if (!options.ca_pem.empty()) {
    int mode = SSL_VERIFY_NONE;
    if (options.require_client_certificate) mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    else if (options.request_client_certificate) mode = SSL_VERIFY_PEER;
    SSL_CTX_set_verify(context, mode, nullptr);
    if (auto anchors = certificates_from_pem(options.ca_pem))
      for (const auto& anchor : *anchors) SSL_CTX_add_client_CA(context, anchor.get());
  }
  static constexpr unsigned char kSessionContext[] = "fairlead";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  if (!options.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, select_alpn, &out->options_.alpn);
  return std::shared_ptr<const TlsContext>(out);
}

base::Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsOptions& options) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->options_ = options;
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  out->context_ = context;
  if (auto s = configure(context, options); !s) return std::unexpected(s.error());
  SSL_CTX_set_verify(context, options.ca_pem.empty() ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (!options.alpn.empty()) {
    std::string wire = alpn_wire(options.alpn);
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
  }
  return std::shared_ptr<const TlsContext>(out);
}

TlsContext::~TlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

std::unique_ptr<Transport> make_tls_server(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context) {
  return std::make_unique<TlsTransport>(loop, std::move(inner), std::move(context), true, "");
}

std::unique_ptr<Transport> make_tls_client(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           const std::string& server_name) {
  return std::make_unique<TlsTransport>(loop, std::move(inner), std::move(context), false, server_name);
}

bool handshake_done(const Transport& transport) {
  const auto* tls = dynamic_cast<const TlsTransport*>(&transport);
  return !tls || tls->handshaken();
}

}  // namespace fairlead::io
