// DNS messages (RFC 1035), as much as a server for one zone and a forwarder need. Pure functions, no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::node {

enum class DnsType : uint16_t { kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kAaaa = 28, kSrv = 33, kOpt = 41, kAny = 255 };
enum class DnsCode : uint8_t { kOk = 0, kFormatError = 1, kServerFailure = 2, kNxDomain = 3, kNotImplemented = 4, kRefused = 5 };

struct DnsQuestion {
  std::string name;  // lower-case, no trailing dot
  uint16_t type = 0;
};

struct DnsRecord {
  std::string name;
  DnsType type = DnsType::kA;
  uint32_t ttl = 5;
  std::string data;            // A, AAAA: the raw address; CNAME, PTR: a name; SRV: target name; SOA: unused
  uint16_t priority = 0, weight = 100, port = 0;  // SRV
};

struct DnsQuery {
  uint16_t id = 0;
  uint16_t flags = 0;
  DnsQuestion question;
  size_t max_udp_bytes = 512;  // from the OPT record when there is one (RFC 6891)
  bool has_edns = false;
};

// One question; FormatError-worthy input is an error.
base::Result<DnsQuery> parse_dns_query(std::string_view packet);
// Id of a packet too broken to parse, for a FORMERR answer; nothing when not even that is there.
std::optional<uint16_t> dns_id(std::string_view packet);

struct DnsReply {
  DnsCode code = DnsCode::kOk;
  bool authoritative = false;
  bool recursion_available = true;
  std::vector<DnsRecord> answers;
  std::vector<DnsRecord> additional;
  std::optional<DnsRecord> soa;  // in the authority section of negative answers (RFC 2308)
};
// max_bytes: longer replies are cut to the header and question, with TC set. 0: no limit (TCP).
std::string build_dns_reply(const DnsQuery& query, const DnsReply& reply, size_t max_bytes);

std::string build_dns_query(uint16_t id, std::string_view name, DnsType type);
// The addresses and their lowest TTL in a reply to our own query, and its code.
struct DnsAnswer {
  DnsCode code = DnsCode::kServerFailure;
  std::vector<DnsRecord> addresses;
};
base::Result<DnsAnswer> parse_dns_answer(std::string_view packet);

}  // namespace fairlead::node
