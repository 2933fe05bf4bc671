// fairlead apply -f FILE: creates or merges objects, for machines without kubectl (`make up` uses it). Not a kubectl: no
// pruning, no three-way merge; what exists is merge-patched with the file's content.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "base/strings.h"
#include "base/value.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "mesh/kinds.h"
#include "store/kube_client.h"
#include "store/kubeconfig.h"

namespace fairlead::cli {
namespace {

using base::Value;

base::Result<std::vector<Value>> read_objects(const std::string& file) {
  std::string text;
  if (file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream in(file, std::ios::binary);
    if (!in) return base::fail_errno("open " + file);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  auto documents = base::parse_yaml(text, file);
  if (!documents) return documents;
  std::vector<Value> out;
  for (auto& d : *documents) {
    if (d["kind"].as_string() == "List")
      for (const auto& item : d["items"].items()) out.push_back(item);
    else
      out.push_back(std::move(d));
  }
  return out;
}

// "deployment.apps/reviews-v1", as kubectl names what it did.
std::string shown(const mesh::Kind& kind, const Value& object) {
  std::string name = base::to_lower(kind.kind);
  if (!kind.group.empty()) name += "." + std::string(kind.group);
  return name + "/" + object["metadata"]["name"].as_string();
}

// Leaves the note that `kubectl apply` reads next time, spelt as kubectl spells it; without it kubectl warns on every object.
void note_last_applied(Value& object) {
  constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
  Value& metadata = object["metadata"];
  Value annotations = metadata["annotations"].is_object() ? metadata["annotations"] : Value::object();
  annotations.erase(kLastApplied);
  metadata.set("annotations", annotations);
  std::string applied = object.dump(0, true) + "\n";
  annotations.set(kLastApplied, applied);
  metadata.set("annotations", std::move(annotations));
}

base::Result<std::string> apply(const store::KubeConfig& config, Value object) {
  const mesh::Kind* kind = mesh::find_kind_by_name(object["apiVersion"].as_string(), object["kind"].as_string());
  if (!kind)
    return base::fail(base::Code::kNotFound, "no kind {} in {}", object["kind"].as_string(), object["apiVersion"].as_string());
  std::string ns;
  if (kind->namespaced) {
    ns = object["metadata"]["namespace"].string_or(config.ns);
    object["metadata"].set("namespace", ns);
  }
  note_last_applied(object);
  auto collection = store::kube_path(kind->resource(), ns);
  if (!collection) return std::unexpected(collection.error());
  auto created = store::kube_request_blocking(config, "POST", *collection, "application/json", object.dump());
  if (created) return shown(*kind, object) + " created";
  if (created.error().code != base::Code::kAlreadyExists) return std::unexpected(created.error());
  auto path = store::kube_path(kind->resource(), ns, object["metadata"]["name"].as_string());
  auto before = store::kube_request_blocking(config, "GET", *path);
  auto patched = store::kube_request_blocking(config, "PATCH", *path, "application/merge-patch+json", object.dump());
  if (!patched) return std::unexpected(patched.error());
  bool same = before && (*before)["metadata"]["resourceVersion"] == (*patched)["metadata"]["resourceVersion"];
  return shown(*kind, object) + (same ? " unchanged" : " configured");
}

// Until every Deployment of the namespace has its replicas available.
base::Status wait_available(const store::KubeConfig& config, std::chrono::seconds timeout) {
  auto deadline = base::Clock::now() + timeout;
  auto path = store::kube_path("deployments.apps", config.ns);
  if (!path) return std::unexpected(path.error());
  while (true) {
    auto list = store::kube_request_blocking(config, "GET", *path);
    if (!list) return std::unexpected(list.error());
    std::string waiting;
    for (const auto& d : (*list)["items"].items()) {
      int64_t wanted = d["spec"]["replicas"].as_int(1);
      if (d["status"]["availableReplicas"].as_int() < wanted || d["status"]["updatedReplicas"].as_int() < wanted)
        waiting += (waiting.empty() ? "" : ", ") + d["metadata"]["name"].as_string();
    }
    if (waiting.empty()) return {};
    if (base::Clock::now() > deadline)
      return base::fail(base::Code::kDeadlineExceeded, "not available after {} s: {}. `kubectl describe pod` says why", timeout.count(), waiting);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

int cmd_apply(int argc, char** argv) {
  CLI::App app("Create or change objects from files, without kubectl", "fairlead apply");
  std::vector<std::string> files;
  std::string kubeconfig, context, ns;
  int wait_seconds = 0;
  app.add_option("-f,--filename", files, "YAML or JSON file, \"-\" for standard input")->required();
  app.add_option("--kubeconfig", kubeconfig, "file that says where the API server is");
  app.add_option("--context", context, "context in it");
  app.add_option("-n,--namespace", ns, "namespace of objects that name none");
  app.add_option("--wait", wait_seconds, "then wait this many seconds at most for the namespace's Deployments to be available");
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;

  auto loaded = store::load_kubeconfig(kubeconfig, context);
  if (!loaded) {
    std::fprintf(stderr, "Error: %s\n", loaded.error().text().c_str());
    return 1;
  }
  store::KubeConfig config = store::client_config(*loaded, "fairlead-apply");
  if (!ns.empty()) config.ns = ns;
  int failures = 0;
  for (const auto& file : files) {
    auto objects = read_objects(file);
    if (!objects) {
      std::fprintf(stderr, "Error: %s\n", objects.error().text().c_str());
      return 1;
    }
    for (auto& object : *objects) {
      auto done = apply(config, std::move(object));
      if (done) {
        std::printf("%s\n", done->c_str());
      } else {
        std::fprintf(stderr, "Error: %s: %s\n", file.c_str(), done.error().text().c_str());
        ++failures;
      }
    }
  }
  if (failures) return 1;
  if (wait_seconds > 0)
    if (auto s = wait_available(config, std::chrono::seconds(wait_seconds)); !s) {
      std::fprintf(stderr, "Error: %s\n", s.error().text().c_str());
      return 1;
    }
  return 0;
}

}  // namespace fairlead::cli
