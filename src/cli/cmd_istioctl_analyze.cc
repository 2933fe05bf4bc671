// istioctl analyze: collects resources from the cluster and from files, and prints what control/analysis/ finds.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "cli/istioctl.h"
#include "control/analysis/analysis.h"
#include "control/install/profile.h"
#include "mesh/kinds.h"

namespace fairlead::cli {
namespace {

using base::Value;
using control::Item;
using control::Level;
namespace fs = std::filesystem;

constexpr Flag kFlags[] = {
    {"all-namespaces", 'A', false, "analyze all namespaces"},
    {"use-kube", 'k', false, "use the live cluster (default true)"},
    {"failure-threshold", 0, true, "level from which on the exit code is 79: Info, Warning or Error (default Error)"},
    {"output-threshold", 0, true, "level from which on messages are printed (default Info)"},
    {"output", 'o', true, "log, json or yaml"},
    {"suppress", 'S', true, "CODE=RESOURCE, e.g. \"IST0103=Pod *.testing\""},
    {"color"},
    {"verbose", 'v'},
    {"list-analyzers", 'L'},
    {"recursive", 'R'},
    {"ignore-unknown"},
    {"timeout", 0, true},
};

constexpr const char* kKinds[] = {"namespaces", "pods", "services", "deployments.apps", "secrets"};

std::optional<Level> level_of(std::string_view text) {
  for (Level l : {Level::kInfo, Level::kWarning, Level::kError})
    if (base::iequals(text, control::to_string(l))) return l;
  return std::nullopt;
}

bool yaml_file(const fs::path& p) { return p.extension() == ".yaml" || p.extension() == ".yml" || p.extension() == ".json"; }

base::Result<std::vector<std::string>> gather(const std::vector<std::string>& args) {
  std::vector<std::string> out;
  for (const std::string& arg : args) {
    std::error_code ec;
    if (arg == "-") {
      out.push_back(arg);
    } else if (fs::is_directory(arg, ec)) {
      std::vector<std::string> found;
      for (auto it = fs::recursive_directory_iterator(arg, ec); it != fs::recursive_directory_iterator(); it.increment(ec)) {
        if (!it->is_regular_file(ec)) continue;
        if (yaml_file(it->path())) {
          found.push_back(it->path().string());
        } else {
          std::fprintf(stderr, "Skipping file %s, recognized file extensions are: [.json .yaml .yml]\n", it->path().c_str());
        }
      }
      std::sort(found.begin(), found.end());
      out.insert(out.end(), found.begin(), found.end());
    } else if (!fs::exists(arg, ec)) {
      return base::fail(base::Code::kNotFound, "stat {}: no such file or directory", arg);
    } else if (!yaml_file(arg)) {
      std::fprintf(stderr, "Skipping file %s, recognized file extensions are: [.json .yaml .yml]\n", arg.c_str());
    } else {
      out.push_back(arg);
    }
  }
  return out;
}

// Adds the documents of a file. A resource replaces the cluster's of the same name.
bool add_file(const std::string& path, const std::string& ns, std::vector<Item>& items) {
  std::string text = base::read_input(path).value_or("");
  std::vector<base::DuplicateKey> duplicates;
  base::ParseOptions options;
  options.duplicates = &duplicates;
  auto docs = base::parse_yaml(text, path, options);
  if (!docs) {
    std::fprintf(stderr, "Error(s) adding files: 1 error occurred:\n\t* errors parsing content \"%s\": %s\n\n", path.c_str(), docs.error().text().c_str());
    return false;
  }
  for (Value& doc : *docs) {
    if (!doc.is_object()) continue;
    const mesh::Kind* kind = mesh::find_kind_of(doc);
    if (kind && kind->namespaced && doc["metadata"]["namespace"].as_string().empty()) doc["metadata"].set("namespace", ns);
    std::erase_if(items, [&](const Item& i) {
      return i.object["kind"] == doc["kind"] && i.object["metadata"]["name"] == doc["metadata"]["name"] &&
             i.object["metadata"]["namespace"] == doc["metadata"]["namespace"];
    });
    Item item;
    item.object = std::move(doc);
    item.file = path;
    if (docs->size() == 1) item.duplicates = duplicates;
    items.push_back(std::move(item));
  }
  return true;
}

// What an installation brings, when files are looked at alone.
void add_defaults(std::vector<Item>& items) {
  auto objects = control::install_objects({"demo", {}});
  if (!objects) return;
  for (const Value& o : *objects) {
    const std::string& kind = o["kind"].as_string();
    if (kind != "Service" && kind != "Deployment") continue;
    Item item;
    item.silent = true;
    if (kind == "Deployment") {
      item.object.set("apiVersion", "v1").set("kind", "Pod");
      item.object.set("metadata", o["spec"]["template"]["metadata"]);
      item.object["metadata"].set("name", o["metadata"]["name"]).set("namespace", o["metadata"]["namespace"]);
      item.object.set("spec", o["spec"]["template"]["spec"]);
    } else {
      item.object = o;
    }
    items.push_back(std::move(item));
  }
}

Value as_json(const control::Message& m) {
  Value v = Value::object();
  v.set("code", m.code).set("documentationUrl", fmt::format("https://istio.io/v1.28/docs/reference/config/analysis/{}/?ref=istioctl-analyze", base::to_lower(m.code)));
  v.set("level", control::to_string(m.level)).set("message", m.text).set("origin", m.origin());
  if (!m.file.empty()) v.set("reference", m.line ? fmt::format("{}:{}", m.file, m.line) : m.file);
  return v;
}

}  // namespace

int istioctl_analyze(int argc, char** argv) {
  auto args = Args::parse(argc, argv, kFlags);
  if (!args) return istioctl_error(args.error().message, kExitUsage);
  if (args->is_true("help")) {
    std::printf("Says what is wrong with the configuration, in the cluster or in files.\n\nUsage:\n  istioctl analyze [FILE or FOLDER]... [flags]\n\nFlags:\n");
    for (const Flag& f : kFlags)
      if (!f.help.empty()) std::printf("  --%-18s %s\n", std::string(f.name).c_str(), std::string(f.help).c_str());
    return 0;
  }
  if (args->is_true("list-analyzers")) {
    for (const auto& a : control::analyzers())
      std::printf("* %s:\n    %s\n", std::string(a.name).c_str(), std::string(a.what).c_str());
    return 0;
  }
  auto failure = level_of(args->value("failure-threshold", "Error"));
  auto threshold = level_of(args->value("output-threshold", "Info"));
  if (!failure || !threshold) return istioctl_error("thresholds are one of Info, Warning, Error", kExitUsage);
  std::string format = base::to_lower(args->value("output", "log"));
  if (format != "log" && format != "json" && format != "yaml")
    return istioctl_error(format + " not a valid option for format. See istioctl analyze --help", kExitUsage);

  auto files = gather(args->positional());
  if (!files) return istioctl_error(files.error().message);
  bool use_kube = args->is_true("use-kube", true);
  control::AnalysisOptions options;
  options.suppress = args->all("suppress");
  for (const std::string& s : options.suppress)
    if (std::string problem = control::suppression_problem(s); !problem.empty()) return istioctl_error(problem);

  std::vector<Item> items;
  std::string ns = args->value("namespace", "default");
  options.istio_ns = args->value("istioNamespace", "istio-system");
  if (use_kube) {
    auto cluster = Cluster::open(*args);
    if (!cluster) return istioctl_error(cluster.error().text());
    ns = cluster->ns();
    if (auto exists = cluster->get("namespaces", "", ns); !exists) {
      if (exists.error().code != base::Code::kNotFound) return istioctl_error(exists.error().text());
      std::fprintf(stderr, "namespace \"%s\" not found\n", ns.c_str());
      return 0;
    }
    std::vector<std::string> resources(std::begin(kKinds), std::end(kKinds));
    for (const mesh::Kind& kind : mesh::all_kinds())
      if (kind.istio) resources.emplace_back(kind.resource());
    for (const std::string& resource : resources) {
      auto list = cluster->list(resource);
      if (!list) return istioctl_error(fmt::format("cannot list {}: {}", resource, list.error().text()));
      for (Value& o : *list) {
        Item item;
        item.object = std::move(o);
        items.push_back(std::move(item));
      }
    }
  } else {
    add_defaults(items);
  }
  if (!args->is_true("all-namespaces")) options.ns = ns;
  int parse_errors = 0;
  for (const std::string& file : *files) parse_errors += !add_file(file, ns, items);

  auto messages = control::analyze(items, options);
  bool failed = std::any_of(messages.begin(), messages.end(), [&](const auto& m) { return m.level >= *failure; });
  std::erase_if(messages, [&](const auto& m) { return m.level < *threshold; });
  std::string target = options.ns.empty() ? "all namespaces" : "namespace: " + options.ns;
  if (format == "log") {
    std::vector<std::string> lines;
    for (const auto& m : messages) lines.push_back(m.line_text());
    std::printf("%s\n", base::join(lines, "\n").c_str());
  } else {
    Value list = Value::array();
    for (const auto& m : messages) list.push(as_json(m));
    std::printf("%s\n", format == "json" ? list.dump(1).c_str() : base::to_yaml(list).c_str());
  }
  std::fflush(stdout);
  if (messages.empty()) {
    if (parse_errors) {
      std::fprintf(stderr, "No validation issues found when analyzing %s (but %d %s could not be parsed).\n", target.c_str(), parse_errors,
                   parse_errors == 1 ? "file" : "files");
    } else if (files->size() > 1) {
      std::fprintf(stderr, "✔ No validation issues found when analyzing:\n  - %s\n", base::join(*files, "\n  - ").c_str());
    } else {
      std::fprintf(stderr, "✔ No validation issues found when analyzing %s.\n", files->empty() ? target.c_str() : files->front().c_str());
    }
  }
  if (format != "log") return 0;
  if (failed)
    return istioctl_error(fmt::format("Analyzers found issues when analyzing {}.\nSee https://istio.io/v1.28/docs/reference/config/analysis for more "
                                      "information about causes and resolutions.",
                                      target),
                          kExitAnalyzerFoundIssues);
  if (parse_errors && !args->is_true("ignore-unknown")) return istioctl_error("Some files couldn't be parsed.", kExitDataError);
  return 0;
}

}  // namespace fairlead::cli
