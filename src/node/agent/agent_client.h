// AgentClient: the node's end of its link to the host agent, the process that stayed in the host's namespaces.
//
// A socket belongs to the network namespace that it was opened in, whoever holds it: the agent opens sockets on the host on
// request and hands them over (SCM_RIGHTS). When the agent is gone, so is every way out: the node has to end.
//
// Loop thread only. Callbacks run once, never inside the call.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/agent/message.h"
#include "node/node.h"

namespace fairlead::node {

class AgentClient final : public HostSockets {
 public:
  using FdCallback = std::function<void(base::Result<io::Fd>)>;
  AgentClient(io::Loop& loop, io::Fd socket, std::function<void()> on_gone);
  ~AgentClient() override;

  void listen_tcp(const io::Address& at, FdCallback done) override;
  // A connected non-blocking TCP socket of the host; the error's message is the system's ("Connection refused").
  void connect_tcp(const io::Address& to, FdCallback done);
  // A non-blocking UDP socket of the host, connected to `to`.
  void connect_udp(const io::Address& to, FdCallback done);
  // Name servers of the host's /etc/resolv.conf, as they are now.
  void resolvers(std::function<void(std::vector<io::Address>)> done);

 private:
  using Reply = std::function<void(base::Result<Message>)>;
  void ask(std::string_view op, const io::Address& address, Reply reply);
  static Reply hand_over(FdCallback done);
  void on_message(Message m);
  void fail_all();

  io::Loop& loop_;
  std::function<void()> on_gone_;
  int64_t next_id_ = 1;
  std::map<int64_t, Reply> waiting_;
  std::unique_ptr<MessageChannel> channel_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::node
