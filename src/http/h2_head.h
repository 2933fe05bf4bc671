// What a decoded header section says of a message: its pseudo header fields and the rest, checked the strict way
// (RFC 9113 sections 8.2 and 8.3).
#pragma once

#include <cstdint>
#include <vector>

#include "http/h2_codec.h"
#include "http/hpack.h"

namespace fairlead::http {

// The head of a request, or of a response. Views are into the section, or into this thread's own text, until the next call.
// fields: what is regular, cookies joined. content_length: -1 for none said; what was said before must be said again.
// False: malformed.
bool read_head(const HpackSection& section, bool response, bool extended_connect, H2Head& head, std::vector<FieldView>& fields, int64_t& content_length);

}  // namespace fairlead::http
