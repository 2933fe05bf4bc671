#include "node/agent/agent_client.h"

#include <fcntl.h>

namespace fairlead::node {

using base::Value;

AgentClient::AgentClient(io::Loop& loop, io::Fd socket, std::function<void()> on_gone) : loop_(loop), on_gone_(std::move(on_gone)) {
  channel_ = std::make_unique<MessageChannel>(loop, std::move(socket), [this](Message m) { on_message(std::move(m)); },
                                              [this] {
                                                auto gone = on_gone_;
                                                fail_all();
                                                if (gone) gone();
                                              });
}

AgentClient::~AgentClient() { *alive_ = false; }

void AgentClient::ask(std::string_view op, const io::Address& address, Reply reply) {
  if (!channel_->open()) {
    loop_.defer([reply] { reply(base::fail(base::Code::kUnavailable, "the host agent is gone")); });
    return;
  }
  int64_t id = next_id_++;
  waiting_[id] = std::move(reply);
  channel_->send(Value::object({{"id", id}, {"op", op}, {"address", address.valid() ? address.text() : ""}}));
}

AgentClient::Reply AgentClient::hand_over(FdCallback done) {
  return [done = std::move(done)](base::Result<Message> reply) {
    if (!reply) return done(std::unexpected(reply.error()));
    if (reply->fds.empty()) return done(base::fail(base::Code::kInternal, "descriptor is missing"));
    done(std::move(reply->fds[0]));
  };
}

void AgentClient::listen_tcp(const io::Address& at, FdCallback done) { ask("listen", at, hand_over(std::move(done))); }
void AgentClient::connect_tcp(const io::Address& to, FdCallback done) { ask("connect", to, hand_over(std::move(done))); }
void AgentClient::connect_udp(const io::Address& to, FdCallback done) { ask("udp", to, hand_over(std::move(done))); }

void AgentClient::resolvers(std::function<void(std::vector<io::Address>)> done) {
  ask("resolvers", {}, [done](base::Result<Message> reply) {
    std::vector<io::Address> list;
    if (reply)
      for (auto& a : reply->body["resolvers"].items())
        if (auto address = io::Address::parse(a.as_string())) list.push_back(*address);
    done(std::move(list));
  });
}

void AgentClient::on_message(Message m) {
  auto it = waiting_.find(m.body["id"].as_int());
  if (it == waiting_.end()) return;
  auto reply = std::move(it->second);
  waiting_.erase(it);
  if (auto* error = m.body.find("error"))
    reply(std::unexpected(base::Error{static_cast<base::Code>((*error)["code"].as_int()), (*error)["message"].as_string(), {}}));
  else
    reply(std::move(m));
}

void AgentClient::fail_all() {
  auto waiting = std::move(waiting_);
  waiting_.clear();
  auto alive = alive_;
  for (auto& [id, reply] : waiting) {
    if (!*alive) return;
    reply(base::fail(base::Code::kUnavailable, "the host agent is gone"));
  }
}

}  // namespace fairlead::node
