// FakeRuntime: pods as entries in a map, for component tests of the kubelet and the controllers. Loop thread only.
#pragma once

#include <sys/socket.h>

#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/loop.h"
#include "node/runtime.h"

namespace fairlead::node {

class FakeRuntime final : public Runtime {
 public:
  explicit FakeRuntime(io::Loop& loop) : loop_(loop) {}

  struct Process {
    ContainerSpec spec;
    std::function<void(Exit)> on_exit;
  };
  struct Pod {
    SandboxSpec spec;
    std::map<std::string, Process> running;
  };

  // What the tests turn.
  std::set<std::string> unknown_images;
  std::map<std::string, int> start_failures;              // container -> so many starts fail
  std::set<std::string> stubborn;                         // containers that ignore SIGTERM
  std::set<std::string> unready;                          // "pod:port" (or ":port") answers 503
  std::set<std::string> refused;                          // "pod:port" (or ":port") takes no connection
  std::map<std::string, int> exec_results;                // first word of the command -> exit code
  bool sandbox_fails = false;
  // What the tests look at.
  std::map<std::string, Pod> pods;                        // by pod name
  std::vector<std::string> journal;                       // "start app", "signal app 15", "exec app true", "gone pod"
  std::map<std::string, int> starts;                      // by container

  void exit(const std::string& pod, const std::string& container, int code) {
    auto node = pods[pod].running.extract(container);
    if (node.empty()) return;
    Exit e;
    e.code = code;
    if (code > 128) e.signal = code - 128;
    loop_.post([callback = std::move(node.mapped().on_exit), e] { callback(e); });
  }

  base::Result<Image> image(const std::string& name) const override {
    if (unknown_images.contains(name)) return base::fail(base::Code::kNotFound, "image \"{}\" is not in the table: add it with fairlead image add", name);
    return Image{};
  }

  void create(const SandboxSpec& spec, std::function<void(base::Result<std::unique_ptr<Sandbox>>)> done) override {
    loop_.post([this, spec, done = std::move(done)] {
      if (sandbox_fails) return done(base::fail(base::Code::kInternal, "no network today"));
      pods[spec.name] = Pod{spec, {}};
      done(std::make_unique<FakeSandbox>(*this, spec.name));
    });
  }

 private:
  class FakeSandbox final : public Sandbox {
   public:
    FakeSandbox(FakeRuntime& runtime, std::string name) : runtime_(runtime), name_(std::move(name)) {}
    ~FakeSandbox() override {
      runtime_.pods.erase(name_);
      runtime_.journal.push_back("gone " + name_);
    }
    int init_pid() const override { return 1; }
    void start(const ContainerSpec& spec, std::function<void(base::Result<int>)> started, std::function<void(Exit)> on_exit) override {
      runtime_.journal.push_back("start " + spec.name);
      ++runtime_.starts[spec.name];
      if (auto it = runtime_.start_failures.find(spec.name); it != runtime_.start_failures.end() && it->second-- > 0) {
        runtime_.loop_.post([started = std::move(started)] { started(base::fail(base::Code::kNotFound, "exec: \"nonsense\": not found")); });
        return;
      }
      runtime_.pods[name_].running[spec.name] = Process{spec, std::move(on_exit)};
      runtime_.loop_.post([started = std::move(started)] { started(42); });
    }
    void signal(const std::string& container, int number) override {
      runtime_.journal.push_back("signal " + container + " " + std::to_string(number));
      if (number == SIGTERM && runtime_.stubborn.contains(container)) return;
      runtime_.exit(name_, container, 128 + number);
    }
    void exec(const std::string& container, const std::vector<std::string>& command, bool, bool, std::function<void(base::Result<ExecHandles>)> started,
              std::function<void(Exit)> on_exit) override {
      runtime_.journal.push_back("exec " + container + " " + command.at(0));
      auto it = runtime_.exec_results.find(command.at(0));
      Exit e;
      e.code = it == runtime_.exec_results.end() ? 0 : it->second;
      runtime_.loop_.post([started = std::move(started), on_exit = std::move(on_exit), e] {
        started(ExecHandles{});
        on_exit(e);
      });
    }
    void dial(const io::Address& to, std::function<void(base::Result<io::Fd>)> done) override {
      std::string port = std::to_string(to.port());
      bool bad = runtime_.unready.contains(name_ + ":" + port) || runtime_.unready.contains(":" + port);
      if (runtime_.refused.contains(name_ + ":" + port) || runtime_.refused.contains(":" + port)) {
        runtime_.loop_.post([done = std::move(done)] { done(base::fail(base::Code::kUnavailable, "Connection refused")); });
        return;
      }
      int fds[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) return;
      std::string_view answer = bad ? "HTTP/1.1 503 Service Unavailable\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n";
      (void)!::write(fds[1], answer.data(), answer.size());
      auto mine = std::make_shared<io::Fd>(fds[0]);
      auto other = std::make_shared<io::Fd>(fds[1]);
      runtime_.loop_.post([done = std::move(done), mine, other] { done(std::move(*mine)); });
      runtime_.peers_.push_back(other);
    }

   private:
    FakeRuntime& runtime_;
    std::string name_;
  };

  io::Loop& loop_;
  std::vector<std::shared_ptr<io::Fd>> peers_;
};

}  // namespace fairlead::node
