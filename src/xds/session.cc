#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/server.h"

namespace fairlead::xds {

namespace discovery = envoy::service::discovery::v3;

// One type of one stream.
struct Session::Subscription {
  bool started = false;
  bool wildcard = false;
  std::set<std::string> names;                             // asked for by name
  std::map<std::string, std::string, std::less<>> sent;    // what the proxy has: name -> version
  std::string nonce;                                       // of the newest response
  std::string version;                                     // of the newest response
};

namespace {

bool wildcard_type(std::string_view type) { return type == kClusterType || type == kListenerType; }

}  // namespace

std::string_view short_type(std::string_view type) {
  if (type == kClusterType) return "CDS";
  if (type == kEndpointType) return "EDS";
  if (type == kListenerType) return "LDS";
  if (type == kRouteType) return "RDS";
  if (type == kSecretType) return "SDS";
  return type;
}

Session::Session(SessionId id, Delegate& delegate, std::function<void(std::string)> send)
    : id_(id), delegate_(delegate), send_(std::move(send)) {}
Session::~Session() = default;

Session::Subscription& Session::subscription(std::string_view type) {
  auto it = subscriptions_.find(type);
  if (it == subscriptions_.end()) it = subscriptions_.emplace(type, std::make_unique<Subscription>()).first;
  return *it->second;
}

std::string Session::next_nonce() { return std::to_string(id_) + "-" + std::to_string(++nonce_); }

// Books an ACK or NACK. False when it answers an older response than the newest one.
bool Session::answered(std::string_view type, Subscription& sub, std::string_view nonce, bool has_error, std::string_view message) {
  TypeStatus& status = status_[std::string(type)];
  if (has_error) {
    ++status.nacks;
    status.nack_message = message;
    delegate_.on_nack(id_, type, sub.version, message);
  }
  if (nonce != sub.nonce) return false;
  if (!has_error) {
    status.version_acked = sub.version;
    status.nack_message.clear();
    delegate_.on_ack(id_, type, sub.version);
  }
  return true;
}

void Session::on_request(const discovery::DeltaDiscoveryRequest& request) {
  delta_ = true;
  const std::string& type = request.type_url();
  Subscription& sub = subscription(type);
  if (!request.response_nonce().empty()) answered(type, sub, request.response_nonce(), request.has_error_detail(), request.error_detail().message());

  std::set<std::string> must_send;  // newly subscribed names are answered even when the proxy had them
  bool first = !sub.started;
  sub.started = true;
  if (first) {
    for (const auto& [name, version] : request.initial_resource_versions()) sub.sent[name] = version;
    if (request.resource_names_subscribe().empty() && wildcard_type(type)) sub.wildcard = true;
  }
  bool changed = first;
  for (const auto& name : request.resource_names_subscribe()) {
    changed = true;
    if (name == "*") {
      sub.wildcard = true;
      continue;
    }
    sub.names.insert(name);
    // On a fresh stream the versions that the proxy told stand for what it has.
    if (!first || !sub.sent.contains(name)) must_send.insert(name);
  }
  for (const auto& name : request.resource_names_unsubscribe()) {
    if (name == "*") {
      sub.wildcard = false;
      continue;
    }
    sub.names.erase(name);
    if (!sub.wildcard) sub.sent.erase(name);
  }
  if (changed) send_delta(type, sub, must_send);
}

void Session::on_request(const discovery::DiscoveryRequest& request) {
  const std::string& type = request.type_url();
  Subscription& sub = subscription(type);
  if (!request.response_nonce().empty()) {
    if (!answered(type, sub, request.response_nonce(), request.has_error_detail(), request.error_detail().message()) && sub.started) return;
  }
  std::set<std::string> names(request.resource_names().begin(), request.resource_names().end());
  bool wildcard = names.erase("*") > 0 || (names.empty() && wildcard_type(type));
  bool changed = !sub.started || names != sub.names || wildcard != sub.wildcard;
  sub.started = true;
  sub.names = std::move(names);
  sub.wildcard = wildcard;
  // A stream that begins with a nonce is a proxy that comes back; it is answered like a new one.
  if (changed) send_sotw(type, sub, true);
}

void Session::push(const std::set<std::string_view>& types) {
  bool clusters_to_remove = false;
  auto one = [&](std::string_view type) {
    auto it = subscriptions_.find(type);
    if (it == subscriptions_.end() || !it->second->started) return;
    if (!types.empty() && !types.contains(type)) return;
    if (!delta_) return send_sotw(type, *it->second, false);
    // Clusters go only after the routes that led to them.
    if (type == kClusterType) clusters_to_remove = send_delta(type, *it->second, {}, false);
    else send_delta(type, *it->second, {});
  };
  for (std::string_view type : kPushOrder) one(type);
  if (clusters_to_remove) send_delta(kClusterType, subscription(kClusterType), {});
  for (const auto& [type, sub] : subscriptions_) {
    bool ordered = false;
    for (std::string_view known : kPushOrder) ordered |= known == type;
    if (!ordered) one(type);
  }
}

bool Session::send_delta(std::string_view type, Subscription& sub, const std::set<std::string>& must_send, bool with_removals) {
  ResourceMap now = delegate_.generate(id_, type, sub.wildcard ? nullptr : &sub.names);
  discovery::DeltaDiscoveryResponse response;
  std::vector<std::string> changed;
  for (const auto& [name, resource] : now) {
    auto it = sub.sent.find(name);
    if (it != sub.sent.end() && it->second == resource.version && !must_send.contains(name)) continue;
    auto* r = response.add_resources();
    r->set_name(name);
    r->set_version(resource.version);
    r->mutable_resource()->set_type_url(std::string(type));
    r->mutable_resource()->set_value(*resource.bytes);
    sub.sent[name] = resource.version;
    changed.push_back(name);
  }
  bool held_back = false;
  for (auto it = sub.sent.begin(); it != sub.sent.end();) {
    if (now.contains(it->first)) {
      ++it;
      continue;
    }
    if (!with_removals) {
      held_back = true;
      ++it;
      continue;
    }
    response.add_removed_resources(it->first);
    it = sub.sent.erase(it);
  }
  // A name that was asked for and is not there: say so, or the proxy waits for its time-out.
  for (const auto& name : must_send)
    if (!now.contains(name)) response.add_removed_resources(name);

  TypeStatus& status = status_[std::string(type)];
  status.resources = sub.sent.size();
  // The first request is always answered; later ones only with news.
  if (response.resources().empty() && response.removed_resources().empty() && !sub.nonce.empty()) return held_back;
  sub.version = delegate_.version();
  sub.nonce = next_nonce();
  response.set_type_url(std::string(type));
  response.set_nonce(sub.nonce);
  response.set_system_version_info(sub.version);
  status.version_sent = sub.version;
  ++status.pushes;
  send_(response.SerializeAsString());

  // A cluster that changed warms anew and wants its endpoints again, changed or not.
  if (type == kClusterType)
    if (auto it = subscriptions_.find(kEndpointType); it != subscriptions_.end())
      for (const auto& name : changed) it->second->sent.erase(name);
  return held_back;
}

void Session::send_sotw(std::string_view type, Subscription& sub, bool always) {
  ResourceMap now = delegate_.generate(id_, type, sub.wildcard ? nullptr : &sub.names);
  std::map<std::string, std::string, std::less<>> versions;
  for (const auto& [name, resource] : now) versions[name] = resource.version;
  if (!always && versions == sub.sent) return;
  bool clusters_changed = type == kClusterType && versions != sub.sent;
  sub.sent = std::move(versions);
  sub.version = delegate_.version();
  sub.nonce = next_nonce();
  discovery::DiscoveryResponse response;
  response.set_type_url(std::string(type));
  response.set_version_info(sub.version);
  response.set_nonce(sub.nonce);
  for (const auto& [name, resource] : now) {
    auto* any = response.add_resources();
    any->set_type_url(std::string(type));
    any->set_value(*resource.bytes);
  }
  TypeStatus& status = status_[std::string(type)];
  status.resources = now.size();
  status.version_sent = sub.version;
  ++status.pushes;
  send_(response.SerializeAsString());
  if (clusters_changed)
    if (auto it = subscriptions_.find(kEndpointType); it != subscriptions_.end()) it->second->sent.clear();
}

}  // namespace fairlead::xds
