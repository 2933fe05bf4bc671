// Runtime: pods as processes in namespaces. The seam between the kubelet (which decides) and the kernel (which does).
//
// Loop thread only. Implemented by NamespaceRuntime; tests of the kubelet have a fake.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "io/transport.h"

namespace fairlead::node {

struct Mount {
  std::string path;        // in the container
  std::string source;      // host folder or file prepared by the kubelet (ConfigMap, Secret, emptyDir ...)
  bool read_only = false;
};

struct ContainerSpec {
  std::string name;
  std::string image;                       // as written in the pod; resolved by the image table
  std::vector<std::string> command;        // entrypoint; empty: the image's
  std::vector<std::string> args;           // empty with empty command: the image's
  std::string working_dir;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<Mount> mounts;
  std::optional<int64_t> run_as_user;      // honoured where ids can be mapped
  std::optional<int64_t> run_as_group;
  std::string log_path;                    // file that gets the output: "RFC3339NANO stdout F line" as the CRI writes it
  int64_t memory_limit_bytes = 0;          // 0: none; applied where permitted
  bool tty = false;
  bool stdin_open = false;                 // its standard input stays open for whoever attaches
  bool stdin_once = false;                 // until the first of them leaves
  bool net_admin = false;                  // securityContext.capabilities NET_ADMIN: keeps rights in the pod's network
  std::vector<std::string> drop_capabilities;  // "NET_RAW", "ALL"
  std::vector<std::string> add_capabilities;   // of the usual ones, back after dropping ALL
};

struct SandboxSpec {
  std::string ns, name, uid, hostname, service_account;
  std::string ip;                          // chosen by the kubelet's allocator, e.g. 10.244.0.7
  std::vector<std::string> dns_search;     // default.svc.cluster.local svc.cluster.local cluster.local
  std::string dns_server;                  // 10.96.0.10
  std::vector<std::string> dns_options;    // "ndots:5"
  std::string fqdn;                        // of a pod with a subdomain; may be empty
  std::vector<std::pair<std::string, std::string>> hosts;  // more /etc/hosts lines: name, ip
  std::string directory;                   // the pod's folder in the data folder, made by the kubelet
};

struct Exit {
  int code = 0;       // 128 + signal when killed
  int signal = 0;
  bool oom_killed = false;
};

// One running pod sandbox. Destroying it kills everything inside and removes the network.
class Sandbox {
 public:
  virtual ~Sandbox() = default;
  virtual int init_pid() const = 0;  // in the node's PID namespace

  // Starts a container; on_exit runs once. The pid is one of the node's PID namespace. Fails with a sentence (command not found, image unknown ...).
  virtual void start(const ContainerSpec& spec, std::function<void(base::Result<int> pid)> started,
                     std::function<void(Exit)> on_exit) = 0;
  virtual void signal(const std::string& container, int signal_number) = 0;

  // A process in a running container's namespaces. Descriptors are the session's ends: with tty, `io` is the terminal
  // master; else stdin/stdout/stderr pipes. on_exit runs once after the process ended.
  struct ExecHandles {
    io::Fd stdin_write, stdout_read, stderr_read, tty;
    int pid = 0;  // in the node's PID namespace
  };
  virtual void exec(const std::string& container, const std::vector<std::string>& command, bool tty, bool want_stdin,
                    std::function<void(base::Result<ExecHandles>)> started, std::function<void(Exit)> on_exit) = 0;
  // The container's own input (where it is kept open and `want_stdin`) and, from now on, its output. The outputs end with
  // the container; closing the handles detaches.
  virtual void attach(const std::string& container, bool want_stdin, std::function<void(base::Result<ExecHandles>)> started) {
    (void)container, (void)want_stdin;
    started(base::fail(base::Code::kUnimplemented, "attach is not supported"));
  }
  // Called once when the sandbox itself ended (its init was killed), after on_exit of all that ran inside: it has to be
  // made anew, init containers included.
  virtual void on_lost(std::function<void()> callback) { (void)callback; }
  // Opens a TCP connection from inside the pod's network namespace (probes, port-forward).
  virtual void dial(const io::Address& to, std::function<void(base::Result<io::Fd>)> done) = 0;
};

// What an image name stands for.
struct Image {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::vector<std::pair<std::string, std::string>> env;
  std::map<std::string, std::string> files;  // path in the container -> path of the program on the host ("" : fairlead itself)
  bool busybox = false;  // its small tools (nc, time, nslookup ...) are busybox's, where the host has it
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  // NotFound with a sentence that says how to provide the image (the pod shows ErrImagePull).
  virtual base::Result<Image> image(const std::string& name) const = 0;
  virtual void create(const SandboxSpec& spec, std::function<void(base::Result<std::unique_ptr<Sandbox>>)> done) = 0;
};

}  // namespace fairlead::node
