// Any packet: parsing ends, and a query that parses can be answered.
#include "node/dns/zone.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead::node;
  std::string_view packet(reinterpret_cast<const char*>(data), size);
  if (auto query = parse_dns_query(packet)) {
    static const DnsZone zone(std::make_shared<ServiceTable>(), "cluster.local", {{"a.test", "192.0.2.1"}});
    (void)build_dns_reply(*query, zone.look_up(query->question).reply, query->max_udp_bytes);
  }
  (void)parse_dns_answer(packet);
  return 0;
}
