// Watch: a list that goes on: a chunked stream of JSON events, one a line.
//
// Loop thread only. A watch owns itself until its exchange is over. A client that does not read is cut off at a bound.
#pragma once

#include "api/request.h"

namespace fairlead::api {

// Answers a request with watch=true.
void serve_watch(io::Loop& loop, store::Store& store, RequestPtr request);

}  // namespace fairlead::api
