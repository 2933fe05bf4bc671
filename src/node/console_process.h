// The console beside the mesh (`fairlead up --with console`): a process of its own in the node's network, so that it can ask pods, on
// the host's loopback for people, and on the node's own address for pods' heartbeats. Started again when it ends.
//
// Thread: the node's loop. Owner: the node; the kernel ends the process with the node's PID namespace.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/fd.h"
#include "io/loop.h"

namespace fairlead::node {

class ConsoleProcess {
 public:
  struct Options {
    std::string executable;
    std::string data_dir;       // its own memory and its rules
    std::string node_address;   // "10.244.0.1:8080": where pods reach it
  };
  // `said`: each line that it prints, the first password among them.
  ConsoleProcess(io::Loop& loop, Options options, io::Fd host_listener, std::function<void(const std::string&)> said);
  ~ConsoleProcess();  // SIGTERM
  ConsoleProcess(const ConsoleProcess&) = delete;
  ConsoleProcess& operator=(const ConsoleProcess&) = delete;

 private:
  void start();
  void read_lines();
  void ended();

  io::Loop& loop_;
  Options options_;
  io::Fd listener_, process_, output_;
  int pid_ = 0;
  std::function<void(const std::string&)> said_;
  std::string line_;
  std::unique_ptr<io::FdWatch> on_end_, on_output_;
  io::Timer again_;
};

}  // namespace fairlead::node
