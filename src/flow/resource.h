// A resource with what is counted for it, as the engine keeps it.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "flow/param_check.h"
#include "flow/window.h"

namespace fairlead::flow {

inline constexpr std::string_view kDefaultContext = "sentinel_default_context";

struct NamedNode {
  std::string name;
  NamedNode* next = nullptr;
  Node node;
};

// Nodes by name: found without a lock, added under one, never removed.
class NodeTable {
 public:
  ~NodeTable() {
    for (auto& head : heads_)
      for (NamedNode* node = head.load(std::memory_order_relaxed); node != nullptr;) delete std::exchange(node, node->next);
    delete rest_.load(std::memory_order_relaxed);
  }

  // `beyond`: there are too many, it is the node of all the others.
  Node& get(std::string_view name, std::size_t most, bool& beyond) {
    auto& head = heads_[std::hash<std::string_view>{}(name) % heads_.size()];
    if (Node* found = find(head, name)) return *found;
    if (Node* rest = rest_.load(std::memory_order_acquire)) {
      beyond = true;
      return *rest;
    }
    const std::scoped_lock lock(adding_);
    if (Node* found = find(head, name)) return *found;
    if (size_ >= most) {
      beyond = true;
      if (rest_.load(std::memory_order_relaxed) == nullptr) rest_.store(new Node, std::memory_order_release);
      return *rest_.load(std::memory_order_relaxed);
    }
    ++size_;
    auto* added = new NamedNode{.name = std::string(name), .next = head.load(std::memory_order_relaxed), .node = {}};
    head.store(added, std::memory_order_release);
    return added->node;
  }

  // The node of all beyond the limit has no name.
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& head : heads_)
      for (const NamedNode* node = head.load(std::memory_order_acquire); node != nullptr; node = node->next) visit(node->name, node->node);
    if (const Node* rest = rest_.load(std::memory_order_acquire)) visit(std::string(), *rest);
  }

 private:
  static Node* find(const std::atomic<NamedNode*>& head, std::string_view name) {
    for (NamedNode* node = head.load(std::memory_order_acquire); node != nullptr; node = node->next)
      if (node->name == name) return &node->node;
    return nullptr;
  }

  std::array<std::atomic<NamedNode*>, 16> heads_{};
  std::atomic<Node*> rest_{nullptr};  // shared by all beyond the limit
  std::mutex adding_;
  std::size_t size_ = 0;
};

// Which resource's call a resource was first called in, for each context that it was called in so.
struct Within {
  std::string context;
  std::string resource;  // empty: of none, else they would be within each other
  Within* next = nullptr;
};

class Resource {
 public:
  explicit Resource(std::string_view of) : name(of) {}
  ~Resource() {
    for (Within* place = within.load(std::memory_order_relaxed); place != nullptr;) delete std::exchange(place, place->next);
  }
  Resource(const Resource&) = delete;
  Resource& operator=(const Resource&) = delete;

  const Within* within_in(std::string_view context) const {
    for (const Within* place = within.load(std::memory_order_acquire); place != nullptr; place = place->next)
      if (place->context == context) return place;
    return nullptr;
  }

  const std::string name;
  std::atomic<Resource*> next{nullptr};
  std::uint64_t named_in = 0;  // load in which a rule named it; guarded by Engine::changing_, as the next
  bool held = false;           // the program has a handle
  Node node;
  NodeTable origins, contexts;
  std::atomic<Within*> within{nullptr};      // added under Engine::nesting_
  std::map<int, ParamThreads> threads;       // by argument; they stay, because calls in progress hold them
  std::atomic<const void*> checks{nullptr};  // Engine::Checks
  std::atomic<bool> has_breakers{false};     // among them
};

}  // namespace fairlead::flow
