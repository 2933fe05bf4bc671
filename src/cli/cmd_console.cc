// fairlead console: the flow-control console over a store of rules.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/state_folder.h"
#include "console/console.h"
#include "http/server.h"
#include "io/signals.h"
#include "store/rules/migrate.h"

namespace fairlead::cli {

namespace {

int complain(const base::Error& error) {
  std::fprintf(stderr, "fairlead console: %s\n", error.text().c_str());
  return 1;
}

// Secrets come from files, so that no process list shows them.
base::Result<std::string> read_secret(const std::string& path) {
  if (path.empty()) return std::string();
  auto text = base::read_file(path);
  if (!text) return std::unexpected(text.error());
  return std::string(base::trim(*text));
}

struct Settings {
  std::vector<std::string> listen;
  int listen_fd = -1;  // a socket that listens already: `fairlead up` opens one on the host
  std::string store, data_dir, certificate, key, registration_secret_file, digest_file;
  store::RuleStoreOptions store_options;
  std::int64_t session_timeout_ms = 10'000, operation_timeout_ms = 5'000;
};

base::Result<std::unique_ptr<store::RuleStore>> open_store(Settings& settings) {
  if (settings.store.empty()) settings.store = "sqlite:" + settings.data_dir + "/rules.db";
  auto digest = read_secret(settings.digest_file);
  if (!digest) return std::unexpected(digest.error());
  settings.store_options.digest = *digest;
  settings.store_options.session_timeout = std::chrono::milliseconds(settings.session_timeout_ms);
  settings.store_options.operation_timeout = std::chrono::milliseconds(settings.operation_timeout_ms);
  return store::open_rule_store(settings.store, settings.store_options);
}

int serve(Settings& settings) {
  std::error_code made;
  std::filesystem::create_directories(settings.data_dir, made);
  if (made) return complain({base::Code::kFailedPrecondition, "cannot make " + settings.data_dir + ": " + made.message() + "; name another folder with --data", {}});
  if (settings.listen.empty()) settings.listen = {"127.0.0.1:8080"};
  std::vector<io::Address> addresses;
  for (const std::string& text : settings.listen) {
    auto at = io::Address::parse(text);
    if (!at) return complain(at.error());
    addresses.push_back(*at);
  }
  auto store = open_store(settings);
  if (!store) return complain(store.error());
  auto secret = read_secret(settings.registration_secret_file);
  if (!secret) return complain(secret.error());

  http::ServerOptions server_options;
  if (settings.certificate.empty() != settings.key.empty()) return complain({base::Code::kInvalidArgument, "--cert and --key go together", {}});
  if (!settings.certificate.empty()) {
    io::TlsOptions tls;
    auto certificate = base::read_file(settings.certificate), key = base::read_file(settings.key);
    if (!certificate) return complain(certificate.error());
    if (!key) return complain(key.error());
    tls.certificate_pem = *certificate;
    tls.key_pem = *key;
    tls.alpn = {"h2", "http/1.1"};
    auto context = io::TlsContext::server(tls);
    if (!context) return complain(context.error());
    server_options.tls = *context;
  }

  io::Loop loop;
  console::ConsoleOptions options;
  options.version = kVersion;
  options.registration_secret = *secret;
  options.secure_cookies = server_options.tls != nullptr;
  auto opened = console::Console::open(loop, settings.data_dir, std::shared_ptr<store::RuleStore>(std::move(*store)), std::move(options));
  if (!opened) return complain(opened.error());
  console::Console& console = **opened;
  auto password = console.first_start();
  if (!password) return complain(password.error());

  http::Server server(loop, server_options, console.handler());
  std::vector<std::string> bound;
  if (settings.listen_fd >= 0) {
    io::Fd given(settings.listen_fd);
    if (auto at = io::local_address(given.get())) bound.push_back(at->text());
    server.listen(std::move(given));
  }
  for (const io::Address& at : addresses) {
    auto opened_at = server.listen(at);
    if (!opened_at) return complain({opened_at.error().code, opened_at.error().text() + "; name another address with --listen", {}});
    bound.push_back(opened_at->text());
  }

  io::SignalWatch on_signal(loop, {SIGTERM, SIGINT}, [&](int) { loop.stop(); });

  if (*password) std::printf("user admin, password %s (shown once; change it after the first log-in)\n", (*password)->c_str());
  console.start([&] {
    std::printf("console on %s://%s, rules in %s\n", server_options.tls ? "https" : "http", base::join(bound, ", ").c_str(), settings.store.c_str());
    std::fflush(stdout);
  });
  std::fflush(stdout);
  loop.run();
  return 0;
}

// `fairlead console migrate`: the flat layout of Sentinel's sample becomes a document for each kind.
int migrate(Settings& settings, bool dry_run, bool clear_old) {
  auto store = open_store(settings);
  if (!store) return complain(store.error());
  auto plan = store::plan_migration(**store);
  if (!plan) return complain(plan.error());
  std::printf("%s", store::to_text(*plan).c_str());
  if (dry_run) {
    if (plan->anything()) std::printf("Nothing was written (--dry-run).\n");
    return 0;
  }
  if (!plan->anything() && !clear_old) return 0;
  if (auto done = store::carry_out(**store, *plan, clear_old); !done) return complain(done.error());
  std::printf("Done. %s\n", clear_old ? "Old values of which nothing is left were emptied." : "The old values are kept; --clear-old empties them once no client reads them.");
  return 0;
}

}  // namespace

int cmd_console(int argc, char** argv) {
  Settings settings;
  settings.data_dir = state_folder("console");
  CLI::App app("Keeps flow-control rules, tells them to Sentinel's clients, shows what they count", "fairlead console");
  app.add_option("--listen", settings.listen, "ADDRESS:PORT of pages, API and heartbeats; other than loopback only where you trust the network, or with --cert (default 127.0.0.1:8080)");
  app.add_option("--listen-fd", settings.listen_fd)->group("");
  app.add_option("--store", settings.store, "where rules live: sqlite:PATH, dir:PATH or zk:HOST:PORT[,HOST:PORT][/CHROOT] (default: sqlite:DATA/rules.db)");
  app.add_option("--data", settings.data_dir, "folder of its own memory: users, history, metrics")->capture_default_str();
  app.add_option("--cert", settings.certificate, "certificate (PEM): serve https")->type_name("FILE");
  app.add_option("--key", settings.key, "its key (PEM)")->type_name("FILE");
  app.add_option("--registration-secret-file", settings.registration_secret_file, "take heartbeats only with this secret")->type_name("FILE");
  app.add_option("--zk-root", settings.store_options.root, "ZooKeeper: the node above all apps")->capture_default_str();
  app.add_option("--zk-digest-file", settings.digest_file, "ZooKeeper: a file with USER:PASSWORD, as identity and ACL")->type_name("FILE");
  app.add_option("--zk-session-timeout-ms", settings.session_timeout_ms, "ZooKeeper: session time-out")->capture_default_str()->check(CLI::Range(100, 600'000));
  app.add_option("--store-timeout-ms", settings.operation_timeout_ms, "how long one call to the store may take")->capture_default_str()->check(CLI::Range(100, 600'000));
  auto* move = app.add_subcommand("migrate", "move rules from the flat layout of Sentinel's sample (one node for an app) to a document for each kind; --store goes before it or after");
  bool dry_run = false, clear_old = false;
  move->add_flag("--dry-run", dry_run, "show what would be written, and write nothing");
  move->add_flag("--clear-old", clear_old, "empty the old value once all its rules are in their documents");
  move->fallthrough();
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;
  if (*move) return migrate(settings, dry_run, clear_old);
  return serve(settings);
}

}  // namespace fairlead::cli
