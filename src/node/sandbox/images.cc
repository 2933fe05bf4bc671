#include "node/sandbox/images.h"

#include <algorithm>

#include "base/strings.h"

namespace fairlead::node {
namespace {

constexpr const char* kSelf = "/usr/local/bin/fairlead";

// One row: the last part of the repository, the part before it ("" any), and what it plays.
struct Row {
  std::string_view name;
  std::string_view owner;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::pair<std::string, std::string>> files;
  bool busybox = false;  // Alpine or busybox itself in the original
};

std::vector<std::string> sample(std::string name) { return {kSelf, "sample", std::move(name)}; }

const std::vector<Row>& rows() {
  // cmd stands apart from entrypoint as in the originals, so that `args:` alone in a manifest replaces the same part.
  static const std::vector<Row> table = {
      {"proxyv2", "", {"/usr/local/bin/pilot-agent"}, {}, {}},
      {"pilot", "", {"/usr/local/bin/pilot-discovery"}, {}, {{"/usr/local/bin/pilot-discovery", ""}}},
      {"install-cni", "", {"/bin/sleep"}, {"infinity"}, {}},
      {"examples-bookinfo-productpage-v1", "", {}, sample("productpage-v1"), {}},
      {"examples-bookinfo-details-v1", "", {}, sample("details-v1"), {}},
      {"examples-bookinfo-details-v2", "", {}, sample("details-v2"), {}},
      {"examples-bookinfo-reviews-v1", "", {}, sample("reviews-v1"), {}},
      {"examples-bookinfo-reviews-v2", "", {}, sample("reviews-v2"), {}},
      {"examples-bookinfo-reviews-v3", "", {}, sample("reviews-v3"), {}},
      {"examples-bookinfo-ratings-v1", "", {}, sample("ratings-v1"), {}},
      {"examples-bookinfo-ratings-v2", "", {}, sample("ratings-v2"), {}},
      {"examples-bookinfo-ratings-v-faulty", "", {}, sample("ratings-v-faulty"), {}},
      {"examples-bookinfo-ratings-v-delayed", "", {}, sample("ratings-v-delayed"), {}},
      {"examples-bookinfo-ratings-v-unavailable", "", {}, sample("ratings-v-unavailable"), {}},
      {"examples-bookinfo-ratings-v-unhealthy", "", {}, sample("ratings-v-unhealthy"), {}},
      {"examples-helloworld-v1", "", {}, sample("helloworld-v1"), {}},
      {"examples-helloworld-v2", "", {}, sample("helloworld-v2"), {}},
      // kennethreitz/httpbin's CMD is gunicorn, and manifests spell it too.
      {"httpbin", "", {}, {"gunicorn", "-b", "0.0.0.0:80", "httpbin:app", "-k", "gevent"}, {{"/usr/local/bin/gunicorn", ""}}},
      {"go-httpbin", "", {}, sample("go-httpbin"), {}},
      {"fortio", "", {"/usr/bin/fortio"}, {"server"}, {{"/usr/bin/fortio", ""}}},
      {"tcp-echo-server", "", {"/usr/local/bin/tcp-echo"}, {"9000", "hello"}, {{"/usr/local/bin/tcp-echo", ""}, {"/bin/tcp-echo", ""}}},
      {"curl", "curlimages", {"/usr/bin/curl"}, {"-h"}, {}, true},
      {"curl-ssl", "", {}, {"/bin/sh"}, {}, true},
      {"alpine-curl", "", {"/usr/bin/curl"}, {}, {}, true},
      {"netshoot", "", {}, {"/bin/bash"}, {}, true},
      {"sleep", "", {}, {"/bin/sleep", "infinity"}, {}},
      {"busybox", "", {}, {"/bin/sh"}, {}, true},
      {"alpine", "", {}, {"/bin/sh"}, {}, true},
      {"debian", "", {}, {"/bin/bash"}, {}},
      {"ubuntu", "", {}, {"/bin/bash"}, {}},
      {"base", "", {}, {"/bin/bash"}, {}},  // docker.io/istio/base
      {"pause", "", {"/bin/sleep"}, {"infinity"}, {}},
      {"fairlead", "", {kSelf}, {}, {}},
  };
  return table;
}

std::string_view last_part(std::string_view repository) { return repository.substr(repository.rfind('/') + 1); }

}  // namespace

std::string_view image_repository(std::string_view name) {
  name = name.substr(0, name.find('@'));
  size_t slash = name.rfind('/');
  size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) name = name.substr(0, colon);
  return name;
}

base::Result<Image> builtin_image(std::string_view name, std::string_view user_table_path) {
  std::string_view repository = image_repository(name), last = last_part(repository);
  std::string_view owner = repository.substr(0, repository.size() - last.size());
  if (owner.ends_with('/')) owner.remove_suffix(1);
  owner = last_part(owner);
  for (auto& row : rows()) {
    if (row.name != last || (!row.owner.empty() && row.owner != owner)) continue;
    Image image;
    image.entrypoint = row.entrypoint;
    image.cmd = row.cmd;
    image.busybox = row.busybox;
    for (auto& [path, source] : row.files) image.files[path] = source;
    return image;
  }
  std::vector<std::string_view> known;
  for (auto& row : rows()) known.push_back(row.name);
  auto guess = base::nearest(last, known);
  return base::fail(base::Code::kNotFound,
                    "failed to resolve image \"{}\": nothing is pulled here, and it is neither among the built-in images{} nor in {}. "
                    "Add there: \"{}: {{command: [/path/of/program]}}\"",
                    name, guess ? fmt::format(" (nearest: {})", *guess) : "", user_table_path, repository);
}

base::Result<Image> user_image(std::string_view name, std::string_view text, std::string_view path) {
  auto documents = base::parse_yaml(text, path);
  if (!documents) return std::unexpected(documents.error());
  for (auto& table : *documents) {
    for (auto& [key, row, position] : table.members()) {
      if (key != name && key != image_repository(name)) continue;
      Image image;
      if (row.is_string()) {
        image.entrypoint.push_back(row.as_string());
      } else {
        for (auto& [field, value, where] : row.members())
          if (field != "command" && field != "args" && field != "workingDir" && field != "env" && field != "files")
            return base::fail(base::Code::kInvalidArgument, "{}:{}: unknown field \"{}\" of image \"{}\"; there are command, args, workingDir, env, files",
                              path, where.line, field, key);
        for (auto& a : row["command"].items()) image.entrypoint.push_back(a.as_string());
        for (auto& a : row["args"].items()) image.cmd.push_back(a.is_string() ? a.as_string() : a.dump());
        image.working_dir = row["workingDir"].as_string();
        for (auto& e : row["env"].members()) image.env.emplace_back(e.key, e.value.is_string() ? e.value.as_string() : e.value.dump());
        for (auto& f : row["files"].members()) image.files[f.key] = f.value.as_string();
      }
      if (image.entrypoint.empty() && image.cmd.empty())
        return base::fail(base::Code::kInvalidArgument, "{}:{}: image \"{}\" has no command", path, position.line, key);
      return image;
    }
  }
  return base::fail(base::Code::kNotFound, "{} has no image \"{}\"", path, name);
}

}  // namespace fairlead::node
