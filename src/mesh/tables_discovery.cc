// discovery.k8s.io/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kDiscoveryTables = R"(
type EndpointSlice  # Addresses behind a service, in slices.
  apiVersion  string                 # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind        string                 # Kind of this object.
  metadata    ObjectMeta             # Name, namespace, labels and what else every object carries.
  addressType enum(IPv4|IPv6|FQDN) !
  endpoints   []Endpoint
  ports       []EndpointPort

type Endpoint
  addresses          []string ! set
  conditions         EndpointConditions
  hostname           string
  targetRef          ObjectReference
  deprecatedTopology {}string
  nodeName           string
  zone               string
  hints              EndpointHints

type EndpointConditions
  ready       bool
  serving     bool
  terminating bool

type EndpointHints
  forZones []ForZone
  forNodes []ForNode

type ForZone
  name string !

type ForNode
  name string !

type EndpointPort
  name        string
  protocol    enum(TCP|UDP|SCTP)
  port        int32
  appProtocol string

)";

}  // namespace fairlead::mesh
