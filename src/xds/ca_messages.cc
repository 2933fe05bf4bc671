#include "xds/ca_messages.h"

#include <functional>

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

// Calls with each field of varint or length-delimited type; false when the bytes are no message.
bool each_field(std::string_view in, const std::function<void(unsigned field, uint64_t number, std::string_view text)>& with) {
  auto varint = [&](uint64_t& v) {
    v = 0;
    for (unsigned shift = 0; !in.empty() && shift < 64; shift += 7) {
      auto b = static_cast<unsigned char>(in[0]);
      in.remove_prefix(1);
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (!(b & 0x80)) return true;
    }
    return false;
  };
  while (!in.empty()) {
    uint64_t tag, value;
    if (!varint(tag)) return false;
    switch (tag & 7) {
      case 0:
        if (!varint(value)) return false;
        with(static_cast<unsigned>(tag >> 3), value, {});
        break;
      case 1:
      case 5: {
        size_t n = (tag & 7) == 1 ? 8 : 4;
        if (in.size() < n) return false;
        in.remove_prefix(n);
        break;
      }
      case 2:
        if (!varint(value) || value > in.size()) return false;
        with(static_cast<unsigned>(tag >> 3), 0, in.substr(0, value));
        in.remove_prefix(value);
        break;
      default:
        return false;
    }
  }
  return true;
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
  bool ok = each_field(bytes, [&](unsigned field, uint64_t number, std::string_view text) {
    if (field == 1) out.csr = text;
    if (field == 3) out.validity_seconds = static_cast<int64_t>(number);
  });
  if (!ok) return base::fail(base::Code::kInvalidArgument, "the bytes are not an IstioCertificateRequest");
  return out;
}

std::string encode_chain(const std::vector<std::string>& chain) {
  std::string out;
  for (const auto& c : chain) put_text(out, 1, c);
  return out;
}

base::Result<std::vector<std::string>> decode_chain(std::string_view bytes) {
  std::vector<std::string> out;
  bool ok = each_field(bytes, [&](unsigned field, uint64_t, std::string_view text) {
    if (field == 1) out.emplace_back(text);
  });
  if (!ok || out.size() < 2) return base::fail(base::Code::kInvalidArgument, "the CA's answer has no certificate and root");
  return out;
}

}  // namespace fairlead::xds
