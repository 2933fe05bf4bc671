#include "io/tls_memory.h"

#include <openssl/crypto.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/recycled.h"

namespace fairlead::io {
#ifdef FAIRLEAD_SANITIZED

void pool_tls_memory() {}  // sanitizers are to see every object

#else
namespace {

// Before each object; as long as malloc's alignment.
struct alignas(16) Head {
  uint64_t size_class;
};
struct Free {
  Free* next;
};

// Powers of two from 32 bytes on, and one for the buffer of a record (16 KiB and what TLS adds).
constexpr unsigned kClasses = 10, kRecordClass = 9, kUnpooled = ~0u;
constexpr size_t kSmallest = 32, kRecordBytes = 17 * 1024;
constexpr size_t kBytesKept = 64 * 1024;  // of each class and thread

size_t class_bytes(unsigned c) { return c == kRecordClass ? kRecordBytes : kSmallest << c; }

unsigned class_of(size_t bytes) {
  if (bytes <= kSmallest) return 0;
  if (bytes <= kSmallest << (kRecordClass - 1)) return static_cast<unsigned>(std::bit_width(bytes - 1)) - 5;
  return bytes <= kRecordBytes ? kRecordClass : kUnpooled;
}

// Without a destructor: OpenSSL frees things when a thread ends, too.
struct Lists {
  Free* first[kClasses];
  unsigned count[kClasses];
};
constinit thread_local Lists lists{};

void* take(size_t bytes, const char*, int) {
  if (bytes == 0) return nullptr;
  unsigned c = class_of(bytes);
  if (c != kUnpooled && lists.first[c]) {
    Free* at = lists.first[c];
    lists.first[c] = at->next;
    --lists.count[c];
    return at;
  }
  auto* head = static_cast<Head*>(std::malloc(sizeof(Head) + (c == kUnpooled ? bytes : class_bytes(c))));
  if (!head) return nullptr;
  head->size_class = c;
  return head + 1;
}

void give_back(void* at, const char*, int) {
  if (!at) return;
  Head* head = static_cast<Head*>(at) - 1;
  auto c = static_cast<unsigned>(head->size_class);
  if (c == kUnpooled || lists.count[c] * class_bytes(c) >= kBytesKept) return std::free(head);
  lists.first[c] = new (at) Free{lists.first[c]};
  ++lists.count[c];
}

void* resize(void* at, size_t bytes, const char* file, int line) {
  if (!at) return take(bytes, file, line);
  if (bytes == 0) {
    give_back(at, file, line);
    return nullptr;
  }
  Head* head = static_cast<Head*>(at) - 1;
  auto c = static_cast<unsigned>(head->size_class);
  if (c == kUnpooled && class_of(bytes) == kUnpooled) {
    head = static_cast<Head*>(std::realloc(head, sizeof(Head) + bytes));
    return head ? head + 1 : nullptr;
  }
  if (c != kUnpooled && bytes <= class_bytes(c)) return at;
  void* next = take(bytes, file, line);
  if (!next) return nullptr;
  // A large object that shrinks has at least what is asked for; a small one that grows has its class's bytes.
  std::memcpy(next, at, c == kUnpooled ? bytes : class_bytes(c));
  give_back(at, file, line);
  return next;
}

}  // namespace

void pool_tls_memory() { (void)CRYPTO_set_mem_functions(take, resize, give_back); }

#endif
}  // namespace fairlead::io
