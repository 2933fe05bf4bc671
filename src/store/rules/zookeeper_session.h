// One session with a ZooKeeper ensemble: its C client behind calls that end at a deadline.
//
// Threads: any, but the session must not be destroyed from its own callback. Owner: ZooKeeperRuleStore.
// Source: zookeeper.h of ZooKeeper 3.8 (multi-threaded client).
#pragma once

#include <zookeeper/zookeeper.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::store {

struct ZooKeeperReply {
  int code = ZOK;
  std::string data;
  Stat stat{};
  std::vector<std::string> children;
};

struct ZooKeeperEvent {
  int type = 0;   // ZOO_SESSION_EVENT, ZOO_CHANGED_EVENT, ...
  int state = 0;  // ZOO_CONNECTED_STATE, ...
  std::string path;
};

// A request under way; several may be, and answers come in their order.
class ZooKeeperCall {
 public:
  // Without an answer by then: ZOPERATIONTIMEOUT. It may still be carried out.
  ZooKeeperReply wait(std::chrono::steady_clock::time_point deadline) const;

 private:
  friend class ZooKeeperSession;
  struct State;
  std::shared_ptr<State> state_;
};

class ZooKeeperSession {
 public:
  // Begins to connect. `event` is called from the client's thread, also while the constructor runs.
  ZooKeeperSession(const std::string& hosts, std::chrono::milliseconds timeout, const std::string& digest, std::function<void(ZooKeeperEvent)> event);
  ~ZooKeeperSession();
  ZooKeeperSession(const ZooKeeperSession&) = delete;
  ZooKeeperSession& operator=(const ZooKeeperSession&) = delete;

  bool usable() const;     // false: the session is over, or could not begin (a host without address)
  bool connected() const;  // to a server that answers, be it a read-only one
  bool read_only() const;

  ZooKeeperCall get(const std::string& path);
  ZooKeeperCall exists(const std::string& path, bool watch);
  ZooKeeperCall children(const std::string& path, bool watch);
  ZooKeeperCall sync(const std::string& path);  // what is read afterwards is no older than this
  ZooKeeperCall set(const std::string& path, std::string_view data, int version);
  ZooKeeperCall create(const std::string& path, std::string_view data, const ACL_vector& acl);
  ZooKeeperCall remove(const std::string& path, int version);

 private:
  template <class Start>
  ZooKeeperCall begin(Start start);
  static void on_event(zhandle_t* handle, int type, int state, const char* path, void* context);

  std::function<void(ZooKeeperEvent)> event_;
  zhandle_t* handle_ = nullptr;
};

}  // namespace fairlead::store
