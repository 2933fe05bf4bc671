// The programs behind the built-in sample images: Bookinfo, httpbin, fortio, helloworld, tcp-echo.
//
// One process plays one of them; everything runs on that process's main thread (fortio's load has threads of its own).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::sample {

// Runs `fairlead sample NAME [args]` (argv[0] is "sample", argv[1] the name) or, when argv[0] itself is the name of a
// program ("fortio", "gunicorn"), that program. Returns the exit code.
//
//   productpage | details[-v1|-v2] | reviews[-v1|-v2|-v3] | ratings[-v1] ...  [PORT]       default port 9080
//   httpbin        [-b HOST:PORT] as kennethreitz/httpbin, default port 80
//   gunicorn       [-b HOST:PORT] httpbin:app ...: the same, for manifests that spell the command
//   go-httpbin     as mccutchen/go-httpbin: -host, -port, HOST, PORT; default port 8080
//   fortio         load | curl | server | version ...
//   helloworld[-v1|-v2]  [PORT]                                                            default port 5000
//   tcp-echo       PORT[,PORT...] WORD
int run(int argc, char** argv);

// Names that run() knows, for messages.
std::vector<std::string> names();
// Whether NAME or NAME-VERSION is one of them; the error says what would be.
base::Status check_name(std::string_view name);

}  // namespace fairlead::sample
