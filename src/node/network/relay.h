// Relays: bytes between two connected sockets until both directions have ended, each end of file passed on by itself
// (half-close); an error on one side resets the other.
//
// Loop thread only. Owner: RelaySet, which is what node ports and the way outside use.
#pragma once

#include <memory>
#include <unordered_map>

#include "io/loop.h"
#include "io/transport.h"

namespace fairlead::node {

class RelaySet {
 public:
  explicit RelaySet(io::Loop& loop);
  ~RelaySet();  // cuts what runs
  // Both are connected. Takes them.
  void add(std::unique_ptr<io::Transport> a, std::unique_ptr<io::Transport> b);
  size_t size() const { return relays_.size(); }

 private:
  class Relay;
  io::Loop& loop_;
  std::unordered_map<Relay*, std::unique_ptr<Relay>> relays_;
};

}  // namespace fairlead::node
