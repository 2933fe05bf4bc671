#include "flow/param_check.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace fairlead::flow {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

__extension__ using Wide = __int128;  // a rate times an idle time does not fit 64 bits

std::int64_t clamp(Wide value) { return value > kMost ? kMost : static_cast<std::int64_t>(value); }

std::int64_t whole(double value) { return value >= static_cast<double>(kMost) ? kMost : static_cast<std::int64_t>(value); }

template <class T>
Param integer(std::string_view text, std::string& problem) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && !text.empty()) return value;
  problem = "must be a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " + std::to_string(std::numeric_limits<T>::max());
  return {};
}

template <class T>
Param real(std::string_view text, std::string& problem) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  T value{};
  if (text == "NaN") return std::numeric_limits<T>::quiet_NaN();
  if (text == "Infinity") {
    value = std::numeric_limits<T>::infinity();
  } else {
    if (!text.empty() && std::string_view("dDfF").find(text.back()) != std::string_view::npos) text.remove_suffix(1);
    const bool digits = !text.empty() && ((text.front() >= '0' && text.front() <= '9') || text.front() == '.');
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!digits || error != std::errc() || end != text.data() + text.size()) {
      problem = "must be a number";
      return {};
    }
  }
  return negative ? -value : value;
}

bool same_letters(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

// The first UTF-16 unit of a text.
Param first_character(std::string_view text, std::string& problem) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(0);
  if (text.empty()) {
    problem = "must be a character";
    return {};
  }
  if (first < 0x80) return static_cast<char16_t>(first);
  if (first < 0xE0) return static_cast<char16_t>((first & 0x1F) << 6 | (byte(1) & 0x3F));
  if (first < 0xF0) return static_cast<char16_t>((first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F));
  const unsigned point = (first & 7) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return static_cast<char16_t>(0xD800 + ((point - 0x10000) >> 10));
}

}  // namespace

Param read_param(const std::string& text, const std::string& type, std::string& problem) {
  const auto is = [&type](std::string_view primitive, std::string_view boxed) { return type == primitive || type == boxed; };
  if (is("int", "java.lang.Integer")) return integer<std::int32_t>(text, problem);
  if (is("long", "java.lang.Long")) return integer<std::int64_t>(text, problem);
  if (is("byte", "java.lang.Byte")) return integer<std::int8_t>(text, problem);
  if (is("short", "java.lang.Short")) return integer<std::int16_t>(text, problem);
  if (is("double", "java.lang.Double")) return real<double>(text, problem);
  if (is("float", "java.lang.Float")) return real<float>(text, problem);
  if (is("boolean", "java.lang.Boolean")) return same_letters(text, "true");
  if (type == "char") return first_character(text, problem);
  return std::string_view(text);
}

std::int64_t ParamThreads::running(const Param& value, std::size_t hash) {
  const std::scoped_lock lock(lock_);
  if (const ParamTable::Slot* slot = table_.find(value, hash)) return slot->amount;
  return table_.size() >= most_ ? rest_ : 0;
}

ParamHeld* ParamThreads::hold(const Param& value, ParamHeld* chain, bool& beyond) {
  const std::size_t hash = hash_of(value);
  const std::scoped_lock lock(lock_);
  ParamTable::Slot* slot = table_.find(value, hash);
  if (slot == nullptr && table_.size() < most_) slot = &table_.add(value, hash);
  beyond = slot == nullptr;
  ++(slot != nullptr ? slot->amount : rest_);
  ParamHeld* held = free_;
  if (held != nullptr) free_ = held->next;
  else held = &all_held_.emplace_back();
  *held = {.owner = this, .slot = slot, .next = chain};
  return held;
}

void ParamThreads::release(ParamHeld* chain) {
  while (chain != nullptr) {
    ParamThreads& owner = *chain->owner;
    const std::scoped_lock lock(owner.lock_);
    ParamHeld* held = std::exchange(chain, chain->next);
    if (held->slot == nullptr) --owner.rest_;
    else if (--held->slot->amount == 0) owner.table_.remove(*held->slot);
    held->next = owner.free_;
    owner.free_ = held;
  }
}

ParamPlan::ParamPlan(ParamFlowRule rule) : rule_(std::move(rule)), threshold_(whole(rule_.count)) {
  for (const ParamFlowItem& item : rule_.items) {
    std::string problem;
    const Param value = read_param(item.object, item.class_type, problem);
    if (value.type() == Param::Type::None || item.count.value_or(-1) < 0) continue;
    // Of several for one value the last holds.
    std::erase_if(exceptions_, [&](const Exception& each) { return each.key.is(value); });
    exceptions_.push_back({.hash = hash_of(value), .key = ParamKey(value), .count = *item.count});
  }
  std::sort(exceptions_.begin(), exceptions_.end(), [](const Exception& a, const Exception& b) { return a.hash < b.hash; });
}

std::int64_t ParamPlan::threshold(const Param& value, std::size_t hash) const {
  if (exceptions_.empty()) return threshold_;
  auto at = std::lower_bound(exceptions_.begin(), exceptions_.end(), hash, [](const Exception& each, std::size_t h) { return each.hash < h; });
  for (; at != exceptions_.end() && at->hash == hash; ++at)
    if (at->key.is(value)) return at->count;
  return threshold_;
}

std::size_t ParamPlan::default_limit() const {
  if (rule_.grade == kGradeThread) return 4000;
  return static_cast<std::size_t>(std::min<std::int64_t>(rule_.duration_in_sec, 50) * 4000);
}

std::size_t ParamBuckets::values() {
  const std::scoped_lock lock(lock_);
  return table_.size();
}

bool ParamBuckets::ask(const Param& value, ParamThreads* threads, std::int64_t now, int count, std::int64_t& wait_ns, int& forgot) {
  if (value.type() == Param::Type::List)
    return std::ranges::all_of(value.list(), [&](const Param& each) { return ask(each, threads, now, count, wait_ns, forgot); });
  if (value.type() == Param::Type::None) return true;
  const std::size_t hash = hash_of(value);
  const std::int64_t threshold = plan_->threshold(value, hash);
  if (threads != nullptr) return threads->running(value, hash) + 1 <= threshold;
  if (threshold == 0) return false;
  if (rule().control_behavior == kBehaviorThrottle) return throttle(value, hash, threshold, now, count, wait_ns, forgot);
  return reject(value, hash, threshold, now, count, forgot);
}

// A bucket of tokens that is filled only once the interval has gone by since it was filled last.
bool ParamBuckets::reject(const Param& value, std::size_t hash, std::int64_t threshold, std::int64_t now, int count, int& forgot) {
  const std::int64_t most = clamp(Wide{threshold} + rule().burst_count);
  if (count > most) return false;
  const std::scoped_lock lock(lock_);
  bool fresh = false;
  ParamTable::Slot& slot = *place(value, hash, now, fresh, forgot);
  if (fresh) {
    slot.time = now;
    slot.amount = most - count;
    return true;
  }
  const std::int64_t left = tokens(slot, threshold, now) - count;
  if (left < 0) return false;
  if (due(slot, now)) slot.time = now;
  slot.amount = left;
  return true;
}

bool ParamBuckets::due(const ParamTable::Slot& slot, std::int64_t now) const {
  return Wide{now} - slot.time > Wide{rule().duration_in_sec} * 1000;
}

std::int64_t ParamBuckets::tokens(const ParamTable::Slot& slot, std::int64_t threshold, std::int64_t now) const {
  if (!due(slot, now)) return slot.amount;
  const Wide fresh = (Wide{now} - slot.time) * threshold / (Wide{rule().duration_in_sec} * 1000);
  return clamp(std::min<Wide>(fresh + slot.amount, Wide{threshold} + rule().burst_count));
}

// Calls with one value leave one after another.
bool ParamBuckets::throttle(const Param& value, std::size_t hash, std::int64_t threshold, std::int64_t now, int count, std::int64_t& wait_ns, int& forgot) {
  const double cost = std::floor(1.0 * 1000 * count * static_cast<double>(rule().duration_in_sec) / static_cast<double>(threshold) + 0.5);
  const std::scoped_lock lock(lock_);
  bool fresh = false;
  ParamTable::Slot& slot = *place(value, hash, now, fresh, forgot);
  if (fresh) {
    slot.time = now;
    return true;
  }
  const std::int64_t expected = clamp(Wide{slot.time} + whole(cost));
  if (expected <= now) {
    slot.time = now;
    return true;
  }
  if (expected - now >= rule().max_queueing_time_ms) return false;
  slot.time = expected;
  wait_ns += (expected - now) * 1'000'000;
  return true;
}

ParamTable::Slot* ParamBuckets::place(const Param& value, std::size_t hash, std::int64_t now, bool& fresh, int& forgot) {
  if (ParamTable::Slot* found = table_.find(value, hash)) {
    table_.use(*found);
    return found;
  }
  fresh = true;
  if (table_.size() >= most_) {
    if (counts(*table_.oldest(), now)) ++forgot;
    table_.remove(*table_.oldest());
  }
  return &table_.add(value, hash);
}

// Whether a new value would be treated better than this one: then it matters that this one is forgotten.
bool ParamBuckets::counts(const ParamTable::Slot& slot, std::int64_t now) const {
  const std::int64_t threshold = plan_->threshold(slot.key.view(), slot.hash);
  if (rule().control_behavior == kBehaviorThrottle)
    return static_cast<double>(now - slot.time) < 1000.0 * static_cast<double>(rule().duration_in_sec) / static_cast<double>(threshold);
  return tokens(slot, threshold, now) < clamp(Wide{threshold} + rule().burst_count);
}

}  // namespace fairlead::flow
