// networking.istio.io. Source: Istio API.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kNetworkingTables = R"(
type VirtualService  # Routes for the traffic to one or more hosts.
  apiVersion string             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string             # Kind of this object.
  metadata   ObjectMeta         # Name, namespace, labels and what else every object carries.
  spec       VirtualServiceSpec # What is wanted.
  status     IstioStatus        # What was last observed; written by controllers.

type VirtualServiceSpec
  exportTo []string    # Namespaces that see this: . for its own, * for all.
  gateways []string    # Gateways, and mesh for the sidecars, that these routes hold for. Default: mesh.
  hosts    []string    # Hosts that traffic is sent to: names of services, DNS names, with a wildcard prefix if need be.
  http     []HTTPRoute # Routes for HTTP/1.1, HTTP/2 and gRPC; the first that matches is taken.
  tcp      []TCPRoute  # Routes for TCP.
  tls      []TLSRoute  # Routes for TLS that is passed through, by SNI.

type HTTPRoute  # Conditions and what happens to requests that meet them.
  corsPolicy       CorsPolicy             # Cross-origin resource sharing.
  delegate         Delegate               # VirtualService that holds the routes for this part.
  directResponse   HTTPDirectResponse     # Answer with a fixed response instead.
  fault            HTTPFaultInjection     # Delays and errors to inject.
  headers          Headers                # Header fields to add, set or remove.
  match            []HTTPMatchRequest     # Conditions, of which one has to hold; none: every request.
  mirror           Destination            # Also send the traffic there; answers are thrown away.
  mirror_percent   uint32                 #!use mirrorPercentage
  mirrorPercent    uint32                 #!use mirrorPercentage
  mirrorPercentage Percent                # Part of the traffic to mirror.
  mirrors          []HTTPMirrorPolicy     # Also send the traffic to these places.
  name             string                 # Name of the route, for logs.
  redirect         HTTPRedirect           # Answer with a redirect instead.
  retries          HTTPRetry              # When and how often a failed request is tried again.
  rewrite          HTTPRewrite            # Change path and authority before forwarding.
  route            []HTTPRouteDestination # Destinations with weights.
  timeout          duration               # Time for the whole request, retries included; none by default.

type CorsPolicy
  allowCredentials    bool
  allowHeaders        []string
  allowMethods        []string
  allowOrigin         []string                         #!use allowOrigins
  allowOrigins        []StringMatch
  exposeHeaders       []string
  maxAge              duration
  unmatchedPreflights enum(UNSPECIFIED|FORWARD|IGNORE)

type StringMatch
  exact  string oneof=kind # The whole value.
  prefix string oneof=kind # The beginning of the value.
  regex  string oneof=kind # An RE2 expression for the whole value.

type Delegate
  name      string
  namespace string

type HTTPDirectResponse
  body   HTTPBody
  status uint32 !

type HTTPBody
  bytes  bytes oneof=kind
  string string oneof=kind

type HTTPFaultInjection
  abort Abort # Answer requests with an error.
  delay Delay # Delay requests before they are forwarded.

type Abort
  grpcStatus string oneof=kind # gRPC status to answer with.
  http2Error string oneof=kind
  httpStatus int32 oneof=kind  # HTTP status to answer with.
  percentage Percent           # Part of the requests.

type Percent
  value double # 0.0 to 100.0.

type Delay
  exponentialDelay duration oneof=kind
  fixedDelay       duration oneof=kind # How long.
  percent          int32               #!use percentage
  percentage       Percent             # Part of the requests.

type Headers
  request  HeaderOperations
  response HeaderOperations

type HeaderOperations
  add    {}string
  remove []string
  set    {}string

type HTTPMatchRequest
  authority       StringMatch   # Authority (Host) of the request.
  gateways        []string      # Gateways that this match holds for.
  headers         {}StringMatch # Header fields by lower-case name.
  ignoreUriCase   bool          # Compare the path without regard to case.
  method          StringMatch   # Method of the request.
  name            string
  port            uint32        # Port that the client asked for.
  queryParams     {}StringMatch # Query parameters by name.
  scheme          StringMatch   # Scheme of the request.
  sourceLabels    {}string      # Labels of the client's workload.
  sourceNamespace string        # Namespace of the client's workload.
  statPrefix      string
  uri             StringMatch   # Path of the request.
  withoutHeaders  {}StringMatch # Header fields that must not match.

type Destination
  host   string !     # Name of a service in the registry.
  port   PortSelector # Port of the service; needed when it has several.
  subset string       # Subset of that name in the DestinationRule of the host.

type PortSelector
  number uint32

type HTTPMirrorPolicy
  destination Destination !
  percentage  Percent

type HTTPRedirect
  authority     string                             # New authority.
  derivePort    enum(FROM_PROTOCOL_DEFAULT|FROM_REQUEST_PORT) oneof=kind
  port          uint32 oneof=kind
  prefixRewrite string
  redirectCode  uint32                             # Status of the answer; 301 by default.
  scheme        string
  uri           string                             # New path.

type HTTPRetry
  attempts                 int32    # How often to try again.
  backoff                  duration # Least time between tries.
  perTryTimeout            duration # Time for each try.
  retryIgnorePreviousHosts bool
  retryOn                  string   # Conditions, separated by commas.
  retryRemoteLocalities    bool inert

type HTTPRewrite
  authority       string       # Replaces the authority.
  uri             string       # Replaces the path, or the part that matched as prefix.
  uriRegexRewrite RegexRewrite

type RegexRewrite
  match   string
  rewrite string

type HTTPRouteDestination
  destination Destination ! # Where the traffic goes.
  headers     Headers       # Header fields to add, set or remove on the way there.
  weight      int32         # Part of the traffic, in relation to the sum of all weights.

type TCPRoute
  match []L4MatchAttributes
  route []RouteDestination

type L4MatchAttributes
  destinationSubnets []string
  gateways           []string
  port               uint32
  sourceLabels       {}string
  sourceNamespace    string
  sourceSubnet       string   #!not used; match on the client by sourceLabels

type RouteDestination
  destination Destination !
  weight      int32

type TLSRoute
  match []TLSMatchAttributes !
  route []RouteDestination

type TLSMatchAttributes
  destinationSubnets []string
  gateways           []string
  port               uint32
  sniHosts           []string !
  sourceLabels       {}string
  sourceNamespace    string

type DestinationRule  # What holds for traffic to a host after routing: balancing, pools, TLS, subsets.
  apiVersion string              # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string              # Kind of this object.
  metadata   ObjectMeta          # Name, namespace, labels and what else every object carries.
  spec       DestinationRuleSpec # What is wanted.
  status     IstioStatus         # What was last observed; written by controllers.

type DestinationRuleSpec
  exportTo         []string         # Namespaces that see this: . for its own, * for all.
  host             string !         # Service of the registry.
  subsets          []Subset         # Named parts of the service's workloads, by label.
  trafficPolicy    TrafficPolicy    # What holds for all subsets.
  workloadSelector WorkloadSelector # Client workloads that this holds for.

type Subset
  labels        {}string      # Labels of the workloads that belong to it.
  name          string !      # Name that routes refer to.
  trafficPolicy TrafficPolicy # What holds for this subset, over the policy of the host.

type TrafficPolicy
  connectionPool    ConnectionPoolSettings # Limits of connections and requests.
  loadBalancer      LoadBalancerSettings   # How an endpoint is chosen.
  outlierDetection  OutlierDetection       # When endpoints that fail are left out.
  portLevelSettings []PortTrafficPolicy    # What holds for single ports.
  proxyProtocol     ProxyProtocol inert
  retryBudget       RetryBudget inert
  tls               ClientTLSSettings      # TLS toward the endpoints.
  tunnel            Tunnel inert

type ConnectionPoolSettings
  http HTTPSettings
  tcp  TCPSettings

type HTTPSettings
  h2UpgradePolicy          enum(DEFAULT|DO_NOT_UPGRADE|UPGRADE)
  http1MaxPendingRequests  int32                              # Most requests that wait for a connection.
  http2KeepAlive           HTTP2KeepAlive inert
  http2MaxRequests         int32                              # Most requests at a time.
  idleTimeout              duration                           # Time after which an idle connection is closed.
  maxConcurrentStreams     int32
  maxRequestsPerConnection int32                              # Requests after which a connection is closed.
  maxRetries               int32                              # Most retries at a time.
  useClientProtocol        bool

type HTTP2KeepAlive
  interval duration
  timeout  duration

type TCPSettings
  connectTimeout        duration     # Time to connect; 10s by default.
  idleTimeout           string
  maxConnectionDuration duration
  maxConnections        int32        # Most connections to the host.
  tcpKeepalive          TcpKeepalive

type TcpKeepalive
  interval duration
  probes   uint32
  time     duration

type LoadBalancerSettings
  backendUtilization BackendUtilization oneof=kind inert
  consistentHash     ConsistentHash oneof=kind          # Keep equal requests at one endpoint.
  localityLbSetting  LocalityLbSetting inert
  simple             enum(UNSPECIFIED|LEAST_CONN|RANDOM|PASSTHROUGH|ROUND_ROBIN|LEAST_REQUEST) oneof=kind # Algorithm: LEAST_REQUEST, ROUND_ROBIN, RANDOM, PASSTHROUGH.
  warmup             Warmup inert
  warmupDurationSecs duration inert #!use warmup
  zoneAwareLbSetting ZoneAwareLbSetting inert

type BackendUtilization
  errorUtilizationPenaltyPercent     uint32
  metricNamesForComputingUtilization []string
  weightExpirationPeriod             string
  weightStabilizationPeriod          string
  weightUpdatePeriod                 string

type ConsistentHash
  httpCookie             HttpCookie oneof=g0
  httpHeaderName         string oneof=g0
  httpQueryParameterName string oneof=g0
  maglev                 Maglev oneof=g1
  minimumRingSize        int64               #!use ringHash
  ringHash               RingHash oneof=g1
  useSourceIp            bool oneof=g0

type HttpCookie
  attributes []Attribute inert
  name       string !
  path       string
  ttl        string

type Attribute
  name  string !
  value string

type Maglev
  tableSize int64

type RingHash
  minimumRingSize int64

type LocalityLbSetting
  distribute       []Distribute
  enabled          bool
  failover         []Failover
  failoverPriority []string

type Distribute
  from string
  to   {}uint32

type Failover
  from string
  to   string

type Warmup
  aggression     double
  duration       duration !
  minimumPercent double

type ZoneAwareLbSetting
  enabled          bool
  failover         []Failover
  failoverPriority []string
  minClusterSize   uint32

type OutlierDetection
  baseEjectionTime               duration # Shortest time an endpoint stays out.
  consecutive5xxErrors           uint32   # Answers of 500 and above in a row that eject an endpoint.
  consecutiveErrors              int32    # Old name of consecutiveGatewayErrors.
  consecutiveGatewayErrors       uint32   # Answers of 502, 503, 504 in a row that eject an endpoint.
  consecutiveLocalOriginFailures uint32
  interval                       duration # Time between looks.
  maxEjectionPercent             int32    # Largest part of the endpoints that may be out.
  minHealthPercent               int32    # Part of healthy endpoints below which detection stops.
  outlierDetectionHttpErrorCodes []int64 inert
  splitExternalLocalOriginErrors bool

type PortTrafficPolicy
  connectionPool   ConnectionPoolSettings
  loadBalancer     LoadBalancerSettings
  outlierDetection OutlierDetection
  port             PortSelector
  tls              ClientTLSSettings

type ClientTLSSettings
  caCertificates     string
  caCrl              string
  clientCertificate  string
  credentialName     string
  insecureSkipVerify bool
  mode               enum(DISABLE|SIMPLE|MUTUAL|ISTIO_MUTUAL) # DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL.
  privateKey         string
  sni                string
  subjectAltNames    []string

type ProxyProtocol
  version enum(V1|V2)

type RetryBudget
  budgetInterval      string
  minRetryConcurrency uint32
  percent             double

type Tunnel
  protocol   string
  targetHost string !
  targetPort uint32 !

type WorkloadSelector
  matchLabels {}string

type Gateway  # A port at the edge of the mesh, its hosts and TLS.
  apiVersion string      # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string      # Kind of this object.
  metadata   ObjectMeta  # Name, namespace, labels and what else every object carries.
  spec       GatewaySpec # What is wanted.
  status     IstioStatus # What was last observed; written by controllers.

type GatewaySpec
  selector {}string # Labels of the gateway's pods.
  servers  []Server # Ports with hosts.

type Server
  bind            string inert      # Address to listen on.
  defaultEndpoint string inert
  hosts           []string !        # Hosts that are served, as NAMESPACE/NAME or NAME, with a wildcard prefix if need be.
  name            string
  port            GatewayPort !     # Port to listen on.
  tls             ServerTLSSettings # TLS of the port.

type GatewayPort
  name       string !
  number     uint32 !
  protocol   string !
  targetPort uint32

type ServerTLSSettings
  caCertCredentialName  string
  caCertificates        string
  caCrl                 string
  cipherSuites          []string
  credentialName        string
  credentialNames       []string
  ecdhCurves            []string
  httpsRedirect         bool
  insecureSkipVerify    bool
  maxProtocolVersion    enum(TLS_AUTO|TLSV1_0|TLSV1_1|TLSV1_2|TLSV1_3)
  minProtocolVersion    enum(TLS_AUTO|TLSV1_0|TLSV1_1|TLSV1_2|TLSV1_3)
  mode                  enum(PASSTHROUGH|SIMPLE|MUTUAL|AUTO_PASSTHROUGH|ISTIO_MUTUAL|OPTIONAL_MUTUAL)
  privateKey            string
  serverCertificate     string
  subjectAltNames       []string
  tlsCertificates       []TLSCertificate
  verifyCertificateHash []string
  verifyCertificateSpki []string

type TLSCertificate
  caCertificates    string
  privateKey        string
  serverCertificate string

type ServiceEntry  # A service that the registry does not know by itself, often outside the mesh.
  apiVersion string             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string             # Kind of this object.
  metadata   ObjectMeta         # Name, namespace, labels and what else every object carries.
  spec       ServiceEntrySpec ! # What is wanted.
  status     IstioStatus        # What was last observed; written by controllers.

type ServiceEntrySpec
  addresses        []string                           # Virtual addresses or CIDR blocks.
  endpoints        []WorkloadEntrySpec                # Addresses behind the service.
  exportTo         []string                           # Namespaces that see this: . for its own, * for all.
  hosts            []string !                         # Names of the service.
  location         enum(MESH_EXTERNAL|MESH_INTERNAL)  # Outside the mesh or inside.
  ports            []ServicePort map=name             # Ports of the service.
  resolution       enum(NONE|STATIC|DNS|DNS_ROUND_ROBIN|DYNAMIC_DNS) # How addresses are found: NONE, STATIC, DNS, DNS_ROUND_ROBIN.
  subjectAltNames  []string
  workloadSelector LabelsSelector                     # Pods and WorkloadEntries behind the service.

type WorkloadEntrySpec
  address        string
  labels         {}string
  locality       string
  network        string inert
  ports          {}uint32
  serviceAccount string
  weight         uint32

type ServicePort
  name       string ! # Name; needed when there are several. Istio reads the protocol from its prefix (http-, grpc-, tcp- ...).
  number     uint32 !
  protocol   string   # TCP, UDP or SCTP.
  targetPort uint32   # Number or name of the pods' port; the service's own when not set.

type LabelsSelector
  labels {}string

type WorkloadEntry  # A workload outside Kubernetes, such as a virtual machine.
  apiVersion string              # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string              # Kind of this object.
  metadata   ObjectMeta          # Name, namespace, labels and what else every object carries.
  spec       WorkloadEntrySpec ! # What is wanted.
  status     IstioStatus         # What was last observed; written by controllers.

type WorkloadGroup  # A template for WorkloadEntries.
  apiVersion string              # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string              # Kind of this object.
  metadata   ObjectMeta          # Name, namespace, labels and what else every object carries.
  spec       WorkloadGroupSpec ! # What is wanted.
  status     IstioStatus         # What was last observed; written by controllers.

type WorkloadGroupSpec
  metadata TemplateMeta
  probe    Probe inert
  template WorkloadEntrySpec !

type TemplateMeta
  annotations {}string
  labels      {}string

type Probe
  exec                Exec oneof=kind      # Succeeds when the command ends with 0.
  failureThreshold    int32                # Failures in a row that count as failure.
  grpc                Grpc oneof=kind      # Succeeds when the gRPC health service says SERVING.
  httpGet             HttpGet oneof=kind   # Succeeds on a status from 200 to 399.
  initialDelaySeconds int32                # Seconds after start before the first probe.
  periodSeconds       int32                # Seconds between probes.
  successThreshold    int32                # Successes in a row after a failure that count as success.
  tcpSocket           TcpSocket oneof=kind # Succeeds when the port accepts a connection.
  timeoutSeconds      int32                # Seconds after which a probe has failed.

type Exec
  command []string !

type Grpc
  port    uint32
  service string

type HttpGet
  host        string
  httpHeaders []HttpHeader
  path        string
  port        uint32 !
  scheme      string

type HttpHeader
  name  string
  value string

type TcpSocket
  host string
  port uint32 !

type Sidecar  # What a workload's sidecar listens on and can reach.
  apiVersion string      # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string      # Kind of this object.
  metadata   ObjectMeta  # Name, namespace, labels and what else every object carries.
  spec       SidecarSpec # What is wanted.
  status     IstioStatus # What was last observed; written by controllers.

type SidecarSpec
  egress                []IstioEgressListener  # What can be reached.
  inboundConnectionPool ConnectionPoolSettings inert
  ingress               []IstioIngressListener inert # What is listened on.
  outboundTrafficPolicy OutboundTrafficPolicy  # What happens to traffic to unknown hosts.
  workloadSelector      LabelsSelector         # Workloads that this holds for.

type IstioEgressListener
  bind        string inert
  captureMode enum(DEFAULT|IPTABLES|NONE) inert
  hosts       []string !
  port        SidecarPort

type SidecarPort
  name       string
  number     uint32
  protocol   string
  targetPort uint32

type IstioIngressListener
  bind            string
  captureMode     enum(DEFAULT|IPTABLES|NONE)
  connectionPool  ConnectionPoolSettings
  defaultEndpoint string
  port            SidecarPort !
  tls             ServerTLSSettings

type OutboundTrafficPolicy
  egressProxy Destination inert
  mode        enum(REGISTRY_ONLY|ALLOW_ANY)

type EnvoyFilter  # Changes to the generated proxy configuration.
  apiVersion string          # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string          # Kind of this object.
  metadata   ObjectMeta      # Name, namespace, labels and what else every object carries.
  spec       EnvoyFilterSpec inert # What is wanted.
  status     IstioStatus     # What was last observed; written by controllers.

type EnvoyFilterSpec
  configPatches    []EnvoyConfigObjectPatch
  priority         int32
  targetRefs       []TargetRef
  workloadSelector LabelsSelector

type EnvoyConfigObjectPatch
  applyTo enum(INVALID|LISTENER|FILTER_CHAIN|NETWORK_FILTER|HTTP_FILTER|ROUTE_CONFIGURATION|VIRTUAL_HOST|HTTP_ROUTE|CLUSTER|EXTENSION_CONFIG|BOOTSTRAP|LISTENER_FILTER)
  match   EnvoyConfigObjectMatch
  patch   Patch

type EnvoyConfigObjectMatch
  cluster            ClusterMatch oneof=kind
  context            enum(ANY|SIDECAR_INBOUND|SIDECAR_OUTBOUND|GATEWAY|WAYPOINT)
  listener           ListenerMatch oneof=kind
  proxy              ProxyMatch
  routeConfiguration RouteConfigurationMatch oneof=kind
  waypoint           WaypointMatch oneof=kind

type ClusterMatch
  name       string
  portNumber uint32
  service    string
  subset     string

type ListenerMatch
  filterChain    FilterChainMatch
  listenerFilter string
  name           string
  portName       string
  portNumber     uint32

type FilterChainMatch
  applicationProtocols string
  destinationPort      uint32
  filter               FilterMatch
  name                 string
  sni                  string
  transportProtocol    string
  transportSocket      string

type FilterMatch
  name      string
  subFilter NamedMatch

type NamedMatch
  name string

type ProxyMatch
  metadata     {}string
  proxyVersion string

type RouteConfigurationMatch
  gateway    string
  name       string
  portName   string
  portNumber uint32
  vhost      VirtualHostMatch

type VirtualHostMatch
  domainName string
  name       string
  route      RouteMatch

type RouteMatch
  action enum(ANY|ROUTE|REDIRECT|DIRECT_RESPONSE)
  name   string

type WaypointMatch
  filter     FilterMatch
  portNumber uint32
  route      NamedMatch

type Patch
  filterClass enum(UNSPECIFIED|AUTHN|AUTHZ|STATS)
  operation   enum(INVALID|MERGE|ADD|REMOVE|INSERT_BEFORE|INSERT_AFTER|INSERT_FIRST|REPLACE|MERGE_AND_REPLACE_LIST)
  value       any

type TargetRef
  group     string
  kind      string !
  name      string !
  namespace string

type ProxyConfig  # Settings of proxies.
  apiVersion string          # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string          # Kind of this object.
  metadata   ObjectMeta      # Name, namespace, labels and what else every object carries.
  spec       ProxyConfigSpec inert # What is wanted.
  status     IstioStatus     # What was last observed; written by controllers.

type ProxyConfigSpec
  concurrency          int32
  environmentVariables {}string
  image                Image
  selector             WorkloadSelector

type Image
  imageType string

)";

}  // namespace fairlead::mesh
