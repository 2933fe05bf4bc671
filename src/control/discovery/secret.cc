// Secrets by SDS. Source: Istio's pilot/pkg/xds/sds.go, pilot/pkg/model/credentials.
#include <fmt/format.h>

#include "base/log.h"
#include "control/discovery/context.h"
#include "control/discovery/generate.h"
#include "control/discovery/proto.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace fairlead::control {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

constexpr std::string_view kScheme = "kubernetes://", kCaSuffix = "-cacert";

const Credential* find(const Snapshot& snapshot, const std::string& ns, std::string_view name) {
  auto at = snapshot.credentials.find(fmt::format("{}/{}", ns, name));
  return at == snapshot.credentials.end() ? nullptr : at->second.get();
}

// The CA of NAME-cacert: in a Secret of that name, or beside the certificate in NAME.
const Credential* find_ca(const Snapshot& snapshot, const std::string& ns, std::string_view name) {
  const Credential* own = find(snapshot, ns, name);
  if (own && !own->ca_pem.empty()) return own;
  name.remove_suffix(kCaSuffix.size());
  own = find(snapshot, ns, name);
  return own && !own->ca_pem.empty() ? own : nullptr;
}

}  // namespace

// Only a proxy that has shown who it is gets any, and only of its own namespace; keys are for gateways alone. A Secret that
// is not there, or not to be had, is left out: the proxy keeps waiting for it, or keeps what it had.
xds::ResourceMap Generator::secrets(const std::set<std::string>* names) const {
  xds::ResourceMap out;
  const Proxy& proxy = context_->proxy();
  if (!names) return out;
  for (const std::string& full : *names) {
    if (!full.starts_with(kScheme)) continue;
    std::string_view name = std::string_view(full).substr(kScheme.size());
    std::string ns = proxy.verified_ns;
    if (size_t slash = name.find('/'); slash != std::string_view::npos) {
      ns = std::string(name.substr(0, slash));
      name.remove_prefix(slash + 1);
    }
    bool ca = name.ends_with(kCaSuffix);
    if (proxy.verified_ns.empty() || ns != proxy.verified_ns || (!ca && !proxy.router)) {
      FL_LOG_WARN("ads", "{} may not have {}: {}", proxy.id, full,
                  proxy.verified_ns.empty() ? "it has shown no identity (port 15012 asks for one)"
                  : ns != proxy.verified_ns ? "it is of another namespace"
                                            : "keys are for gateways");
      continue;
    }
    tls::Secret secret;
    secret.set_name(full);
    if (ca) {
      const Credential* found = find_ca(context_->snapshot(), ns, name);
      if (!found) continue;
      secret.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(found->ca_pem);
      if (!found->crl_pem.empty()) secret.mutable_validation_context()->mutable_crl()->set_inline_bytes(found->crl_pem);
    } else {
      const Credential* found = find(context_->snapshot(), ns, name);
      if (!found || found->certificate_pem.empty() || found->key_pem.empty()) continue;
      secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_bytes(found->certificate_pem);
      secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes(found->key_pem);
    }
    add_resource(out, full, secret);
  }
  return out;
}

}  // namespace fairlead::control
