// gRPC over HTTP/2: five bytes of framing, status mapping (grpc/grpc doc/PROTOCOL-HTTP2.md). Pure functions and values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace fairlead::http {

// Whether a content-type is gRPC's: "application/grpc", also with "+proto" or the like; not gRPC-Web's.
bool is_grpc_type(std::string_view content_type);

std::string grpc_frame(std::string_view message);  // uncompressed

// Cuts a byte stream into messages.
class GrpcReader {
 public:
  explicit GrpcReader(size_t max_message_bytes = 64u << 20) : max_(max_message_bytes) {}
  void feed(std::string_view bytes) { buffer_ += bytes; }
  // A whole message; nothing when more bytes are needed; an error for compressed or oversized ones.
  base::Result<std::optional<std::string>> next();

 private:
  std::string buffer_;
  size_t max_;
};

// grpc-status number of a base::Code, and grpc-status/grpc-message trailers.
int grpc_status(base::Code code);
Headers grpc_trailers(int status, std::string_view message = {});
// Status for a response that had no grpc-status (HTTP to gRPC mapping).
int grpc_status_from_http(int http_status);

}  // namespace fairlead::http
