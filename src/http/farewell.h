// Ends a connection after its owner is done with it. Loop thread only.
#pragma once

#include <memory>
#include <string>

#include "io/transport.h"

namespace fairlead::http {

// Writes `unsent`, ends our side, and discards what comes until the peer ends its own: closing at once with input
// unread would reset the connection and could take away what is still under way to the peer (an exit status, say).
// Gives up after a few seconds without progress. The loop owns it from here.
void close_gracefully(io::Loop& loop, std::unique_ptr<io::Transport> transport, std::string unsent = {});

}  // namespace fairlead::http
