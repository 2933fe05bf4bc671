// TLS contexts and transports on OpenSSL 3. Bytes move through memory BIOs, so that any Transport can be below.
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "io/tls_state.h"

namespace fairlead::io {

std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& p : protocols) {
    wire += static_cast<char>(p.size());
    wire += p;
  }
  return wire;
}

namespace {

std::string hex(const unsigned char* data, size_t length) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < length; ++i) {
    out += kDigits[data[i] >> 4];
    out += kDigits[data[i] & 15];
  }
  return out;
}

class TlsTransport final : public Transport, TransportSink {
 public:
  // dial: nullptr on the server's side.
  TlsTransport(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context, const TlsDial* dial, TlsCounters* counters)
      : loop_(loop), inner_(std::move(inner)), context_(std::move(context)), ssl_(SSL_new(native(*context_))), counters_(counters), server_(!dial) {
    peer_ = inner_->peer();
    local_ = inner_->local();
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    BIO_set_mem_eof_return(out_, -1);
    SSL_set_bio(ssl_, in_, out_);
    notes_.context = context_.get();
    SSL_set_app_data(ssl_, &notes_);
    if (!dial) {
      SSL_set_accept_state(ssl_);
    } else {
      SSL_set_connect_state(ssl_);
      if (!dial->sni.empty() && !Address::parse_ip(dial->sni, 0)) SSL_set_tlsext_host_name(ssl_, dial->sni.c_str());
      if (!dial->verify_name.empty()) {
        if (Address::parse_ip(dial->verify_name, 0)) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), dial->verify_name.c_str());
        else SSL_set1_host(ssl_, dial->verify_name.c_str());
      }
      if (dial->alpn && !dial->alpn->empty()) {
        std::string wire = alpn_wire(*dial->alpn);
        SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
      }
      if (context_->options().max_sessions > 0) {
        notes_.session_key = peer_.text() + "/" + dial->sni + "/" + dial->verify_name;
        resume();
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
      // Without close_notify an attacker may have cut the stream: inside a handshake that is an error; after it, codecs
      // above check their own framing, and many peers never send close_notify.
      if (filled.status == IoStatus::kEof && SSL_is_init_finished(ssl_)) return {IoStatus::kEof};
      if (filled.status == IoStatus::kEof || (filled.status == IoStatus::kError && !SSL_is_init_finished(ssl_))) return cut(filled);
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

  IoStatus drive() {
    if (!inner_ || failed_) return IoStatus::kError;
    while (!SSL_is_init_finished(ssl_)) {
      ERR_clear_error();
      int n = SSL_do_handshake(ssl_);
      if (n == 1) break;
      int error = SSL_get_error(ssl_, n);
      if (!flush()) return IoStatus::kError;
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return tls_failure().status;
      IoResult filled = fill();
      if (filled.status == IoStatus::kAgain) return IoStatus::kAgain;
      if (filled.status != IoStatus::kOk) return cut(filled).status;
    }
    notice_handshake();
    return flush() ? IoStatus::kOk : IoStatus::kError;
  }

  std::shared_ptr<const TlsInfo> tls_info() const override {
    if (info_ || !SSL_is_init_finished(ssl_)) return info_;
    auto info = std::make_shared<TlsInfo>();
    info->version = SSL_get_version(ssl_);
    if (const char* cipher = SSL_get_cipher_name(ssl_)) info->cipher = cipher;
    if (const SSL_SESSION* session = SSL_get0_session(ssl_)) {
      unsigned length = 0;
      const unsigned char* id = SSL_SESSION_get_id(session, &length);
      info->session_id = hex(id, length);
    }
    info->alpn = alpn();
    info->sni = sni();
    info->resumed = SSL_session_reused(ssl_);
    if (X509* peer = SSL_get0_peer_certificate(ssl_)) {
      // A resumed session was verified when it began, by the same rules.
      info->peer_verified = notes_.verified || (info->resumed && !context_->options().ca_pem.empty() && !context_->options().accept_untrusted);
      info->peer = facts_of(peer);
      info->peer_chain_pem.push_back(to_pem(peer));
      if (STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl_))
        for (int i = server_ ? 0 : 1; i < sk_X509_num(chain); ++i) info->peer_chain_pem.push_back(to_pem(sk_X509_value(chain, i)));
    }
    if (X509* own = SSL_get_certificate(ssl_)) {
      for (const auto& c : context_->state().certificates)
        if (X509_cmp(c.leaf.get(), own) == 0) info->local = c.facts;
    }
    info_ = std::move(info);
    return info_;
  }

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

  // Offers a session of an earlier connection to the same place. One of TLS 1.3 is used once (RFC 8446 appendix C.4).
  void resume() {
    TlsState& state = context_->state();
    std::lock_guard lock(state.mutex);
    auto at = state.sessions.find(notes_.session_key);
    if (at == state.sessions.end() || at->second.empty()) return;
    SSL_SESSION* session = at->second.front().get();
    SSL_set_session(ssl_, session);
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) at->second.pop_front();
  }

  // Once, when the handshake is done. A write that waited for it may go on.
  void notice_handshake() {
    if (!SSL_is_init_finished(ssl_)) return;
    if (!std::exchange(counted_, true) && counters_) {
      ++counters_->handshake;
      counters_->session_reused += SSL_session_reused(ssl_) != 0;
      counters_->no_certificate += !SSL_get0_peer_certificate(ssl_);
      ++counters_->versions[SSL_get_version(ssl_)];
      if (const char* cipher = SSL_get_cipher_name(ssl_)) ++counters_->ciphers[cipher];
      if (int group = static_cast<int>(SSL_get_negotiated_group(ssl_)))
        if (const char* name = SSL_group_to_name(ssl_, group)) ++counters_->curves[name];
    }
    if (!write_blocked_) return;
    write_blocked_ = false;
    loop_.defer([this, alive = alive_] {
      if (*alive && sink_) sink_->on_ready(false, true);
    });
  }

  // The stream below ended inside the handshake.
  IoResult cut(const IoResult& below) {
    failed_ = true;
    error_ = below.status == IoStatus::kEof || inner_->error().empty() ? "connection closed during the TLS handshake" : inner_->error();
    if (counters_ && !std::exchange(counted_, true)) ++counters_->connection_error;
    return {IoStatus::kError};
  }

  IoResult tls_failure() {
    failed_ = true;
    unsigned long code = ERR_get_error();
    int reason = ERR_GET_REASON(code);
    const char* words = code ? ERR_reason_error_string(code) : nullptr;
    // Envoy's shape, so that what people search logs for is found.
    error_ = fmt::format("TLS_error:|{}:SSL routines::{}:TLS_error_end", code, words ? words : "protocol error");
    using Failure = TlsConnectionNotes::Failure;
    if (!notes_.failure_text.empty() && notes_.failure != Failure::kNone)
      error_ = fmt::format("TLS_error:|{}:SSL routines::{}:{}:TLS_error_end", code, words ? words : "certificate verify failed", notes_.failure_text);
    if (counters_ && !std::exchange(counted_, true)) {
      if (notes_.failure == Failure::kChain) ++counters_->fail_verify_error;
      else if (notes_.failure == Failure::kName) ++counters_->fail_verify_san;
      else if (notes_.failure == Failure::kPin) ++counters_->fail_verify_cert_hash;
      else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) ++counters_->fail_verify_no_cert;
      else ++counters_->connection_error;
    }
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
  TlsCounters* counters_;
  TlsConnectionNotes notes_;
  mutable std::shared_ptr<const TlsInfo> info_;
  bool server_;
  bool counted_ = false;
  bool write_blocked_ = false;
  bool shutdown_after_flush_ = false;
  bool failed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Transport> make_tls_server(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           TlsCounters* counters) {
  return std::make_unique<TlsTransport>(loop, std::move(inner), std::move(context), nullptr, counters);
}

std::unique_ptr<Transport> make_tls_client(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           const std::string& server_name) {
  TlsDial dial{.sni = server_name, .verify_name = context->options().ca_pem.empty() ? "" : server_name, .alpn = nullptr, .counters = nullptr};
  return std::make_unique<TlsTransport>(loop, std::move(inner), std::move(context), &dial, nullptr);
}

std::unique_ptr<Transport> make_tls_client(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context,
                                           const TlsDial& dial) {
  return std::make_unique<TlsTransport>(loop, std::move(inner), std::move(context), &dial, dial.counters);
}

bool handshake_done(const Transport& transport) {
  const auto* tls = dynamic_cast<const TlsTransport*>(&transport);
  return !tls || tls->handshaken();
}

IoStatus drive_handshake(Transport& transport) {
  auto* tls = dynamic_cast<TlsTransport*>(&transport);
  return tls ? tls->drive() : IoStatus::kOk;
}

}  // namespace fairlead::io
