// A call and what is done instead if the rules refuse it, in one expression:
//
//   const Orders orders = flow::guarded(engine, "orders", {.origin = caller},
//                                       [&] { return client.fetch(); },
//                                       [&](const flow::Entry& refused) { return cached(refused.verdict()); });
//
// The calling thread waits as a rate limiter says. What the call throws counts as an exception and is thrown on.
#pragma once

#include <chrono>
#include <concepts>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "flow/engine.h"

namespace fairlead::flow {

// `fn` may take the entry (Entry&), to trace a failure that throws nothing; `fallback` may take it to see who refused.
template <class Fn, class Fallback>
decltype(auto) guarded(Engine& engine, std::string_view resource, const Call& call, Fn&& fn, Fallback&& fallback) {
  Entry entry = engine.enter(resource, call);
  if (!entry) {
    if constexpr (std::invocable<Fallback, const Entry&>) return std::forward<Fallback>(fallback)(std::as_const(entry));
    else return std::forward<Fallback>(fallback)();
  }
  if (entry.wait_ns() > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(entry.wait_ns()));
  try {
    if constexpr (std::invocable<Fn, Entry&>) return std::forward<Fn>(fn)(entry);
    else return std::forward<Fn>(fn)();
  } catch (...) {
    entry.trace();
    throw;
  }
}

}  // namespace fairlead::flow
