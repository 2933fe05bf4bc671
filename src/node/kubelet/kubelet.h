// Kubelet: runs the pods of the store on this node, and answers for them (logs, exec, port-forward).
//
// It is the scheduler too: with one node there is nothing to choose. Loop thread only. Owner: the node.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/pod_backend.h"
#include "node/controllers/reconciler.h"
#include "node/kubelet/pod_worker.h"

namespace fairlead::node {

class Kubelet final : public api::PodBackend {
 public:
  static constexpr int64_t kMaxLogBytes = 10 << 20;          // containerLogMaxSize
  static constexpr std::chrono::seconds kLogCheck{10};       // containerLogMonitorInterval

  Kubelet(io::Loop& loop, store::Store& store, api::Client& client, Runtime& runtime, EventRecorder& events, TokenSource tokens, KubeletOptions options);
  ~Kubelet() override;

  // Takes up what the store holds: folders of pods that are gone are removed, pods that ran run again.
  void start();
  // Ends every pod's processes (their objects stay as they are): the node is going down.
  void stop();

  // All containers of the pod run and are ready, now and here.
  bool is_live(const std::string& ns, const std::string& pod);

  // api::PodBackend
  base::Result<std::unique_ptr<api::LogStream>> logs(const api::PodRef& pod, const api::LogOptions& options, api::LogSink sink) override;
  base::Result<std::unique_ptr<api::ExecSession>> exec(const api::PodRef& pod, const api::ExecOptions& options, api::ExecSession::Callbacks callbacks) override;
  base::Result<std::unique_ptr<api::ExecSession>> attach(const api::PodRef& pod, const api::ExecOptions& options, api::ExecSession::Callbacks callbacks) override;
  void dial(const api::PodRef& pod, uint16_t port, std::function<void(base::Result<std::unique_ptr<io::Transport>>)> done) override;

 private:
  void on_pod(const store::Event& event);
  void restart(const std::string& uid);
  bool bind(const store::ObjectPtr& pod);
  void clean_folders();
  void rotate_logs();
  PodWorker* worker(const std::string& ns, const std::string& name);

  KubeletParts parts_;
  std::map<std::string, std::unique_ptr<PodWorker>> workers_;              // by uid
  std::unique_ptr<Watch> pods_, config_maps_, secrets_;
  io::Timer log_check_;
};

}  // namespace fairlead::node
