// istioctl install, uninstall, manifest generate, profile list.
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "cli/istioctl.h"
#include "control/install/profile.h"
#include "mesh/kinds.h"
#include "store/kube_client.h"

namespace fairlead::cli {
namespace {

using base::Value;
using control::Component;

constexpr Flag kInstallFlags[] = {
    {"set", 's', true, "override a value, e.g. --set profile=demo"},
    {"filename", 'f', true, "IstioOperator file (its profile, meshConfig and components are read)"},
    {"skip-confirmation", 'y', false, "do not ask"},
    {"readiness-timeout", 0, true, "how long to wait for components (default 5m0s)"},
    {"dry-run"},
    {"force"},
    {"verify"},
    {"manifests", 'd', true},
};

std::string_view emoji(Component c) {
  switch (c) {
    case Component::kCore: return "⛵️";
    case Component::kIstiod: return "🧠";
    case Component::kIngressGateway: return "🛬";
    case Component::kEgressGateway: return "🛫";
  }
  return "";
}

void flatten(const Value& v, const std::string& path, std::vector<std::pair<std::string, std::string>>& out) {
  if (v.is_object()) {
    for (const auto& m : v.members()) flatten(m.value, path.empty() ? m.key : path + "." + m.key, out);
  } else if (!v.is_array() && !v.is_null()) {
    out.emplace_back(path, v.is_string() ? v.as_string() : v.dump());
  }
}

// An IstioOperator file says the same as --set does.
base::Status read_operator(const std::string& path, control::InstallOptions& options) {
  auto text = base::read_input(path);
  if (!text) return std::unexpected(text.error());
  auto docs = base::parse_yaml(*text, path);
  if (!docs) return std::unexpected(docs.error());
  for (const Value& doc : *docs) {
    if (doc["kind"].as_string() != "IstioOperator")
      return base::fail(base::Code::kInvalidArgument, "{}: expected an IstioOperator, found kind \"{}\"", path, doc["kind"].as_string());
    const Value& spec = doc["spec"];
    if (!spec["profile"].as_string().empty()) options.profile = spec["profile"].as_string();
    flatten(spec["meshConfig"], "meshConfig", options.sets);
    flatten(spec["values"], "values", options.sets);
    for (const char* list : {"ingressGateways", "egressGateways"})
      for (const Value& g : spec["components"][list].items())
        if (g.contains("enabled")) options.sets.emplace_back(fmt::format("components.{}[0].enabled", list), g["enabled"].dump());
    if (spec["components"]["pilot"].contains("enabled"))
      options.sets.emplace_back("components.pilot.enabled", spec["components"]["pilot"]["enabled"].dump());
  }
  return {};
}

base::Result<control::InstallOptions> options_of(const Args& args) {
  control::InstallOptions options;
  for (const std::string& file : args.all("filename"))
    if (auto ok = read_operator(file, options); !ok) return std::unexpected(ok.error());
  for (const std::string& list : args.all("set")) {
    for (std::string_view set : base::split(list, ',')) {
      size_t eq = set.find('=');
      if (eq == std::string_view::npos)
        return base::fail(base::Code::kInvalidArgument, "--set {}: expected PATH=VALUE, e.g. --set profile=demo", set);
      if (set.substr(0, eq) == "profile") options.profile = std::string(set.substr(eq + 1));
      options.sets.emplace_back(std::string(set.substr(0, eq)), std::string(set.substr(eq + 1)));
    }
  }
  return options;
}

std::string type_and_name(const Value& o) {
  const Value& m = o["metadata"];
  std::string ns = m["namespace"].as_string();
  return fmt::format("{}, Kind={}/{}.{}", o["apiVersion"].as_string(), o["kind"].as_string(), m["name"].as_string(), ns);
}

bool ready(const Value& deployment) {
  const Value& status = deployment["status"];
  int64_t wanted = deployment["spec"]["replicas"].as_int(1);
  return status["observedGeneration"].as_int() >= deployment["metadata"]["generation"].as_int() && status["updatedReplicas"].as_int() >= wanted &&
         status["availableReplicas"].as_int() >= wanted && status["replicas"].as_int() <= std::max(wanted, status["updatedReplicas"].as_int());
}

// What a person needs to know when a deployment does not become ready: its pods' reasons.
std::string why_not_ready(const Cluster& cluster, const Value& deployment) {
  std::string selector;
  for (const auto& m : deployment["spec"]["selector"]["matchLabels"].members())
    selector += (selector.empty() ? "" : ",") + m.key + "=" + m.value.as_string();
  auto pods = cluster.list("pods", deployment["metadata"]["namespace"].as_string(), selector);
  if (!pods || pods->empty()) return "no pod was created";
  std::string out;
  const mesh::Kind* kind = mesh::find_kind_by_resource("pods");
  for (const Value& pod : *pods) {
    std::string status = mesh::table_cell(kind->columns[2], pod, std::chrono::system_clock::now()).as_string();
    out += (out.empty() ? "" : "; ") + fmt::format("pod {}: {}", pod["metadata"]["name"].as_string(), status);
  }
  return out;
}

base::Status wait_ready(const Cluster& cluster, const std::vector<Value>& objects, base::Nanos timeout) {
  auto deadline = base::Clock::now() + timeout;
  for (const Value& o : objects) {
    if (o["kind"].as_string() != "Deployment") continue;
    const std::string& ns = o["metadata"]["namespace"].as_string();
    const std::string& name = o["metadata"]["name"].as_string();
    for (;;) {
      auto now = cluster.get("deployments.apps", ns, name);
      if (now && ready(*now)) break;
      if (base::Clock::now() > deadline)
        return base::fail(base::Code::kDeadlineExceeded, "failed to wait for resource: resources not ready after {}: context deadline exceeded\n  Deployment/{}/{} ({})",
                          base::format_duration(timeout), ns, name, now ? why_not_ready(cluster, *now) : now.error().text());
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  return {};
}

// Objects of components that this profile does not have.
void prune(const Cluster& cluster, const control::InstallOptions& options, const std::vector<control::ComponentObjects>& wanted) {
  (void)options;
  auto everything = control::install_components({"demo", {}});
  if (!everything) return;
  for (const auto& c : *everything) {
    bool keep = c.component == Component::kCore;
    for (const auto& w : wanted) keep = keep || w.component == c.component;
    if (keep) continue;
    for (auto it = c.objects.rbegin(); it != c.objects.rend(); ++it) {
      const mesh::Kind* kind = mesh::find_kind_of(*it);
      const Value& m = (*it)["metadata"];
      if (kind && cluster.remove(kind->resource(), m["namespace"].as_string(), m["name"].as_string()))
        std::printf("  Removed %s.\n", type_and_name(*it).c_str());
    }
  }
}

}  // namespace

int istioctl_install(int argc, char** argv) {
  auto args = Args::parse(argc, argv, kInstallFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  auto options = options_of(*args);
  if (!options) return istioctl_error(options.error().text());
  auto components = control::install_components(*options);
  if (!components) return istioctl_error(components.error().text());
  base::Nanos timeout = base::parse_duration(args->value("readiness-timeout", "5m")).value_or(std::chrono::minutes(5));

  std::vector<std::string> titles;
  for (const auto& c : *components) titles.push_back(c.title);
  std::string list = titles.back();
  if (titles.size() > 1) {
    titles.pop_back();
    list = base::join(titles, ", ") + (titles.size() > 1 ? ", and " : " and ") + list;
  }
  if (!args->is_true("dry-run") &&
      !confirmed(*args, fmt::format("This will install the Istio {} profile \"{}\" (with components: {}) into the cluster. Proceed?",
                                    control::kIstioTag, options->profile, list))) {
    std::printf("Cancelled.\n");
    return kExitError;
  }
  auto cluster = Cluster::open(*args);
  if (!cluster) return istioctl_error("failed to install manifests: " + cluster.error().text());
  // Gateways of both kinds come up together, as neither needs the other; each waits for istiod.
  for (const auto& c : *components) {
    if (args->is_true("dry-run")) continue;
    for (const Value& o : c.objects) {
      if (auto done = cluster->apply(o); !done)
        return istioctl_error(fmt::format("failed to install manifests: failed to update resource {}: {}", type_and_name(o), done.error().text()));
    }
    if (c.component == Component::kIstiod || c.component == Component::kCore) {
      if (auto ok = wait_ready(*cluster, c.objects, timeout); !ok) {
        std::printf("✘ %s encountered an error: %s\n", c.title.c_str(), ok.error().message.c_str());
        return istioctl_error("failed to install manifests: errors occurred during operation: " + ok.error().message);
      }
      std::printf("✔ %s installed %s\n", c.title.c_str(), std::string(emoji(c.component)).c_str());
      std::fflush(stdout);
    }
  }
  for (auto it = components->rbegin(); it != components->rend(); ++it) {
    if (it->component == Component::kIstiod || it->component == Component::kCore || args->is_true("dry-run")) continue;
    if (auto ok = wait_ready(*cluster, it->objects, timeout); !ok) {
      std::printf("✘ %s encountered an error: %s\n", it->title.c_str(), ok.error().message.c_str());
      return istioctl_error("failed to install manifests: errors occurred during operation: " + ok.error().message);
    }
    std::printf("✔ %s installed %s\n", it->title.c_str(), std::string(emoji(it->component)).c_str());
    std::fflush(stdout);
  }
  if (!args->is_true("dry-run")) prune(*cluster, *options, *components);
  std::printf("✔ Installation complete\n");
  return 0;
}

int istioctl_uninstall(int argc, char** argv) {
  constexpr Flag kFlags[] = {{"purge"}, {"skip-confirmation", 'y'}, {"filename", 'f', true}, {"set", 's', true}, {"force"}, {"dry-run"}, {"manifests", 'd', true}};
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  if (!args->is_true("purge") && !args->has("filename") && !args->has("revision"))
    return istioctl_error("At least one of the --revision, --filename, --set or --purge must be set");
  if (args->is_true("purge")) std::printf("All Istio resources will be pruned from the cluster\n");
  if (!args->is_true("dry-run") && !confirmed(*args, "Proceed?")) {
    std::printf("Cancelled.\n");
    return kExitError;
  }
  auto cluster = Cluster::open(*args);
  if (!cluster) return istioctl_error(cluster.error().text());
  auto objects = control::install_objects({"demo", {}});
  if (!objects) return istioctl_error(objects.error().text());
  int failures = 0;
  for (auto it = objects->rbegin(); it != objects->rend(); ++it) {
    const mesh::Kind* kind = mesh::find_kind_of(*it);
    if (!kind || kind->kind == "Namespace") continue;  // the namespace may hold things of the user's
    const Value& m = (*it)["metadata"];
    if (args->is_true("dry-run")) {
      std::printf("  Would remove %s.\n", type_and_name(*it).c_str());
      continue;
    }
    auto done = cluster->remove(kind->resource(), m["namespace"].as_string(), m["name"].as_string());
    if (done) {
      std::printf("  Removed %s.\n", type_and_name(*it).c_str());
    } else if (done.error().code != base::Code::kNotFound) {
      std::fprintf(stderr, "failed to delete %s: %s\n", type_and_name(*it).c_str(), done.error().text().c_str());
      ++failures;
    }
  }
  if (failures) return istioctl_error("failed to remove control plane resources");
  std::printf("✔ Uninstall complete\n");
  return 0;
}

int istioctl_manifest(int argc, char** argv) {
  auto args = Args::parse(argc, argv, kInstallFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  std::string action = args->positional().empty() ? "" : args->positional().front();
  if (action == "install") return istioctl_install(argc, argv);
  if (action != "generate") return istioctl_error("usage: istioctl manifest generate [--set profile=...]", kExitUsage);
  auto options = options_of(*args);
  if (!options) return istioctl_error(options.error().text());
  auto objects = control::install_objects(*options);
  if (!objects) return istioctl_error(objects.error().text());
  for (const Value& o : *objects) {
    std::string text = base::to_yaml(o);
    std::printf("%s%s---\n", text.c_str(), text.ends_with('\n') ? "" : "\n");
  }
  return 0;
}

int istioctl_profile(int argc, char** argv) {
  auto args = Args::parse(argc, argv, {});
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  std::printf("Istio configuration profiles:\n");
  for (std::string_view name : control::profile_names()) std::printf("    %s\n", std::string(name).c_str());
  return 0;
}

int istioctl_verify_install(int argc, char** argv) {
  auto args = Args::parse(argc, argv, kInstallFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  auto cluster = Cluster::open(*args);
  if (!cluster) return istioctl_error(cluster.error().text());
  // Without a profile: what is there of the biggest one, and istiod at least.
  bool told = args->has("set") || args->has("filename");
  auto options = options_of(*args);
  if (!options) return istioctl_error(options.error().text());
  if (!told) options->profile = "demo";
  auto components = control::install_components(*options);
  if (!components) return istioctl_error(components.error().text());
  int deployments = 0, problems = 0;
  for (const auto& c : *components) {
    bool optional = !told && (c.component == Component::kIngressGateway || c.component == Component::kEgressGateway);
    for (const Value& o : c.objects) {
      const mesh::Kind* kind = mesh::find_kind_of(o);
      const Value& m = o["metadata"];
      std::string name = fmt::format("{}: {}{}{}", kind->kind, m["name"].as_string(), kind->namespaced ? "." : "", m["namespace"].as_string());
      auto found = cluster->get(kind->resource(), m["namespace"].as_string(), m["name"].as_string());
      if (!found && optional && found.error().code == base::Code::kNotFound) continue;
      bool deployment = kind->kind == "Deployment";
      if (!found) {
        std::printf("✘ %s: %s\n", name.c_str(), found.error().text().c_str());
        ++problems;
      } else if (deployment && !ready(*found)) {
        std::printf("✘ %s: %s\n", name.c_str(), why_not_ready(*cluster, *found).c_str());
        ++problems;
      } else {
        std::printf("✔ %s checked successfully\n", name.c_str());
        deployments += deployment;
      }
    }
  }
  auto definitions = cluster->list("customresourcedefinitions.apiextensions.k8s.io");
  size_t crds = 0;
  if (definitions)
    for (const Value& d : *definitions) crds += d["spec"]["group"].as_string().ends_with("istio.io");
  std::printf("Checked %zu custom resource definitions\nChecked %d Istio Deployments\n", crds, deployments);
  if (problems) return istioctl_error(fmt::format("Istio installation failed: {} of its objects are missing or not ready", problems));
  std::printf("✔ Istio is installed and verified successfully\n");
  return 0;
}

int istioctl_precheck(int argc, char** argv) {
  auto args = Args::parse(argc, argv, {});
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  auto cluster = Cluster::open(*args);
  if (!cluster) return istioctl_error(cluster.error().text());
  auto namespaces = cluster->list("namespaces");
  if (!namespaces) return istioctl_error("cannot talk to the cluster: " + namespaces.error().text());
  std::printf("✔ No issues found when checking the cluster. Istio is safe to install or upgrade!\n"
              "  To get started, check out https://istio.io/latest/docs/setup/getting-started/.\n");
  return 0;
}

}  // namespace fairlead::cli
