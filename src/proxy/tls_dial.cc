#include "proxy/tls_dial.h"

#include <algorithm>

#include "http/message.h"
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

}  // namespace

std::string_view server_name_of(std::string_view authority) {
  std::string_view host = http::authority_host(authority);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

const std::shared_ptr<TlsSource>& ClusterConfig::tls_for(const Host& host) const {
  for (const SocketMatch& m : socket_matches)
    if (std::ranges::all_of(m.labels, [&](const auto& l) { return std::ranges::find(host.socket_labels, l) != host.socket_labels.end(); })) return m.tls;
  return tls;
}

Wrapped wrap_upstream(Cluster& cluster, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use, const std::string& server_name) {
  return wrap_upstream(cluster.worker().loop(), cluster.config(), &cluster.stats.tls, host, std::move(transport), use, server_name);
}

Wrapped wrap_upstream(io::Loop& loop, const ClusterConfig& cluster, io::TlsCounters* counters, const Host& host, std::unique_ptr<io::Transport> transport, DialFor use,
                      const std::string& server_name) {
  Wrapped out;
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
  dial.alpn = istio_alpn(*context, use);
  dial.counters = counters;
  out.transport = io::make_tls_client(loop, std::move(transport), std::move(context), dial);
  return out;
}

}  // namespace fairlead::proxy
