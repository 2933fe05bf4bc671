// /certs: certificates in use, as Envoy tells of them.
#include "proxy/admin/admin_certs.h"

#include <algorithm>
#include <set>

#include "base/time.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "io/tls.h"
#include "proxy/proto_json.h"
#include "proxy/tls_source.h"

namespace fairlead::proxy {
namespace {

using base::Value;

std::string iso(int64_t seconds) { return base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds))); }

Value details(const std::string& pem) {
  auto facts = io::certificate_facts(pem);
  if (!facts) return Value::object();
  Value names = Value::array();
  for (const auto& n : facts->uris) names.push(Value::object({{"uri", n}}));
  for (const auto& n : facts->dns_names) names.push(Value::object({{"dns", n}}));
  for (const auto& n : facts->ips) names.push(Value::object({{"ip_address", n}}));
  int64_t now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return Value::object({{"path", "<inline>"},
                        {"serial_number", facts->serial},
                        {"subject_alt_names", std::move(names)},
                        {"days_until_expiration", std::to_string(facts->not_after > now ? (facts->not_after - now) / 86400 : 0)},
                        {"valid_from", iso(facts->not_before)},
                        {"expiration_time", iso(facts->not_after)}});
}

}  // namespace

Value certificates_in_use(const SecretManager& secrets) {
  Value list = Value::array();
  std::set<std::string> told;
  for (const auto& source : secrets.sources()) {
    TlsSource::InUse used = source->in_use();
    std::string all = used.ca;
    for (const auto& c : used.certificates) all += c;
    if (all.empty() || !told.insert(all).second) continue;
    Value ca = Value::array(), chain = Value::array();
    if (!used.ca.empty()) ca.push(details(used.ca));
    for (const auto& c : used.certificates) chain.push(details(c));
    list.push(Value::object({{"ca_cert", std::move(ca)}, {"cert_chain", std::move(chain)}}));
  }
  return Value::object({{"certificates", std::move(list)}});
}

uint64_t days_until_first_certificate_expires(const SecretManager& secrets) {
  int64_t now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  uint64_t days = 0xffffffff;
  for (const auto& source : secrets.sources()) {
    TlsSource::InUse used = source->in_use();
    used.certificates.push_back(used.ca);
    for (const std::string& pem : used.certificates) {
      if (pem.empty()) continue;
      if (auto facts = io::certificate_facts(pem))
        days = std::min(days, static_cast<uint64_t>(std::max<int64_t>(facts->not_after - now, 0) / 86400));
    }
  }
  return days;
}

Value secrets_dump(const SecretManager& secrets) {
  Value active = Value::array(), warming = Value::array();
  for (const auto& [ref, e] : secrets.entries()) {
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    if (e.bytes) secret.ParseFromString(*e.bytes);
    else secret.set_name(ref.name);
    Value message = to_json(secret);
    Value typed = Value::object({{"@type", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"}});
    for (auto& m : message.mutable_members()) typed.set(m.key, std::move(m.value));
    Value one = Value::object({{"name", ref.name}, {"version_info", e.bytes ? e.version : "uninitialized"}});
    if (e.bytes) one.set("last_updated", base::format_rfc3339(e.updated));
    one.set("secret", std::move(typed));
    if (!e.error.empty()) one.set("error_state", Value::object({{"details", e.error}}));
    (e.bytes ? active : warming).push(std::move(one));
  }
  Value out = Value::object();
  if (!active.empty()) out.set("dynamic_active_secrets", std::move(active));
  if (!warming.empty()) out.set("dynamic_warming_secrets", std::move(warming));
  return out;
}

}  // namespace fairlead::proxy
