// The downstream half of the data path: connections of clients, and the streams that an Exchange answers on.
//
// Worker thread only. The Worker owns connections; a connection owns its exchanges.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/byte_counts.h"
#include "io/transport.h"
#include "proxy/config/model.h"
#include "proxy/headers.h"
#include "proxy/stats.h"

namespace fairlead::proxy {

class Worker;
class Exchange;

// What every request on a connection knows of it. Constant once the chain was chosen.
struct ConnectionInfo {
  uint64_t id = 0;
  io::Address peer, local;        // local: the original destination where the connection was redirected
  std::string peer_text, local_text;
  std::string_view peer_ip() const {   // of peer_text
    if (!peer.is_ip()) return {};
    std::string_view text = peer_text;
    text = text.substr(0, text.rfind(':'));
    return text.starts_with('[') ? text.substr(1, text.size() - 2) : text;
  }
  std::string server_name;
  std::string_view listener_name, chain_name;  // of the connection's configuration
  const io::Transport* transport = nullptr;    // below TLS when secure: its own end's address, its descriptor
  base::TimePoint accepted{}, shaken{};        // shaken: the TLS handshake was over
  bool secure = false;
  const io::Transport* tls = nullptr;  // the connection's own, when secure
  bool original_dst = false;      // local was restored by SO_ORIGINAL_DST
  std::shared_ptr<const std::string> tlvs;     // of the PROXY header that it came with, those to be passed on; nullptr: none
  // What a filter remembers of this connection, by what it is remembered for; empty at first.
  std::shared_ptr<void>& keep(std::shared_ptr<const void> key) const {
    for (auto& [k, value] : kept)
      if (k == key) return value;
    return kept.emplace_back(std::move(key), nullptr).second;
  }
  mutable std::vector<std::pair<std::shared_ptr<const void>, std::shared_ptr<void>>> kept;
};

// Where an answer goes. One per exchange; implemented by the HTTP/1.1 connection and by HTTP/2 streams.
class DownstreamStream {
 public:
  virtual void send_interim(const ResponseHeaders& head) = 0;
  // end: nothing follows. Otherwise send_data any number of times and send_end.
  virtual void send_head(const ResponseHeaders& head, bool end) = 0;
  virtual void send_data(std::string_view bytes) = 0;
  virtual void send_end(const HeaderMap* trailers) = 0;
  virtual void reset() = 0;                     // break off; the exchange is over
  virtual void pause_request() = 0;             // stop reading the request's body
  virtual void resume_request() = 0;
  virtual size_t pending() const = 0;           // response bytes waiting for the client
  // The exchange is over on its side: it was logged and holds nothing. The connection recycles it.
  virtual void exchange_done() = 0;
  virtual void tunnel() = 0;                    // from now on bytes go both ways unframed (101, CONNECT)
  http::ByteCounts* counts = nullptr;           // of the exchange under way; as long as that lasts

 protected:
  ~DownstreamStream() = default;
};

class DownstreamConnection {
 public:
  virtual ~DownstreamConnection() = default;
  virtual void drain() = 0;                     // close when the requests in flight are answered
  virtual void close() = 0;
  virtual const ListenerConfig* listener() const { return nullptr; }
  virtual void note_buffered() {}               // adds what waits in its buffers to its statistics
  size_t index = 0;                             // in the worker's list
  const FilterChain* chain = nullptr;           // in *listener(); nullptr while it is not chosen
};

// What a connection starts with once its chain is known.
struct Accepted {
  std::unique_ptr<io::Transport> transport;
  std::shared_ptr<const ListenerConfig> listener;
  const FilterChain* chain = nullptr;           // in *listener
  ConnectionInfo info;
  std::string read_ahead;                       // bytes that the inspectors read
  ListenerStats* stats = nullptr;
  bool fresh = false;                           // nothing was read: what comes, or has come, is still to be announced
  bool draining = false;                        // what it becomes is to end as soon as it may
};
std::unique_ptr<DownstreamConnection> make_http_connection(Worker& worker, Accepted&& accepted);
std::unique_ptr<DownstreamConnection> make_h1_downstream(Worker& worker, Accepted&& accepted);
std::unique_ptr<DownstreamConnection> make_h2_downstream(Worker& worker, Accepted&& accepted);
std::unique_ptr<DownstreamConnection> make_tcp_connection(Worker& worker, Accepted&& accepted);

}  // namespace fairlead::proxy
