// A TCP server that answers bytes with bytes. On the service's loop; the owner keeps it until the loop has ended.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sample/service.h"

namespace fairlead::sample {

class EchoServer {
 public:
  // Takes what it can from the front of `in` (erasing it) and returns the answer.
  using Answer = std::function<std::string(std::string& in)>;
  EchoServer(Service& service, Answer answer);
  ~EchoServer();
  base::Status listen(const Listen& at);

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace fairlead::sample
