// The client's side of xDS v3, over ADS or a stream of one type: delta (Istio's default) and state of the world (xDS transport protocol).
//
// ClientSession is the state machine of the subscriptions, without I/O: messages in, requests out. AdsClient runs it on
// a gRPC stream and comes back with back-off and jitter when the stream ends.
// Loop thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "http/client.h"

namespace fairlead::xds {

struct ReceivedResource {
  std::string name, version;
  std::string bytes;             // serialized message, without the Any around it
};

// One response, decoded.
struct ReceivedUpdate {
  std::string type_url;
  std::string version;           // of the response
  std::vector<ReceivedResource> changed;
  std::vector<std::string> removed;
  bool complete = false;         // state of the world: of a wildcard type, what is not in `changed` is gone
};

class ClientSink {
 public:
  // An error refuses the whole update (NACK); its text goes to the server.
  virtual base::Status on_update(const ReceivedUpdate& update) = 0;
  virtual void on_stream(bool up, std::string_view reason) { (void)up, (void)reason; }

 protected:
  ~ClientSink() = default;
};

struct NodeIdentity {
  std::string id, cluster;
  base::Value metadata = base::Value::object();
  std::string region, zone, sub_zone;
  std::string user_agent = "fairlead";
};

struct TypeCounters {
  uint64_t updates = 0, rejected = 0;
  std::string version, last_error;
};

class ClientSession {
 public:
  ClientSession(NodeIdentity node, bool delta, ClientSink& sink);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // Subscribes to everything of a type. Kept over streams.
  void subscribe_all(std::string_view type_url);
  // Exactly these names of a type from now on.
  void subscribe(std::string_view type_url, std::set<std::string> names);

  void stream_started();                    // queues the first requests, with what is known already
  void stream_ended();
  base::Status receive(std::string_view message);  // an error: the stream can not be used any longer
  std::vector<std::string> take_requests(); // serialized, in order, to be sent now
  const std::map<std::string, TypeCounters>& counters() const { return counters_; }
  bool delta() const { return delta_; }

 private:
  struct Type {
    bool all = false;
    std::set<std::string> names;            // wanted
    std::map<std::string, std::string> known;  // resource -> version, as accepted
    std::string version, nonce;             // state of the world
    bool requested = false;                 // on this stream
  };
  void request(const std::string& type_url, Type& type);
  void request_delta(const std::string& type_url, const std::vector<std::string>& add, const std::vector<std::string>& remove, bool first);
  base::Status receive_delta(std::string_view message);
  base::Status receive_sotw(std::string_view message);
  base::Status deliver(const ReceivedUpdate& update);

  NodeIdentity node_;
  bool delta_;
  ClientSink& sink_;
  bool up_ = false;
  bool node_sent_ = false;
  std::map<std::string, Type> types_;
  std::map<std::string, TypeCounters> counters_;
  std::vector<std::string> requests_;
};

struct AdsOptions {
  std::string host;                         // name or address of the server
  uint16_t port = 15010;
  std::shared_ptr<const io::TlsContext> tls;  // nullptr: plain text
  std::string tls_server_name;              // when it is not the host
  bool delta = true;
  NodeIdentity node;
  http::Headers headers;                    // of the stream's request
  int socket_mark = 0;                      // SO_MARK on the connection: a sidecar is not to be sent to itself
  std::shared_ptr<const io::SocketSetup> socket_setup;
  std::string unix_path;                    // instead of host and port
  std::string service;                      // "package.Service/Method"; empty: the aggregated one's
  std::string authority;                    // empty: host and port
  base::Nanos connect_timeout = std::chrono::seconds(5);
  // Instead of tls: what a connection is to be made of (http::ClientOptions::wrap).
  std::function<std::unique_ptr<io::Transport>(std::unique_ptr<io::Transport>)> wrap;
  // Runs before each connection: a token or certificate may have been renewed, the server may be another. An error: there
  // is nowhere to connect to now. kNotYet: somebody is about to find out where, so that it is asked again soon.
  std::function<base::Status(AdsOptions&)> refresh;
  static constexpr base::Code kNotYet = base::Code::kFailedPrecondition;
  // Of several servers that refresh gives one after the other, each is tried before backing off.
  size_t servers = 1;                       // set by refresh
  size_t tried = 0;                         // that failed since the last back-off, for refresh to read
  base::Nanos backoff_base = std::chrono::milliseconds(500);
  base::Nanos backoff_max = std::chrono::seconds(30);
};

class AdsClient {
 public:
  AdsClient(io::Loop& loop, AdsOptions options, ClientSink& sink);
  ~AdsClient();
  AdsClient(const AdsClient&) = delete;
  AdsClient& operator=(const AdsClient&) = delete;

  void start();
  void subscribe_all(std::string_view type_url);
  void subscribe(std::string_view type_url, std::set<std::string> names);
  bool connected() const;
  const ClientSession& session() const;

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace fairlead::xds
