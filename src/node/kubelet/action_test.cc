#include "node/kubelet/action.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "http/grpc.h"
#include "http/server.h"

namespace fairlead::node {
namespace {

using base::Value;

// A container that a real HTTP server plays, over socket pairs.
struct Container final : ActionTarget {
  explicit Container(http::Handler handler) : server(loop, {}, std::move(handler)) {}
  std::string pod_ip() const override { return "10.244.0.9"; }
  uint16_t named_port(const std::string& name) const override { return name == "web" ? 8080 : 0; }
  void dial(const std::string& ip, uint16_t port, std::function<void(base::Result<io::Fd>)> done) override {
    dialed = ip + ":" + std::to_string(port);
    if (refuse) return loop.post([done] { done(base::fail(base::Code::kUnavailable, "connect to somewhere: Connection refused")); });
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    server.accept(io::Fd(fds[1]));
    loop.post([done, fd = fds[0]] { done(io::Fd(fd)); });
  }
  void exec(const std::vector<std::string>&, std::function<void(base::Result<ExecResult>)> done) override {
    loop.post([done] { done(ExecResult{1, "not yet\n"}); });
  }

  // "" when it succeeded, else what the event would say.
  std::string run(std::string_view probe) {
    auto spec = base::parse_yaml(probe);
    std::string result = "(no answer)";
    bool over = false;
    auto action = run_action(loop, *this, spec->front(), std::chrono::seconds(2), [&](base::Status s) {
      over = true;
      result = s ? "" : s.error().message;
    });
    for (int i = 0; i < 500 && !over; ++i) loop.run_once(std::chrono::milliseconds(5));
    return result;
  }

  io::Loop loop;
  http::Server server;
  std::string dialed;
  bool refuse = false;
};

TEST(HttpProbe, JudgesByTheStatus) {
  int status = 200;
  std::string seen;
  Container c([&](std::shared_ptr<http::Exchange> e) {
    seen = e->request().target + " " + e->request().authority + " " + std::string(e->request().headers.get("user-agent"));
    e->respond(status, "text/plain", "hello");
  });
  EXPECT_EQ(c.run("{httpGet: {path: /ready, port: web}}"), "");
  EXPECT_EQ(c.dialed, "10.244.0.9:8080");
  EXPECT_EQ(seen, "/ready 10.244.0.9:8080 kube-probe/1.32");
  status = 302;
  EXPECT_EQ(c.run("{httpGet: {path: /ready, port: web}}"), "");
  status = 503;
  EXPECT_EQ(c.run("{httpGet: {path: /ready, port: web}}"), "HTTP probe failed with statuscode: 503");
  c.refuse = true;
  EXPECT_EQ(c.run("{httpGet: {path: /ready, port: 81}}"), "Get \"http://10.244.0.9:81/ready\": dial tcp 10.244.0.9:81: connect: connection refused");
}

TEST(GrpcProbe, AsksTheHealthService) {
  std::string answer("\x08\x01", 2), asked;
  Container c([&](std::shared_ptr<http::Exchange> e) {
    e->read_body(1000, [&, e](std::string body) {
      asked = e->request().target + body.substr(5);
      http::Headers headers;
      headers.add("content-type", "application/grpc");
      e->start(200, headers);
      e->write(http::grpc_frame(answer));
      e->finish(http::grpc_trailers(0));
    });
  });
  EXPECT_EQ(c.run("{grpc: {port: 9000, service: shop}}"), "");
  EXPECT_EQ(asked, "/grpc.health.v1.Health/Check\n\x04shop");
  answer = std::string("\x08\x02", 2);
  EXPECT_EQ(c.run("{grpc: {port: 9000}}"), "service unhealthy (responded with \"NOT_SERVING\")");
}

TEST(ExecProbe, SaysWhatTheCommandSaid) {
  Container c([](std::shared_ptr<http::Exchange>) {});
  EXPECT_EQ(c.run("{exec: {command: [check]}}"), "not yet");
}

}  // namespace
}  // namespace fairlead::node
