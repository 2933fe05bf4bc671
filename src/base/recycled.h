// Recycled<T>: what comes and goes with every connection is allocated once. A class that derives from it takes its memory
// from a list of the thread's last deleted objects of that class; malloc's own such list holds seven of a size.
//
// Any thread; memory freed on another thread than its own joins that thread's list. Sanitizers see plain new and delete.
#pragma once

#include <cstddef>
#include <new>

#if defined(FAIRLEAD_SANITIZED)  // by the build
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAIRLEAD_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAIRLEAD_SANITIZED
#endif
#endif

namespace fairlead::base {

template <class T, unsigned kMost = 128>
class Recycled {
 public:
#ifndef FAIRLEAD_SANITIZED
  static void* operator new(std::size_t bytes) {
    if (bytes != sizeof(T) || !free_.first) return ::operator new(bytes);
    Block* block = free_.first;
    free_.first = block->next;
    --free_.count;
    return block;
  }
  static void operator delete(void* at, std::size_t bytes) {
    if (bytes != sizeof(T) || free_.count >= kMost) return ::operator delete(at, bytes);
    free_.first = new (at) Block{free_.first};
    ++free_.count;
  }

 private:
  struct Block {
    Block* next;
  };
  struct Free {
    Block* first = nullptr;
    unsigned count = 0;
  };
  // Without a destructor: objects may be deleted late in the thread's life. What is on the list then is lost with it.
  static constinit inline thread_local Free free_;
#endif
};

}  // namespace fairlead::base
