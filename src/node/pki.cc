// The mesh's certificates. Ten years: a mesh on one machine has nobody who would renew them, and `down --purge` ends them.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>


#include "io/tls.h"
#include "base/file.h"
#include "node/node.h"

namespace fairlead::node {
namespace {

// Whole or not at all: written beside, synced, renamed.
base::Status write_file(const std::string& path, const std::string& text) {
  std::string temporary = path + ".new";
  io::Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return base::fail_errno("cannot write " + temporary);
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(fd.get()) != 0)
    return base::fail_errno("cannot write " + temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return base::fail_errno("cannot write " + path);
  return {};
}

constexpr std::chrono::hours kValidFor{24 * 365 * 10};

}  // namespace

base::Result<Pki> ensure_pki(const std::string& data_dir) {
  std::string dir = data_dir + "/pki";
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return base::fail_errno("cannot make " + dir);
  Pki pki;
  // ca.crt is written last: with it there, all of them are.
  if (std::string ca = base::read_file(dir + "/ca.crt").value_or(""); !ca.empty()) {
    pki = {ca, base::read_file(dir + "/ca.key").value_or(""), base::read_file(dir + "/server.crt").value_or(""), base::read_file(dir + "/server.key").value_or(""),
           base::read_file(dir + "/admin.crt").value_or(""), base::read_file(dir + "/admin.key").value_or(""), base::read_file(dir + "/sa.key").value_or("")};
    return pki;
  }
  io::CertificateRequest ca_request{.common_name = "fairlead-ca", .organizations = {}, .dns_names = {}, .ips = {}, .uris = {}, .is_ca = true, .valid_for = kValidFor};
  auto ca = io::issue_certificate(ca_request, nullptr);
  if (!ca) return std::unexpected(ca.error());
  io::CertificateRequest server_request{
      .common_name = "kube-apiserver",
      .organizations = {},
      .dns_names = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
      .ips = {"127.0.0.1", "::1", kApiServiceIp, kNodeIp},
      .uris = {},
      .is_ca = false,
      .valid_for = kValidFor};
  auto server = io::issue_certificate(server_request, &*ca);
  if (!server) return std::unexpected(server.error());
  io::CertificateRequest admin_request{.common_name = "fairlead-admin", .organizations = {"system:masters"}, .dns_names = {}, .ips = {}, .uris = {}, .is_ca = false, .valid_for = kValidFor};
  auto admin = io::issue_certificate(admin_request, &*ca);
  if (!admin) return std::unexpected(admin.error());
  auto service_account = io::issue_certificate({.common_name = "service-accounts", .organizations = {}, .dns_names = {}, .ips = {}, .uris = {}, .is_ca = false, .valid_for = kValidFor}, nullptr);
  if (!service_account) return std::unexpected(service_account.error());
  pki = {ca->certificate_pem, ca->key_pem, server->certificate_pem, server->key_pem,
         admin->certificate_pem, admin->key_pem, service_account->key_pem};
  const std::pair<const char*, const std::string*> files[] = {
      {"ca.key", &pki.ca_key},       {"server.crt", &pki.server_certificate}, {"server.key", &pki.server_key},
      {"admin.crt", &pki.admin_certificate}, {"admin.key", &pki.admin_key},   {"sa.key", &pki.service_account_key},
      {"ca.crt", &pki.ca_certificate}};
  for (auto& [name, text] : files)
    if (auto ok = write_file(dir + "/" + name, *text); !ok) return std::unexpected(ok.error());
  return pki;
}

}  // namespace fairlead::node
