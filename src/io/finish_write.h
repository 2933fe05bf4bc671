// finish_write: the end of what was written, before a close() that would cut off what still waits.
#pragma once

#include "io/transport.h"

namespace fairlead::io {

// Ends what was written to a TLS transport (close_notify) without the end of the stream. False: some of it waits for room;
// it goes out as room comes, unless close() is called first. True for any other transport.
bool finish_write(Transport& transport);

}  // namespace fairlead::io
