// TLS ClientHello (RFC 8446 section 4.1.2) and HTTP request line inspection.
#include "base/strings.h"
#include "proxy/listener.h"

namespace fairlead::proxy {
namespace {

using Verdict = Sniffed::Verdict;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool number(size_t width, size_t& out) {
    if (bytes_.size() < width) return false;
    out = 0;
    for (size_t i = 0; i < width; ++i) out = out << 8 | static_cast<unsigned char>(bytes_[i]);
    bytes_.remove_prefix(width);
    return true;
  }
  bool block(size_t width, std::string_view& out) {
    size_t n;
    if (!number(width, n) || bytes_.size() < n) return false;
    out = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return true;
  }
  bool skip(size_t n) {
    if (bytes_.size() < n) return false;
    bytes_.remove_prefix(n);
    return true;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

// A broken hello is still TLS; the handshake will say what is wrong.
void parse_hello(std::string_view hello, Sniffed& out) {
  Reader r(hello);
  std::string_view session, ciphers, compression, extensions;
  if (!r.skip(2 + 32) || !r.block(1, session) || !r.block(2, ciphers) || !r.block(1, compression) || !r.block(2, extensions)) return;
  Reader e(extensions);
  while (!e.empty()) {
    size_t type;
    std::string_view body;
    if (!e.number(2, type) || !e.block(2, body)) return;
    Reader b(body);
    std::string_view list;
    if (type == 0 && b.block(2, list)) {  // server_name
      Reader l(list);
      size_t kind;
      std::string_view name;
      if (l.number(1, kind) && kind == 0 && l.block(2, name)) out.server_name = base::to_lower(name);
    } else if (type == 16 && b.block(2, list)) {  // application_layer_protocol_negotiation
      Reader l(list);
      std::string_view protocol;
      while (!l.empty() && l.block(1, protocol)) out.alpn.emplace_back(protocol);
    }
  }
}

Verdict sniff_tls(std::string_view bytes, Sniffed& out) {
  constexpr size_t kMostBytes = 16 * 1024;
  if (static_cast<unsigned char>(bytes[0]) != 0x16) return Verdict::kOther;
  if (bytes.size() > 1 && bytes[1] != 3) return Verdict::kOther;
  // The hello may be spread over records.
  std::string handshake;
  std::string_view rest = bytes;
  size_t want = 4;
  while (rest.size() >= 5) {
    if (static_cast<unsigned char>(rest[0]) != 0x16) return Verdict::kOther;
    size_t length = static_cast<size_t>(static_cast<unsigned char>(rest[3])) << 8 | static_cast<unsigned char>(rest[4]);
    handshake.append(rest.substr(5, length));
    if (handshake.size() >= 4) {
      if (handshake[0] != 1) return Verdict::kOther;
      Reader r(std::string_view(handshake).substr(1));
      size_t n = 0;
      (void)r.number(3, n);
      want = 4 + n;
      if (want > kMostBytes) return Verdict::kTls;
      if (handshake.size() >= want) {
        parse_hello(std::string_view(handshake).substr(4, want - 4), out);
        return Verdict::kTls;
      }
    }
    if (rest.size() < 5 + length) break;
    rest.remove_prefix(5 + length);
  }
  return bytes.size() > kMostBytes ? Verdict::kTls : Verdict::kNeedMore;
}

Verdict sniff_http(std::string_view bytes) {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  constexpr size_t kMostBytes = 8 * 1024;
  if (bytes.starts_with(kPreface)) return Verdict::kHttp2;
  if (kPreface.starts_with(bytes)) return Verdict::kNeedMore;
  // "METHOD target HTTP/1.x" up to the line end; anything else is some other protocol.
  static constexpr std::string_view kMethods[] = {"GET",   "HEAD",     "POST",       "PUT",    "DELETE",     "CONNECT",     "OPTIONS",   "TRACE",   "PATCH",
                                                  "COPY",  "LOCK",     "MKCOL",      "MOVE",   "PROPFIND",   "PROPPATCH",   "SEARCH",    "UNLOCK",  "BIND",
                                                  "PURGE", "REBIND",   "UNBIND",     "ACL",    "REPORT",     "MKACTIVITY",  "CHECKOUT",  "MERGE",   "M-SEARCH",
                                                  "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE"};
  size_t space = bytes.find(' ');
  std::string_view method = bytes.substr(0, space);
  bool known = false;
  for (std::string_view m : kMethods) known |= space == std::string_view::npos ? m.starts_with(method) : m == method;
  if (!known) return Verdict::kOther;
  size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return bytes.size() > kMostBytes ? Verdict::kOther : Verdict::kNeedMore;
  std::string_view line = base::trim(bytes.substr(0, end));
  if (line.ends_with(" HTTP/1.1")) return Verdict::kHttp11;
  if (line.ends_with(" HTTP/1.0")) return Verdict::kHttp10;
  return Verdict::kOther;
}

}  // namespace

Sniffed sniff(std::string_view bytes, bool look_for_tls, bool look_for_http) {
  Sniffed out;
  if (bytes.empty()) return out;
  if (look_for_tls) {
    Verdict v = sniff_tls(bytes, out);
    if (v != Verdict::kOther) {
      out.verdict = v;
      return out;
    }
  }
  out.verdict = look_for_http ? sniff_http(bytes) : Verdict::kOther;
  return out;
}

}  // namespace fairlead::proxy
