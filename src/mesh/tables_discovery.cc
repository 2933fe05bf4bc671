// discovery.k8s.io/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kDiscoveryTables = R"(
type EndpointSlice  # Addresses behind a service, in slices.
  apiVersion  string                 # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind        string                 # Kind of this object.
  metadata    ObjectMeta             # Name, namespace, labels and what else every object carries.
  addressType enum(IPv4|IPv6|FQDN) ! # IPv4, IPv6 or FQDN.
  endpoints   []Endpoint             # The endpoints.
  ports       []EndpointPort         # Ports of all of them.

type Endpoint
  addresses          []string ! set     # Its addresses.
  conditions         EndpointConditions # Whether it is ready.
  hostname           string             # Its name.
  targetRef          ObjectReference    # Pod behind it.
  deprecatedTopology {}string
  nodeName           string             # Its node.
  zone               string             # Its zone.
  hints              EndpointHints

type EndpointConditions
  ready       bool # Whether it gets traffic.
  serving     bool # Whether it answers, also when it is ending.
  terminating bool # Whether it is ending.

type EndpointHints
  forZones []ForZone
  forNodes []ForNode

type ForZone
  name string !

type ForNode
  name string !

type EndpointPort
  name        string             # Name of the port.
  protocol    enum(TCP|UDP|SCTP) # TCP, UDP or SCTP.
  port        int32              # Number of the port.
  appProtocol string             # Application protocol.

)";

}  // namespace fairlead::mesh
