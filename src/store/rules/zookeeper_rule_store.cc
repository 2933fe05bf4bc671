// Rules in ZooKeeper: ROOT/APP/flow_rule and its likes, where Sentinel's ZookeeperDataSource reads them.
//
// A version is the transaction that made the node and the number of its change: a node that was removed and made anew has another one.
// What became of a write whose answer is lost is found by reading again: the numbers tell whether it was carried out, and where it was
// not, sending it once more is safe, since at most one write can follow a version.
// One thread keeps the session (a new one after the old has ended) and the watches, which ZooKeeper disarms with each event.
#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "store/rules/backend.h"
#include "store/rules/zookeeper_session.h"

namespace fairlead::store {

using base::Code;
using base::fail;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kMaxPacketBytes = 0xfffff;  // jute.maxbuffer's default: a server closes the connection of whoever sends more
constexpr std::size_t kPacketOverhead = 128;      // of a write, beside path and value
constexpr std::chrono::milliseconds kTick{1000};
constexpr std::size_t kMaxWatchBytes = 800'000;   // paths of all watches: a client that reconnects sends them in one packet
constexpr std::size_t kMaxPending = 500;          // requests sent before the first answer is waited for

// ZooKeeper has neither these code points (PathUtils counts in UTF-16) nor an app "zookeeper" beneath "/".
bool code_point_escaped(std::string_view app, std::size_t at) {
  char32_t c = 0;
  character_at(app, at, c);
  return (c >= 0xE000 && c <= 0xF8FF) || c >= 0xFFF0;
}

// The client says ZOPERATIONTIMEOUT also when its connection was silent for too long; whether time is up, the clock knows.
bool unanswered(int code) {
  return code == ZCONNECTIONLOSS || code == ZOPERATIONTIMEOUT || code == ZSESSIONEXPIRED || code == ZINVALIDSTATE || code == ZCLOSING || code == ZSESSIONMOVED;
}

struct NodeVersion {
  std::int64_t made = 0;  // czxid
  std::int32_t change = 0;
  bool operator==(const NodeVersion&) const = default;
};
NodeVersion version_of(const Stat& stat) { return {stat.czxid, stat.version}; }
std::string text_of(const NodeVersion& version) { return fmt::format("{:x}.{}", version.made, version.change); }
std::optional<NodeVersion> parse_version(std::string_view text) {
  NodeVersion out;
  const char* const begin = std::to_address(text.begin());
  const char* const end = begin + text.size();
  auto made = std::from_chars(begin, end, out.made, 16);
  if (made.ec != std::errc() || made.ptr == end || *made.ptr != '.') return std::nullopt;
  auto change = std::from_chars(made.ptr + 1, end, out.change);
  if (change.ec != std::errc() || change.ptr != end) return std::nullopt;
  return out;
}

class ZooKeeperRuleStore final : public RuleStore {
 public:
  ZooKeeperRuleStore(std::string where, std::string hosts, std::string chroot, std::string root, const RuleStoreOptions& options)
      : where_(std::move(where)), hosts_(std::move(hosts)), chroot_(std::move(chroot)), base_(chroot_ + root), options_(options), down_since_(Clock::now()) {
    escaped_ = [top = base_.empty()](std::string_view app, std::size_t at) { return code_point_escaped(app, at) || (top && at == 0 && app == "zookeeper"); };
    signals_.set_readable(false, unreachable());
    thread_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
  }

  std::string name() const override { return where_; }
  RuleStoreHealth health() const override { return signals_.health(); }
  base::Result<std::vector<RuleKey>> list() override;
  base::Result<RuleDocument> read(const RuleKey& key) override {
    if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
    return read_node(path_of(key));
  }
  base::Result<std::string> write(const RuleKey& key, std::string_view text, std::string_view expected) override;
  base::Status remove(const RuleKey& key, std::string_view expected) override;
  base::Result<std::unique_ptr<RuleWatch>> watch(std::function<void(const std::optional<RuleKey>&)> changed) override;
  base::Result<std::vector<FlatRules>> flat() override;
  base::Status clear_flat(const std::string& app, std::string_view expected) override;

 private:
  using SessionPtr = std::shared_ptr<ZooKeeperSession>;

  std::string path_of(const std::string& app) const { return base_ + "/" + escape_app(app, escaped_); }
  std::string path_of(const RuleKey& key) const { return path_of(key.app) + "/" + std::string(to_string(key.kind)); }
  std::optional<std::string> app_of(std::string_view node) const { return unescape_app(node, escaped_); }
  std::string top() const { return base_.empty() ? "/" : base_; }

  std::string unreachable() const { return fmt::format("no ZooKeeper answers at {}; start it, or correct its addresses", hosts_); }
  std::string identity() const { return options_.digest.empty() ? "without identity" : "as \"" + options_.digest.substr(0, options_.digest.find(':')) + "\""; }
  std::unexpected<base::Error> failure(int code, const std::string& path) const;
  Clock::time_point deadline() const { return Clock::now() + options_.operation_timeout; }

  // Waits for a connection; null at the deadline, or at once where none has been for long.
  SessionPtr connected(Clock::time_point until);
  base::Status check_chroot(ZooKeeperSession& session, Clock::time_point until);
  base::Result<RuleDocument> read_node(const std::string& path);
  ZooKeeperReply look(const SessionPtr& session, const std::string& path, Clock::time_point until);  // after a sync()
  ZooKeeperReply create(ZooKeeperSession& session, const std::string& path, std::string_view text, Clock::time_point until);
  int make_parents(ZooKeeperSession& session, const std::string& path, Clock::time_point until);
  base::Result<std::string> change(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected);
  template <class T>
  base::Result<T> noted(base::Result<T> result);

  // The keeper's, on its thread.
  void keep(const std::stop_token& stop);
  void renew();
  void probe();
  int scan();
  int follow_root(bool tell);
  int follow_apps(const std::vector<std::string>& apps, bool tell);
  int follow_nodes(const std::vector<RuleKey>& keys, bool tell);
  int handle(const ZooKeeperEvent& event);
  bool arm(const std::string& path);
  int look_at_unarmed();
  void tell(const RuleKey& key) { signals_.changed(key); }

  const std::string where_;
  const std::string hosts_;
  const std::string chroot_;  // "" or "/a/b"
  const std::string base_;    // chroot and root; "" for "/"
  const RuleStoreOptions options_;
  Escaped escaped_;
  RuleSignals signals_;

  std::mutex mutex_;  // what follows, until the thread's
  std::condition_variable_any woken_;
  std::condition_variable connection_;  // connected, or followed
  SessionPtr session_;
  std::deque<ZooKeeperEvent> events_;
  std::uint64_t session_events_ = 0;  // to see that there were any
  Clock::time_point down_since_;
  bool down_ = true;
  bool follow_ = false;    // somebody watches
  bool followed_ = false;  // every node has its watch in this session
  bool refused_ = false;   // they could not be set: again after a while

  // The keeper's alone.
  std::set<std::string> apps_;  // those whose children are followed
  std::map<RuleKey, NodeVersion> seen_;
  std::set<std::string> armed_;  // paths with a watch
  std::size_t armed_bytes_ = 0;
  bool unarmed_ = false;         // there are some that have no room for one: these are looked at each tick
  std::jthread thread_;
};

std::unexpected<base::Error> ZooKeeperRuleStore::failure(int code, const std::string& path) const {
  switch (code) {
    case ZOPERATIONTIMEOUT:
      return fail(Code::kUnavailable, "ZooKeeper at {} did not answer within {} ms; look after its servers, then read again", hosts_, options_.operation_timeout.count());
    case ZNOAUTH:
      return fail(Code::kPermissionDenied, "ZooKeeper's ACL of {} does not let us in {}; give the digest user:password that it names, or widen it with setAcl", path,
                  identity());
    case ZAUTHFAILED:
      return fail(Code::kUnauthenticated, "ZooKeeper at {} refuses to know us {}; correct user and password", hosts_, identity());
    case ZNOTREADONLY:
      return fail(Code::kPermissionDenied, "ZooKeeper at {} is read-only: most of its servers are away; start them again", hosts_);
    case ZNOCHILDRENFOREPHEMERALS:
      return fail(Code::kFailedPrecondition, "a node above {} is ephemeral and can have no children; find out who made it, or choose another root", path);
    case ZBADARGUMENTS:
      return fail(Code::kInvalidArgument, "ZooKeeper takes no node of the name {}; choose another name", path);
    case ZNONODE:
      return fail(Code::kFailedPrecondition, "{} does not exist in ZooKeeper at {}; create it (zkCli.sh: create {}), or leave it out of the address", chroot_, hosts_, chroot_);
    default:
      if (unanswered(code)) return fail(Code::kUnavailable, "{}", unreachable());
      return fail(Code::kUnavailable, "ZooKeeper at {} answered \"{}\" for {}; look after its log, then read again", hosts_, zerror(code), path);
  }
}

template <class T>
base::Result<T> ZooKeeperRuleStore::noted(base::Result<T> result) {
  if (result)
    signals_.set_readable(true);
  else if (result.error().code == Code::kUnavailable)
    signals_.set_readable(false, result.error().message);
  else if (result.error().code != Code::kResourceExhausted)
    signals_.set_writable(false, result.error().message);
  return result;
}

ZooKeeperRuleStore::SessionPtr ZooKeeperRuleStore::connected(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  if (down_) until = std::min(until, down_since_ + options_.operation_timeout);
  connection_.wait_until(lock, until, [this] { return session_ && session_->connected(); });
  return session_ && session_->connected() ? session_ : nullptr;
}

base::Status ZooKeeperRuleStore::check_chroot(ZooKeeperSession& session, Clock::time_point until) {
  if (chroot_.empty()) return {};
  if (auto reply = session.exists(chroot_, false).wait(until); reply.code != ZOK) return failure(reply.code, chroot_);
  return {};
}

ZooKeeperReply ZooKeeperRuleStore::look(const SessionPtr& session, const std::string& path, Clock::time_point until) {
  // A server may lag behind the others, and a new session may be with another one: without sync() an acknowledged write could seem lost.
  auto synced = session->sync(path);
  auto got = session->get(path);
  return got.wait(until);
}

base::Result<RuleDocument> ZooKeeperRuleStore::read_node(const std::string& path) {
  const auto until = deadline();
  for (;;) {
    auto session = connected(until);
    if (!session) return noted(base::Result<RuleDocument>(failure(ZCONNECTIONLOSS, path)));
    auto reply = look(session, path, until);
    if (unanswered(reply.code) && Clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    if (reply.code == ZOK) return noted(base::Result<RuleDocument>(RuleDocument{std::move(reply.data), text_of(version_of(reply.stat))}));
    if (reply.code != ZNONODE) return noted(base::Result<RuleDocument>(failure(reply.code, path)));
    if (auto there = check_chroot(*session, until); !there) return noted(base::Result<RuleDocument>(std::unexpected(there.error())));
    return noted(base::Result<RuleDocument>(RuleDocument{}));
  }
}

base::Result<std::vector<RuleKey>> ZooKeeperRuleStore::list() {
  const auto until = deadline();
  auto failed = [&](int code, const std::string& path) { return noted(base::Result<std::vector<RuleKey>>(failure(code, path))); };
  for (;;) {
    auto session = connected(until);
    if (!session) return failed(ZCONNECTIONLOSS, top());
    auto synced = session->sync(top());
    auto nodes = session->children(top(), false).wait(until);
    int code = nodes.code;
    if (code == ZNONODE) {
      if (auto there = check_chroot(*session, until); !there) return noted(base::Result<std::vector<RuleKey>>(std::unexpected(there.error())));
      return noted(base::Result<std::vector<RuleKey>>(std::vector<RuleKey>{}));
    }
    std::vector<RuleKey> keys;
    std::vector<std::pair<std::string, ZooKeeperCall>> calls;
    auto finish = [&] {
      for (auto& [app, call] : calls) {
        auto kinds = call.wait(until);
        // An app that is closed to us does not hide the others.
        if (kinds.code != ZOK && kinds.code != ZNONODE && kinds.code != ZNOAUTH && code == ZOK) code = kinds.code;
        for (const auto& name : kinds.children)
          if (auto kind = rule_kind(name)) keys.push_back({app, *kind});
      }
      calls.clear();
    };
    for (const auto& node : nodes.children) {
      auto app = app_of(node);
      if (!app) continue;
      calls.emplace_back(*app, session->children(path_of(*app), false));
      if (calls.size() == kMaxPending) finish();
    }
    finish();
    if (unanswered(code) && Clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    if (code != ZOK) return failed(code, top());
    std::ranges::sort(keys);
    return noted(base::Result<std::vector<RuleKey>>(std::move(keys)));
  }
}

ZooKeeperReply ZooKeeperRuleStore::create(ZooKeeperSession& session, const std::string& path, std::string_view text, Clock::time_point until) {
  char world[] = "world";
  char anyone[] = "anyone";
  char auth[] = "auth";
  char nobody[] = "";
  // The rules of a digest are ours alone to change; Sentinel's clients, which mostly have no identity, still read them.
  ACL entries[2] = {{ZOO_PERM_ALL, {auth, nobody}}, {ZOO_PERM_READ, {world, anyone}}};
  if (options_.digest.empty()) entries[0] = {ZOO_PERM_ALL, {world, anyone}};
  const ACL_vector acl{options_.digest.empty() || options_.digest_reads_too ? 1 : 2, entries};
  auto created = session.create(path, text, acl);
  auto made = session.exists(path, false);
  ZooKeeperReply reply = created.wait(until);
  if (reply.code != ZOK) return reply;
  reply = made.wait(until);
  if (reply.code != ZOK) reply.code = ZCONNECTIONLOSS;  // made, and maybe removed since: to be judged
  reply.stat.version = 0;                               // ours, whoever has changed it since
  return reply;
}

// The chroot is left to whoever runs ZooKeeper.
int ZooKeeperRuleStore::make_parents(ZooKeeperSession& session, const std::string& path, Clock::time_point until) {
  for (std::size_t slash = path.find('/', chroot_.size() + 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    if (int code = create(session, path.substr(0, slash), "", until).code; code != ZOK && code != ZNODEEXISTS) return code;
  return ZOK;
}

base::Result<std::string> ZooKeeperRuleStore::write(const RuleKey& key, std::string_view text, std::string_view expected) {
  if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
  const std::size_t limit = kMaxPacketBytes - kPacketOverhead - path_of(key).size();
  if (auto fine = check_size(key, text.size(), limit, "ZooKeeper (jute.maxbuffer)"); !fine) return std::unexpected(fine.error());
  return change(key, text, expected);
}

base::Status ZooKeeperRuleStore::remove(const RuleKey& key, std::string_view expected) {
  if (auto fine = check_app(key.app); !fine) return std::unexpected(fine.error());
  auto removed = change(key, std::nullopt, expected);
  if (!removed) return std::unexpected(removed.error());
  return {};
}

base::Result<std::string> ZooKeeperRuleStore::change(const RuleKey& key, std::optional<std::string_view> text, std::string_view expected) {
  const auto until = deadline();
  const std::string path = path_of(key);
  const auto from = parse_version(expected);
  auto failed = [&](int code) { return noted(base::Result<std::string>(failure(code, path))); };
  bool sent = false;  // before, without an answer
  for (;;) {
    auto session = connected(until);
    if (!session) return failed(ZCONNECTIONLOSS);
    ZooKeeperReply now = look(session, path, until);
    if (now.code == ZOK || now.code == ZNONODE) {
      const std::string stored = now.code == ZOK ? text_of(version_of(now.stat)) : "";
      if (stored != expected) {
        if (!sent) {
          if (auto there = check_chroot(*session, until); !there) return noted(base::Result<std::string>(std::unexpected(there.error())));
          signals_.set_readable(true);
          return conflict(key, expected, stored);
        }
        // Exactly one write follows a version. It was ours if its bytes are ours (or another's who wanted the same).
        const bool next = now.code == ZOK && (from ? now.stat.czxid == from->made && now.stat.version == from->change + 1 : now.stat.version == 0);
        if (!text && stored.empty()) return noted(base::Result<std::string>(std::string()));
        if (text && next && now.data == *text) return noted(base::Result<std::string>(stored));
        const bool another = now.code == ZOK && (next || (!text && from && now.stat.czxid == from->made));
        if (another) return conflict(key, expected, stored);
        return fail(Code::kUnavailable, "{} was written while ZooKeeper's answer was lost, and has changed again since: read it again", path);
      }
      if (!text && expected.empty()) return noted(base::Result<std::string>(std::string()));
      // Whoever removes the node and makes it anew between that look and this write, up to the same number, is found by the answer.
      ZooKeeperReply done;
      if (!text) {
        done = session->remove(path, from->change).wait(until);
      } else if (from) {
        done = session->set(path, *text, from->change).wait(until);
      } else {
        done = create(*session, path, *text, until);
        if (done.code == ZNONODE) {
          if (int code = make_parents(*session, path, until); code != ZOK && !unanswered(code)) return failed(code);
          done = create(*session, path, *text, until);
        }
      }
      if (done.code == ZOK && text && from && done.stat.czxid != from->made)
        return fail(Code::kUnavailable, "{} was removed and made anew at the moment of the write; read it again", path);
      if (done.code == ZOK) {
        signals_.set_writable(true);
        return text ? text_of(version_of(done.stat)) : std::string();
      }
      now.code = done.code;
      if (unanswered(now.code)) sent = true;
      if (now.code == ZBADVERSION || now.code == ZNODEEXISTS || (now.code == ZNONODE && from)) continue;  // the look tells what is there now
      if (now.code == ZNOTEMPTY) return fail(Code::kFailedPrecondition, "{} has children, which are not ours to remove; remove them with zkCli.sh", path);
    }
    if (!unanswered(now.code)) return failed(now.code);
    if (Clock::now() >= until) return failed(ZOPERATIONTIMEOUT);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

base::Result<std::unique_ptr<RuleWatch>> ZooKeeperRuleStore::watch(std::function<void(const std::optional<RuleKey>&)> changed) {
  auto watch = signals_.add(std::move(changed));
  std::unique_lock lock(mutex_);
  follow_ = true;
  woken_.notify_one();
  // Without a connection nothing can be missed yet: whoever watches hears of the connection, and reads then.
  const auto until = down_ ? std::min(deadline(), down_since_ + options_.operation_timeout) : deadline();
  connection_.wait_until(lock, until, [this] { return followed_ || refused_; });
  return watch;
}

base::Result<std::vector<FlatRules>> ZooKeeperRuleStore::flat() {
  const auto until = deadline();
  auto session = connected(until);
  if (!session) return failure(ZCONNECTIONLOSS, top());
  auto synced = session->sync(top());
  auto nodes = session->children(top(), false).wait(until);
  if (nodes.code == ZNONODE) {
    if (auto there = check_chroot(*session, until); !there) return std::unexpected(there.error());
    return std::vector<FlatRules>{};
  }
  if (nodes.code != ZOK) return failure(nodes.code, top());
  std::ranges::sort(nodes.children);
  std::vector<FlatRules> out;
  for (std::size_t from = 0; from < nodes.children.size(); from += kMaxPending) {
    const std::size_t to = std::min(nodes.children.size(), from + kMaxPending);
    std::vector<ZooKeeperCall> calls;
    for (std::size_t i = from; i < to; ++i) calls.push_back(session->get(base_ + "/" + nodes.children[i]));
    for (std::size_t i = from; i < to; ++i) {
      auto reply = calls[i - from].wait(until);
      auto app = app_of(nodes.children[i]);
      if (reply.code != ZOK && reply.code != ZNONODE) return failure(reply.code, base_ + "/" + nodes.children[i]);
      if (app && reply.code == ZOK && !reply.data.empty()) out.push_back({*app, {std::move(reply.data), text_of(version_of(reply.stat))}});
    }
  }
  std::ranges::sort(out, {}, &FlatRules::app);
  return out;
}

base::Status ZooKeeperRuleStore::clear_flat(const std::string& app, std::string_view expected) {
  if (auto fine = check_app(app); !fine) return fine;
  const auto until = deadline();
  const std::string path = path_of(app);
  auto session = connected(until);
  if (!session) return failure(ZCONNECTIONLOSS, path);
  auto now = look(session, path, until);
  if (now.code != ZOK && now.code != ZNONODE) return failure(now.code, path);
  const auto from = parse_version(expected);
  const bool same = now.code == ZOK && from == version_of(now.stat);
  // No answer is no harm: the value is an old one, whether it is still there or not.
  const int code = same ? session->set(path, "", from->change).wait(until).code : ZBADVERSION;
  if (code == ZBADVERSION || code == ZNONODE) return fail(Code::kConflict, "{} was changed since version {} was read; plan the migration again", path, expected);
  if (code != ZOK) return failure(code, path);
  return {};
}

void ZooKeeperRuleStore::renew() {
  SessionPtr old;
  {
    std::lock_guard lock(mutex_);
    old = std::exchange(session_, nullptr);
    followed_ = false;
  }
  if (old) FL_LOG_INFO("store", "a new session with ZooKeeper at {}", hosts_);
  old.reset();  // joins the client's threads, so without the lock; unless a call still has it
  auto session = std::make_shared<ZooKeeperSession>(hosts_, options_.session_timeout, options_.digest, [this](ZooKeeperEvent event) {
    std::lock_guard lock(mutex_);
    if (event.type == ZOO_SESSION_EVENT)
      ++session_events_;
    else
      events_.push_back(std::move(event));
    woken_.notify_one();
    connection_.notify_all();
  });
  std::lock_guard lock(mutex_);
  events_.clear();
  session_ = std::move(session);
}

void ZooKeeperRuleStore::keep(const std::stop_token& stop) {
  bool was_connected = false;
  std::uint64_t seen_events = 0;
  auto renewed = Clock::now() - kTick;
  auto looked = renewed;
  while (!stop.stop_requested()) {
    if (!session_ || (!session_->usable() && Clock::now() - renewed >= kTick)) {
      renew();
      renewed = Clock::now();
      was_connected = false;
    }
    std::deque<ZooKeeperEvent> events;
    {
      std::unique_lock lock(mutex_);
      woken_.wait_for(lock, stop, kTick, [&] {
        return !events_.empty() || session_events_ != seen_events || (follow_ && !followed_ && !refused_ && session_->connected());
      });
      events.swap(events_);
      seen_events = session_events_;
    }
    if (stop.stop_requested()) break;
    const bool now = session_->connected();
    if (now != was_connected) {
      std::lock_guard lock(mutex_);
      down_ = !now;
      if (!now) down_since_ = Clock::now();
      connection_.notify_all();
    }
    if (!now) {
      if (was_connected) signals_.set_readable(false, unreachable());
    } else if (!was_connected || !health().reachable || !health().writable) {
      probe();
    }
    was_connected = now;
    if (!now) {
      // Events of a lost connection count: ZooKeeper has disarmed their watches.
      std::lock_guard lock(mutex_);
      if (!events.empty()) followed_ = false;
      continue;
    }
    int code = ZOK;
    bool follow = false;
    bool followed = false;
    {
      std::lock_guard lock(mutex_);
      follow = follow_;
      followed = followed_;
    }
    if (!follow) continue;
    if (!followed) {
      code = scan();
      if (code == ZOK) signals_.changed(std::nullopt);
    } else {
      for (const auto& event : events)
        if (code == ZOK) code = handle(event);
      if (code == ZOK && unarmed_ && Clock::now() - looked >= kTick) {
        code = look_at_unarmed();
        looked = Clock::now();
      }
    }
    std::lock_guard lock(mutex_);
    followed_ = code == ZOK;
    refused_ = !followed_;
    connection_.notify_all();
  }
  SessionPtr last;
  std::lock_guard lock(mutex_);
  last.swap(session_);
}

// What the ensemble lets us do, as far as it can be told without writing.
void ZooKeeperRuleStore::probe() {
  const auto until = deadline();
  auto reply = session_->exists(chroot_.empty() ? "/" : chroot_, false).wait(until);
  if (reply.code != ZOK) {
    const auto error = failure(reply.code, chroot_);
    signals_.set_health({!unanswered(reply.code), false, error.error().message});
  } else if (session_->read_only()) {
    signals_.set_health({true, false, failure(ZNOTREADONLY, base_).error().message});
  } else {
    // A write that was refused for its ACL is tried again by whoever wants it; only a loss of connection or majority is over now.
    const auto health = signals_.health();
    if (!health.reachable || health.detail == failure(ZNOTREADONLY, base_).error().message || health.detail == failure(ZNONODE, base_).error().message)
      signals_.set_health({});
  }
}

int ZooKeeperRuleStore::scan() {
  apps_.clear();
  seen_.clear();
  armed_.clear();
  armed_bytes_ = 0;
  unarmed_ = false;
  return follow_root(false);
}

// Whether a path gets a watch.
bool ZooKeeperRuleStore::arm(const std::string& path) {
  if (armed_.contains(path)) return true;
  const std::size_t bytes = path.size() + sizeof(std::int32_t);
  if (armed_bytes_ + bytes > kMaxWatchBytes) {
    if (!std::exchange(unarmed_, true))
      FL_LOG_WARN("store", "{} has more nodes than can be watched; the last of them are looked at every {} ms", where_, kTick.count());
    return false;
  }
  armed_bytes_ += bytes;
  armed_.insert(path);
  return true;
}

int ZooKeeperRuleStore::look_at_unarmed() {
  std::vector<std::string> apps;
  std::vector<RuleKey> keys;
  for (const auto& app : apps_)
    if (!armed_.contains(path_of(app))) apps.push_back(app);
  for (const auto& [key, version] : seen_)
    if (!armed_.contains(path_of(key))) keys.push_back(key);
  if (int code = follow_apps(apps, true); code != ZOK) return code;
  return follow_nodes(keys, true);
}

int ZooKeeperRuleStore::follow_root(bool tell) {
  const auto until = deadline();
  auto reply = session_->children(top(), true).wait(until);
  if (reply.code == ZNONODE) {
    reply = session_->exists(top(), true).wait(until);
    if (reply.code == ZOK) return follow_root(tell);  // made between the two
    return reply.code == ZNONODE ? ZOK : reply.code;
  }
  if (reply.code != ZOK) return reply.code;
  std::vector<std::string> fresh;
  for (const auto& node : reply.children)
    if (auto app = app_of(node); app && !apps_.contains(*app)) fresh.push_back(*app);
  return follow_apps(fresh, tell);
}

int ZooKeeperRuleStore::follow_apps(const std::vector<std::string>& apps, bool tell) {
  const auto until = deadline();
  std::vector<RuleKey> fresh;
  for (std::size_t from = 0; from < apps.size(); from += kMaxPending) {
    const std::size_t to = std::min(apps.size(), from + kMaxPending);
    std::vector<ZooKeeperCall> calls;
    for (std::size_t i = from; i < to; ++i) {
      const std::string path = path_of(apps[i]);
      calls.push_back(session_->children(path, arm(path)));
    }
    for (std::size_t i = from; i < to; ++i) {
      const std::string& app = apps[i];
      auto reply = calls[i - from].wait(until);
      // An app that may not be looked into is passed over; reading it tells why.
      if (reply.code != ZOK && reply.code != ZNONODE && reply.code != ZNOAUTH) return reply.code;
      if (reply.code == ZNONODE)
        apps_.erase(app);
      else
        apps_.insert(app);
      for (RuleKind kind : kRuleKinds) {
        const RuleKey key{app, kind};
        const bool there = std::ranges::find(reply.children, to_string(kind)) != reply.children.end();
        if (there && !seen_.contains(key)) fresh.push_back(key);
        if (!there && seen_.erase(key) && tell) this->tell(key);
      }
    }
  }
  return follow_nodes(fresh, tell);
}

int ZooKeeperRuleStore::follow_nodes(const std::vector<RuleKey>& keys, bool tell) {
  const auto until = deadline();
  for (std::size_t from = 0; from < keys.size(); from += kMaxPending) {
    const std::size_t to = std::min(keys.size(), from + kMaxPending);
    std::vector<ZooKeeperCall> calls;
    for (std::size_t i = from; i < to; ++i) {
      const std::string path = path_of(keys[i]);
      calls.push_back(session_->exists(path, arm(path)));
    }
    for (std::size_t i = from; i < to; ++i) {
      auto reply = calls[i - from].wait(until);
      if (reply.code != ZOK && reply.code != ZNONODE) return reply.code;
      auto known = seen_.find(keys[i]);
      const bool changed = reply.code == ZOK ? known == seen_.end() || known->second != version_of(reply.stat) : known != seen_.end();
      if (reply.code == ZOK)
        seen_[keys[i]] = version_of(reply.stat);
      else
        seen_.erase(keys[i]);
      if (tell && changed) this->tell(keys[i]);
    }
  }
  return ZOK;
}

int ZooKeeperRuleStore::handle(const ZooKeeperEvent& event) {
  if (event.path == top()) {
    // Its children's own watches tell when they go with it.
    return follow_root(true);
  }
  if (!event.path.starts_with(base_ + "/")) return ZOK;
  const std::string below = event.path.substr(base_.size() + 1);
  const std::size_t slash = below.find('/');
  auto app = app_of(below.substr(0, slash));
  if (!app) return ZOK;
  if (slash == std::string::npos) return follow_apps({*app}, true);
  auto kind = rule_kind(std::string_view(below).substr(slash + 1));
  return kind ? follow_nodes({{*app, *kind}}, true) : ZOK;
}

// "/a/b" or "": no empty parts, no "." and "..", no characters that ZooKeeper does not have.
base::Result<std::string> node_path(std::string_view text, std::string_view what) {
  while (text.ends_with('/')) text.remove_suffix(1);
  if (text.empty()) return std::string();
  if (!text.starts_with('/')) return fail(Code::kInvalidArgument, "{} \"{}\" must begin with \"/\"", what, text);
  for (std::string_view part : base::split(text.substr(1), '/')) {
    if (auto fine = check_app(part); !fine) return fail(Code::kInvalidArgument, "{} \"{}\" has a part \"{}\" that ZooKeeper does not take; correct it", what, text, part);
    if (escape_app(part, code_point_escaped) != part)
      return fail(Code::kInvalidArgument, "{} \"{}\" has a character that ZooKeeper does not have; choose another", what, text);
  }
  return std::string(text);
}

}  // namespace

base::Result<std::unique_ptr<RuleStore>> open_zookeeper_rules(const std::string& where, const RuleStoreOptions& options) {
  const std::size_t slash = where.find('/');
  auto chroot = node_path(slash == std::string::npos ? std::string_view() : std::string_view(where).substr(slash), "the chroot");
  if (!chroot) return std::unexpected(chroot.error());
  auto root = node_path(options.root, "the root");
  if (!root) return std::unexpected(root.error());
  std::string hosts;
  for (std::string_view host : base::split(std::string_view(where).substr(0, slash), ',')) {
    const std::size_t colon = host.rfind(':');
    const auto port = colon == std::string_view::npos ? std::optional<long long>(2181) : base::to_int(host.substr(colon + 1));
    const std::string_view name = host.substr(0, colon);
    if (name.empty() || !port || *port < 1 || *port > 65535 || name.find_first_of(" @") != std::string_view::npos)
      return fail(Code::kInvalidArgument, "\"{}\" is no address of a ZooKeeper server; say zk:HOST:PORT,HOST:PORT/CHROOT", host);
    hosts += fmt::format("{}{}:{}", hosts.empty() ? "" : ",", name, *port);
  }
  if (!options.digest.empty() && (options.digest.find(':') == std::string::npos || options.digest.starts_with(':')))
    return fail(Code::kInvalidArgument, "the digest for ZooKeeper lacks a user or a password; give it as user:password");
  return std::make_unique<ZooKeeperRuleStore>("zk:" + where, std::move(hosts), std::move(*chroot), std::move(*root), options);
}

}  // namespace fairlead::store
