#include "store/rules/backend.h"

#include <algorithm>

namespace fairlead::store {

using base::Code;
using base::fail;

std::size_t character_at(std::string_view text, std::size_t at, char32_t& code_point) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  code_point = length == 1 ? first : first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length && at + i < text.size(); ++i) code_point = (code_point << 6) | (byte(at + i) & 0x3FU);
  return length;
}

static bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first >= 0x80 && (first < 0xC2 || first > 0xF4)) return false;
    char32_t code_point = 0;
    const std::size_t length = character_at(text, at, code_point);
    if (at + length > text.size()) return false;
    for (std::size_t i = 1; i < length; ++i)
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return false;
    if ((length == 3 && code_point < 0x800) || (length == 4 && (code_point < 0x10000 || code_point > 0x10FFFF))) return false;
    if (code_point >= 0xD800 && code_point <= 0xDFFF) return false;
    at += length;
  }
  return true;
}

base::Status check_app(std::string_view app) {
  if (app.empty()) return fail(Code::kInvalidArgument, "an app has a name of at least one character");
  if (app.size() > kMaxAppBytes)
    return fail(Code::kInvalidArgument, "the app's name has {} bytes; it may have {} at most", app.size(), kMaxAppBytes);
  if (!is_utf8(app)) return fail(Code::kInvalidArgument, "the app's name is not UTF-8; write it in that encoding");
  if (app == "." || app == "..") return fail(Code::kInvalidArgument, "an app can't be named \"{}\"; choose another name", app);
  for (std::size_t at = 0; at < app.size();) {
    char32_t c = 0;
    const std::size_t length = character_at(app, at, c);
    if (c == '/') return fail(Code::kInvalidArgument, "the app's name \"{}\" has a \"/\"; stores separate by it, so use another character", app);
    if (c < 0x20 || (c >= 0x7F && c < 0xA0))
      return fail(Code::kInvalidArgument, "the app's name has a control character (code {}) at byte {}; leave it out", static_cast<unsigned>(c), at);
    at += length;
  }
  return {};
}

base::Status check_size(const RuleKey& key, std::size_t bytes, std::size_t limit, std::string_view whose) {
  if (bytes <= limit) return {};
  return fail(Code::kResourceExhausted, "{} of {} has {} bytes, {} allows {}; remove rules or divide the app", to_string(key.kind), key.app, bytes, whose, limit);
}

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }
static unsigned nibble(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'A' + 10); }
static bool is_escape(std::string_view text, std::size_t at) {
  return text[at] == '%' && at + 2 < text.size() && is_hex(text[at + 1]) && is_hex(text[at + 2]);
}

std::string escape_app(std::string_view app, const Escaped& escaped) {
  std::string out;
  for (std::size_t at = 0; at < app.size();) {
    char32_t c = 0;
    const std::size_t length = character_at(app, at, c);
    const bool escape = is_escape(app, at) || escaped(app, at);
    for (std::size_t i = 0; i < length; ++i) {
      if (escape)
        fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(app[at + i]));
      else
        out += app[at + i];
    }
    at += length;
  }
  return out;
}

std::optional<std::string> unescape_app(std::string_view text, const Escaped& escaped) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (is_escape(text, at)) {
      out += static_cast<char>(nibble(text[at + 1]) << 4 | nibble(text[at + 2]));
      at += 2;
    } else {
      out += text[at];
    }
  }
  if (!check_app(out) || escape_app(out, escaped) != text) return std::nullopt;
  return out;
}

std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

std::unexpected<base::Error> conflict(const RuleKey& key, std::string_view expected, std::string_view stored) {
  if (stored.empty())
    return fail(Code::kConflict, "{} of {} was removed since version {} was read; read again and decide anew", to_string(key.kind), key.app, expected);
  if (expected.empty())
    return fail(Code::kConflict, "{} of {} is there already, as version {}; read it and change that", to_string(key.kind), key.app, stored);
  return fail(Code::kConflict, "{} of {} was changed since version {} was read and is {} now; read again and change that", to_string(key.kind), key.app,
              expected, stored);
}

struct RuleSignals::State {
  struct Watcher {
    std::uint64_t id;
    std::shared_ptr<std::function<void(const std::optional<RuleKey>&)>> call;
  };
  std::mutex mutex;
  std::condition_variable_any wake;   // the thread, for the queue
  std::condition_variable called;     // those who end a watch, for `calling`
  std::vector<Watcher> watchers;
  std::deque<std::optional<RuleKey>> queue;
  std::uint64_t next_id = 1;
  std::uint64_t calling = 0;  // the watcher whose callback runs; 0: none
  RuleStoreHealth health;
};

class RuleSignals::Watch final : public RuleWatch {
 public:
  Watch(std::shared_ptr<State> state, std::uint64_t id) : state_(std::move(state)), id_(id) {}
  ~Watch() override {
    std::unique_lock lock(state_->mutex);
    std::erase_if(state_->watchers, [this](const State::Watcher& w) { return w.id == id_; });
    state_->called.wait(lock, [this] { return state_->calling != id_; });
  }

 private:
  std::shared_ptr<State> state_;
  std::uint64_t id_;
};

RuleSignals::RuleSignals() : state_(std::make_shared<State>()) {}
RuleSignals::~RuleSignals() = default;

void RuleSignals::run(std::stop_token stop, State& state) {
  std::unique_lock lock(state.mutex);
  while (state.wake.wait(lock, stop, [&] { return !state.queue.empty(); })) {
    const std::optional<RuleKey> key = std::move(state.queue.front());
    state.queue.pop_front();
    // A watcher that comes meanwhile has a higher id and reads what is there; one that goes is not found any more.
    for (std::uint64_t last = 0; !stop.stop_requested();) {
      auto next = std::ranges::find_if(state.watchers, [&](const State::Watcher& w) { return w.id > last; });
      if (next == state.watchers.end()) break;
      state.calling = last = next->id;
      auto call = next->call;
      lock.unlock();
      (*call)(key);
      lock.lock();
      state.calling = 0;
      state.called.notify_all();
    }
  }
}

std::unique_ptr<RuleWatch> RuleSignals::add(std::function<void(const std::optional<RuleKey>&)> changed) {
  std::lock_guard lock(state_->mutex);
  const std::uint64_t id = state_->next_id++;
  state_->watchers.push_back({id, std::make_shared<std::function<void(const std::optional<RuleKey>&)>>(std::move(changed))});
  if (!thread_.joinable()) thread_ = std::jthread([state = state_](std::stop_token stop) { run(std::move(stop), *state); });
  return std::make_unique<Watch>(state_, id);
}

void RuleSignals::changed(std::optional<RuleKey> key) {
  std::lock_guard lock(state_->mutex);
  if (state_->watchers.empty()) return;
  if (state_->queue.size() >= kMaxQueued) {
    state_->queue.clear();
    key.reset();
  }
  state_->queue.push_back(std::move(key));
  state_->wake.notify_one();
}

RuleStoreHealth RuleSignals::health() const {
  std::lock_guard lock(state_->mutex);
  return state_->health;
}

void RuleSignals::set_health(RuleStoreHealth health) {
  {
    std::lock_guard lock(state_->mutex);
    const RuleStoreHealth& now = state_->health;
    if (now.reachable == health.reachable && now.writable == health.writable && now.detail == health.detail) return;
    state_->health = std::move(health);
  }
  changed(std::nullopt);
}

void RuleSignals::set_readable(bool readable, std::string detail) {
  const RuleStoreHealth now = health();
  if (now.reachable == readable && (readable || now.detail == detail)) return;
  // What could not be reached may be writable again; a write will tell.
  set_health({readable, readable, std::move(detail)});
}

void RuleSignals::set_writable(bool writable, std::string detail) {
  if (writable)
    set_health({});
  else
    set_health({true, false, std::move(detail)});
}

}  // namespace fairlead::store
