// The server's side of xDS v3, over ADS and by a stream for each type: delta and state of the world (xDS transport protocol, data-plane-api).
//
// Session is the state machine of one stream and one proxy, without I/O: decoded requests in, responses out. AdsServer
// runs sessions on gRPC streams of an http::Server. What a proxy gets is the delegate's business: it hands out named,
// versioned resources, the session works out what changed for this proxy and sends only that.
// Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "http/server.h"
#include "xds/types.h"

namespace envoy::service::discovery::v3 {
class DiscoveryRequest;
class DeltaDiscoveryRequest;
}  // namespace envoy::service::discovery::v3

namespace fairlead::xds {

// The order in which types are pushed so that nothing refers to what is not there yet.
inline constexpr std::string_view kPushOrder[] = {kClusterType, kEndpointType, kListenerType, kRouteType, kSecretType};
// "CDS", "EDS" ...; the type URL itself for others.
std::string_view short_type(std::string_view type_url);

// Serialized messages are shared between the sessions of all proxies that get the same one.
struct Resource {
  std::shared_ptr<const std::string> bytes;  // the serialized message (not the Any around it)
  std::string version;                       // equal versions: equal bytes
};
using ResourceMap = std::map<std::string, Resource, std::less<>>;  // by name

// Who asks: envoy.config.core.v3.Node, its metadata as JSON.
struct Node {
  std::string id, cluster;
  base::Value metadata;
  std::string user_agent;  // "envoy/1.40.0"
};

using SessionId = uint64_t;

class Delegate {
 public:
  // A proxy has said who it is; `caller` is what it has proved (a SPIFFE id), "" when nothing. An error ends the stream with
  // that message.
  virtual base::Status on_connect(SessionId id, const Node& node, const io::Address& peer, const std::string& caller) = 0;
  // The resources of one type for that proxy. names: those asked for; nullptr: all of them (wildcard).
  virtual ResourceMap generate(SessionId id, std::string_view type_url, const std::set<std::string>* names) = 0;
  // The version string of what generate() works from; shown to operators, opaque to proxies.
  virtual std::string version() const = 0;
  virtual void on_ack(SessionId id, std::string_view type_url, std::string_view version) { (void)id, (void)type_url, (void)version; }
  virtual void on_nack(SessionId id, std::string_view type_url, std::string_view version, std::string_view message) {
    (void)id, (void)type_url, (void)version, (void)message;
  }
  virtual void on_disconnect(SessionId id) = 0;  // only after on_connect

 protected:
  ~Delegate() = default;
};

// What is known of a subscription, for `istioctl proxy-status` and the debug pages.
struct TypeStatus {
  std::string version_sent, version_acked;
  std::string nack_message;  // of the newest answer, when it was a NACK
  size_t resources = 0;
  uint64_t pushes = 0, nacks = 0;
  bool synced() const { return version_sent == version_acked; }
};

class Session {
 public:
  // send: one serialized DiscoveryResponse or DeltaDiscoveryResponse.
  Session(SessionId id, Delegate& delegate, std::function<void(std::string)> send);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void on_request(const envoy::service::discovery::v3::DiscoveryRequest& request);
  void on_request(const envoy::service::discovery::v3::DeltaDiscoveryRequest& request);

  // Something may have changed: sends what did, for these types (all when empty) in push order.
  void push(const std::set<std::string_view>& types = {});
  const std::map<std::string, TypeStatus, std::less<>>& status() const { return status_; }

 private:
  struct Subscription;
  Subscription& subscription(std::string_view type);
  // Returns whether removals were held back (with_removals false).
  bool send_delta(std::string_view type, Subscription& sub, const std::set<std::string>& must_send, bool with_removals = true);
  void send_sotw(std::string_view type, Subscription& sub, bool always);
  bool answered(std::string_view type, Subscription& sub, std::string_view nonce, bool has_error, std::string_view message);
  std::string next_nonce();

  SessionId id_;
  Delegate& delegate_;
  std::function<void(std::string)> send_;
  bool delta_ = false;
  uint64_t nonce_ = 0;
  std::map<std::string, std::unique_ptr<Subscription>, std::less<>> subscriptions_;
  std::map<std::string, TypeStatus, std::less<>> status_;
};

class AdsServer {
 public:
  AdsServer(io::Loop& loop, Delegate& delegate);
  ~AdsServer();
  AdsServer(const AdsServer&) = delete;
  AdsServer& operator=(const AdsServer&) = delete;

  // For an http::Server. Answers the two streams of AggregatedDiscoveryService and of each type's own service; other paths
  // get grpc-status UNIMPLEMENTED.
  http::Handler handler();
  // The same for a caller whose identity was checked.
  void serve(std::shared_ptr<http::Exchange> exchange, std::string caller);

  // To the proxies for which `concerns` says so (all when empty). A proxy that reads slowly gets the newest state once
  // it has caught up, not every state in between.
  void push(const std::set<std::string_view>& types = {}, const std::function<bool(SessionId)>& concerns = {});
  void disconnect(SessionId id);
  // Ends every stream with UNAVAILABLE, so that proxies go elsewhere.
  void close_all();

  struct View {
    SessionId id;
    Node node;
    io::Address peer;
    std::map<std::string, TypeStatus, std::less<>> types;
  };
  std::vector<View> sessions() const;

 private:
  struct Stream;
  io::Loop& loop_;
  Delegate& delegate_;
  SessionId next_id_ = 0;
  std::map<SessionId, std::shared_ptr<Stream>> streams_;
};

}  // namespace fairlead::xds
