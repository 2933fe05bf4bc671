#include "http/grpc.h"

#include "base/strings.h"

namespace fairlead::http {

bool is_grpc_type(std::string_view content_type) {
  constexpr std::string_view kType = "application/grpc";
  return content_type.starts_with(kType) && (content_type.size() == kType.size() || content_type[kType.size()] == '+');
}

std::string grpc_frame(std::string_view message) {
  std::string out;
  out.reserve(message.size() + 5);
  out += '\0';
  auto n = static_cast<uint32_t>(message.size());
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift & 0xff);
  out += message;
  return out;
}

base::Result<std::optional<std::string>> GrpcReader::next() {
  if (buffer_.size() < 5) return std::nullopt;
  if (buffer_[0] != 0) return base::fail(base::Code::kUnimplemented, "compressed gRPC message: no grpc-encoding was offered");
  uint32_t n = 0;
  for (size_t i = 1; i < 5; ++i) n = n << 8 | static_cast<unsigned char>(buffer_[i]);
  if (n > max_) return base::fail(base::Code::kResourceExhausted, "gRPC message of {} bytes is over the limit of {}", n, max_);
  if (buffer_.size() < 5u + n) return std::nullopt;
  std::string message = buffer_.substr(5, n);
  buffer_.erase(0, 5u + n);
  return message;
}

// grpc/grpc doc/statuscodes.md
int grpc_status(base::Code code) {
  using base::Code;
  switch (code) {
    case Code::kInvalidArgument: return 3;
    case Code::kDeadlineExceeded: return 4;
    case Code::kNotFound: return 5;
    case Code::kAlreadyExists: return 6;
    case Code::kPermissionDenied: return 7;
    case Code::kResourceExhausted: return 8;
    case Code::kFailedPrecondition: return 9;
    case Code::kConflict: return 10;
    case Code::kExpired: return 11;
    case Code::kUnimplemented: return 12;
    case Code::kInternal: return 13;
    case Code::kUnavailable: return 14;
    case Code::kUnauthenticated: return 16;
  }
  return 2;
}

Headers grpc_trailers(int status, std::string_view message) {
  Headers out;
  out.add("grpc-status", std::to_string(status));
  if (!message.empty()) {
    // Percent-encoded but for printable ASCII without "%".
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string encoded;
    for (char ch : message) {
      auto c = static_cast<unsigned char>(ch);
      if (c >= 0x20 && c <= 0x7e && c != '%') {
        encoded += ch;
      } else {
        encoded += '%';
        encoded += kHex[c >> 4];
        encoded += kHex[c & 15];
      }
    }
    out.add("grpc-message", encoded);
  }
  return out;
}

// grpc/grpc doc/http-grpc-status-mapping.md
int grpc_status_from_http(int http_status) {
  switch (http_status) {
    case 400: return 13;
    case 401: return 16;
    case 403: return 7;
    case 404: return 12;
    case 429:
    case 502:
    case 503:
    case 504: return 14;
    default: return 2;
  }
}

}  // namespace fairlead::http
