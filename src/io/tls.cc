// TLS transports on OpenSSL 3, over any Transport: a BIO of our own reads from it straight into OpenSSL's buffer, and
// gathers what OpenSSL writes, so that what a step makes leaves in one call.
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/recycled.h"
#include "base/strings.h"
#include "io/finish_write.h"
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

// As BoringSSL, and so Envoy's statistics and logs, call it.
std::string group_name(SSL* ssl) {
  int group = static_cast<int>(SSL_get_negotiated_group(ssl));
  const char* said = group ? SSL_group_to_name(ssl, group) : nullptr;
  std::string_view name = said ? said : "";
  if (name == "x25519") return "X25519";
  if (name == "secp256r1" || name == "prime256v1") return "P-256";
  if (name == "secp384r1") return "P-384";
  if (name == "secp521r1") return "P-521";
  return std::string(name);
}

// An output buffer that one connection is done with serves the next: idle ones hold none.
thread_local std::string spare_output;
constexpr size_t kSpareBytes = 128 * 1024;

class TlsTransport final : public Transport, public base::Recycled<TlsTransport>, TransportSink {
 public:
  // dial: nullptr on the server's side.
  TlsTransport(Loop& loop, std::unique_ptr<Transport> inner, std::shared_ptr<const TlsContext> context, const TlsDial* dial, TlsCounters* counters)
      : loop_(loop), inner_(std::move(inner)), context_(std::move(context)), ssl_(SSL_new(native(*context_))), counters_(counters), server_(!dial) {
    peer_ = inner_->peer();
    local_ = inner_->local();
    BIO* bio = BIO_new(bio_method());
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_read_ahead(ssl_, 1);  // as much as there is by one read, not a record's head and its body by two
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
    ERR_clear_error();
    below_ = IoStatus::kAgain;
    int n = SSL_read(ssl_, into.data(), static_cast<int>(std::min<size_t>(into.size(), INT_MAX)));
    int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_, n);
    notice_handshake();
    // Tickets go with the answer when a request came along with the end of the handshake.
    if (n > 0) answer_due_ = tickets_wait_;
    if (!answer_due_) flush();  // a handshake or key update may have produced output
    if (n > 0) return {IoStatus::kOk, static_cast<size_t>(n)};
    if (error == SSL_ERROR_ZERO_RETURN) return {IoStatus::kEof};
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return tls_failure();
    // Without close_notify an attacker may have cut the stream: inside a handshake that is an error; after it, codecs
    // above check their own framing, and many peers never send close_notify.
    if (below_ == IoStatus::kEof && SSL_is_init_finished(ssl_)) return {IoStatus::kEof};
    if (below_ == IoStatus::kEof || (below_ == IoStatus::kError && !SSL_is_init_finished(ssl_))) return cut(below_);
    if (below_ == IoStatus::kError) error_ = inner_->error();
    return {below_};
  }

  IoResult write(std::span<const iovec> from) override {
    if (!inner_) return {IoStatus::kError};
    if (!tickets_wait_ && !flush()) return {IoStatus::kError};
    if (!SSL_is_init_finished(ssl_) || (!tickets_wait_ && unsent() > 0)) {
      write_blocked_ = true;
      return {IoStatus::kAgain};
    }
    size_t total = 0;
    bool all = false;
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
        if (unsent() >= 64 * 1024) {
          if (!flush()) return {IoStatus::kError};
          if (unsent() > 0) goto done;
        }
        if (total >= 256 * 1024) goto done;
      }
    }
    all = true;
  done:
    if (!(all && last_write_) && !flush()) return {IoStatus::kError};
    if (total == 0) {
      write_blocked_ = true;
      return {IoStatus::kAgain};
    }
    return {IoStatus::kOk, total};
  }

  void last_write() override { last_write_ = true; }

  void shutdown_write() override {
    if (!inner_) return;
    if (finish()) inner_->shutdown_write();
    else shutdown_after_flush_ = true;
  }

  bool finish() {
    if (!inner_) return true;
    if (SSL_is_init_finished(ssl_) && !failed_ && !(SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN)) SSL_shutdown(ssl_);
    if (last_write_) inner_->last_write();
    flush();
    return unsent() == 0;
  }

  void close(bool reset) override {
    if (!inner_) return;
    if (!reset && SSL_is_init_finished(ssl_) && !failed_) finish();
    inner_->close(reset);
    inner_.reset();
    sink_ = nullptr;
  }

  int fd() const override { return inner_ ? inner_->fd() : -1; }
  bool secure() const override { return true; }
  bool handshaken() const { return SSL_is_init_finished(ssl_); }

  IoStatus drive() {
    if (!inner_ || failed_) return IoStatus::kError;
    if (!SSL_is_init_finished(ssl_)) {
      ERR_clear_error();
      below_ = IoStatus::kAgain;
      int n = SSL_do_handshake(ssl_);
      if (n != 1) {
        int error = SSL_get_error(ssl_, n);
        if (!flush()) return IoStatus::kError;
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return tls_failure().status;
        return below_ == IoStatus::kAgain ? IoStatus::kAgain : cut(below_).status;
      }
    }
    notice_handshake();
    // Of a server that is only tickets; whoever comes next reads, which sends them unless an answer will.
    if (server_) return IoStatus::kOk;
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
      info->session_id = base::hex_encode({reinterpret_cast<const char*>(id), length});
    }
    info->alpn = alpn();
    info->sni = sni();
    info->group = group_name(ssl_);
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
  // ---- what OpenSSL reads from and writes to
  static BIO_METHOD* bio_method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
      BIO_meth_set_read_ex(m, [](BIO* bio, char* into, size_t size, size_t* got) {
        auto* self = static_cast<TlsTransport*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        IoResult r = self->inner_ ? self->inner_->read(std::span(into, size)) : IoResult{IoStatus::kError};
        self->below_ = r.status;
        *got = r.bytes;
        if (r.status == IoStatus::kOk) return 1;
        BIO_set_retry_read(bio);  // the end and errors, too: below_ says which it was
        return 0;
      });
      BIO_meth_set_write_ex(m, [](BIO* bio, const char* from, size_t size, size_t* put) {
        auto* self = static_cast<TlsTransport*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        if (self->out_.capacity() < size) self->take_spare();
        self->out_.append(from, size);
        *put = size;
        return 1;
      });
      BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH; });
      return m;
    }();
    return method;
  }
  void take_spare() {
    if (out_.empty() && spare_output.capacity() > out_.capacity()) out_.swap(spare_output);
  }
  size_t unsent() const { return out_.size() - sent_; }

  // Moves what OpenSSL wrote to the inner transport. False when that is broken.
  bool flush() {
    if (!inner_) return false;
    tickets_wait_ = answer_due_ = false;
    while (size_t pending = unsent()) {
      IoResult r = inner_->write(std::string_view(out_.data() + sent_, pending));
      if (r.status == IoStatus::kOk) {
        sent_ += r.bytes;
        continue;
      }
      if (r.status == IoStatus::kAgain) return true;
      error_ = inner_->error();
      failed_ = true;
      return false;
    }
    if (sent_ > 0) {
      sent_ = 0;
      out_.clear();
      if (out_.capacity() > spare_output.capacity() && out_.capacity() <= kSpareBytes) out_.swap(spare_output);
      std::string().swap(out_);
    }
    if (shutdown_after_flush_) {
      shutdown_after_flush_ = false;
      inner_->shutdown_write();
    }
    return true;
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
    if (!std::exchange(noticed_, true)) tickets_wait_ = server_ && unsent() > 0;
    if (!std::exchange(counted_, true) && counters_) {
      ++counters_->handshake;
      counters_->session_reused += SSL_session_reused(ssl_) != 0;
      counters_->no_certificate += !SSL_get0_peer_certificate(ssl_);
      ++counters_->versions[SSL_get_version(ssl_)];
      if (const char* cipher = SSL_get_cipher_name(ssl_)) ++counters_->ciphers[cipher];
      if (std::string group = group_name(ssl_); !group.empty()) ++counters_->curves[group];
    }
    if (!write_blocked_) return;
    write_blocked_ = false;
    loop_.defer([this, alive = alive_] {
      if (*alive && sink_) sink_->on_ready(false, true);
    });
  }

  // The stream below ended inside the handshake.
  IoResult cut(IoStatus below) {
    failed_ = true;
    error_ = below == IoStatus::kEof || inner_->error().empty() ? "connection closed during the TLS handshake" : inner_->error();
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
      writable = unsent() == 0 && SSL_is_init_finished(ssl_);
      if (writable) write_blocked_ = false;
    }
    if (readable && !SSL_is_init_finished(ssl_) && !sink_) return;
    if (sink_ && *alive && (readable || writable)) sink_->on_ready(readable, writable);
  }

  Loop& loop_;
  std::unique_ptr<Transport> inner_;
  std::shared_ptr<const TlsContext> context_;
  SSL* ssl_;
  std::string out_;         // what OpenSSL wrote, from sent_ on still to be sent
  size_t sent_ = 0;
  IoStatus below_ = IoStatus::kAgain;  // of the last read of the transport below
  TlsCounters* counters_;
  TlsConnectionNotes notes_;
  mutable std::shared_ptr<const TlsInfo> info_;
  bool server_;
  bool counted_ = false, noticed_ = false;
  bool tickets_wait_ = false;  // out_ holds the tickets that end the handshake
  bool answer_due_ = false;    // and a request came with it, whose answer they may wait for
  bool last_write_ = false;
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

bool finish_write(Transport& transport) {
  auto* tls = dynamic_cast<TlsTransport*>(&transport);
  return !tls || tls->finish();
}

IoStatus drive_handshake(Transport& transport) {
  auto* tls = dynamic_cast<TlsTransport*>(&transport);
  return tls ? tls->drive() : IoStatus::kOk;
}

}  // namespace fairlead::io
