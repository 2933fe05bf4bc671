#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "http/websocket.h"
#include "io/loop.h"
#include "io/tls.h"
#include "mesh/kinds.h"
#include "store/kube_client.h"
#include "store/kubeconfig.h"

namespace fairlead::cli {
namespace {

using base::Code;
using base::fail;
using base::Value;

constexpr Flag kGlobal[] = {
    {"kubeconfig", 'c', true, "kubeconfig file"},
    {"context", 0, true, "kubeconfig context"},
    {"namespace", 'n', true, "namespace"},
    {"istioNamespace", 'i', true, "namespace of the control plane (default istio-system)"},
    {"revision", 'r', true, "control plane revision"},
    {"as", 0, true, ""},
    {"as-group", 0, true, ""},
    {"vklog", 0, true, ""},
    {"log_output_level", 0, true, ""},
    {"help", 'h', false, ""},
};

const Flag* find_flag(std::span<const Flag> flags, std::string_view name, char letter) {
  for (const Flag& f : flags)
    if (letter ? f.letter == letter : f.name == name) return &f;
  for (const Flag& f : kGlobal)
    if (letter ? f.letter == letter : f.name == name) return &f;
  return nullptr;
}

}  // namespace

base::Result<Args> Args::parse(int argc, char** argv, std::span<const Flag> flags) {
  Args out;
  for (int i = 1; i < argc; ++i) {
    std::string_view arg = argv[i];
    if (arg == "--") {
      for (++i; i < argc; ++i) out.positional_.emplace_back(argv[i]);
      break;
    }
    if (arg.size() < 2 || arg[0] != '-') {
      out.positional_.emplace_back(arg);
      continue;
    }
    const Flag* flag = nullptr;
    std::optional<std::string> value;
    if (arg.starts_with("--")) {
      std::string_view name = arg.substr(2);
      if (size_t eq = name.find('='); eq != std::string_view::npos) {
        value = std::string(name.substr(eq + 1));
        name = name.substr(0, eq);
      }
      flag = find_flag(flags, name, 0);
      if (!flag) {
        std::vector<std::string_view> names;
        for (const Flag& f : flags) names.push_back(f.name);
        for (const Flag& f : kGlobal) names.push_back(f.name);
        auto guess = base::nearest(name, names);
        return fail(Code::kInvalidArgument, "unknown flag: --{}{}", name, guess ? fmt::format(" (did you mean --{}?)", *guess) : "");
      }
    } else {
      flag = find_flag(flags, "", arg[1]);
      if (!flag) return fail(Code::kInvalidArgument, "unknown shorthand flag: '{}' in {}", arg[1], arg);
      std::string_view rest = arg.substr(2);
      if (!rest.empty()) {
        if (rest[0] == '=') {
          value = std::string(rest.substr(1));
        } else if (flag->takes_value) {
          value = std::string(rest);
        } else {
          return fail(Code::kInvalidArgument, "unknown shorthand flag: '{}' in {}", rest[0], arg);
        }
      }
    }
    if (!value && flag->takes_value) {
      if (i + 1 >= argc) return fail(Code::kInvalidArgument, "flag needs an argument: {}", arg);
      value = argv[++i];
    }
    out.values_[std::string(flag->name)].push_back(value.value_or("true"));
  }
  return out;
}

bool Args::is_true(std::string_view name, bool fallback) const {
  std::string v = value(name, fallback ? "true" : "false");
  return v == "true" || v == "1" || v == "t";
}

std::string Args::value(std::string_view name, std::string_view fallback) const {
  auto it = values_.find(std::string(name));
  return it == values_.end() ? std::string(fallback) : it->second.back();
}

std::vector<std::string> Args::all(std::string_view name) const {
  auto it = values_.find(std::string(name));
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

// --- Cluster --------------------------------------------------------------------------------------------------------

Cluster::Cluster(Cluster&&) noexcept = default;
Cluster& Cluster::operator=(Cluster&&) noexcept = default;
Cluster::~Cluster() = default;

base::Result<Cluster> Cluster::open(const Args& args) {
  auto context = store::load_kubeconfig(args.value("kubeconfig"), args.value("context"));
  if (!context) return std::unexpected(context.error());
  Cluster out;
  out.config_ = std::make_unique<store::KubeConfig>(store::client_config(*context, "istioctl"));
  out.ns_ = args.value("namespace", context->ns);
  out.istio_ns_ = args.value("istioNamespace", "istio-system");
  return out;
}

base::Result<Value> Cluster::get(std::string_view resource, std::string_view ns, std::string_view name) const {
  auto path = store::kube_path(resource, ns, name);
  if (!path) return std::unexpected(path.error());
  return store::kube_request_blocking(*config_, "GET", *path);
}

base::Result<std::vector<Value>> Cluster::list(std::string_view resource, std::string_view ns, std::string_view label_selector) const {
  auto path = store::kube_path(resource, ns);
  if (!path) return std::unexpected(path.error());
  std::string query = label_selector.empty() ? "" : "?labelSelector=" + base::url_encode(label_selector);
  auto list = store::kube_request_blocking(*config_, "GET", *path + query);
  if (!list) return std::unexpected(list.error());
  std::vector<Value> out;
  const mesh::Kind* kind = mesh::find_kind_by_resource(resource);
  for (const Value& item : (*list)["items"].items()) {
    Value object = item;  // items of a list come without apiVersion and kind
    if (kind && object["kind"].as_string().empty()) object.set("apiVersion", kind->api_version()).set("kind", kind->kind);
    out.push_back(std::move(object));
  }
  return out;
}

base::Result<Value> Cluster::apply(const Value& object) const {
  const mesh::Kind* kind = mesh::find_kind_of(object);
  if (!kind) return fail(Code::kInvalidArgument, "unknown kind {} {}", object["apiVersion"].as_string(), object["kind"].as_string());
  const std::string& name = object["metadata"]["name"].as_string();
  std::string ns = kind->namespaced ? object["metadata"]["namespace"].string_or("default") : "";
  auto collection = store::kube_path(kind->resource(), ns);
  auto one = store::kube_path(kind->resource(), ns, name);
  if (!collection) return std::unexpected(collection.error());
  auto created = store::kube_request_blocking(*config_, "POST", *collection, "application/json", object.dump());
  if (created || (created.error().code != Code::kAlreadyExists && created.error().code != Code::kConflict)) return created;
  return store::kube_request_blocking(*config_, "PATCH", *one,
                                      kind->istio ? "application/merge-patch+json" : "application/strategic-merge-patch+json", object.dump());
}

base::Status Cluster::remove(std::string_view resource, std::string_view ns, std::string_view name) const {
  auto path = store::kube_path(resource, ns, name);
  if (!path) return std::unexpected(path.error());
  auto done = store::kube_request_blocking(*config_, "DELETE", *path);
  if (!done) return std::unexpected(done.error());
  return {};
}

base::Result<std::string> Cluster::exec(std::string_view ns, std::string_view pod, std::string_view container,
                                        const std::vector<std::string>& command) const {
  auto path = store::kube_path("pods", ns, pod, "exec");
  if (!path) return std::unexpected(path.error());
  std::string url = config_->server + *path + "?stdout=true&stderr=true&container=" + base::url_encode(container);
  for (const std::string& c : command) url += "&command=" + base::url_encode(c);
  std::shared_ptr<const io::TlsContext> tls;
  if (url.starts_with("https:")) {
    auto context = io::TlsContext::client(config_->tls);
    if (!context) return std::unexpected(context.error());
    tls = *context;
  }
  http::Headers headers;
  if (!config_->token.empty()) headers.add("authorization", "Bearer " + config_->token);
  // The remote command protocol of Kubernetes: the first byte of a message is the channel (1 stdout, 2 stderr, 3 the
  // Status that ends it).
  io::Loop loop;
  std::unique_ptr<http::WebSocket> socket;
  std::string out, err, status;
  base::Result<std::string> result = std::string();
  http::connect_websocket(loop, url, std::move(headers), {"v5.channel.k8s.io", "v4.channel.k8s.io"}, tls,
                          [&](base::Result<std::unique_ptr<http::WebSocket>> connected) {
                            if (!connected) {
                              // A refusal before the upgrade is a Status; its message is what a person needs.
                              base::Error error = connected.error();
                              if (size_t at = error.message.find('{'); at != std::string::npos)
                                if (auto status = base::parse_json(std::string_view(error.message).substr(at)); status && !(*status)["message"].as_string().empty())
                                  error.message = (*status)["message"].as_string();
                              result = std::unexpected(std::move(error));
                              loop.stop();
                              return;
                            }
                            socket = std::move(*connected);
                            socket->set_callbacks({[&](std::string_view message, bool) {
                                                     if (message.empty()) return;
                                                     std::string_view body = message.substr(1);
                                                     if (message[0] == 1) out += body;
                                                     if (message[0] == 2) err += body;
                                                     if (message[0] == 3) status += body;
                                                   },
                                                   [&] { loop.stop(); }});
                          });
  loop.run();
  socket.reset();
  if (!result) return result;
  auto parsed = base::parse_json(status);
  if (parsed && (*parsed)["status"].as_string() == "Success") return out;
  if (!err.empty()) return fail(Code::kFailedPrecondition, "{}", base::trim(err));
  if (parsed) return fail(Code::kFailedPrecondition, "{}", (*parsed)["message"].as_string());
  return fail(Code::kUnavailable, "the connection to pod {} in namespace {} ended early", pod, ns);
}

// --- output ---------------------------------------------------------------------------------------------------------

int istioctl_error(std::string_view message, int exit_code) {
  std::fprintf(stderr, "Error: %.*s\n", static_cast<int>(message.size()), message.data());
  return exit_code;
}

namespace {
size_t columns_of(std::string_view s) {  // code points, which is what Go's tabwriter counts
  return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}
}  // namespace

std::string tabulate(const std::vector<std::vector<std::string>>& rows, size_t padding) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns_of(row[i]) + padding, ' ');
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
  return out;
}

bool confirmed(const Args& args, std::string_view question) {
  if (args.is_true("skip-confirmation")) return true;
  std::printf("%.*s (y/N) ", static_cast<int>(question.size()), question.data());
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  std::string a = base::to_lower(base::trim(answer));
  return a == "y" || a == "yes";
}

}  // namespace fairlead::cli
