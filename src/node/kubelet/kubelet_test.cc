#include "node/kubelet/kubelet.h"

#include <fstream>
#include <sstream>

#include "node/cluster_for_test.h"
#include "node/kubelet/log_stream.h"

namespace fairlead::node {
namespace {

using base::Value;

std::string content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

constexpr const char* kPlainPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: app, image: web:1}
)";

TEST(Kubelet, RunsAPodAndSaysSo) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  const Value pod = c.pod("web");
  EXPECT_EQ(pod["spec"]["nodeName"].as_string(), "fairlead");
  EXPECT_EQ(pod["status"]["phase"].as_string(), "Running");
  EXPECT_TRUE(pod["status"]["podIP"].as_string().starts_with("10.244."));
  EXPECT_EQ(pod["status"]["hostIP"].as_string(), "127.0.0.1");
  EXPECT_TRUE(c.ready("web"));
  for (const char* type : {"PodScheduled", "Initialized", "ContainersReady", "PodReadyToStartContainers"}) EXPECT_TRUE(condition_is_true(pod, type)) << type;
  EXPECT_TRUE(pod["status"]["containerStatuses"][0]["started"].as_bool());
  EXPECT_EQ(c.reasons("web"), (std::vector<std::string>{"Scheduled", "Pulled", "Created", "Started"}));
  EXPECT_EQ(c.runtime.pods["web"].spec.dns_search.at(0), "default.svc.cluster.local");
}

TEST(Kubelet, GivesAPodItsOwnDnsOptionsAndName) {
  TestCluster c;
  c.create(R"({apiVersion: v1, kind: Pod, metadata: {name: db}, spec: {hostname: first, subdomain: peers,
    dnsConfig: {searches: [shop.example], options: [{name: timeout, value: "2"}, {name: ndots, value: "1"}, {name: edns0}]},
    containers: [{name: app, image: db}]}})");
  ASSERT_TRUE(c.until([&] { return c.runtime.pods.contains("db"); }));
  const auto& spec = c.runtime.pods["db"].spec;
  EXPECT_EQ(spec.dns_options, (std::vector<std::string>{"timeout:2", "ndots:1", "edns0"}));
  EXPECT_EQ(spec.dns_search.back(), "shop.example");
  EXPECT_EQ(spec.hostname, "first");
  EXPECT_EQ(spec.fqdn, "first.peers.default.svc.cluster.local");
}

TEST(Kubelet, GivesAContainerItsAccountToken) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  const auto& mounts = c.runtime.pods["web"].running["app"].spec.mounts;
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[1].path, "/dev/termination-log");
  EXPECT_EQ(mounts[0].path, "/var/run/secrets/kubernetes.io/serviceaccount");
  EXPECT_EQ(content(mounts[0].source + "/token"), "token of default");
  EXPECT_EQ(content(mounts[0].source + "/namespace"), "default");
}

TEST(Kubelet, StartsInitContainersAndSidecarsInOrder) {
  TestCluster c(false);
  c.create(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  initContainers:
  - {name: first, image: i}
  - name: proxy
    image: i
    restartPolicy: Always
    startupProbe: {httpGet: {port: 15021, path: /healthz/ready}, periodSeconds: 1, failureThreshold: 600}
  - {name: second, image: i}
  containers:
  - {name: app, image: i}
)");
  c.runtime.unready.insert(":15021");
  c.turn();
  EXPECT_EQ(c.runtime.journal, (std::vector<std::string>{"start first"}));
  EXPECT_EQ(c.phase("web"), "Pending");
  c.runtime.exit("web", "first", 0);
  c.turn();
  EXPECT_EQ(c.runtime.starts["proxy"], 1);
  EXPECT_EQ(c.runtime.starts["second"], 0) << "the sidecar has not started yet";
  c.runtime.unready.clear();
  ASSERT_TRUE(c.until([&] { return c.runtime.starts["second"] == 1; }));
  EXPECT_EQ(c.runtime.starts["app"], 0);
  c.runtime.exit("web", "second", 0);
  ASSERT_TRUE(c.until([&] { return c.ready("web"); }));
  const Value pod = c.pod("web");
  EXPECT_TRUE(pod["status"]["initContainerStatuses"][1]["ready"].as_bool());
  EXPECT_EQ(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"].as_string(), "Completed");
}

TEST(Kubelet, StopsSidecarsAfterTheContainersTheyServe) {
  TestCluster c(false);
  c.create(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  initContainers:
  - {name: proxy, image: i, restartPolicy: Always}
  containers:
  - {name: app, image: i}
)");
  ASSERT_TRUE(c.until([&] { return c.ready("web"); }));
  c.runtime.journal.clear();
  ASSERT_TRUE(c.api.client().remove({"pods", "default", "web"}));
  ASSERT_TRUE(c.until([&] { return c.pod("web").is_null(); }));
  EXPECT_EQ(c.runtime.journal, (std::vector<std::string>{"signal app 15", "signal proxy 15", "gone web"}));
}

TEST(Kubelet, KillsWhatIgnoresTheSignalWhenGraceIsOver) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  c.runtime.stubborn.insert("app");
  api::DeleteOptions options;
  options.grace_seconds = 1;
  ASSERT_TRUE(c.api.client().remove({"pods", "default", "web"}, options));
  c.turn();
  EXPECT_FALSE(c.pod("web").is_null()) << "it still runs";
  ASSERT_TRUE(c.until([&] { return c.pod("web").is_null(); }));
  EXPECT_EQ(c.runtime.journal, (std::vector<std::string>{"start app", "signal app 15", "signal app 9", "gone web"}));
}

TEST(Kubelet, RunsPreStopBeforeTheSignal) {
  TestCluster c(false);
  c.create(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: app, image: i, lifecycle: {preStop: {exec: {command: [drain]}}}}
)");
  c.turn();
  ASSERT_TRUE(c.api.client().remove({"pods", "default", "web"}));
  ASSERT_TRUE(c.until([&] { return c.pod("web").is_null(); }));
  EXPECT_EQ(c.runtime.journal, (std::vector<std::string>{"start app", "exec app drain", "signal app 15", "gone web"}));
}

TEST(Kubelet, BacksOffWhenAContainerKeepsEnding) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  c.runtime.exit("web", "app", 1);
  ASSERT_TRUE(c.until([&] { return c.runtime.starts["app"] == 2; })) << "the first restart is immediate";
  c.turn();
  c.runtime.exit("web", "app", 1);
  c.turn(8);
  const Value pod = c.pod("web");
  const Value& status = pod["status"]["containerStatuses"][0];
  EXPECT_EQ(status["state"]["waiting"]["reason"].as_string(), "CrashLoopBackOff");
  EXPECT_EQ(status["lastState"]["terminated"]["exitCode"].as_int(), 1);
  EXPECT_EQ(status["restartCount"].as_int(), 1);
  EXPECT_EQ(pod["status"]["phase"].as_string(), "Running");
  EXPECT_FALSE(c.ready("web"));
  EXPECT_TRUE(c.has_reason("web", "BackOff"));
  ASSERT_TRUE(c.until([&] { return c.runtime.starts["app"] == 3; }));
  ASSERT_TRUE(c.until([&] { return c.ready("web"); }));
  EXPECT_EQ(c.runtime.pods["web"].running["app"].spec.log_path, c.kubelet ? c.data_dir + "/logs/default_web_" + c.pod("web")["metadata"]["uid"].as_string() + "/app/2.log" : "");
}

TEST(BackOff, DoublesToFiveMinutesAndForgetsAfterTen) {
  using std::chrono::seconds;
  BackOff b;
  std::vector<long> got;
  for (int i = 0; i < 8; ++i) got.push_back(std::chrono::duration_cast<seconds>(b.next(seconds(1))).count());
  EXPECT_EQ(got, (std::vector<long>{0, 10, 20, 40, 80, 160, 300, 300}));
  EXPECT_EQ(b.next(seconds(600)).count(), 0);
}

TEST(Kubelet, TellsOfAnImageItDoesNotHave) {
  TestCluster c(false);
  c.runtime.unknown_images.insert("web:1");
  c.create(kPlainPod);
  c.turn();
  const Value pod = c.pod("web");
  const Value& waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"];
  EXPECT_EQ(waiting["reason"].as_string(), "ErrImagePull");
  EXPECT_NE(waiting["message"].as_string().find("fairlead image add"), std::string::npos);
  EXPECT_TRUE(c.has_reason("web", "Failed"));
  ASSERT_TRUE(c.until([&] {
    Value p = c.pod("web");
    return std::as_const(p)["status"]["containerStatuses"].items()[0]["state"]["waiting"]["reason"].as_string() == "ImagePullBackOff";
  }));
  c.runtime.unknown_images.clear();
  EXPECT_TRUE(c.until([&] { return c.ready("web"); }));
}

TEST(Kubelet, WaitsForAConfigMapAndGoesOnWhenItIsThere) {
  TestCluster c(false);
  c.create(R"Y(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: app
    image: i
    env:
    - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}
    - {name: URL, value: "http://$(MODE).example/$(NOTHING)"}
    volumeMounts: [{name: conf, mountPath: /conf}]
  volumes:
  - {name: conf, configMap: {name: settings}}
)Y");
  c.turn();
  EXPECT_TRUE(c.has_reason("web", "FailedMount"));
  c.create("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {mode: fast}}");
  ASSERT_TRUE(c.until([&] { return c.ready("web"); }));
  auto& spec = c.runtime.pods["web"].running["app"].spec;
  auto value = [&](const std::string& name) {
    for (auto& [k, v] : spec.env)
      if (k == name) return v;
    return std::string("(none)");
  };
  EXPECT_EQ(value("MODE"), "fast");
  EXPECT_EQ(value("URL"), "http://fast.example/$(NOTHING)");
  EXPECT_EQ(value("KUBERNETES_SERVICE_HOST"), "10.96.0.1");
  std::string file;
  for (auto& m : spec.mounts)
    if (m.path == "/conf") file = m.source + "/mode";
  EXPECT_EQ(content(file), "fast");
  // A change reaches the files of a running pod.
  ASSERT_TRUE(c.api.client().patch({"configmaps", "default", "settings"}, TestCluster::json("{data: {mode: slow}}")));
  c.turn();
  EXPECT_EQ(content(file), "slow");
}

TEST(Kubelet, RestartsAContainerThatFailsItsLivenessProbe) {
  TestCluster c(false);
  c.create(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: app
    image: i
    livenessProbe: {exec: {command: [alive]}, periodSeconds: 1, failureThreshold: 1}
)");
  c.turn();
  EXPECT_EQ(c.runtime.starts["app"], 1);
  c.runtime.exec_results["alive"] = 1;
  ASSERT_TRUE(c.until([&] { return c.runtime.starts["app"] == 2; }));
  EXPECT_TRUE(c.has_reason("web", "Unhealthy"));
  EXPECT_TRUE(c.has_reason("web", "Killing"));
}

TEST(Kubelet, IsReadyWithoutAProbeWhenItsPortAnswers) {
  TestCluster c(false);
  c.runtime.refused.insert(":8080");
  c.create("{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: app, image: i, ports: [{containerPort: 8080}]}]}}");
  c.turn();
  EXPECT_EQ(c.phase("web"), "Running");
  EXPECT_FALSE(c.ready("web"));
  EXPECT_FALSE(c.has_reason("web", "Unhealthy")) << "nobody asked for a probe";
  c.runtime.refused.clear();
  EXPECT_TRUE(c.until([&] { return c.ready("web"); }));
}

TEST(Kubelet, RestartsAContainerThatGetsAnotherImage) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  Value pod = c.pod("web");
  pod["spec"]["containers"].mutable_items()[0].set("image", "web:2");
  ASSERT_TRUE(c.api.client().update(pod));
  ASSERT_TRUE(c.until([&] { return c.runtime.starts["app"] == 2 && c.ready("web"); }));
  EXPECT_EQ(c.runtime.pods["web"].running["app"].spec.image, "web:2");
  EXPECT_TRUE(c.has_reason("web", "Killing"));
}

TEST(Kubelet, EndsAPodThatIsNotToBeRestarted) {
  TestCluster c(false);
  c.create("{apiVersion: v1, kind: Pod, metadata: {name: job}, spec: {restartPolicy: Never, containers: [{name: app, image: i}]}}");
  c.turn();
  c.runtime.exit("job", "app", 0);
  c.turn();
  EXPECT_EQ(c.phase("job"), "Succeeded");
  EXPECT_TRUE(c.runtime.pods.empty()) << "its network is given back";
  ASSERT_TRUE(c.api.client().remove({"pods", "default", "job"}));
  EXPECT_TRUE(c.until([&] { return c.pod("job").is_null(); }));
}

TEST(Kubelet, RunsWhatRanBeforeTheNodeEnded) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  std::string ip = c.pod("web")["status"]["podIP"].as_string();
  std::filesystem::create_directories(c.data_dir + "/pods/stranger");
  c.kubelet.reset();
  c.start_kubelet();
  c.turn();
  const Value pod = c.pod("web");
  EXPECT_TRUE(c.ready("web"));
  EXPECT_EQ(pod["status"]["podIP"].as_string(), ip);
  EXPECT_EQ(pod["status"]["containerStatuses"][0]["restartCount"].as_int(), 1);
  EXPECT_EQ(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"].as_string(), "Unknown");
  EXPECT_FALSE(std::filesystem::exists(c.data_dir + "/pods/stranger"));
}

TEST(Kubelet, RefusesHostPathsWithTheReason) {
  TestCluster c(false);
  c.create(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: app, image: i}]
  volumes: [{name: host, hostPath: {path: /etc}}]
)");
  c.turn();
  EXPECT_EQ(c.phase("web"), "Pending");
  bool told = false;
  for (auto& e : c.store.list("events", "default")) told = told || (*e)["message"].as_string().find("hostPath volumes are refused") != std::string::npos;
  EXPECT_TRUE(told);
}

TEST(Logs, CutWhatIsAskedFor) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  std::ofstream(c.runtime.pods["web"].running["app"].spec.log_path)
      << "2024-05-01T10:20:30.1Z stdout F one\n2024-05-01T10:20:31.1Z stdout P tw\n2024-05-01T10:20:31.2Z stdout F o\n2024-05-01T10:20:32.1Z stderr F three\n";
  auto read = [&](api::LogOptions options) {
    std::string out;
    bool ended = false;
    auto stream = c.kubelet->logs({"default", "web", "app"}, options, {[&](std::string_view s) { out += s; }, [&] { ended = true; }});
    EXPECT_TRUE(stream);
    c.turn();
    EXPECT_TRUE(ended || options.follow);
    return out;
  };
  EXPECT_EQ(read({}), "one\ntwo\nthree\n");
  EXPECT_EQ(read({.tail_lines = 2}), "two\nthree\n");
  EXPECT_EQ(read({.tail_lines = 0}), "");
  EXPECT_EQ(read({.since = base::parse_rfc3339("2024-05-01T10:20:32Z")}), "three\n");
  EXPECT_EQ(read({.limit_bytes = 5}), "one\nt");
  EXPECT_EQ(read({.timestamps = true, .tail_lines = 1}), "2024-05-01T10:20:32.1Z three\n");
}

TEST(Logs, AreRotatedBySizeAndTheTailReachesBack) {
  TestCluster c(false);
  c.create(kPlainPod);
  c.turn();
  std::string path = c.runtime.pods["web"].running["app"].spec.log_path;
  std::ofstream(path) << "2024-05-01T10:20:30.1Z stdout F one\n2024-05-01T10:20:31.1Z stdout F two\n";
  rotate_log(path, 1000);
  EXPECT_FALSE(std::filesystem::exists(path + ".1"));
  rotate_log(path, 10);
  std::ofstream(path, std::ios::app) << "2024-05-01T10:20:32.1Z stdout F three\n";
  std::string out;
  auto stream = c.kubelet->logs({"default", "web", "app"}, {.tail_lines = 2}, {[&](std::string_view s) { out += s; }, [] {}});
  ASSERT_TRUE(stream);
  c.turn();
  EXPECT_EQ(out, "two\nthree\n");
  EXPECT_EQ(log_tail(path, 5, 4), "ree\n");
}

TEST(Kubelet, TellsAContainersLastWords) {
  TestCluster c(false);
  c.create("{apiVersion: v1, kind: Pod, metadata: {name: job}, spec: {restartPolicy: Never, containers: [{name: app, image: i}]}}");
  c.turn();
  for (auto& m : c.runtime.pods["job"].running["app"].spec.mounts)
    if (m.path == "/dev/termination-log") std::ofstream(m.source) << "no disk";
  c.runtime.exit("job", "app", 3);
  c.turn();
  const Value pod = c.pod("job");
  EXPECT_EQ(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"].as_string(), "no disk");
}

TEST(Logs, FollowUntilTheContainerEnds) {
  TestCluster c(false);
  c.create("{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {restartPolicy: Never, containers: [{name: app, image: i}]}}");
  c.turn();
  std::string path = c.runtime.pods["web"].running["app"].spec.log_path;
  std::string out;
  bool ended = false;
  auto stream = c.kubelet->logs({"default", "web", "app"}, {.follow = true}, {[&](std::string_view s) { out += s; }, [&] { ended = true; }});
  ASSERT_TRUE(stream);
  c.turn();
  std::ofstream(path, std::ios::app) << "2024-05-01T10:20:30.1Z stdout F one\n" << std::flush;
  EXPECT_TRUE(c.until([&] { return out == "one\n"; }));
  EXPECT_FALSE(ended);
  c.runtime.exit("web", "app", 0);
  EXPECT_TRUE(c.until([&] { return ended; }));
}

}  // namespace
}  // namespace fairlead::node
