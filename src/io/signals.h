#pragma once
// Signals of the process as events of a loop (signalfd(2)).
#include <functional>
#include <initializer_list>

#include "io/fd.h"
#include "io/loop.h"

namespace fairlead::io {

// Blocks signals for the thread that makes it, and for every thread started from it later: make it before the others. Each signal that
// arrives is told on the loop's thread. They stay blocked when it goes, so that a process that ends is not ended by a late signal.
class SignalWatch {
 public:
  using Callback = std::function<void(int signal)>;
  SignalWatch(Loop& loop, std::initializer_list<int> signals, Callback callback);

 private:
  Fd fd_;
  FdWatch watch_;
};

}  // namespace fairlead::io
