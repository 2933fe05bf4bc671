#include "control/model.h"

#include <algorithm>

#include "base/strings.h"

namespace fairlead::control {

Labels labels_of(const base::Value& map) {
  Labels out;
  for (const auto& member : map.members()) out.emplace(member.key, member.value.as_string());
  return out;
}

bool subset_of(const Labels& part, const Labels& whole) {
  return std::all_of(part.begin(), part.end(), [&](const auto& entry) {
    auto it = whole.find(entry.first);
    return it != whole.end() && it->second == entry.second;
  });
}

Protocol parse_protocol(std::string_view name) {
  static constexpr std::pair<std::string_view, Protocol> kNames[] = {
      {"tcp", Protocol::kTcp}, {"udp", Protocol::kUdp}, {"http", Protocol::kHttp}, {"http2", Protocol::kHttp2},
      {"grpc", Protocol::kGrpc}, {"grpc-web", Protocol::kGrpcWeb}, {"https", Protocol::kHttps}, {"tls", Protocol::kTls},
      {"mongo", Protocol::kMongo}, {"redis", Protocol::kRedis}, {"mysql", Protocol::kMysql},
      {"http_proxy", Protocol::kHttpProxy}};
  for (const auto& [text, protocol] : kNames)
    if (base::iequals(text, name)) return protocol;
  return Protocol::kAuto;
}

Protocol kubernetes_protocol(int port, std::string_view name, std::string_view transport, std::string_view app_protocol) {
  if (transport == "UDP") return Protocol::kUdp;
  if (app_protocol == "kubernetes.io/h2c") return Protocol::kHttp2;
  if (app_protocol == "kubernetes.io/ws") return Protocol::kHttp;
  if (app_protocol == "kubernetes.io/wss") return Protocol::kHttps;
  std::string lower = base::to_lower(app_protocol.empty() ? name : app_protocol);
  if (lower.starts_with("grpc-web")) return Protocol::kGrpcWeb;
  Protocol p = parse_protocol(std::string_view(lower).substr(0, lower.find('-')));
  // Server-first protocols on their usual ports: sniffing would wait for bytes that the client never sends first.
  if (p == Protocol::kAuto && (port == 25 || port == 53 || port == 3306 || port == 27017)) return Protocol::kTcp;
  return p;
}

bool is_http(Protocol p) { return is_http2(p) || p == Protocol::kHttp || p == Protocol::kHttpProxy; }
bool is_http2(Protocol p) { return p == Protocol::kHttp2 || p == Protocol::kGrpc || p == Protocol::kGrpcWeb; }
bool is_tcp(Protocol p) { return !is_http(p) && p != Protocol::kAuto && p != Protocol::kUdp; }

bool visible(const ExportTo& to, std::string_view owner_ns, std::string_view viewer_ns) {
  if (to.empty()) return true;
  return std::any_of(to.begin(), to.end(), [&](const std::string& entry) {
    return entry == "*" || entry == viewer_ns || (entry == "." && owner_ns == viewer_ns);
  });
}

const Port* Service::port(int number) const {
  for (const auto& p : ports)
    if (p.number == number) return &p;
  return nullptr;
}

const std::string& Service::address() const {
  static const std::string kUnspecified = "0.0.0.0";
  return addresses.empty() ? kUnspecified : addresses.front();
}

}  // namespace fairlead::control
