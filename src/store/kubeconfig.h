// Kubeconfig: where an API server is and how to prove who asks, as kubectl reads and writes it. Any thread; does file I/O.
// Source: client-go's clientcmd (merging rules, precedence --kubeconfig, then KUBECONFIG, then ~/.kube/config).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead::store {

// What is needed to talk to one API server. PEM texts, not paths.
struct KubeContext {
  std::string context;
  std::string server;              // https://127.0.0.1:6443
  std::string ca_pem;              // "": the system's roots
  std::string tls_server_name;     // "": the server's host
  bool insecure_skip_tls_verify = false;
  std::string client_cert_pem, client_key_pem;
  std::string token;
  std::string ns = "default";      // of the context
};

struct KubeConfig;  // store/kube_client.h
KubeConfig client_config(const KubeContext& context, std::string user_agent = "fairlead");

// `path` from --kubeconfig ("": KUBECONFIG's list, else ~/.kube/config), `context` from --context ("": current-context).
// NotFound: no file or no such context; the message says which were looked at and what there is.
// Inside a pod with no kubeconfig at all: the service account's token and ca.crt.
base::Result<KubeContext> load_kubeconfig(std::string_view path = "", std::string_view context = "");

// The file that merge_context writes by default: --kubeconfig, the first of KUBECONFIG, or ~/.kube/config. "" when
// there is no home folder.
std::string default_kubeconfig_path(std::string_view flag = "");

// Adds or replaces cluster, user and context named `name` in the file (created with mode 0600, folders with 0755) and, when
// `make_current`, current-context. Everything else in the file stays; a file that does not parse is left alone and is an
// error. Atomic (rename) and under client-go's lock file, so that a kubectl at the same time is safe.
base::Status merge_context(const std::string& path, const std::string& name, const KubeContext& config, bool make_current = true);

// Takes them out again. When it is current, the context that was current before merge_context becomes so again. A missing
// file is fine.
base::Status remove_context(const std::string& path, const std::string& name);

}  // namespace fairlead::store
