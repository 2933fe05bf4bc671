// Connecting to a host that has several addresses (RFC 8305, "happy eyeballs"): the first one, the next when it has not
// answered for a while, and the next at once when one fails. The first connection that stands is taken, the others are dropped.
// Loop thread only.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "io/transport.h"

namespace fairlead::io {

inline constexpr base::Nanos kHeadStart = std::chrono::milliseconds(300);  // Envoy's, RFC 8305 recommends 250 ms

// Opens one of the connections; io::connect unless a test says otherwise. As there, the callback never runs inside the call.
using ConnectOne = std::move_only_function<std::unique_ptr<Connecting>(const Address& to, ConnectCallback done)>;

// `first` and then `more`, in that order. The callback runs once, never inside this call; its error is that of the address that
// failed last. options.timeout holds for each attempt. Destroying the handle cancels silently.
std::unique_ptr<Connecting> connect_any(Loop& loop, const Address& first, std::span<const Address> more, const ConnectOptions& options, ConnectCallback done);
std::unique_ptr<Connecting> connect_any(Loop& loop, std::vector<Address> addresses, base::Nanos head_start, ConnectOne connect, ConnectCallback done);

}  // namespace fairlead::io
