// DnsServer: the node's DNS, 10.96.0.10:53 over UDP and TCP. cluster.local from the service table, outside names of
// --outside, everything else forwarded.
//
// Loop thread only. Owner: the node.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "io/loop.h"
#include "io/transport.h"
#include "node/dns/zone.h"
#include "node/node.h"

namespace fairlead::node {

// Sends one DNS packet to a resolver of the host and calls back once with its answer (same id), or an error.
using DnsForwarder = std::function<void(std::string packet, std::function<void(base::Result<std::string>)>)>;

class DnsServer final : public ServiceSink {
 public:
  // Opens the sockets. forward may be empty: names beyond the cluster then get SERVFAIL.
  static base::Result<std::unique_ptr<DnsServer>> open(io::Loop& loop, const io::Address& at, std::map<std::string, std::string> outside,
                                                       DnsForwarder forward);
  ~DnsServer() override;

  void apply(std::shared_ptr<const ServiceTable> table) override;

  // Answers one packet; reply runs once (maybe later). udp: replies are cut to what the client takes.
  void answer(std::string_view packet, bool udp, std::function<void(std::string)> reply);

 private:
  struct TcpClient;
  DnsServer(io::Loop& loop, std::map<std::string, std::string> outside, DnsForwarder forward);
  void on_udp();

  io::Loop& loop_;
  std::map<std::string, std::string> outside_;
  DnsForwarder forward_;
  std::unique_ptr<DnsZone> zone_;
  io::Fd udp_;
  std::unique_ptr<io::FdWatch> udp_watch_;
  std::unique_ptr<io::Acceptor> acceptor_;
  std::list<std::unique_ptr<TcpClient>> clients_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fairlead::node
