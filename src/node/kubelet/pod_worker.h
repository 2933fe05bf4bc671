// PodWorker: one pod from the moment it is bound to this node until its object is gone.
//
//  kPending ---> kCreating ---> kInitializing ---> kRunning ---> kStopping ---> kStopped ---> kGone
//     ^   |          |                |               |              ^             |
//     |   +- a volume's object is missing: waits      +-- containers are all over -+ (Succeeded, Failed: stays until
//     +-- sandbox failed: back-off    +---------------+-- the pod is deleted ------+  the pod is deleted)
//
// Every change goes through enter(); what follows from a state is in advance(). Status is written once a round of the
// loop at most, and only when it differs.
// Source: Kubernetes' kubelet (pod workers, status manager, sidecar containers KEP-753). Loop thread only. Owner: Kubelet.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/client.h"
#include "node/kubelet/container.h"
#include "node/kubelet/ip_allocator.h"
#include "node/kubelet/volumes.h"

namespace fairlead::node {

enum class PodState : unsigned char { kPending, kCreating, kInitializing, kRunning, kStopping, kStopped, kGone };
std::string_view to_string(PodState state);

struct KubeletOptions {
  std::string data_dir;
  std::string dns_server = "10.96.0.10";
  std::string cluster_domain = "cluster.local";
  std::string host_ip = "127.0.0.1";
  BackOffLimits back_off;
  base::Nanos sandbox_retry = std::chrono::seconds(1);  // doubles to 1 min
};

// What all workers share; owned by Kubelet.
struct KubeletParts {
  io::Loop& loop;
  store::Store& store;
  api::Client& client;
  Runtime& runtime;
  EventRecorder& events;
  TokenSource tokens;
  KubeletOptions options;
  IpAllocator ips;
  std::function<void(const std::string& uid)> gone;     // the worker may be destroyed
  std::function<void(const std::string& uid)> again;    // the sandbox is lost: a new worker goes on from the pod's status
};

class PodWorker final : public ContainerHost {
 public:
  PodWorker(KubeletParts& parts, store::ObjectPtr pod);
  ~PodWorker();

  void begin();
  void update(store::ObjectPtr pod);                     // the object has changed
  void removed();                                        // the object is gone: nothing to wait for
  void config_changed(std::string_view resource, const std::string& name);  // "configmaps", "secrets" in its namespace

  PodState state() const { return state_; }
  const store::ObjectPtr& object() const { return pod_; }
  Sandbox* sandbox() override { return sandbox_.get(); }
  Container* container(const std::string& name);
  bool all_ready() const;
  const std::string& log_directory() const { return log_directory_; }
  std::vector<std::string> live_logs() const;            // of the containers that run
  // Called when a container's life ends (for `logs -f`); the token keeps it alive.
  using EndCallback = std::function<void(const std::string& container)>;
  std::shared_ptr<EndCallback> on_container_end(EndCallback callback);

 private:
  void enter(PodState state);
  void advance();
  void prepare();
  void create_sandbox();
  void advance_init();
  void advance_running();
  void advance_stopping();
  void finish();                        // all containers are over
  void terminate();                     // the pod was deleted
  void refresh_volumes();
  void mark_dirty();
  void release_ip();
  void write_status();
  base::Value build_status() const;     // pod_status.cc
  std::string phase() const;
  std::vector<Container*> all_containers() const;

  // ContainerHost
  io::Loop& loop() override { return parts_.loop; }
  Runtime& runtime() override { return parts_.runtime; }
  const base::Value& pod() const override { return *pod_; }
  std::string pod_ip() const override { return ip_; }
  bool terminating() const override { return state_ >= PodState::kStopping; }
  BackOffLimits back_off() const override { return parts_.options.back_off; }
  base::Result<ContainerSpec> spec_of(const Container& container) override;
  std::string termination_message(const Container& container) override;
  std::string log_path(const Container& container, int64_t life) const;
  void container_changed(Container& container) override;
  void event(EventLevel level, std::string_view reason, std::string_view message, const Container& container) override;
  void pod_event(EventLevel level, std::string_view reason, std::string_view message);
  PodFacts facts() const { return {ip_, parts_.options.host_ip}; }

  KubeletParts& parts_;
  store::ObjectPtr pod_;
  const std::string uid_;
  const store::Key key_;
  const std::string directory_, log_directory_;
  PodState state_ = PodState::kPending;
  std::string ip_, start_time_;
  std::string mount_error_;
  bool failed_ = false;                // an init container failed for good
  bool deleting_ = false;
  bool ip_held_ = false;               // ip_ is ours to give back
  base::TimePoint stop_deadline_{};
  std::vector<std::unique_ptr<Container>> inits_, mains_;
  std::unique_ptr<Volumes> volumes_;
  std::unique_ptr<Sandbox> sandbox_;
  base::Nanos sandbox_delay_;
  bool dirty_ = false, advancing_ = false, advance_again_ = false;
  base::Value last_written_;
  std::vector<std::weak_ptr<EndCallback>> end_callbacks_;
  io::Timer retry_, renewal_, deadline_;
  std::shared_ptr<bool> alive_;
};

}  // namespace fairlead::node
