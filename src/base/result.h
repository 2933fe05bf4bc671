// Result<T>: a value or an Error that a person can act on.
//
// Any thread; values. Exceptions do not cross a folder's border: what can fail returns a Result.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace fairlead::base {

// What kind of thing went wrong. Names follow the gRPC status codes, which map onto both HTTP and Kubernetes reasons.
enum class Code : unsigned char {
  kInvalidArgument,     // bad input: 400 / 422
  kNotFound,            // 404
  kAlreadyExists,       // 409 AlreadyExists
  kConflict,            // 409 Conflict: the version read is stale
  kPermissionDenied,    // 403
  kUnauthenticated,     // 401
  kResourceExhausted,   // a named limit was hit: 413 / 429
  kFailedPrecondition,  // the environment lacks something; the message says what to do
  kUnavailable,         // a peer is away; a retry may help
  kDeadlineExceeded,    // time-out
  kExpired,             // a resourceVersion or lease is too old: 410
  kUnimplemented,       // 405 / 501
  kInternal,            // our own fault
};

std::string_view to_string(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;  // a sentence: what happened and what would be accepted
  std::string where;    // resource, field path or file:line:column; may be empty

  // "where: message", or the message alone.
  std::string text() const { return where.empty() ? message : where + ": " + message; }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// fail(code, "format {}", args...): the error side of a Result.
template <class... Args>
std::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...), {}});
}

// An error that came from a system call: message is "what: strerror(errno_value)".
std::unexpected<Error> fail_errno(std::string_view what, int errno_value);
std::unexpected<Error> fail_errno(std::string_view what);  // with the current errno

}  // namespace fairlead::base
