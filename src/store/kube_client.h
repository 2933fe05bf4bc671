// KubeClient: a Kubernetes API server over its REST interface, and informers that follow a kind in it.
//
// Used by `fairlead control` in a pod (in_cluster_config) and by istioctl (store/kubeconfig.h). Semantics: Kubernetes API
// conventions (Status objects, resourceVersion, watch with bookmarks, 410 Gone) and client-go's reflector.
// Loop thread only. Callbacks never run inside the call that caused them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/value.h"
#include "io/loop.h"
#include "io/tls.h"
#include "store/store.h"

namespace fairlead::store {

struct KubeConfig {
  std::string server;           // "https://10.96.0.1:443"; a path prefix is kept
  io::TlsOptions tls;           // CA; client certificate and key
  std::string tls_server_name;  // when it is not the URL's host
  std::string token;            // bearer; or
  std::string token_file;       // read for every request, as tokens are rotated
  std::string ns = "default";   // the namespace a person means when none is given
  std::string user_agent = "fairlead";
};

// From KUBERNETES_SERVICE_HOST/PORT and the service account's folder; FailedPrecondition outside a pod.
base::Result<KubeConfig> in_cluster_config();

// "/api/v1/namespaces/default/pods/x" for ("pods", "default", "x"); "/apis/GROUP/VERSION/..." for "plural.group". ns ""
// is all namespaces (or a cluster-scoped kind). InvalidArgument when the kind is not in mesh/kinds.h.
base::Result<std::string> kube_path(std::string_view resource, std::string_view ns = "", std::string_view name = "",
                                    std::string_view subresource = "");

// The error in a response that is not 2xx: the Status object's sentence, its reason mapped to a code.
base::Error kube_error(int http_status, std::string_view body);

enum class PatchType : unsigned char { kJson, kMerge, kStrategic };

// Follows one kind. Lists, then watches; resumes from the last version seen after a broken connection (back-off 50 ms to
// 10 s with jitter), lists again after 410 Gone and tells the difference as events. Destroying it stops it; it must not
// be destroyed inside its own callbacks.
class Informer {
 public:
  struct Callbacks {
    std::function<void(EventType, const ObjectPtr&)> on_event;
    std::function<void()> on_synced;                   // once, after the events of the first list
    std::function<void(const base::Error&)> on_error;  // each time it will try again; may be empty
  };
  virtual ~Informer() = default;
  virtual bool synced() const = 0;
  // What it knows now, by (namespace, name).
  virtual const std::map<std::pair<std::string, std::string>, ObjectPtr>& objects() const = 0;
};

class KubeClient {
 public:
  using Done = std::function<void(base::Result<base::Value>)>;

  static base::Result<std::unique_ptr<KubeClient>> make(io::Loop& loop, KubeConfig config);
  virtual ~KubeClient() = default;

  // One request; the body of a 2xx as JSON, else kube_error. `path` may carry a query.
  virtual void request(std::string_view method, const std::string& path, std::string content_type, std::string body,
                       Done done, base::Nanos timeout = std::chrono::seconds(30)) = 0;
  // resource as for Informer; selectors "" for all.
  virtual std::unique_ptr<Informer> inform(std::string_view resource, std::string_view ns, std::string_view label_selector,
                                           std::string_view field_selector, Informer::Callbacks callbacks) = 0;
  virtual const KubeConfig& config() const = 0;

  // Shorthands over request(). `object` carries apiVersion and kind; its namespace is metadata.namespace.
  void get(std::string_view resource, std::string_view ns, std::string_view name, Done done);
  void list(std::string_view resource, std::string_view ns, std::string_view query, Done done);  // query without '?'
  void create(const base::Value& object, Done done);
  void update(const base::Value& object, Done done);
  void patch(std::string_view resource, std::string_view ns, std::string_view name, PatchType type, const base::Value& patch,
             Done done, std::string_view subresource = "");
  void remove(std::string_view resource, std::string_view ns, std::string_view name, Done done,
              const base::Value& options = {});
};

// One request, blocking, on a loop of its own: for the command line.
base::Result<base::Value> kube_request_blocking(const KubeConfig& config, std::string_view method, const std::string& path,
                                                const std::string& content_type = "", const std::string& body = "",
                                                base::Nanos timeout = std::chrono::seconds(30));

}  // namespace fairlead::store
