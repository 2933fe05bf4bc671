// Adding header fields as routes and filters configure it. Worker thread; pure functions.
#pragma once

#include "proxy/config/model.h"
#include "proxy/headers.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {

// Appends, adds or replaces one field; its value may have %COMMANDS%.
void add_header(const HeaderMutation::Add& what, HeaderMap& to, const StreamInfo& info);
// The same for a request, where "host" and ":authority" mean its authority.
void add_request_header(const HeaderMutation::Add& what, RequestHeaders& to, const StreamInfo& info);

}  // namespace fairlead::proxy
