#include "proxy/access_log_tls.h"

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "io/tls.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
namespace {

constexpr std::string_view kFields[] = {
    "TLS_VERSION",      "TLS_CIPHER",        "TLS_SESSION_ID",         "PEER_URI_SAN",       "PEER_DNS_SAN",       "PEER_IP_SAN",
    "PEER_EMAIL_SAN",   "PEER_SUBJECT",      "PEER_ISSUER",            "PEER_SERIAL",        "PEER_FINGERPRINT_256", "PEER_FINGERPRINT_1",
    "PEER_CERT",        "PEER_CERT_V_START", "PEER_CERT_V_END",        "LOCAL_URI_SAN",      "LOCAL_DNS_SAN",      "LOCAL_IP_SAN",
    "LOCAL_EMAIL_SAN",  "LOCAL_SUBJECT",
};

std::string time_text(int64_t seconds, std::string_view format) {
  std::time_t t = seconds;
  std::tm tm{};
  gmtime_r(&t, &tm);
  char text[128];
  std::string f(format.empty() ? std::string_view("%Y-%m-%dT%H:%M:%S.000Z") : format);
  return {text, std::strftime(text, sizeof text, f.c_str(), &tm)};
}

bool fact(std::string_view field, std::string_view time_format, const io::CertificateFacts& f, std::string& out) {
  if (field == "URI_SAN") out = base::join(f.uris, ",");
  else if (field == "DNS_SAN") out = base::join(f.dns_names, ",");
  else if (field == "IP_SAN") out = base::join(f.ips, ",");
  else if (field == "EMAIL_SAN") out = base::join(f.emails, ",");
  else if (field == "SUBJECT") out = f.subject;
  else if (field == "ISSUER") out = f.issuer;
  else if (field == "SERIAL") out = f.serial;
  else if (field == "FINGERPRINT_256") out = f.sha256;
  else if (field == "FINGERPRINT_1") out = f.sha1;
  else if (field == "CERT_V_START") out = time_text(f.not_before, time_format);
  else if (field == "CERT_V_END") out = time_text(f.not_after, time_format);
  else return false;
  return !out.empty();
}

}  // namespace

bool is_tls_operator(std::string_view name) {
  if (name == "DOWNSTREAM_TRANSPORT_FAILURE_REASON") return true;
  for (std::string_view side : {"DOWNSTREAM_", "UPSTREAM_"})
    if (name.starts_with(side)) return std::ranges::find(kFields, name.substr(side.size())) != std::end(kFields);
  return false;
}

bool tls_operator(std::string_view name, std::string_view time_format, const StreamInfo& info, std::string& out) {
  if (name == "DOWNSTREAM_TRANSPORT_FAILURE_REASON") {
    out = info.downstream_failure;
    return !out.empty();
  }
  bool up = name.starts_with("UPSTREAM_");
  std::string_view field = name.substr(up ? 9 : 11);
  const io::TlsInfo* tls = up ? info.upstream_tls : info.downstream_tls;
  if (!tls) return false;
  if (field == "TLS_VERSION") out = tls->version;
  else if (field == "TLS_CIPHER") out = tls->cipher;
  else if (field == "TLS_SESSION_ID") out = tls->session_id;
  else if (field == "PEER_CERT") out = tls->peer_chain_pem.empty() ? std::string() : base::url_encode(tls->peer_chain_pem[0]);
  else if (field.starts_with("PEER_")) return tls->peer && fact(field.substr(5), time_format, *tls->peer, out);
  else if (field.starts_with("LOCAL_")) return tls->local && fact(field.substr(6), time_format, *tls->local, out);
  return !out.empty();
}

}  // namespace fairlead::proxy
