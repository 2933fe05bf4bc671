// Transports of sockets that an Acceptor handed out: what is known of them is not asked for again.
#pragma once

#include <memory>

#include "io/transport.h"

namespace fairlead::io {

// The descriptor is non-blocking already. peer: as accept gave it; local: the listening socket's address when every
// connection of it has just that one; an invalid address: the kernel is asked.
std::unique_ptr<Transport> make_accepted_transport(Loop& loop, Fd fd, const Address& peer, const Address& local);

}  // namespace fairlead::io
