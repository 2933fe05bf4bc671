#include "node/kubelet/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/strings.h"
#include "io/fd.h"

namespace fairlead::node {

using base::Code;
using base::fail;
using base::Status;
using base::Value;
namespace fs = std::filesystem;

namespace {

Status make_folder(const std::string& path, mode_t mode) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail(Code::kInternal, "cannot make {}: {}", path, error.message());
  if (::chmod(path.c_str(), mode) != 0) return base::fail_errno("cannot make " + path);
  return {};
}

Status write_whole(const std::string& path, const std::string& text, int mode) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return base::fail_errno("cannot write " + path);
  for (size_t done = 0; done < text.size();) {
    ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0) return base::fail_errno("cannot write " + path);
    done += static_cast<size_t>(n);
  }
  // Whoever runs in the container may be another user than the node's: the mode is for them, too.
  if (::fchmod(fd.get(), static_cast<mode_t>(mode) | 0444) != 0) return base::fail_errno("cannot write " + path);
  return {};
}

bool safe_path(std::string_view path) {
  if (path.empty() || path.starts_with('/')) return false;
  for (auto piece : base::split(path, '/'))
    if (piece == "..") return false;
  return true;
}

int mode_of(const Value& value, int fallback) { return value.is_null() ? fallback : static_cast<int>(value.as_int(fallback)); }

}  // namespace

Status Volumes::prepare(const Value& pod, const PodFacts& facts) {
  for (auto& volume : pod["spec"]["volumes"].items()) {
    const std::string name = volume["name"].as_string();
    std::string path = directory_ + "/volumes/" + name;
    auto refuse = [&](std::string message) {
      base::Error e{Code::kUnimplemented, std::move(message), name};
      return std::unexpected(std::move(e));
    };
    if (volume.contains("hostPath"))
      return refuse("hostPath volumes are refused: pods see the host read-only and must not write to it; use an emptyDir or a ConfigMap");
    if (volume.contains("persistentVolumeClaim") || volume.contains("nfs") || volume.contains("csi") || volume.contains("ephemeral"))
      return refuse("this kind of volume is not available on a one-machine mesh; use an emptyDir, a ConfigMap or a Secret");
    if (volume.contains("configMap") || volume.contains("secret") || volume.contains("downwardAPI") || volume.contains("projected")) {
      auto files = files_of(pod, volume, facts);
      if (!files) {
        files.error().where = name;
        return std::unexpected(files.error());
      }
      if (auto ok = make_folder(path, 0755); !ok) return ok;
      paths_[name] = path;
      auto before = written_.find(name);
      if (before != written_.end() && before->second == *files) continue;
      if (auto ok = write(name, *files); !ok) return ok;
      written_[name] = std::move(*files);
      continue;
    }
    // emptyDir, also what is said by a volume without a source.
    if (paths_.contains(name)) continue;
    if (auto ok = make_folder(path, 0777); !ok) return ok;
    paths_[name] = path;
  }
  return {};
}

Status Volumes::add_source(Files& files, const Value& pod, const Value& source, const char* kind, int mode, const PodFacts& facts, std::string_view volume) {
  const std::string ns = pod["metadata"]["namespace"].as_string();
  std::string_view what = kind;
  if (what == "configMap" || what == "secret") {
    const bool is_secret = what == "secret";
    const std::string name = source["name"].as_string().empty() ? source["secretName"].as_string() : source["name"].as_string();
    const char* resource = is_secret ? "secrets" : "configmaps";
    used_[{resource, name}] = true;
    bool optional = source["optional"].as_bool();
    auto object = store_.get({resource, ns, name});
    if (!object) {
      if (optional) return {};
      return fail(Code::kNotFound, "{} \"{}\" not found", is_secret ? "secret" : "configmap", name);
    }
    Files all;
    for (auto& m : (**object)["data"].members()) {
      std::string text = m.value.as_string();
      if (is_secret) text = base::base64_decode(text).value_or("");
      all[m.key] = {std::move(text), mode};
    }
    for (auto& m : (**object)["binaryData"].members()) all[m.key] = {base::base64_decode(m.value.as_string()).value_or(""), mode};
    if (source["items"].empty()) {
      files.merge(all);
      return {};
    }
    for (auto& item : source["items"].items()) {
      const std::string &key = item["key"].as_string(), &path = item["path"].as_string();
      auto it = all.find(key);
      if (it == all.end()) {
        if (optional) continue;
        return fail(Code::kNotFound, "{} references non-existent {} key: {}", is_secret ? "secret" : "configmap", is_secret ? "secret" : "config", key);
      }
      if (!safe_path(path)) return fail(Code::kInvalidArgument, "path \"{}\" leaves the volume", path);
      files[path] = {it->second.text, mode_of(item["mode"], mode)};
    }
    return {};
  }
  if (what == "downwardAPI") {
    for (auto& item : source["items"].items()) {
      const std::string& path = item["path"].as_string();
      if (!safe_path(path)) return fail(Code::kInvalidArgument, "path \"{}\" leaves the volume", path);
      base::Result<std::string> text;
      if (item.contains("fieldRef")) {
        text = pod_field(pod, item["fieldRef"]["fieldPath"].as_string(), facts);
      } else {
        const Value& reference = item["resourceFieldRef"];
        const Value* container = &pod["spec"]["containers"][0];
        for (const char* list : {"containers", "initContainers"})
          for (auto& c : pod["spec"][list].items())
            if (c["name"] == reference["containerName"]) container = &c;
        text = resource_field(*container, reference["resource"].as_string(), reference["divisor"].as_string());
      }
      if (!text) return std::unexpected(text.error());
      files[path] = {std::move(*text), mode_of(item["mode"], mode)};
    }
    return {};
  }
  if (what == "serviceAccountToken") {
    const std::string& path = source["path"].as_string();
    if (!safe_path(path)) return fail(Code::kInvalidArgument, "path \"{}\" leaves the volume", path);
    std::string slot = fmt::format("{}/{}", volume, path);
    auto it = issued_.find(slot);
    if (it == issued_.end() || it->second.second <= base::Clock::now()) {
      TokenRequest request;
      request.ns = ns;
      request.service_account = pod["spec"]["serviceAccountName"].string_or("default");
      request.audience = source["audience"].as_string();
      request.pod = pod["metadata"]["name"].as_string();
      request.pod_uid = pod["metadata"]["uid"].as_string();
      request.valid_for = std::chrono::seconds(source["expirationSeconds"].as_int(3600));
      auto token = tokens_(request);
      if (!token) return std::unexpected(token.error());
      it = issued_.insert_or_assign(slot, std::pair(*token, base::Clock::now() + request.valid_for * 4 / 5)).first;
    }
    files[path] = {it->second.first, 0644};
    return {};
  }
  return fail(Code::kUnimplemented, "a projected source of this kind is not available: use configMap, secret, downwardAPI or serviceAccountToken");
}

base::Result<Volumes::Files> Volumes::files_of(const Value& pod, const Value& volume, const PodFacts& facts) {
  Files files;
  const std::string& name = volume["name"].as_string();
  for (const char* kind : {"configMap", "secret", "downwardAPI"})
    if (volume.contains(kind))
      if (auto ok = add_source(files, pod, volume[kind], kind, mode_of(volume[kind]["defaultMode"], 0644), facts, name); !ok) return std::unexpected(ok.error());
  const Value& projected = volume["projected"];
  int mode = mode_of(projected["defaultMode"], 0644);
  for (auto& source : projected["sources"].items())
    for (auto& m : source.members())
      if (auto ok = add_source(files, pod, m.value, m.key.c_str(), mode, facts, name); !ok) return std::unexpected(ok.error());
  return files;
}

Status Volumes::write(const std::string& volume, const Files& files) {
  const std::string root = paths_[volume];
  std::error_code ignored;
  // A name that nobody holds: a node that starts again within the second of its last start counts from the beginning, and
  // would write into the folder that it then removes as the old one.
  std::string data;
  do {
    data = fmt::format("..{}_{:09}", std::time(nullptr), ++generation_);
  } while (fs::exists(root + "/" + data, ignored));
  if (auto ok = make_folder(root + "/" + data, 0755); !ok) return ok;
  for (auto& [path, file] : files)
    if (auto ok = write_whole(fmt::format("{}/{}/{}", root, data, path), file.text, file.mode); !ok) return ok;
  fs::path old = fs::read_symlink(root + "/..data", ignored);
  std::string swap = root + "/..data_tmp";
  fs::remove(swap, ignored);
  if (::symlink(data.c_str(), swap.c_str()) != 0 || ::rename(swap.c_str(), (root + "/..data").c_str()) != 0) return base::fail_errno("cannot write " + root);
  // The names that users see, at the top of the volume.
  std::map<std::string, bool> top;
  for (auto& [path, file] : files) top[path.substr(0, path.find('/'))] = true;
  for (auto& entry : fs::directory_iterator(root, ignored)) {
    std::string name = entry.path().filename();
    if (!name.starts_with("..") && !top.contains(name)) fs::remove(entry.path(), ignored);
  }
  for (auto& [name, unused] : top)
    if (!fs::is_symlink(root + "/" + name, ignored) && ::symlink(("..data/" + name).c_str(), (root + "/" + name).c_str()) != 0)
      return base::fail_errno("cannot write " + root + "/" + name);
  if (!old.empty()) fs::remove_all(root / old, ignored);
  return {};
}

base::Result<std::vector<Mount>> Volumes::mounts(const Value& container, const Environment& environment) const {
  std::vector<Mount> out;
  for (auto& mount : container["volumeMounts"].items()) {
    auto it = paths_.find(mount["name"].as_string());
    if (it == paths_.end()) return fail(Code::kNotFound, "volume \"{}\" is not among the pod's volumes", mount["name"].as_string());
    Mount m;
    m.path = mount["mountPath"].as_string();
    m.source = it->second;
    m.read_only = mount["readOnly"].as_bool();
    std::string sub = mount["subPath"].as_string();
    if (sub.empty() && !mount["subPathExpr"].as_string().empty()) sub = expand_variables(mount["subPathExpr"].as_string(), environment);
    if (!sub.empty()) {
      if (!safe_path(sub)) return fail(Code::kInvalidArgument, "subPath \"{}\" leaves the volume", sub);
      m.source += "/" + sub;
      std::error_code error;
      if (!fs::exists(m.source, error)) {
        // In an emptyDir it is made; a file of a ConfigMap has to be there.
        if (auto ok = make_folder(m.source, 0777); !ok) return std::unexpected(ok.error());
      }
      // Bound as it is now: like Kubernetes, a subPath does not follow updates.
      if (fs::path real = fs::canonical(m.source, error); !error) m.source = real;
    }
    out.push_back(std::move(m));
  }
  return out;
}

base::Nanos Volumes::renew_in() const {
  base::Nanos first(0);
  for (auto& [slot, token] : issued_) {
    base::Nanos left = std::max<base::Nanos>(token.second - base::Clock::now(), std::chrono::seconds(1));
    if (first.count() == 0 || left < first) first = left;
  }
  return first;
}

bool Volumes::uses(std::string_view resource, std::string_view name) const { return used_.contains({std::string(resource), std::string(name)}); }

}  // namespace fairlead::node
