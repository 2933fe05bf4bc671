#include "proxy/upstream/tls_dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "http/message.h"
#include "http/prefixed_transport.h"
#include "proxy/downstream.h"
#include "proxy/proxy_protocol.h"
#include "proxy/tls_source.h"
#include "proxy/worker.h"

namespace fairlead::proxy {
namespace {

// Sidecars of Istio tell each other by ALPN what is inside (Istio's ALPN filter, which every HTTP connection manager of a
// client has): the server's chains for sniffed ports go by it.
const std::vector<std::string>* istio_alpn(const io::TlsContext& context, DialFor use) {
  static const std::vector<std::string> http1 = {"istio-http/1.1", "istio", "http/1.1"}, http2 = {"istio-h2", "istio", "h2"};
  if (use == DialFor::kTcp) return nullptr;
  const auto& own = context.options().alpn;
  if (std::ranges::find(own, "istio") == own.end()) return nullptr;
  return use == DialFor::kHttp2 ? &http2 : &http1;
}

// What is offered where the context names nothing (as in Envoy): what will be spoken.
const std::vector<std::string>* offered(const io::TlsContext& context, DialFor use) {
  static const std::vector<std::string> http1 = {"http/1.1"}, http2 = {"h2"}, either = {"h2", "http/1.1"};
  if (use == DialFor::kTcp || !context.options().alpn.empty()) return istio_alpn(context, use);
  return use == DialFor::kHttp ? &either : use == DialFor::kHttp2 ? &http2 : &http1;
}

}  // namespace

std::string_view server_name_of(std::string_view authority) {
  std::string_view host = http::authority_host(authority);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

const ClusterConfig::SocketMatch* ClusterConfig::socket_match(const Host& host) const {
  for (const SocketMatch& m : socket_matches)
    if (std::ranges::all_of(m.labels, [&](const auto& l) { return std::ranges::find(host.socket_labels, l) != host.socket_labels.end(); })) return &m;
  return nullptr;
}

const std::shared_ptr<TlsSource>& ClusterConfig::tls_for(const Host& host) const {
  const SocketMatch* m = socket_match(host);
  return m ? m->tls : tls;
}

const ProxyHeaderConfig* ClusterConfig::proxy_header_for(const Host& host) const {
  if (!proxy_headers) return nullptr;
  const SocketMatch* m = socket_match(host);
  const auto& header = m ? m->proxy_header : proxy_header;
  return header ? &*header : nullptr;
}

std::string lead_for(const ClusterConfig& cluster, const Host& host, const ConnectionInfo& client) {
  const ProxyHeaderConfig* header = cluster.proxy_header_for(host);
  if (!header) return {};
  std::string tlvs;
  if (client.tlvs) tlvs = pick_tlvs(*client.tlvs, header->all_tlvs, header->tlvs);
  return write_proxy_header(header->version, client.peer, client.local, tlvs);
}

std::unique_ptr<io::Transport> lead_in(std::unique_ptr<io::Transport> transport, std::string bytes) {
  // At once, since it may be for the server to speak first; a fresh socket takes it, and then nothing stands in between.
  io::IoResult r = transport->write(bytes);
  if (r.status == io::IoStatus::kOk && r.bytes == bytes.size()) return transport;
  if (r.status == io::IoStatus::kOk) bytes.erase(0, r.bytes);
  return std::make_unique<http::PrefixedTransport>(std::move(transport), std::move(bytes));  // an error comes again
}

Wrapped wrap_upstream(Cluster& cluster, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use, const std::string& server_name, std::string lead) {
  return wrap_upstream(cluster.worker().loop(), cluster.config(), &cluster.stats.tls, host, std::move(transport), use, server_name, std::move(lead));
}

Wrapped wrap_upstream(io::Loop& loop, const ClusterConfig& cluster, io::TlsCounters* counters, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use,
                      const std::string& server_name, std::string lead) {
  Wrapped out;
  if (const ProxyHeaderConfig* header = cluster.proxy_header_for(host)) {
    // On nobody's behalf: LOCAL; version 1 has only the connection's own ends to tell, as Envoy does.
    if (lead.empty()) lead = header->version == 1 ? write_proxy_header(1, transport->local(), transport->peer()) : write_proxy_header(2, {}, {});
    transport = lead_in(std::move(transport), std::move(lead));
  }
  const std::shared_ptr<TlsSource>& source = cluster.tls_for(host);
  if (!source) {
    out.transport = std::move(transport);
    return out;
  }
  out.handshake = true;
  auto context = source->context();
  if (!context) {
    out.ready = false;
    transport->close();
    return out;
  }
  io::TlsDial dial;
  dial.sni = source->auto_host_sni && !host.hostname.empty() ? host.hostname : !server_name.empty() ? server_name : source->sni;
  if (source->auto_san_validation || (cluster.auto_san_validation && !server_name.empty())) dial.verify_name = dial.sni;
  dial.alpn = offered(*context, use);
  dial.counters = counters;
  out.transport = io::make_tls_client(loop, std::move(transport), std::move(context), dial);
  return out;
}

}  // namespace fairlead::proxy
