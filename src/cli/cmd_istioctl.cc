// `istioctl`, or `fairlead istioctl`: picks the subcommand; version, kube-inject and validate are here.
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/file.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/istioctl.h"
#include "control/injection.h"
#include "control/install/profile.h"
#include "mesh/validate.h"

namespace fairlead::cli {
namespace {

using base::Value;

struct Subcommand {
  std::string_view name, alias, summary;
  int (*run)(int, char**);
  std::string_view usage;  // what follows the name, then a line for each flag
};
constexpr Subcommand kSubcommands[] = {
    {"analyze", "", "say what is wrong with the configuration, in the cluster or in files", istioctl_analyze,
     "[FILE or FOLDER]..."},
    {"install", "apply", "bring the cluster to a profile", istioctl_install,
     "[flags]\n"
     "  -s, --set PATH=VALUE           override a value: profile=demo|default|minimal|empty, meshConfig.*, values.*,\n"
     "                                 components.ingressGateways[0].enabled, components.egressGateways[0].enabled\n"
     "  -f, --filename FILE            IstioOperator file\n"
     "  -y, --skip-confirmation        do not ask\n"
     "      --readiness-timeout TIME   how long to wait for components (5m)\n"
     "      --dry-run                  change nothing"},
    {"kube-inject", "", "add the sidecar to the resources of a file", istioctl_kube_inject,
     "-f FILE [flags]\n"
     "  -f, --filename FILE            resources; - for standard input\n"
     "  -o, --output FILE              where to write instead of standard output"},
    {"manifest", "", "print what a profile consists of (manifest generate)", istioctl_manifest,
     "generate [flags]\n"
     "  -s, --set PATH=VALUE           as for install\n"
     "  -f, --filename FILE            as for install"},
    {"precheck", "", "can the cluster be reached and installed into?", istioctl_precheck,
     "[flags]"},
    {"profile", "", "list the profiles", istioctl_profile,
     "list"},
    {"proxy-config", "pc", "what a proxy is configured with: listeners, routes, clusters, endpoints", istioctl_proxy_config,
     "listeners|routes|clusters|endpoints|secret|bootstrap|log|all POD[.NAMESPACE]|deploy/NAME [flags]\n"
     "  -o, --output FORMAT            short, json or yaml\n"
     "  -f, --file FILE                read a config dump instead of asking a pod\n"
     "      --port, --address, --type  of listeners; --name of routes; --fqdn, --port, --subset, --direction of clusters;\n"
     "                                 --cluster, --address, --port, --status of endpoints\n"
     "      --level LEVEL              log level to set, for log\n"
     "      --verbose=false            one line a listener or route configuration"},
    {"proxy-status", "ps", "which proxies have the newest configuration", istioctl_proxy_status,
     "[POD[.NAMESPACE]] [flags]\n"
     "  -o, --output FORMAT            table, json or yaml"},
    {"uninstall", "", "take the control plane and gateways out of the cluster", istioctl_uninstall,
     "--purge [flags]\n"
     "      --purge                    everything that install made, in all revisions\n"
     "  -y, --skip-confirmation        do not ask\n"
     "      --dry-run                  only say what would go"},
    {"validate", "v", "check files alone, field by field", istioctl_validate,
     "-f FILE..."},
    {"verify-install", "", "is what a profile installs there and ready?", istioctl_verify_install,
     "[flags]\n"
     "  -s, --set PATH=VALUE           as for install"},
    {"version", "", "versions of this program, the control plane and the proxies", istioctl_version,
     "[flags]\n"
     "      --remote=false             only the version of this program\n"
     "  -o, --output FORMAT            json or yaml"},
};

constexpr const char* kGlobalFlags =
    "  -c, --kubeconfig FILE          kubeconfig file\n"
    "      --context NAME             kubeconfig context\n"
    "  -n, --namespace NAME           namespace\n"
    "  -i, --istioNamespace NAME      namespace of the control plane (istio-system)\n";

int help_of(const Subcommand& s) {
  size_t line = std::min(s.usage.find('\n'), s.usage.size());
  std::string flags(s.usage.substr(std::min(line + 1, s.usage.size())));
  std::printf("%s\n\nUsage:\n  istioctl %s %s\n\nFlags:\n%s%s%s", std::string(s.summary).c_str(), std::string(s.name).c_str(),
              std::string(s.usage.substr(0, line)).c_str(), flags.c_str(), flags.empty() ? "" : "\n", kGlobalFlags);
  return 0;
}

int usage(FILE* out) {
  std::fputs("Istio's command line, as Fairlead answers it.\n\nUsage:\n  istioctl [command]\n\nAvailable Commands:\n", out);
  for (const Subcommand& s : kSubcommands) std::fprintf(out, "  %-14s %s\n", std::string(s.name).c_str(), std::string(s.summary).c_str());
  std::fprintf(out, "\nFlags:\n%s", kGlobalFlags);
  return out == stdout ? 0 : kExitUsage;
}

// Container images tell the version of what runs.
std::string image_version(const Value& pod, std::string_view container) {
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& c : pod["spec"][list].items()) {
      if (c["name"].as_string() != container) continue;
      const std::string& image = c["image"].as_string();
      size_t colon = image.rfind(':');
      return colon == std::string::npos || image.find('/', colon) != std::string::npos ? "unknown" : image.substr(colon + 1);
    }
  }
  return "";
}

bool running(const Value& pod) {
  return pod["status"]["phase"].as_string() == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
}

Value build_info(std::string_view version) {
  Value v = Value::object();
  v.set("version", version).set("revision", "fairlead-" + std::string(kVersion)).set("golang_version", "").set("status", "Clean").set("tag", version);
  return v;
}

}  // namespace

int istioctl_version(int argc, char** argv) {
  constexpr Flag kFlags[] = {{"short", 's'}, {"remote"}, {"output", 'o', true}};
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  std::string output = args->value("output");
  if (!output.empty() && output != "yaml" && output != "json") return istioctl_error("--output must be 'yaml' or 'json'");

  Value report = Value::object();
  report.set("clientVersion", build_info(control::kIstioTag));
  std::vector<std::string> lines{fmt::format("client version: {}", control::kIstioTag)};
  if (args->is_true("remote", true)) {
    std::vector<Value> pods;
    std::string problem, istio_ns = args->value("istioNamespace", "istio-system");
    if (auto cluster = Cluster::open(*args); !cluster) {
      problem = cluster.error().text();
    } else if (auto list = cluster->list("pods"); !list) {
      problem = list.error().text();
    } else {
      pods = std::move(*list);
    }
    Value mesh = Value::array(), data = Value::array();
    std::map<std::string, int> control_versions, proxy_versions;
    for (const Value& pod : pods) {
      if (!running(pod)) continue;
      const std::string& ns = pod["metadata"]["namespace"].as_string();
      if (ns == istio_ns && pod["metadata"]["labels"]["app"].as_string() == "istiod") {
        std::string v = image_version(pod, "discovery");
        ++control_versions[v];
        Value server = Value::object();
        server.set("Component", "pilot").set("Revision", pod["metadata"]["labels"]["istio.io/rev"]).set("Info", build_info(v));
        mesh.push(std::move(server));
      }
      if (std::string v = image_version(pod, "istio-proxy"); !v.empty()) {
        ++proxy_versions[v];
        Value proxy = Value::object();
        proxy.set("ID", pod["metadata"]["name"].as_string() + "." + ns).set("IstioVersion", v);
        data.push(std::move(proxy));
      }
    }
    if (control_versions.empty()) {
      std::fprintf(stderr, "Istio is not present in the cluster%s\n",
                   problem.empty() ? fmt::format(": no running Istio pods in namespace \"{}\"", istio_ns).c_str() : (": " + problem).c_str());
    } else {
      report.set("meshVersion", std::move(mesh));
      for (const auto& [v, n] : control_versions) lines.push_back(fmt::format("control plane version: {}", v));
      std::vector<std::string> proxies;
      for (const auto& [v, n] : proxy_versions) proxies.push_back(fmt::format("{} ({} proxies)", v, n));
      lines.push_back("data plane version: " + (proxies.empty() ? std::string("none") : base::join(proxies, ", ")));
      report.set("dataPlaneVersion", std::move(data));
    }
  }
  if (output == "json") {
    std::printf("%s\n", report.dump(2).c_str());
  } else if (output == "yaml") {
    std::printf("%s\n", base::to_yaml(report).c_str());
  } else {
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  }
  return 0;
}

int istioctl_kube_inject(int argc, char** argv) {
  constexpr Flag kFlags[] = {{"filename", 'f', true}, {"output", 'o', true}, {"meshConfigFile", 0, true}, {"injectConfigFile", 0, true},
                             {"valuesFile", 0, true}, {"meshConfigMapName", 0, true}, {"injectConfigMapName", 0, true},
                             {"operatorFileName", 0, true}, {"webhookConfig", 0, true}};
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  if (!args->has("filename")) return istioctl_error("filename not specified (see --filename or -f)");
  auto text = base::read_input(args->value("filename"));
  if (!text) return istioctl_error(text.error().text());
  auto docs = base::parse_yaml(*text, args->value("filename"));
  if (!docs) return istioctl_error(docs.error().text());
  std::string out;
  for (const Value& doc : *docs) {
    auto injected = control::inject_object(doc, {});
    if (!injected) return istioctl_error(injected.error().text());
    out += base::to_yaml(*injected);
    if (!out.ends_with('\n')) out += '\n';
    out += "---\n";
  }
  if (std::string path = args->value("output"); !path.empty()) {
    std::ofstream file(path, std::ios::binary);
    file << out;
    if (!file.flush()) return istioctl_error("cannot write " + path);
  } else {
    std::fputs(out.c_str(), stdout);
  }
  return 0;
}

int istioctl_validate(int argc, char** argv) {
  constexpr Flag kFlags[] = {{"filename", 'f', true}};
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  std::vector<std::string> files = args->all("filename");
  files.insert(files.end(), args->positional().begin(), args->positional().end());
  if (files.empty()) return istioctl_error("args is required\nUsage: istioctl validate -f FILE");
  int bad = 0;
  for (const std::string& file : files) {
    auto text = base::read_input(file);
    if (!text) return istioctl_error(text.error().text());
    std::vector<base::DuplicateKey> duplicates;
    base::ParseOptions options;
    options.duplicates = &duplicates;
    auto docs = base::parse_yaml(*text, file, options);
    if (!docs) return istioctl_error(docs.error().text());
    std::vector<std::string> errors;
    for (Value& doc : *docs) {
      const mesh::Kind* kind = mesh::find_kind_of(doc);
      if (!kind) continue;  // not ours to judge
      std::string name = fmt::format("{}/{}/{}", kind->kind, doc["metadata"]["namespace"].as_string(), doc["metadata"]["name"].as_string());
      for (const auto& p : mesh::check_document(doc, &duplicates)) errors.push_back(name + ": " + p.text());
      for (const auto& w : mesh::warnings(*kind, doc)) std::printf("\"%s\" has warning: %s: %s\n", file.c_str(), name.c_str(), w.c_str());
    }
    if (errors.empty()) {
      std::printf("\"%s\" is valid\n", file.c_str());
    } else {
      ++bad;
      std::fprintf(stderr, "Error: \"%s\": %s\n", file.c_str(), mesh::refusal_text(errors).c_str());
    }
  }
  return bad ? kExitError : 0;
}

int cmd_istioctl(int argc, char** argv) {
  // Global flags may stand before the subcommand; it gets them after its name.
  std::vector<char*> rest{argv[0]};
  const char* name = nullptr;
  for (int i = 1; i < argc; ++i) {
    std::string_view a = argv[i];
    bool valued = a == "-n" || a == "-i" || a == "-c" || a == "-r" || a == "--namespace" || a == "--istioNamespace" || a == "--kubeconfig" || a == "--context" ||
                  a == "--revision";
    if (!name && a.starts_with('-')) {
      if (a == "-h" || a == "--help") return usage(stdout);
      rest.push_back(argv[i]);
      if (valued && i + 1 < argc) rest.push_back(argv[++i]);
    } else if (!name) {
      name = argv[i];
      if (std::string_view(name) == "experimental" || std::string_view(name) == "x") name = nullptr;
    } else {
      rest.push_back(argv[i]);
    }
  }
  if (!name) return usage(stderr);
  if (std::string_view(name) == "help") return usage(stdout);
  std::vector<std::string_view> names;
  for (const Subcommand& s : kSubcommands) {
    if (s.name == name || (!s.alias.empty() && s.alias == name)) {
      bool asked = std::any_of(rest.begin() + 1, rest.end(), [](std::string_view a) { return a == "--help" || a == "-h"; });
      if (asked && s.name != "analyze") return help_of(s);
      return s.run(static_cast<int>(rest.size()), rest.data());
    }
    names.push_back(s.name);
  }
  std::string message = fmt::format("unknown command \"{}\" for \"istioctl\"", name);
  if (auto guess = base::nearest(name, names)) message += fmt::format("\n\nDid you mean this?\n\t{}\n", *guess);
  return istioctl_error(message, kExitUsage);
}

}  // namespace fairlead::cli
