#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace fairlead::base {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return "InvalidArgument";
    case Code::kNotFound: return "NotFound";
    case Code::kAlreadyExists: return "AlreadyExists";
    case Code::kConflict: return "Conflict";
    case Code::kPermissionDenied: return "PermissionDenied";
    case Code::kUnauthenticated: return "Unauthenticated";
    case Code::kResourceExhausted: return "ResourceExhausted";
    case Code::kFailedPrecondition: return "FailedPrecondition";
    case Code::kUnavailable: return "Unavailable";
    case Code::kDeadlineExceeded: return "DeadlineExceeded";
    case Code::kExpired: return "Expired";
    case Code::kUnimplemented: return "Unimplemented";
    case Code::kInternal: return "Internal";
  }
  return "Internal";
}

std::unexpected<Error> fail_errno(std::string_view what, int errno_value) {
  Code code = Code::kInternal;
  switch (errno_value) {
    case ENOENT: code = Code::kNotFound; break;
    case EEXIST: code = Code::kAlreadyExists; break;
    case EACCES:
    case EPERM: code = Code::kPermissionDenied; break;
    case EADDRINUSE:
    case ENOSPC: code = Code::kFailedPrecondition; break;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE: code = Code::kUnavailable; break;
    case ETIMEDOUT: code = Code::kDeadlineExceeded; break;
    default: break;
  }
  return std::unexpected(Error{code, fmt::format("{}: {}", what, std::strerror(errno_value)), {}});
}

std::unexpected<Error> fail_errno(std::string_view what) { return fail_errno(what, errno); }

}  // namespace fairlead::base
