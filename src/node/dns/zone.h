// DnsZone: what the names of cluster.local mean, after the Kubernetes DNS specification (1.1.0) and CoreDNS' answers
// where it leaves a choice. An immutable value.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/dns/message.h"
#include "node/service_table.h"

namespace fairlead::node {

class DnsZone {
 public:
  // outside: names beyond the cluster that are answered here (--outside), to their IPv4 address.
  DnsZone(std::shared_ptr<const ServiceTable> table, std::string domain, std::map<std::string, std::string> outside);

  struct Found {
    bool ours = false;          // false: forward the question
    DnsReply reply;
    std::string chase;          // the last CNAME's target when it is not ours: its addresses complete the answer
  };
  Found look_up(const DnsQuestion& question) const;

 private:
  struct Service;
  void answer_service(const ServiceEntry& service, const DnsQuestion& question, const std::vector<std::string>& front, Found& found) const;
  DnsRecord soa() const;

  std::shared_ptr<const ServiceTable> table_;
  std::string domain_;
  std::map<std::string, std::string> outside_;
  std::map<std::pair<std::string, std::string>, const ServiceEntry*> services_;  // by (namespace, name)
  std::map<std::string, std::vector<std::string>> pointers_;                     // address -> names
};

// "10.96.0.1" -> "10-96-0-1"
std::string dashed_ip(std::string_view ip);

}  // namespace fairlead::node
