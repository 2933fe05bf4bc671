#include "xds/ca_messages.h"

#include "xds/wire.h"

namespace fairlead::xds {
namespace {

void put_varint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

void put_text(std::string& out, unsigned field, std::string_view text) {
  put_varint(out, field << 3 | 2);
  put_varint(out, text.size());
  out += text;
}

}  // namespace

std::string encode(const CertificateSigning& request) {
  std::string out;
  put_text(out, 1, request.csr);
  put_varint(out, 3 << 3);
  put_varint(out, static_cast<uint64_t>(request.validity_seconds));
  return out;
}

base::Result<CertificateSigning> decode_signing(std::string_view bytes) {
  CertificateSigning out;
  WireReader wire(bytes);
  while (wire.next()) {
    if (wire.field() == 1) out.csr = wire.bytes();
    if (wire.field() == 3) out.validity_seconds = static_cast<int64_t>(wire.number());
  }
  if (!wire.whole()) return base::fail(base::Code::kInvalidArgument, "the bytes are not an IstioCertificateRequest");
  return out;
}

std::string encode_chain(const std::vector<std::string>& chain) {
  std::string out;
  for (const auto& c : chain) put_text(out, 1, c);
  return out;
}

base::Result<std::vector<std::string>> decode_chain(std::string_view bytes) {
  std::vector<std::string> out;
  WireReader wire(bytes);
  while (wire.next())
    if (wire.field() == 1) out.emplace_back(wire.bytes());
  if (!wire.whole() || out.size() < 2) return base::fail(base::Code::kInvalidArgument, "the CA's answer has no certificate and root");
  return out;
}

}  // namespace fairlead::xds
