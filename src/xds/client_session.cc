#include <algorithm>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "google/rpc/status.pb.h"
#include "xds/client.h"
#include "xds/struct_value.h"

namespace fairlead::xds {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

namespace {

constexpr int kInvalidArgument = 3;  // google.rpc.Code

void fill(const NodeIdentity& from, envoy::config::core::v3::Node& to) {
  to.set_id(from.id);
  to.set_cluster(from.cluster);
  to_struct(from.metadata, *to.mutable_metadata());
  if (!from.region.empty()) to.mutable_locality()->set_region(from.region);
  if (!from.zone.empty()) to.mutable_locality()->set_zone(from.zone);
  if (!from.sub_zone.empty()) to.mutable_locality()->set_sub_zone(from.sub_zone);
  to.set_user_agent_name(from.user_agent);
}

// The name that a state-of-the-world resource carries inside: field 1 ("name", "cluster_name") of every type in use.
// Read from the bytes, so that no type needs to be parsed here.
std::string embedded_name(std::string_view bytes) {
  size_t at = 0;
  auto varint = [&](uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; at < bytes.size() && shift < 64; shift += 7) {
      auto b = static_cast<unsigned char>(bytes[at++]);
      out |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (!(b & 0x80)) return true;
    }
    return false;
  };
  while (at < bytes.size()) {
    uint64_t tag, length;
    if (!varint(tag)) return {};
    switch (tag & 7) {
      case 0:
        if (!varint(length)) return {};
        break;
      case 1:
        at += 8;
        break;
      case 5:
        at += 4;
        break;
      case 2:
        if (!varint(length) || length > bytes.size() - at) return {};
        if (tag >> 3 == 1) return std::string(bytes.substr(at, length));
        at += length;
        break;
      default:
        return {};
    }
  }
  return {};
}

}  // namespace

ClientSession::ClientSession(NodeIdentity node, bool delta, ClientSink& sink) : node_(std::move(node)), delta_(delta), sink_(sink) {}
ClientSession::~ClientSession() = default;

void ClientSession::subscribe_all(std::string_view type_url) {
  std::string url(type_url);
  Type& type = types_[url];
  if (type.all) return;
  type.all = true;
  if (up_) request(url, type);
}

void ClientSession::subscribe(std::string_view type_url, std::set<std::string> names) {
  std::string url(type_url);
  Type& type = types_[url];
  std::vector<std::string> add, remove;
  for (const std::string& n : names)
    if (!type.names.contains(n)) add.push_back(n);
  for (const std::string& n : type.names)
    if (!names.contains(n)) remove.push_back(n);
  if (add.empty() && remove.empty()) return;
  type.names = std::move(names);
  for (const std::string& n : remove) type.known.erase(n);
  if (!up_) return;
  if (!type.requested || !delta_) return request(url, type);
  request_delta(url, add, remove, false);
}

void ClientSession::request_delta(const std::string& type_url, const std::vector<std::string>& add, const std::vector<std::string>& remove, bool first) {
  DeltaDiscoveryRequest r;
  if (!std::exchange(node_sent_, true)) fill(node_, *r.mutable_node());
  r.set_type_url(type_url);
  for (const std::string& n : add) r.add_resource_names_subscribe(n);
  for (const std::string& n : remove) r.add_resource_names_unsubscribe(n);
  if (first)
    for (auto& [name, version] : types_[type_url].known) (*r.mutable_initial_resource_versions())[name] = version;
  requests_.push_back(r.SerializeAsString());
}

void ClientSession::request(const std::string& type_url, Type& type) {
  // Nothing wanted: an empty list would mean everything.
  if (!type.all && type.names.empty() && !type.requested) return;
  if (delta_) {
    bool first = !std::exchange(type.requested, true);
    std::vector<std::string> names(type.names.begin(), type.names.end());
    return request_delta(type_url, type.all ? std::vector<std::string>{} : names, {}, first);
  }
  DiscoveryRequest r;
  if (!std::exchange(node_sent_, true)) fill(node_, *r.mutable_node());
  r.set_type_url(type_url);
  r.set_version_info(type.version);
  r.set_response_nonce(type.nonce);
  if (!type.all)
    for (const std::string& n : type.names) r.add_resource_names(n);
  type.requested = true;
  requests_.push_back(r.SerializeAsString());
}

void ClientSession::stream_started() {
  up_ = true;
  node_sent_ = false;
  requests_.clear();
  for (auto& [url, type] : types_) {
    type.requested = false;
    type.nonce.clear();
  }
  // Clusters before endpoints before listeners before routes, as servers push.
  static constexpr std::string_view kOrder[] = {"Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"};
  auto rank = [](std::string_view url) {
    size_t i = 0;
    for (; i < std::size(kOrder); ++i)
      if (url.ends_with("." + std::string(kOrder[i]))) break;
    return i;
  };
  std::vector<std::string> urls;
  for (auto& [url, type] : types_) urls.push_back(url);
  std::stable_sort(urls.begin(), urls.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  for (const std::string& url : urls) request(url, types_[url]);
}

void ClientSession::stream_ended() {
  up_ = false;
  requests_.clear();
}

std::vector<std::string> ClientSession::take_requests() { return std::exchange(requests_, {}); }

base::Status ClientSession::receive(std::string_view message) { return delta_ ? receive_delta(message) : receive_sotw(message); }

base::Status ClientSession::deliver(const ReceivedUpdate& update) {
  TypeCounters& c = counters_[update.type_url];
  base::Status status = sink_.on_update(update);
  if (status) {
    ++c.updates;
    c.version = update.version;
    c.last_error.clear();
  } else {
    ++c.rejected;
    c.last_error = status.error().text();
  }
  return status;
}

base::Status ClientSession::receive_delta(std::string_view message) {
  DeltaDiscoveryResponse r;
  if (!r.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return base::fail(base::Code::kInvalidArgument, "the server sent something that is no DeltaDiscoveryResponse");
  auto at = types_.find(r.type_url());
  ReceivedUpdate update;
  update.type_url = r.type_url();
  update.version = r.system_version_info();
  for (auto& resource : *r.mutable_resources())
    update.changed.push_back({resource.name(), resource.version(), std::move(*resource.mutable_resource()->mutable_value())});
  for (const auto& name : r.removed_resources()) update.removed.push_back(name);
  base::Status status = at == types_.end() ? base::fail(base::Code::kInvalidArgument, "nothing of type {} was asked for", r.type_url()) : deliver(update);
  DeltaDiscoveryRequest answer;
  answer.set_type_url(r.type_url());
  answer.set_response_nonce(r.nonce());
  if (status) {
    for (const auto& resource : update.changed) at->second.known[resource.name] = resource.version;
    for (const auto& name : update.removed) at->second.known.erase(name);
  } else {
    answer.mutable_error_detail()->set_code(kInvalidArgument);
    answer.mutable_error_detail()->set_message(status.error().text());
  }
  // The acknowledgement goes before what the update made us ask for.
  requests_.insert(requests_.begin(), answer.SerializeAsString());
  return {};
}

base::Status ClientSession::receive_sotw(std::string_view message) {
  DiscoveryResponse r;
  if (!r.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return base::fail(base::Code::kInvalidArgument, "the server sent something that is no DiscoveryResponse");
  auto at = types_.find(r.type_url());
  if (at == types_.end()) return base::fail(base::Code::kInvalidArgument, "nothing of type {} was asked for", r.type_url());
  Type& type = at->second;
  ReceivedUpdate update;
  update.type_url = r.type_url();
  update.version = r.version_info();
  update.complete = type.all;
  for (auto& any : *r.mutable_resources()) {
    std::string name = embedded_name(any.value());
    update.changed.push_back({std::move(name), r.version_info(), std::move(*any.mutable_value())});
  }
  type.nonce = r.nonce();
  base::Status status = deliver(update);
  DiscoveryRequest answer;
  answer.set_type_url(r.type_url());
  answer.set_response_nonce(r.nonce());
  if (status) {
    type.version = r.version_info();
  } else {
    answer.mutable_error_detail()->set_code(kInvalidArgument);
    answer.mutable_error_detail()->set_message(status.error().text());
  }
  answer.set_version_info(type.version);
  if (!type.all)
    for (const std::string& n : type.names) answer.add_resource_names(n);
  requests_.insert(requests_.begin(), answer.SerializeAsString());
  return {};
}

}  // namespace fairlead::xds
