// Volumes: a pod's volumes as folders in its own folder, which the runtime mounts into containers.
//
// emptyDir, configMap, secret, downwardAPI, projected (with serviceAccountToken). What comes from objects is written as
// Kubernetes' atomic writer lays it out: files are links into ..data, which is itself a link that is swapped, so that a
// reader sees the old set or the new one whole. Loop thread only. Owner: the pod's worker.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "node/kubelet/env.h"
#include "node/runtime.h"
#include "store/store.h"

namespace fairlead::node {

struct TokenRequest {
  std::string ns, service_account, audience, pod, pod_uid;
  std::chrono::seconds valid_for{3607};
};
using TokenSource = std::function<base::Result<std::string>(const TokenRequest&)>;

class Volumes {
 public:
  Volumes(const store::Store& store, const TokenSource& tokens, std::string directory)
      : store_(store), tokens_(tokens), directory_(std::move(directory)) {}

  // Makes every volume, or writes again those whose objects changed. NotFound: something that is not optional is
  // missing (`where` is the volume); any other error is for good.
  base::Status prepare(const base::Value& pod, const PodFacts& facts);
  // The mounts of one container; subPathExpr is expanded with its environment.
  base::Result<std::vector<Mount>> mounts(const base::Value& container, const Environment& environment) const;
  // Tokens are written anew at 80 % of their life; the time until then, 0 when there are none.
  base::Nanos renew_in() const;
  bool uses(std::string_view resource, std::string_view name) const;  // "configmaps", "secrets"

 private:
  struct File {
    std::string text;
    int mode = 0644;
    bool operator==(const File&) const = default;
  };
  using Files = std::map<std::string, File>;  // by path in the volume

  base::Result<Files> files_of(const base::Value& pod, const base::Value& volume, const PodFacts& facts);
  base::Status add_source(Files& files, const base::Value& pod, const base::Value& source, const char* kind, int mode, const PodFacts& facts,
                          std::string_view volume);
  base::Status write(const std::string& volume, const Files& files);

  const store::Store& store_;
  const TokenSource& tokens_;
  const std::string directory_;
  std::map<std::string, std::string> paths_;     // volume -> folder
  std::map<std::string, Files> written_;
  std::map<std::string, std::pair<std::string, base::TimePoint>> issued_;  // volume/path -> token, when to renew
  std::map<std::pair<std::string, std::string>, bool> used_;
  uint64_t generation_ = 0;
};

}  // namespace fairlead::node
