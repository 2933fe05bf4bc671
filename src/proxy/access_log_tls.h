// Command operators about TLS connections (%DOWNSTREAM_PEER_SUBJECT%, %UPSTREAM_TLS_VERSION% ...).
#pragma once

#include <string>
#include <string_view>

namespace fairlead::proxy {

struct StreamInfo;

bool is_tls_operator(std::string_view name);
// False: nothing to say ("-"). time_format: of ..._CERT_V_START and _END; empty: ISO 8601.
bool tls_operator(std::string_view name, std::string_view time_format, const StreamInfo& info, std::string& out);

}  // namespace fairlead::proxy
