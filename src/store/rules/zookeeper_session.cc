#include "store/rules/zookeeper_session.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/log.h"

namespace fairlead::store {

struct ZooKeeperCall::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  ZooKeeperReply reply;

  void finish(ZooKeeperReply with) {
    std::lock_guard lock(mutex);
    reply = std::move(with);
    // The client says so of a connection on which it heard nothing for too long, and has given up: only our deadline is a time-out here.
    if (reply.code == ZOPERATIONTIMEOUT) reply.code = ZCONNECTIONLOSS;
    done = true;
    changed.notify_all();
  }
};

ZooKeeperReply ZooKeeperCall::wait(std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(state_->mutex);
  if (!state_->changed.wait_until(lock, deadline, [this] { return state_->done; })) return {ZOPERATIONTIMEOUT, {}, {}, {}};
  return std::move(state_->reply);
}

namespace {

// Shared by all handles: whether its lines are made at all is a global of the client's.
void log(const char* message) { FL_LOG_DEBUG("zookeeper", "{}", message); }

}  // namespace

ZooKeeperSession::ZooKeeperSession(const std::string& hosts, std::chrono::milliseconds timeout, const std::string& digest,
                                   std::function<void(ZooKeeperEvent)> event)
    : event_(std::move(event)) {
  static std::once_flag once;
  std::call_once(once, [] { zoo_set_debug_level(ZOO_LOG_LEVEL_WARN); });
  // ZOO_READONLY: with a lost majority, servers that are set up for it still answer reads.
  handle_ = zookeeper_init2(hosts.c_str(), on_event, static_cast<int>(timeout.count()), nullptr, this, ZOO_READONLY, log);
  // Not an answer but the client keeps it for every connection of this session.
  if (handle_ && !digest.empty()) zoo_add_auth(handle_, "digest", digest.data(), static_cast<int>(digest.size()), nullptr, nullptr);
}

ZooKeeperSession::~ZooKeeperSession() {
  if (handle_) zookeeper_close(handle_);
}

void ZooKeeperSession::on_event(zhandle_t*, int type, int state, const char* path, void* context) {
  static_cast<ZooKeeperSession*>(context)->event_({type, state, path ? path : ""});
}

bool ZooKeeperSession::usable() const { return handle_ && !is_unrecoverable(handle_); }
bool ZooKeeperSession::read_only() const { return handle_ && zoo_state(handle_) == ZOO_READONLY_STATE; }
bool ZooKeeperSession::connected() const { return handle_ && (zoo_state(handle_) == ZOO_CONNECTED_STATE || read_only()); }

// `start` gives the client a pointer for its completion, which takes the call's state out of it again.
template <class Start>
ZooKeeperCall ZooKeeperSession::begin(Start start) {
  ZooKeeperCall call;
  call.state_ = std::make_shared<ZooKeeperCall::State>();
  auto kept = std::make_unique<std::shared_ptr<ZooKeeperCall::State>>(call.state_);
  const int code = handle_ ? start(kept.get()) : ZINVALIDSTATE;
  if (code == ZOK)
    static_cast<void>(kept.release());
  else
    call.state_->finish({code, {}, {}, {}});
  return call;
}

namespace {

// The state of a call, which is private to it, comes as a template argument.
template <class State>
std::shared_ptr<State> take(const void* data) {
  std::unique_ptr<const std::shared_ptr<State>> kept(static_cast<const std::shared_ptr<State>*>(data));
  return *kept;
}

}  // namespace

ZooKeeperCall ZooKeeperSession::get(const std::string& path) {
  return begin([&](const void* kept) {
    return zoo_aget(handle_, path.c_str(), 0, [](int code, const char* value, int length, const Stat* stat, const void* data) {
      take<ZooKeeperCall::State>(data)->finish({code, length > 0 ? std::string(value, static_cast<std::size_t>(length)) : std::string(), stat ? *stat : Stat{}, {}});
    }, kept);
  });
}

ZooKeeperCall ZooKeeperSession::exists(const std::string& path, bool watch) {
  return begin([&](const void* kept) {
    return zoo_aexists(handle_, path.c_str(), watch ? 1 : 0, [](int code, const Stat* stat, const void* data) {
      take<ZooKeeperCall::State>(data)->finish({code, {}, stat ? *stat : Stat{}, {}});
    }, kept);
  });
}

ZooKeeperCall ZooKeeperSession::children(const std::string& path, bool watch) {
  return begin([&](const void* kept) {
    return zoo_aget_children(handle_, path.c_str(), watch ? 1 : 0, [](int code, const String_vector* names, const void* data) {
      ZooKeeperReply reply{code, {}, {}, {}};
      if (names)
        for (int i = 0; i < names->count; ++i) reply.children.emplace_back(names->data[i]);
      take<ZooKeeperCall::State>(data)->finish(std::move(reply));
    }, kept);
  });
}

ZooKeeperCall ZooKeeperSession::sync(const std::string& path) {
  return begin([&](const void* kept) {
    return zoo_async(handle_, path.c_str(), [](int code, const char*, const void* data) { take<ZooKeeperCall::State>(data)->finish({code, {}, {}, {}}); }, kept);
  });
}

ZooKeeperCall ZooKeeperSession::set(const std::string& path, std::string_view data, int version) {
  return begin([&](const void* kept) {
    return zoo_aset(handle_, path.c_str(), data.empty() ? "" : data.data(), static_cast<int>(data.size()), version, [](int code, const Stat* stat, const void* context) {
      take<ZooKeeperCall::State>(context)->finish({code, {}, stat ? *stat : Stat{}, {}});
    }, kept);
  });
}

// Not create2, which answers the node's state as well: servers before 3.5 don't know it.
ZooKeeperCall ZooKeeperSession::create(const std::string& path, std::string_view data, const ACL_vector& acl) {
  return begin([&](const void* kept) {
    return zoo_acreate(handle_, path.c_str(), data.empty() ? "" : data.data(), static_cast<int>(data.size()), &acl, 0,
                       [](int code, const char*, const void* context) { take<ZooKeeperCall::State>(context)->finish({code, {}, {}, {}}); }, kept);
  });
}

ZooKeeperCall ZooKeeperSession::remove(const std::string& path, int version) {
  return begin([&](const void* kept) {
    return zoo_adelete(handle_, path.c_str(), version, [](int code, const void* data) { take<ZooKeeperCall::State>(data)->finish({code, {}, {}, {}}); }, kept);
  });
}

}  // namespace fairlead::store
