// Command operators of connections: addresses, bytes on the wire, names, TLS.
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "io/tls.h"
#include "proxy/downstream.h"
#include "proxy/log/access_log_command.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
namespace {

constexpr std::string_view kFields[] = {
    "TLS_VERSION",      "TLS_CIPHER",        "TLS_SESSION_ID",         "PEER_URI_SAN",       "PEER_DNS_SAN",       "PEER_IP_SAN",
    "PEER_EMAIL_SAN",   "PEER_SUBJECT",      "PEER_ISSUER",            "PEER_SERIAL",        "PEER_FINGERPRINT_256", "PEER_FINGERPRINT_1",
    "PEER_CERT",        "PEER_CERT_V_START", "PEER_CERT_V_END",        "LOCAL_URI_SAN",      "LOCAL_DNS_SAN",      "LOCAL_IP_SAN",
    "LOCAL_EMAIL_SAN",  "LOCAL_SUBJECT",     "TLS_GROUP",              "SERVER_NAME",        "PEER_OTHERNAME_SAN", "LOCAL_OTHERNAME_SAN",
    "PEER_CHAIN_FINGERPRINTS_256", "PEER_CHAIN_FINGERPRINTS_1", "PEER_CHAIN_SERIALS", "PEER_ISSUER_FINGERPRINT_256", "PEER_ISSUER_SERIAL",
};

std::string_view ip_of(std::string_view address) {
  size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || address.starts_with('/')) return address;
  std::string_view ip = address.substr(0, colon);
  if (ip.size() > 1 && ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  return ip;
}

std::string_view port_of(std::string_view address) {
  size_t colon = address.rfind(':');
  return colon == std::string_view::npos ? std::string_view() : address.substr(colon + 1);
}

// One fact of each certificate of the chain that the peer sent, leaf first, or of the one that issued the leaf.
std::string chain_fact(const io::TlsInfo& tls, std::string_view field) {
  bool issuer = field.starts_with("ISSUER_");
  std::vector<std::string> facts;
  for (size_t i = issuer ? 1 : 0; i < tls.peer_chain_pem.size() && !(issuer && i > 1); ++i) {
    auto one = io::certificate_facts(tls.peer_chain_pem[i]);
    if (!one) continue;
    facts.push_back(field.ends_with("_256") ? one->sha256 : field.ends_with("_1") ? one->sha1 : one->serial);
  }
  return base::join(facts, ",");
}

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

namespace {

// False: nothing to say. time_format: of ..._CERT_V_START and _END; empty: ISO 8601.
bool tls_operator(std::string_view name, std::string_view time_format, const StreamInfo& info, std::string& out) {
  if (name == "DOWNSTREAM_TRANSPORT_FAILURE_REASON") {
    out = info.downstream_failure;
    std::ranges::replace(out, ' ', '_');
    return !out.empty();
  }
  bool up = name.starts_with("UPSTREAM_");
  std::string_view field = name.substr(up ? 9 : 11);
  const io::TlsInfo* tls = up ? info.upstream_tls : info.downstream_tls;
  if (!tls) return false;
  if (field == "TLS_VERSION") out = tls->version;
  else if (field == "TLS_CIPHER") out = tls->cipher;
  else if (field == "TLS_SESSION_ID") out = tls->session_id;
  else if (field == "TLS_GROUP") out = tls->group;
  else if (field == "SERVER_NAME") out = tls->sni;
  else if (field.starts_with("PEER_CHAIN_") || field.starts_with("PEER_ISSUER_")) out = chain_fact(*tls, field.substr(5));
  else if (field == "PEER_CERT") out = tls->peer_chain_pem.empty() ? std::string() : base::url_encode(tls->peer_chain_pem[0]);
  else if (field.starts_with("PEER_")) return tls->peer && fact(field.substr(5), time_format, *tls->peer, out);
  else if (field.starts_with("LOCAL_")) return tls->local && fact(field.substr(6), time_format, *tls->local, out);
  return !out.empty();
}

// Names without their ports, "a:1,b:2" as "a,b".
std::string without_ports(std::string_view list) {
  std::string out;
  for (std::string_view one : base::split(list, ',')) {
    std::string_view name = ip_of(one);
    if (("," + out + ",").find(fmt::format(",{},", name)) != std::string::npos) continue;
    if (!out.empty()) out += ',';
    out += name;
  }
  return out;
}

uint64_t of(const http::ByteCounts* counts, uint8_t which) {
  if (!counts) return 0;
  switch (which) {
    case kByteWireReceived: return counts->wire_received;
    case kByteWireSent: return counts->wire_sent;
    case kByteHeaderReceived: return counts->header_received;
    default: return counts->header_sent;
  }
}

uint64_t round_trip_ms(const StreamInfo& info) {
  int fd = info.connection && info.connection->transport ? info.connection->transport->fd() : -1;
  tcp_info facts{};
  socklen_t size = sizeof facts;
  if (fd < 0 || ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &size) != 0) return 0;
  return facts.tcpi_rtt / 1000;
}

}  // namespace

uint8_t needs_of(const LogPiece& piece) {
  using C = LogCommand;
  switch (piece.command) {
    case C::kTls:
      return LogFormat::kTls;
    case C::kMetadata:
      return LogFormat::kMetadata;
    case C::kUpstreamName:
    case C::kUpstreamNameOnly:
    case C::kAttemptedHosts:
    case C::kAttemptedIps:
    case C::kAttemptedNames:
    case C::kAttemptedNamesOnly:
    case C::kAttemptedConnections:
      return LogFormat::kAttempts;
    case C::kUpstreamProtocol:
    case C::kUpstreamConnectionId:
    case C::kUpstreamPlainBytes:
    case C::kDownstreamPlainBytes:
    case C::kPoolDuration:
    case C::kCommonDuration:
      return LogFormat::kConnection;
    default:
      return 0;
  }
}

bool connection_value(const LogPiece& piece, const StreamInfo& info, std::string& out, bool& number) {
  using C = LogCommand;
  auto text = [&](std::string_view s) { return put_text(s, out); };
  auto count = [&](uint64_t n) { return put_count(n, out, number); };
  auto port = [&](std::string_view address) {
    number = true;
    return text(port_of(address));
  };
  auto direct_local = [&] {
    const ConnectionInfo* c = info.connection;
    return !c ? std::string() : c->original_dst && c->transport ? c->transport->local().text() : c->local_text;
  };
  std::string_view name = info.upstream_host_name.empty() ? info.upstream_host : info.upstream_host_name;
  switch (piece.command) {
    case C::kDownstreamLocalIp:
      return text(ip_of(info.downstream_local));
    case C::kDownstreamLocalPort:
      return port(info.downstream_local);
    case C::kDownstreamRemoteIp:
      return text(ip_of(info.downstream_remote));
    case C::kDownstreamRemotePort:
      return port(info.downstream_remote);
    case C::kDownstreamDirect:
      return text(info.downstream_direct_remote);
    case C::kDownstreamDirectIp:
      return text(ip_of(info.downstream_direct_remote));
    case C::kDownstreamDirectPort:
      return port(info.downstream_direct_remote);
    case C::kDirectLocal:
      return text(direct_local());
    case C::kDirectLocalIp:
      return text(ip_of(direct_local()));
    case C::kDirectLocalPort:
      return port(direct_local());
    case C::kUpstreamRemote:
      return !info.upstream_local.empty() && text(info.upstream_host);
    case C::kUpstreamIp:
      return !info.upstream_local.empty() && text(ip_of(info.upstream_host));
    case C::kUpstreamPort:
      return !info.upstream_local.empty() && port(info.upstream_host);
    case C::kUpstreamEmpty:
      return !info.upstream_local.empty();
    case C::kUpstreamLocalIp:
      return text(ip_of(info.upstream_local));
    case C::kUpstreamLocalPort:
      return port(info.upstream_local);
    case C::kUpstreamName:
      return text(name);
    case C::kUpstreamNameOnly:
      return text(ip_of(name));
    case C::kUpstreamProtocol:
      return text(info.upstream_protocol);
    case C::kUpstreamConnectionId:
      return count(info.upstream_connection_id);
    case C::kAttemptedHosts:
      return text(info.attempted_hosts);
    case C::kAttemptedIps:
      return text(without_ports(info.attempted_hosts));
    case C::kAttemptedNames:
      return text(info.attempted_names);
    case C::kAttemptedNamesOnly:
      return text(without_ports(info.attempted_names));
    case C::kAttemptedConnections:
      return text(info.attempted_connections);
    case C::kDownstreamBytes:
      return count(of(info.downstream_bytes, piece.option));
    case C::kUpstreamBytes:
      return count(of(info.upstream_bytes, piece.option));
    case C::kDownstreamPlainBytes:
      if (info.protocol != "HTTP/2") return count(of(info.downstream_bytes, piece.option));
      if (piece.option == kByteHeaderReceived) return count(info.request_plain_bytes);
      return count((info.response ? plain_bytes(info.response->fields) + 10 : 0) +  // ":status" and its three digits
                   (info.response_trailers ? plain_bytes(*info.response_trailers) : 0));
    case C::kUpstreamPlainBytes:
      if (info.upstream_protocol != "HTTP/2") return count(of(info.upstream_bytes, piece.option));
      return count(piece.option == kByteHeaderReceived ? info.upstream_plain_received : info.upstream_plain_sent);
    case C::kChainName:
      return info.connection && text(info.connection->chain_name);
    case C::kListenerName:
      return info.connection && text(info.connection->listener_name);
    case C::kRoundTrip:
      return count(round_trip_ms(info));
    case C::kTls: {
      std::string value;
      return tls_operator(piece.text, piece.fallback, info, value) && text(value);
    }
    default:
      return false;
  }
}

}  // namespace fairlead::proxy
