#include "node/dns/message.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace fairlead::node {
namespace {

constexpr size_t kHeaderBytes = 12;

uint16_t get16(std::string_view p, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(p[at]) << 8 | static_cast<unsigned char>(p[at + 1]));
}
void put16(std::string& out, unsigned v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v);
}
void put32(std::string& out, uint32_t v) {
  put16(out, v >> 16);
  put16(out, v & 0xffff);
}

std::unexpected<base::Error> malformed(std::string_view what) {
  return base::fail(base::Code::kInvalidArgument, "malformed DNS message: {}", what);
}

// Reads a name at `at` and moves it behind the name. Pointers may only point backwards, so they end.
base::Result<std::string> read_name(std::string_view packet, size_t& at) {
  std::string name;
  size_t cursor = at, lowest = at;
  bool jumped = false;
  while (true) {
    if (cursor >= packet.size()) return malformed("name runs out of the packet");
    auto length = static_cast<unsigned char>(packet[cursor]);
    if ((length & 0xc0) == 0xc0) {
      if (cursor + 1 >= packet.size()) return malformed("pointer runs out of the packet");
      size_t target = static_cast<size_t>(length & 0x3f) << 8 | static_cast<unsigned char>(packet[cursor + 1]);
      if (!jumped) at = cursor + 2;
      jumped = true;
      if (target >= lowest) return malformed("pointer forward");
      cursor = lowest = target;
      continue;
    }
    if (length & 0xc0) return malformed("unknown label type");
    if (length == 0) {
      if (!jumped) at = cursor + 1;
      return name;
    }
    if (cursor + 1 + length > packet.size()) return malformed("label runs out of the packet");
    if (!name.empty()) name += '.';
    for (size_t i = 0; i < length; ++i) name += static_cast<char>(std::tolower(static_cast<unsigned char>(packet[cursor + 1 + i])));
    if (name.size() > 253) return malformed("name is longer than 253 characters");
    cursor += 1u + length;
  }
}

// Appends names, pointing back to suffixes written before (RFC 1035 section 4.1.4).
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void name(std::string_view text) {
    while (!text.empty()) {
      std::string key(text);
      if (auto it = seen_.find(key); it != seen_.end()) {
        put16(out_, 0xc000u | it->second);
        return;
      }
      if (out_.size() < 0x4000) seen_[key] = static_cast<uint16_t>(out_.size());
      size_t dot = text.find('.');
      std::string_view label = text.substr(0, std::min<size_t>(dot, 63));
      out_ += static_cast<char>(label.size());
      out_ += label;
      text = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
    }
    out_ += '\0';
  }

  void record(const DnsRecord& r) {
    name(r.name);
    put16(out_, static_cast<unsigned>(r.type));
    put16(out_, 1);  // IN
    put32(out_, r.ttl);
    size_t length_at = out_.size();
    put16(out_, 0);
    switch (r.type) {
      case DnsType::kCname:
      case DnsType::kPtr:
      case DnsType::kNs: name(r.data); break;
      case DnsType::kSrv:
        put16(out_, r.priority);
        put16(out_, r.weight);
        put16(out_, r.port);
        Writer(out_).name(r.data);  // RFC 2782: the target is not compressed
        break;
      case DnsType::kSoa:
        name("ns.dns." + r.name);
        name("hostmaster." + r.name);
        put32(out_, 1);      // serial
        put32(out_, 7200);   // refresh
        put32(out_, 1800);   // retry
        put32(out_, 86400);  // expire
        put32(out_, 5);      // negative TTL: services come and go
        break;
      default: out_ += r.data; break;
    }
    size_t length = out_.size() - length_at - 2;
    out_[length_at] = static_cast<char>(length >> 8);
    out_[length_at + 1] = static_cast<char>(length);
  }

 private:
  std::string& out_;
  std::map<std::string, uint16_t> seen_;
};

void put_header(std::string& out, uint16_t id, unsigned flags, size_t answers, size_t authority, size_t additional) {
  put16(out, id);
  put16(out, flags);
  put16(out, 1);
  put16(out, static_cast<unsigned>(answers));
  put16(out, static_cast<unsigned>(authority));
  put16(out, static_cast<unsigned>(additional));
}

}  // namespace

std::optional<uint16_t> dns_id(std::string_view packet) {
  if (packet.size() < kHeaderBytes || (packet[2] & '\x80')) return std::nullopt;
  return get16(packet, 0);
}

base::Result<DnsQuery> parse_dns_query(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return malformed("shorter than a header");
  DnsQuery query;
  query.id = get16(packet, 0);
  query.flags = get16(packet, 2);
  if (query.flags & 0x8000) return malformed("a response where a query belongs");
  if (get16(packet, 4) != 1) return malformed("not exactly one question");
  size_t at = kHeaderBytes;
  auto name = read_name(packet, at);
  if (!name) return std::unexpected(name.error());
  if (at + 4 > packet.size()) return malformed("question is cut short");
  query.question = {std::move(*name), get16(packet, at)};
  at += 4;
  unsigned additional = get16(packet, 10);
  unsigned before = get16(packet, 6) + static_cast<unsigned>(get16(packet, 8));
  for (unsigned i = 0; i < before + additional && at < packet.size(); ++i) {
    auto owner = read_name(packet, at);
    if (!owner || at + 10 > packet.size()) break;
    if (get16(packet, at) == static_cast<uint16_t>(DnsType::kOpt)) {
      query.has_edns = true;
      query.max_udp_bytes = std::clamp<size_t>(get16(packet, at + 2), 512, 4096);
    }
    at += 10u + get16(packet, at + 8);
  }
  return query;
}

std::string build_dns_reply(const DnsQuery& query, const DnsReply& reply, size_t max_bytes) {
  // QR, opcode and RD of the query, AA, RA, code.
  unsigned flags = 0x8000u | (query.flags & 0x7900u) | (reply.authoritative ? 0x0400u : 0u) | (reply.recursion_available ? 0x0080u : 0u) |
                   static_cast<unsigned>(reply.code);
  auto build = [&](bool cut) {
    std::string out;
    size_t additional = cut ? 0 : reply.additional.size();
    put_header(out, query.id, flags | (cut ? 0x0200u : 0u), cut ? 0 : reply.answers.size(), !cut && reply.soa ? 1 : 0,
               additional + (query.has_edns ? 1 : 0));
    Writer writer(out);
    writer.name(query.question.name);
    put16(out, query.question.type);
    put16(out, 1);
    if (!cut) {
      for (const auto& r : reply.answers) writer.record(r);
      if (reply.soa) writer.record(*reply.soa);
      for (const auto& r : reply.additional) writer.record(r);
    }
    if (query.has_edns) {
      out += '\0';
      put16(out, static_cast<unsigned>(DnsType::kOpt));
      put16(out, 4096);
      put32(out, 0);
      put16(out, 0);
    }
    return out;
  };
  std::string out = build(false);
  return max_bytes && out.size() > max_bytes ? build(true) : out;
}

std::string build_dns_query(uint16_t id, std::string_view name, DnsType type) {
  std::string out;
  put_header(out, id, 0x0100, 0, 0, 0);  // RD
  Writer(out).name(name);
  put16(out, static_cast<unsigned>(type));
  put16(out, 1);
  return out;
}

base::Result<DnsAnswer> parse_dns_answer(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return malformed("shorter than a header");
  DnsAnswer answer;
  answer.code = static_cast<DnsCode>(get16(packet, 2) & 0xf);
  size_t at = kHeaderBytes;
  for (unsigned i = 0; i < get16(packet, 4); ++i) {
    auto name = read_name(packet, at);
    if (!name) return std::unexpected(name.error());
    at += 4;
  }
  for (unsigned i = 0; i < get16(packet, 6); ++i) {
    auto name = read_name(packet, at);
    if (!name) return std::unexpected(name.error());
    if (at + 10 > packet.size()) return malformed("record is cut short");
    uint16_t type = get16(packet, at), length = get16(packet, at + 8);
    uint32_t ttl = static_cast<uint32_t>(get16(packet, at + 4)) << 16 | get16(packet, at + 6);
    at += 10;
    if (at + length > packet.size()) return malformed("record data is cut short");
    bool v4 = type == static_cast<uint16_t>(DnsType::kA) && length == 4;
    bool v6 = type == static_cast<uint16_t>(DnsType::kAaaa) && length == 16;
    if (v4 || v6) answer.addresses.push_back({*name, static_cast<DnsType>(type), ttl, std::string(packet.substr(at, length))});
    at += length;
  }
  return answer;
}

}  // namespace fairlead::node
