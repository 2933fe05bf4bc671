#include "proxy/secrets.h"

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "proxy/config/document.h"
#include "xds/types.h"

namespace fairlead::proxy {

using base::Code;
using base::Status;

namespace {

// A file as Envoy's path_config_source has it: a DiscoveryResponse with Secrets.
base::Result<std::string> secret_in_file(const std::string& path, const std::string& name) {
  auto text = base::read_file(path);
  if (!text) return std::unexpected(text.error());
  auto documents = base::parse_yaml(*text, path);
  if (!documents) return std::unexpected(documents.error());
  if (documents->empty()) return base::fail(Code::kInvalidArgument, "{} is empty", path);
  envoy::service::discovery::v3::DiscoveryResponse response;
  auto problems = to_message((*documents)[0], response);
  if (!problems.empty()) return base::fail(Code::kInvalidArgument, "{}", to_text(problems, path));
  for (const auto& any : response.resources()) {
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    if (any.Is<envoy::extensions::transport_sockets::tls::v3::Secret>() && secret.ParseFromString(any.value()) && secret.name() == name) return any.value();
  }
  return base::fail(Code::kNotFound, "{} has no secret {}", path, name);
}

// A certificate whose key is another's is told to who sent it, before anybody uses it.
Status check(const std::string& name, const std::string& bytes) {
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  if (!secret.ParseFromString(bytes)) return base::fail(Code::kInvalidArgument, "secret {}: the bytes are not a Secret", name);
  const auto& chain = secret.tls_certificate().certificate_chain();
  const auto& key = secret.tls_certificate().private_key();
  auto inline_text = [](const auto& source) { return source.has_inline_bytes() ? source.inline_bytes() : source.inline_string(); };
  if (secret.has_tls_certificate() && !chain.has_filename() && !key.has_filename())
    if (auto ok = io::check_key_pair({inline_text(chain), inline_text(key)}); !ok) return base::fail(Code::kInvalidArgument, "secret {}: {}", name, ok.error().message);
  const auto& ca = secret.validation_context().trusted_ca();
  if (std::string text = inline_text(ca); !text.empty())
    if (auto ok = io::certificate_facts(text); !ok) return base::fail(Code::kInvalidArgument, "secret {}: {}", name, ok.error().message);
  return {};
}

}  // namespace

SecretManager::SecretManager(io::Loop& loop, DiscoveryStreams& streams, Hooks hooks)
    : loop_(loop), streams_(streams), hooks_(std::move(hooks)), watch_(loop, [this] { files_changed(); }) {}
SecretManager::~SecretManager() = default;

SecretLookup SecretManager::lookup() const {
  return [this](const SecretRef& ref) -> SecretBytes {
    auto at = entries_.find(ref);
    return at == entries_.end() ? nullptr : at->second.bytes;
  };
}

std::vector<std::shared_ptr<TlsSource>> SecretManager::sources() const {
  std::vector<std::shared_ptr<TlsSource>> out;
  for (const auto& weak : sources_)
    if (auto s = weak.lock()) out.push_back(std::move(s));
  return out;
}

void SecretManager::attach(const std::shared_ptr<TlsSource>& source) {
  if (std::ranges::any_of(sources_, [&](const auto& weak) { return !weak.owner_before(source) && !source.owner_before(weak); })) return;
  sources_.push_back(source);
  for (const SecretRef& ref : source->secrets) want(ref);
  if (!source->secrets.empty()) (void)build(*source);
  update_streams();
  watch_files();
}

void SecretManager::want(const SecretRef& ref) {
  auto [at, fresh] = entries_.try_emplace(ref);
  if (!fresh) return;
  Entry& e = at->second;
  e.ref = ref;
  if (ref.initial_fetch.count() > 0) {
    e.timeout = std::make_unique<io::Timer>(loop_, [this, ref] {
      auto found = entries_.find(ref);
      if (found == entries_.end() || found->second.bytes) return;
      found->second.gave_up = true;
      FL_LOG_WARN("secrets", "{} did not come within {}; what needs it goes on without", ref.name, base::format_duration(ref.initial_fetch));
      hooks_.changed();
    });
    e.timeout->arm(ref.initial_fetch);
  }
  if (ref.from == SecretRef::From::kFile) read_file(e);
  else if (ref.from == SecretRef::From::kCluster && ref.where == hooks_.local_cluster && hooks_.local_wanted)
    loop_.post([wanted = hooks_.local_wanted, name = ref.name] { wanted(name); });  // its answer may be there at once
}

void SecretManager::update_streams() {
  std::map<DiscoverySource, std::set<std::string>> names;
  for (auto& [ref, e] : entries_)
    if (ref.from == DiscoverySource::From::kCluster && ref.where != hooks_.local_cluster) names[e.ref].insert(ref.name);
  for (const DiscoverySource& unknown : streams_.subscribe(xds::kSecretType, names)) {
    FL_LOG_WARN("secrets", "no static cluster is called {}; its secrets can not be asked for", unknown.where);
    for (auto& [ref, e] : entries_)
      if (ref.from == DiscoverySource::From::kCluster && ref.where == unknown.where) e.gave_up = true;
  }
}

void SecretManager::prune() {
  std::erase_if(sources_, [](const auto& weak) { return weak.expired(); });
  std::set<SecretRef> used;
  for (const auto& s : sources()) used.insert(s->secrets.begin(), s->secrets.end());
  if (std::erase_if(entries_, [&](const auto& e) { return !used.contains(e.first); }) == 0) return;
  update_streams();
  watch_files();
}

std::set<std::string> SecretManager::ads_names() const {
  std::set<std::string> out;
  for (auto& [ref, e] : entries_)
    if (ref.from == SecretRef::From::kAds) out.insert(ref.name);
  return out;
}

Status SecretManager::on_update(const xds::ReceivedUpdate& update, const DiscoverySource* from) {
  Status status;
  for (const auto& r : update.changed) {
    SecretRef ref;
    if (from) static_cast<DiscoverySource&>(ref) = *from;
    ref.name = r.name;
    auto at = entries_.find(ref);
    if (at == entries_.end()) continue;
    if (auto ok = put(at->second, r.bytes, r.version); !ok && status) status = ok;
  }
  return status;
}

void SecretManager::put_local(const std::string& name, const std::string& bytes) {
  SecretRef ref;
  ref.from = SecretRef::From::kCluster;
  ref.where = hooks_.local_cluster;
  ref.name = name;
  if (auto at = entries_.find(ref); at != entries_.end()) (void)put(at->second, bytes, {});
}

Status SecretManager::put(Entry& e, const std::string& bytes, const std::string& version) {
  if (e.bytes && *e.bytes == bytes) {
    e.version = version;
    return {};
  }
  Status status = check(e.ref.name, bytes);
  SecretBytes before = e.bytes;
  if (status) e.bytes = std::make_shared<const std::string>(bytes);
  else FL_LOG_WARN("secrets", "{}; {}", status.error().text(), before ? "the one before stays in use" : "what needs it waits");
  for (const auto& s : sources())
    if (status && std::ranges::any_of(s->secrets, [&](const SecretRef& r) { return r.key() == e.ref.key(); }))
      if (auto ok = build(*s); !ok) status = ok;
  if (!status) {
    e.bytes = std::move(before);
    ++e.rejected;
    e.error = status.error().text();
    return status;
  }
  e.version = version;
  e.updated = std::chrono::system_clock::now();
  e.error.clear();
  ++e.updates;
  if (e.timeout) e.timeout->cancel();
  watch_files();
  hooks_.changed();
  return {};
}

Status SecretManager::build(TlsSource& source) {
  Status ok = source.build(lookup());
  if (!ok) FL_LOG_WARN("secrets", "{}; {}", ok.error().text(), source.complete() ? "what was there before stays in use" : "connections that need it are refused");
  return ok;
}

bool SecretManager::waits(const TlsSource& source) const {
  if (source.complete()) return false;
  return std::ranges::any_of(source.secrets, [this](const SecretRef& ref) {
    auto at = entries_.find(ref);
    return at != entries_.end() && !at->second.bytes && !at->second.gave_up;
  });
}

// ----------------------------------------------------------------------------------------------------------- files

void SecretManager::read_file(Entry& e) {
  auto bytes = secret_in_file(e.ref.where, e.ref.name);
  if (bytes) {
    (void)put(e, *bytes, {});
    return;
  }
  e.error = bytes.error().text();
  ++e.rejected;
  FL_LOG_WARN("secrets", "{}", e.error);
}

void SecretManager::watch_files() {
  std::set<std::string> files;
  for (auto& [ref, e] : entries_)
    if (ref.from == SecretRef::From::kFile) files.insert(ref.where);
  for (const auto& s : sources()) files.merge(s->files());
  std::erase_if(digests_, [&](const auto& d) { return !files.contains(d.first); });
  for (const std::string& f : files)
    if (!digests_.contains(f)) digests_[f] = io::sha256(base::read_file(f).value_or(""));
  watch_.watch(files);
}

void SecretManager::files_changed() {
  std::set<std::string> changed;
  for (auto& [file, digest] : digests_) {
    std::string now = io::sha256(base::read_file(file).value_or(""));
    if (now == digest) continue;
    digest = std::move(now);
    changed.insert(file);
  }
  if (changed.empty()) return;
  for (auto& [ref, e] : entries_)
    if (ref.from == SecretRef::From::kFile && changed.contains(ref.where)) read_file(e);
  for (const auto& s : sources())
    if (std::ranges::any_of(s->files(), [&](const std::string& f) { return changed.contains(f); })) (void)build(*s);
  watch_files();
  hooks_.changed();
}

void SecretManager::stats(StatsSnapshot& into) const {
  for (auto& [ref, e] : entries_) {
    std::string p = "sds." + ref.name + ".";
    into.counters[p + "update_success"] += e.updates;
    into.counters[p + "update_rejected"] += e.rejected;
    into.counters[p + "update_attempt"] += e.updates + e.rejected;
  }
}

}  // namespace fairlead::proxy
