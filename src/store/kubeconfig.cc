#include "store/kubeconfig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "base/value.h"
#include "store/kube_client.h"

namespace fairlead::store {
namespace {

using base::Code;
using base::fail;
using base::Value;
namespace fs = std::filesystem;

constexpr std::string_view kPodCredentials = "/var/run/secrets/kubernetes.io/serviceaccount";

base::Result<Value> read_config(const fs::path& path) {
  auto text = base::read_file(path.string());
  if (!text) return std::unexpected(text.error());
  auto docs = base::parse_yaml(*text, path.string());
  if (!docs) return std::unexpected(docs.error());
  if (docs->empty()) return Value::object();
  if (!docs->front().is_object()) return fail(Code::kInvalidArgument, "{} is not a kubeconfig file", path.string());
  return std::move(docs->front());
}

std::vector<std::string> search_paths(std::string_view flag) {
  if (!flag.empty()) return {std::string(flag)};
  std::vector<std::string> out;
  if (const char* env = std::getenv("KUBECONFIG"); env && *env)
    for (std::string_view p : base::split(env, ':'))
      if (!p.empty()) out.emplace_back(p);
  if (out.empty())
    if (const char* home = std::getenv("HOME"); home && *home) out.push_back(std::string(home) + "/.kube/config");
  return out;
}

// The first file that defines a name wins (clientcmd's merging rule).
struct Named {
  Value value;
  fs::path file;  // relative paths inside are relative to its folder
};
std::vector<std::pair<std::string, Named>> collect(const std::vector<std::pair<fs::path, Value>>& files, const char* list, const char* key) {
  std::vector<std::pair<std::string, Named>> out;
  for (const auto& [file, config] : files) {
    for (const Value& entry : config[list].items()) {
      const std::string& name = entry["name"].as_string();
      bool known = false;
      for (auto& [n, v] : out) known = known || n == name;
      if (!known) out.emplace_back(name, Named{entry[key], file});
    }
  }
  return out;
}

const Named* find_named(const std::vector<std::pair<std::string, Named>>& list, std::string_view name) {
  for (const auto& [n, v] : list)
    if (n == name) return &v;
  return nullptr;
}

// X-data (base64) has precedence over X (a path).
base::Result<std::string> pem(const Named& at, const char* field) {
  const std::string& inline_data = at.value[std::string(field) + "-data"].as_string();
  if (!inline_data.empty()) {
    auto decoded = base::base64_decode(inline_data);
    if (!decoded) return fail(Code::kInvalidArgument, "{}: {}-data is not base64", at.file.string(), field);
    return *decoded;
  }
  const std::string& path = at.value[field].as_string();
  if (path.empty()) return std::string();
  return base::read_file(fs::path(path).is_absolute() ? path : (at.file.parent_path() / path).string());
}

base::Result<KubeContext> in_pod() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  fs::path folder(kPodCredentials);
  std::error_code ignored;
  if (!host || !port || !fs::exists(folder / "token", ignored)) return fail(Code::kNotFound, "not in a pod");
  KubeContext out;
  std::string_view h = host;
  out.server = h.find(':') == std::string_view::npos ? fmt::format("https://{}:{}", h, port) : fmt::format("https://[{}]:{}", h, port);
  auto token = base::read_file((folder / "token").string());
  if (!token) return std::unexpected(token.error());
  out.token = std::string(base::trim(*token));
  if (auto ca = base::read_file((folder / "ca.crt").string())) out.ca_pem = *ca;
  if (auto ns = base::read_file((folder / "namespace").string())) out.ns = std::string(base::trim(*ns));
  out.context = "in-cluster";
  return out;
}

// client-go's lock: PATH.lock, created exclusively. A lock left by a crash is broken after a while.
class FileLock {
 public:
  explicit FileLock(std::string path) : path_(std::move(path) + ".lock") {
    constexpr int kTries = 200;  // of 10 ms
    for (int i = 0; i < kTries; ++i) {
      fd_ = ::open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
      if (fd_ >= 0 || errno != EEXIST) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::unlink(path_.c_str());
    fd_ = ::open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  }
  ~FileLock() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  bool held() const { return fd_ >= 0; }

 private:
  std::string path_;
  int fd_ = -1;
};

base::Status write_atomically(const fs::path& path, const std::string& text) {
  // A link (~/.kube/config in a dotfiles repository) stays one: its target is replaced.
  std::error_code ec;
  fs::path target = fs::is_symlink(path, ec) ? fs::canonical(path, ec) : path;
  if (ec) target = path;
  struct stat old{};
  mode_t mode = ::stat(target.c_str(), &old) == 0 ? (old.st_mode & 0777) : 0600;
  std::string temporary = target.string() + fmt::format(".{}.tmp", ::getpid());
  int fd = ::open(temporary.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return base::fail_errno("cannot write " + temporary);
  size_t done = 0;
  int error = 0;
  while (done < text.size() && error == 0) {
    ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0) {
      if (errno != EINTR) error = errno;
    } else {
      done += static_cast<size_t>(n);
    }
  }
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (error == 0 && ::fchmod(fd, mode) != 0) error = errno;
  ::close(fd);
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error == 0) return {};
  ::unlink(temporary.c_str());
  return base::fail_errno("cannot write " + path.string(), error);
}

void put(Value& config, const char* list, const char* key, const std::string& name, Value value) {
  Value& entries = config[list];
  Value entry = Value::object();
  entry.set("name", name).set(key, std::move(value));
  if (entries.is_array()) {
    for (Value& e : entries.mutable_items()) {
      if (e["name"].as_string() != name) continue;
      e = std::move(entry);
      return;
    }
  }
  entries.push(std::move(entry));
}

constexpr std::string_view kExtension = "fairlead.io/context";

// What was current before `name` became so: remembered in the context itself, else whatever is current now.
std::string previous_context(const Value& config, const std::string& name) {
  if (const std::string& current = config["current-context"].as_string(); current != name) return current;
  for (const Value& c : config["contexts"].items()) {
    if (c["name"].as_string() != name) continue;
    for (const Value& e : c["context"]["extensions"].items())
      if (e["name"].as_string() == kExtension) return e["extension"]["previous-context"].as_string();
  }
  return "";
}

void take(Value& config, const char* list, const std::string& name) {
  Value* entries = config.find(list);
  if (entries && entries->is_array())
    std::erase_if(entries->mutable_items(), [&](const Value& e) { return e["name"].as_string() == name; });
}

}  // namespace

std::string default_kubeconfig_path(std::string_view flag) {
  auto paths = search_paths(flag);
  return paths.empty() ? std::string() : paths.front();
}

base::Result<KubeContext> load_kubeconfig(std::string_view path, std::string_view context) {
  std::vector<std::pair<fs::path, Value>> files;
  std::vector<std::string> looked;
  for (const std::string& p : search_paths(path)) {
    looked.push_back(p);
    auto config = read_config(p);
    if (!config) {
      if (config.error().code == Code::kNotFound && path.empty()) continue;
      return std::unexpected(config.error());
    }
    files.emplace_back(p, std::move(*config));
  }
  if (files.empty()) {
    if (auto pod = in_pod(); pod && context.empty()) return pod;
    return fail(Code::kNotFound, "no kubeconfig file found (looked at {}); `fairlead up` writes one, or say --kubeconfig FILE",
                looked.empty() ? "nothing: HOME is not set" : base::join(looked, ", "));
  }
  auto contexts = collect(files, "contexts", "context");
  auto clusters = collect(files, "clusters", "cluster");
  auto users = collect(files, "users", "user");
  std::string wanted(context);
  for (const auto& [file, config] : files) {
    if (!wanted.empty()) break;
    wanted = config["current-context"].as_string();
  }
  if (wanted.empty()) return fail(Code::kNotFound, "{} has no current-context; say --context NAME", base::join(looked, ", "));
  const Named* found = find_named(contexts, wanted);
  if (!found) {
    std::vector<std::string> names;
    for (auto& [n, v] : contexts) names.push_back(n);
    return fail(Code::kNotFound, "context \"{}\" does not exist in {}; there {}", wanted, base::join(looked, ", "),
                names.empty() ? std::string("is none") : "are " + base::join(names, ", "));
  }
  KubeContext out;
  out.context = wanted;
  if (const std::string& ns = found->value["namespace"].as_string(); !ns.empty()) out.ns = ns;
  const Named* cluster = find_named(clusters, found->value["cluster"].as_string());
  if (!cluster)
    return fail(Code::kInvalidArgument, "context \"{}\" names cluster \"{}\", which does not exist", wanted, found->value["cluster"].as_string());
  out.server = cluster->value["server"].as_string();
  out.tls_server_name = cluster->value["tls-server-name"].as_string();
  out.insecure_skip_tls_verify = cluster->value["insecure-skip-tls-verify"].as_bool();
  auto ca = pem(*cluster, "certificate-authority");
  if (!ca) return std::unexpected(ca.error());
  out.ca_pem = std::move(*ca);
  if (const Named* user = find_named(users, found->value["user"].as_string())) {
    auto certificate = pem(*user, "client-certificate");
    auto key = pem(*user, "client-key");
    if (!certificate) return std::unexpected(certificate.error());
    if (!key) return std::unexpected(key.error());
    out.client_cert_pem = std::move(*certificate);
    out.client_key_pem = std::move(*key);
    out.token = user->value["token"].as_string();
    if (const std::string& file = user->value["tokenFile"].as_string(); out.token.empty() && !file.empty()) {
      auto token = base::read_file(file);
      if (!token) return std::unexpected(token.error());
      out.token = std::string(base::trim(*token));
    }
  }
  return out;
}

base::Status merge_context(const std::string& path, const std::string& name, const KubeContext& config, bool make_current) {
  std::error_code ec;
  if (fs::path folder = fs::path(path).parent_path(); !folder.empty()) {
    fs::create_directories(folder, ec);
    if (ec) return fail(Code::kFailedPrecondition, "cannot make the folder {}: {}", folder.string(), ec.message());
  }
  FileLock lock(path);
  if (!lock.held()) return base::fail_errno("cannot lock " + path);
  auto existing = read_config(path);
  if (!existing && existing.error().code != Code::kNotFound) return std::unexpected(existing.error());
  Value file = existing ? std::move(*existing) : Value::object();
  if (file["apiVersion"].as_string().empty()) file.set("apiVersion", "v1");
  if (file["kind"].as_string().empty()) file.set("kind", "Config");
  if (!file["preferences"].is_object()) file.set("preferences", Value::object());
  Value cluster = Value::object();
  if (!config.ca_pem.empty()) cluster.set("certificate-authority-data", base::base64_encode(config.ca_pem));
  if (config.insecure_skip_tls_verify) cluster.set("insecure-skip-tls-verify", true);
  cluster.set("server", config.server);
  if (!config.tls_server_name.empty()) cluster.set("tls-server-name", config.tls_server_name);
  Value user = Value::object();
  if (!config.client_cert_pem.empty()) user.set("client-certificate-data", base::base64_encode(config.client_cert_pem));
  if (!config.client_key_pem.empty()) user.set("client-key-data", base::base64_encode(config.client_key_pem));
  if (!config.token.empty()) user.set("token", config.token);
  Value context = Value::object();
  context.set("cluster", name).set("user", name);
  if (!config.ns.empty() && config.ns != "default") context.set("namespace", config.ns);
  if (std::string before = previous_context(file, name); make_current && !before.empty()) {
    Value extension = Value::object();
    extension.set("name", kExtension).set("extension", Value::object({{"previous-context", before}}));
    context.set("extensions", Value::array({std::move(extension)}));
  }
  put(file, "clusters", "cluster", name, std::move(cluster));
  put(file, "users", "user", name, std::move(user));
  put(file, "contexts", "context", name, std::move(context));
  if (make_current || file["current-context"].as_string().empty()) file.set("current-context", name);
  return write_atomically(path, base::to_yaml(file));
}

base::Status remove_context(const std::string& path, const std::string& name) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return {};
  FileLock lock(path);
  if (!lock.held()) return base::fail_errno("cannot lock " + path);
  auto existing = read_config(path);
  if (!existing) return existing.error().code == Code::kNotFound ? base::Status() : std::unexpected(existing.error());
  bool current = (*existing)["current-context"].as_string() == name;
  std::string before = previous_context(*existing, name);
  for (const char* list : {"clusters", "users", "contexts"}) take(*existing, list, name);
  if (current) {
    bool known = false;
    for (const Value& c : (*existing)["contexts"].items()) known = known || c["name"].as_string() == before;
    existing->set("current-context", known ? before : "");
  }
  return write_atomically(path, base::to_yaml(*existing));
}

KubeConfig client_config(const KubeContext& context, std::string user_agent) {
  KubeConfig config;
  config.server = context.server;
  config.tls.ca_pem = context.insecure_skip_tls_verify ? "" : context.ca_pem;
  config.tls.certificate_pem = context.client_cert_pem;
  config.tls.key_pem = context.client_key_pem;
  config.tls_server_name = context.tls_server_name;
  config.token = context.token;
  config.ns = context.ns;
  config.user_agent = std::move(user_agent);
  return config;
}

}  // namespace fairlead::store
