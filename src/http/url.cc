#include "base/strings.h"
#include "http/client.h"

namespace fairlead::http {

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  uint16_t standard = scheme == "https" ? 443 : 80;
  if (port != standard) out += ":" + std::to_string(port);
  return out;
}

base::Result<Url> parse_url(std::string_view text) {
  using base::Code;
  Url url;
  size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos)
    return base::fail(Code::kInvalidArgument, "\"{}\" is not a URL: it must begin with http:// or https://", text);
  url.scheme = base::to_lower(text.substr(0, scheme_end));
  if (url.scheme == "ws") url.scheme = "http";
  if (url.scheme == "wss") url.scheme = "https";
  if (url.scheme != "http" && url.scheme != "https")
    return base::fail(Code::kInvalidArgument, "unsupported scheme \"{}\" in \"{}\": http and https are known", url.scheme, text);
  std::string_view rest = text.substr(scheme_end + 3);
  size_t path = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, path);
  if (size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  std::string_view target = path == std::string_view::npos ? std::string_view() : rest.substr(path);
  target = target.substr(0, target.find('#'));
  url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  for (char c : url.target)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
      return base::fail(Code::kInvalidArgument, "white space or control character in URL \"{}\"", text);

  std::string_view port;
  if (authority.starts_with('[')) {
    size_t close = authority.find(']');
    if (close == std::string_view::npos) return base::fail(Code::kInvalidArgument, "missing ] in URL \"{}\"", text);
    url.host = authority.substr(1, close - 1);
    std::string_view after = authority.substr(close + 1);
    if (!after.empty() && after.front() != ':') return base::fail(Code::kInvalidArgument, "malformed host in URL \"{}\"", text);
    if (!after.empty()) port = after.substr(1);
  } else {
    size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return base::fail(Code::kInvalidArgument, "no host in URL \"{}\"", text);
  url.port = url.scheme == "https" ? 443 : 80;
  if (!port.empty()) {
    auto n = base::to_int(port);
    if (!n || *n < 1 || *n > 65535) return base::fail(Code::kInvalidArgument, "port \"{}\" in URL \"{}\" is not 1 to 65535", port, text);
    url.port = static_cast<uint16_t>(*n);
  }
  return url;
}

}  // namespace fairlead::http
