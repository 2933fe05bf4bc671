// Filters of access logs: which requests and connections are worth a line.
#include <algorithm>
#include <random>

#include "proxy/config/model.h"
#include "proxy/stream_info.h"

namespace fairlead::proxy {
namespace {

// The same request is sampled, or not, by every proxy that it passes: its id decides (Envoy's UuidRequestIdExtension).
uint64_t stable_value(const StreamInfo& info) {
  std::string_view id = info.request ? info.request->fields.get("x-request-id") : std::string_view();
  uint64_t value = 0;
  size_t digits = 0;
  for (char c : id.substr(0, 8)) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) break;
    value = value * 16 + static_cast<uint64_t>(digit);
    ++digits;
  }
  if (digits == 8) return value;
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random();
}

}  // namespace

bool passes(const AccessLogConfig::Filter& f, const StreamInfo& info) {
  using Kind = AccessLogConfig::Filter::Kind;
  using Op = AccessLogConfig::Filter::Op;
  auto compare = [&](uint64_t value) {
    switch (f.op) {
      case Op::kEqual:
        return value == f.value;
      case Op::kAtLeast:
        return value >= f.value;
      case Op::kAtMost:
        return value <= f.value;
      case Op::kNot:
        return value != f.value;
    }
    return false;
  };
  switch (f.kind) {
    case Kind::kAnd:
      return std::ranges::all_of(f.parts, [&](const auto& p) { return passes(p, info); });
    case Kind::kOr:
      return std::ranges::any_of(f.parts, [&](const auto& p) { return passes(p, info); });
    case Kind::kStatus:
      return compare(static_cast<uint64_t>(info.status));
    case Kind::kDuration:
      return compare(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(info.end).count()));
    case Kind::kFlags:
      if (f.flags.empty()) return info.flags != 0;
      return std::ranges::any_of(f.flags, [&](const std::string& name) { return (info.flags & parse_flag(name)) != 0; });
    case Kind::kHeader:
      return info.request && f.header->matches(*info.request);
    case Kind::kNotHealthCheck:
      return !info.health_check;
    case Kind::kTraceable:
      return false;  // no tracer is built in: as with Envoy where none is configured, no request is traced
    case Kind::kFraction: {
      thread_local std::mt19937_64 random{std::random_device{}()};
      return (f.independent ? random() : stable_value(info)) % f.value < f.bits;
    }
    case Kind::kGrpcStatus: {
      int status = grpc_status_of(info, false).value_or(2);  // UNKNOWN
      bool listed = status < 32 && (f.bits >> status & 1);
      return listed != f.pass;
    }
    case Kind::kType:
      return (f.bits >> static_cast<int>(info.type) & 1) != f.pass;
    case Kind::kMetadata:
      return f.pass;
  }
  return true;
}

}  // namespace fairlead::proxy
