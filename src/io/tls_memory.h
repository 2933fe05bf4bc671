// Memory for OpenSSL from lists of the thread: a handshake makes and drops some five hundred objects, and with many
// handshakes under way malloc's own small caches overflow, which made malloc the dearest part of a handshake after the
// arithmetic.
#pragma once

namespace fairlead::io {

// To be called once, before anything else uses OpenSSL. Without effect in sanitizer builds, which want to see each object.
void pool_tls_memory();

}  // namespace fairlead::io
