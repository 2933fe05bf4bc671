// A node with a MemoryStore, the real API server's rules and a fake runtime, turned by hand.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "api/server.h"
#include "node/controllers/controllers.h"
#include "node/fake_runtime.h"
#include "node/kubelet/kubelet.h"
#include "store/memory_store.h"

namespace fairlead::node {

struct TestCluster {
  io::Loop loop;
  store::MemoryStore store{loop};
  api::ApiServer api{loop, store, nullptr, {}};
  FakeRuntime runtime{loop};
  EventRecorder events{loop, store, api.client()};
  std::string data_dir;
  std::unique_ptr<Kubelet> kubelet;
  struct Balancers final : BalancerAddresses {
    std::map<std::string, std::string> addresses, problems;
    std::function<void(const std::string&, const std::string&)> changed;
    const std::string none;
    const std::string& address_of(const std::string&, const std::string& name) const override { return find(addresses, name); }
    const std::string& problem_of(const std::string&, const std::string& name) const override { return find(problems, name); }
    void on_change(std::function<void(const std::string&, const std::string&)> f) override { changed = std::move(f); }
    const std::string& find(const std::map<std::string, std::string>& in, const std::string& name) const {
      auto it = in.find(name);
      return it == in.end() ? none : it->second;
    }
  } balancers;
  std::unique_ptr<Controllers> controllers;

  explicit TestCluster(bool with_controllers = true) {
    char name[] = "/tmp/fairlead-node-test-XXXXXX";
    data_dir = ::mkdtemp(name);
    EXPECT_TRUE(api.bootstrap());
    start_kubelet();
    if (with_controllers) controllers = std::make_unique<Controllers>(loop, store, api.client(), events, ControllersOptions{.balancers = &balancers, .ca_pem = "CA"});
    turn();
  }
  ~TestCluster() {
    controllers.reset();
    kubelet.reset();
    std::filesystem::remove_all(data_dir);
  }
  void start_kubelet() {
    KubeletOptions options;
    options.data_dir = data_dir;
    // Back-off in test time: long enough to be seen, short enough to pass while the loop is turned.
    options.back_off = {std::chrono::milliseconds(300), std::chrono::milliseconds(600), std::chrono::minutes(10)};
    kubelet = std::make_unique<Kubelet>(loop, store, api.client(), runtime, events, [](const TokenRequest& r) { return base::Result<std::string>("token of " + r.service_account); },
                                        options);
    kubelet->start();
  }

  void turn(int rounds = 40) {
    for (int i = 0; i < rounds; ++i) loop.run_once(base::Nanos(0));
  }
  // Turns the loop, timers included, until it holds or it is plain that it never will.
  template <class Condition>
  bool until(Condition condition) {
    auto deadline = base::Clock::now() + std::chrono::seconds(5);
    while (!condition()) {
      if (base::Clock::now() > deadline) return false;
      loop.run_once(std::chrono::milliseconds(5));
    }
    return true;
  }

  static base::Value json(std::string_view text) {
    auto v = base::parse_yaml(text);
    EXPECT_TRUE(v && v->size() == 1) << (v ? "" : v.error().text());
    return v && !v->empty() ? v->front() : base::Value();
  }
  base::Value create(std::string_view yaml) {
    auto made = api.client().create_now(json(yaml));
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    return made ? **made : base::Value();
  }
  const base::Value get(const char* resource, const std::string& name, const std::string& ns = "default") const {
    auto found = store.get({resource, ns, name});
    return found ? **found : base::Value();
  }
  const base::Value pod(const std::string& name) const { return get("pods", name); }
  std::vector<store::ObjectPtr> pods() const { return store.list("pods", "default"); }
  std::string phase(const std::string& name) const {
    base::Value p = pod(name);
    return std::as_const(p)["status"]["phase"].as_string();
  }
  bool ready(const std::string& name) const { return pod_ready(pod(name)); }
  std::vector<std::string> reasons(const std::string& object) const {
    std::vector<std::string> out;
    for (auto& e : store.list("events", "default"))
      if ((*e)["involvedObject"]["name"].as_string() == object) out.push_back((*e)["reason"].as_string());
    return out;
  }
  bool has_reason(const std::string& object, const std::string& reason) const {
    for (auto& r : reasons(object))
      if (r == reason) return true;
    return false;
  }
};

}  // namespace fairlead::node
