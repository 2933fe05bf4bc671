// ControlPlane: istiod's role. Follows the API (or a folder of YAML), keeps the Snapshot, serves xDS, injects sidecars.
//
// One loop, its owner's; everything here runs on it.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "io/address.h"
#include "io/loop.h"
#include "store/kube_client.h"

namespace fairlead::control {

struct ControlOptions {
  // Where to listen; an invalid address leaves that server out. Names of the flags are istiod's.
  io::Address grpc;         // xDS, plain text
  io::Address secure_grpc;  // xDS, TLS
  io::Address https;        // webhook
  io::Address monitoring;   // /metrics, /debug/...
  io::Address http;         // /ready
  std::string ns = "istio-system";
  std::string revision = "default";
  std::string cluster_id = "Kubernetes";
  std::string pod_name = "istiod";
  std::string files;        // folder of YAML instead of an API server
  // A change waits this long for more to come, and never longer than the second (Istio's PILOT_DEBOUNCE_AFTER and
  // PILOT_DEBOUNCE_MAX, 100 ms and 10 s there): on one machine a change has one writer, and a person waits for it.
  base::Nanos debounce_after = std::chrono::milliseconds(5);
  base::Nanos debounce_max = std::chrono::milliseconds(50);
};

class ControlPlane {
 public:
  // client: the API server; nullptr with options.files. Serving xDS begins when everything has been listed once.
  static base::Result<std::unique_ptr<ControlPlane>> start(io::Loop& loop, ControlOptions options, std::unique_ptr<store::KubeClient> client);
  ~ControlPlane();

  // Where xDS is served; for tests with port 0. Invalid before it is.
  io::Address grpc_address() const;
  bool ready() const;
  // Reads the folder again (files mode).
  base::Status reload();
  // Ends the streams, so that proxies go elsewhere, and stops listening.
  void drain();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace fairlead::control
