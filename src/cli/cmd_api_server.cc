// fairlead api-server: the API server alone, with its store; no node, so pods stay Pending. For tests and for looking at
// the API without a mesh.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "api/server.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "http/server.h"
#include "io/signals.h"
#include "node/node.h"
#include "store/kubeconfig.h"
#include "store/sqlite_store.h"

namespace fairlead::cli {

static int complain(const base::Error& error) {
  std::fprintf(stderr, "fairlead api-server: %s\n", error.text().c_str());
  return 1;
}

int cmd_api_server(int argc, char** argv) {
  CLI::App app("Serves the Kubernetes API from a data folder; runs no pods", "fairlead api-server");
  std::string data_dir, listen = "127.0.0.1:6443", kubeconfig, context = "fairlead-api";
  app.add_option("--data-dir", data_dir, "folder for state.db and certificates")->required();
  app.add_option("--listen", listen, "ADDRESS:PORT; port 0 picks one");
  app.add_option("--kubeconfig", kubeconfig, "merge a context for this server into FILE");
  app.add_option("--context", context, "name of that context");
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;

  std::error_code made;
  std::filesystem::create_directories(data_dir, made);
  if (made) return complain({base::Code::kFailedPrecondition, "cannot make " + data_dir + ": " + made.message(), {}});
  auto pki = node::ensure_pki(data_dir);
  if (!pki) return complain(pki.error());

  io::Loop loop;
  auto store = store::SqliteStore::open(loop, data_dir + "/state.db");
  if (!store) return complain(store.error());
  api::ApiServer::Options options;
  options.ca_pem = pki->ca_certificate;
  options.token_key_pem = pki->service_account_key;
  api::ApiServer api(loop, **store, nullptr, std::move(options));
  if (auto ready = api.bootstrap(); !ready) return complain(ready.error());

  io::TlsOptions tls;
  tls.certificate_pem = pki->server_certificate;
  tls.key_pem = pki->server_key;
  tls.ca_pem = pki->ca_certificate;
  tls.request_client_certificate = true;
  tls.alpn = {"h2", "http/1.1"};
  auto context_or = io::TlsContext::server(tls);
  if (!context_or) return complain(context_or.error());
  http::ServerOptions server_options;
  server_options.tls = *context_or;
  http::Server server(loop, server_options, api.handler());
  auto at = io::Address::parse(listen);
  if (!at) return complain(at.error());
  auto bound = server.listen(*at);
  if (!bound) return complain(bound.error());

  const std::string url = "https://" + bound->text();
  if (!kubeconfig.empty()) {
    store::KubeContext access;
    access.server = url;
    access.ca_pem = pki->ca_certificate;
    access.client_cert_pem = pki->admin_certificate;
    access.client_key_pem = pki->admin_key;
    if (auto merged = store::merge_context(kubeconfig, context, access); !merged) return complain(merged.error());
  }

  io::SignalWatch on_signal(loop, {SIGTERM, SIGINT}, [&](int) { loop.stop(); });

  std::printf("serving %s\n", url.c_str());
  std::fflush(stdout);
  loop.run();
  return 0;
}

}  // namespace fairlead::cli
