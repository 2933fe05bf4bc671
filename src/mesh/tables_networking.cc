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
  allowCredentials    bool                             # Whether the real request may carry credentials.
  allowHeaders        []string                         # Header fields that the real request may have.
  allowMethods        []string                         # Methods that the real request may have.
  allowOrigin         []string                         #!use allowOrigins
  allowOrigins        []StringMatch                    # Origins that may ask; one match is enough.
  exposeHeaders       []string                         # Header fields of the answer that scripts may read.
  maxAge              duration                         # How long a preflight's answer may be kept.
  unmatchedPreflights enum(UNSPECIFIED|FORWARD|IGNORE) # What becomes of preflights of other origins: FORWARD or IGNORE.

type StringMatch
  exact  string oneof=kind # The whole value.
  prefix string oneof=kind # The beginning of the value.
  regex  string oneof=kind # An RE2 expression for the whole value.

type Delegate
  name      string # Name of the VirtualService.
  namespace string # Its namespace; that of the root when not set.

type HTTPDirectResponse
  body   HTTPBody # Body of the answer; none when not set.
  status uint32 ! # Status of the answer.

type HTTPBody
  bytes  bytes oneof=kind  # The body, in base64.
  string string oneof=kind # The body, as text.

type HTTPFaultInjection
  abort Abort # Answer requests with an error.
  delay Delay # Delay requests before they are forwarded.

type Abort
  grpcStatus string oneof=kind # gRPC status to answer with.
  http2Error string oneof=kind # Not supported; use httpStatus or grpcStatus.
  httpStatus int32 oneof=kind  # HTTP status to answer with.
  percentage Percent           # Part of the requests.

type Percent
  value double # 0.0 to 100.0.

type Delay
  exponentialDelay duration oneof=kind # Not supported; use fixedDelay.
  fixedDelay       duration oneof=kind # How long.
  percent          int32               #!use percentage
  percentage       Percent             # Part of the requests.

type Headers
  request  HeaderOperations # Fields of the request, before it is forwarded.
  response HeaderOperations # Fields of the answer, before it is returned.

type HeaderOperations
  add    {}string # Values to append to fields.
  remove []string # Fields to take away.
  set    {}string # Values to put in place of what is there.

type HTTPMatchRequest
  authority       StringMatch   # Authority (Host) of the request.
  gateways        []string      # Gateways that this match holds for.
  headers         {}StringMatch # Header fields by lower-case name.
  ignoreUriCase   bool          # Compare the path without regard to case.
  method          StringMatch   # Method of the request.
  name            string        # Name of the match, joined to the route's in logs.
  port            uint32        # Port that the client asked for.
  queryParams     {}StringMatch # Query parameters by name.
  scheme          StringMatch   # Scheme of the request.
  sourceLabels    {}string      # Labels of the client's workload.
  sourceNamespace string        # Namespace of the client's workload.
  statPrefix      string        # Prefix of statistics that count this route alone.
  uri             StringMatch   # Path of the request.
  withoutHeaders  {}StringMatch # Header fields that must not match.

type Destination
  host   string !     # Name of a service in the registry.
  port   PortSelector # Port of the service; needed when it has several.
  subset string       # Subset of that name in the DestinationRule of the host.

type PortSelector
  number uint32 # Number of the port.

type HTTPMirrorPolicy
  destination Destination ! # Where the copy goes.
  percentage  Percent       # Part of the traffic to mirror; all when not set.

type HTTPRedirect
  authority     string            # New authority.
  derivePort    enum(FROM_PROTOCOL_DEFAULT|FROM_REQUEST_PORT) oneof=kind # Where the port comes from: the scheme's default, or the request.
  port          uint32 oneof=kind # Port in the redirect.
  prefixRewrite string            # Replacement for the prefix that matched.
  redirectCode  uint32            # Status of the answer; 301 by default.
  scheme        string            # Scheme in the redirect: http or https.
  uri           string            # New path.

type HTTPRetry
  attempts                 int32      # How often to try again.
  backoff                  duration   # Least time between tries.
  perTryTimeout            duration   # Time for each try.
  retryIgnorePreviousHosts bool       # Whether a retry avoids the hosts that were tried; true by default.
  retryOn                  string     # Conditions, separated by commas.
  retryRemoteLocalities    bool inert # Whether a retry may go to another locality.

type HTTPRewrite
  authority       string       # Replaces the authority.
  uri             string       # Replaces the path, or the part that matched as prefix.
  uriRegexRewrite RegexRewrite # Replace what an expression matches in the path.

type RegexRewrite
  match   string # An RE2 expression; what it matches is replaced.
  rewrite string # Replacement, with \1 to \9 for groups.

type HTTPRouteDestination
  destination Destination ! # Where the traffic goes.
  headers     Headers       # Header fields to add, set or remove on the way there.
  weight      int32         # Part of the traffic, in relation to the sum of all weights.

type TCPRoute
  match []L4MatchAttributes # Conditions, of which one has to hold; none: every connection.
  route []RouteDestination  # Destinations with weights.

type L4MatchAttributes
  destinationSubnets []string # Addresses that were connected to, with a prefix length if need be.
  gateways           []string # Gateways that this condition holds for; those of the whole when not set.
  port               uint32   # Port that was connected to.
  sourceLabels       {}string # Labels of the client's workload.
  sourceNamespace    string   # Namespace of the client's workload.
  sourceSubnet       string   #!not used; match on the client by sourceLabels

type RouteDestination
  destination Destination ! # Service, subset and port.
  weight      int32         # Its part of the connections, in proportion to the sum.

type TLSRoute
  match []TLSMatchAttributes ! # Conditions, of which one has to hold.
  route []RouteDestination     # Destinations with weights.

type TLSMatchAttributes
  destinationSubnets []string   # Addresses that were connected to, with a prefix length if need be.
  gateways           []string   # Gateways that this condition holds for; those of the whole when not set.
  port               uint32     # Port that was connected to.
  sniHosts           []string ! # Server names that the client asks for, with a wildcard prefix if need be.
  sourceLabels       {}string   # Labels of the client's workload.
  sourceNamespace    string     # Namespace of the client's workload.

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
  proxyProtocol     ProxyProtocol inert    # Send a PROXY protocol head upstream.
  retryBudget       RetryBudget inert      # Retries allowed at a time, as a part of the requests.
  tls               ClientTLSSettings      # TLS toward the endpoints.
  tunnel            Tunnel                 # Send TCP through an HTTP proxy.

type ConnectionPoolSettings
  http HTTPSettings # Limits for HTTP.
  tcp  TCPSettings  # Limits for connections.

type HTTPSettings
  h2UpgradePolicy          enum(DEFAULT|DO_NOT_UPGRADE|UPGRADE) # Whether HTTP/1.1 is sent on as HTTP/2.
  http1MaxPendingRequests  int32                                # Most requests that wait for a connection.
  http2KeepAlive           HTTP2KeepAlive inert                 # Pings on HTTP/2 connections.
  http2MaxRequests         int32                                # Most requests at a time.
  idleTimeout              duration                             # Time after which an idle connection is closed.
  maxConcurrentStreams     int32                                # Most requests at a time on one HTTP/2 connection.
  maxRequestsPerConnection int32                                # Requests after which a connection is closed.
  maxRetries               int32                                # Most retries at a time.
  useClientProtocol        bool                                 # Send on with the protocol that the client used.

type HTTP2KeepAlive
  interval duration # Time between pings.
  timeout  duration # Time for a ping's answer.

type TCPSettings
  connectTimeout        duration     # Time to connect; 10s by default.
  idleTimeout           string       # Time without bytes after which a connection is closed.
  maxConnectionDuration duration     # Longest life of a connection.
  maxConnections        int32        # Most connections to the host.
  tcpKeepalive          TcpKeepalive # The kernel's keep-alive probes.

type TcpKeepalive
  interval duration # Time between probes.
  probes   uint32   # Probes without answer after which the connection is dead.
  time     duration # Idle time before the first probe.

type LoadBalancerSettings
  backendUtilization BackendUtilization oneof=kind inert # Weights by the load that endpoints report.
  consistentHash     ConsistentHash oneof=kind           # Keep equal requests at one endpoint.
  localityLbSetting  LocalityLbSetting inert             # Preference for endpoints that are near.
  simple             enum(UNSPECIFIED|LEAST_CONN|RANDOM|PASSTHROUGH|ROUND_ROBIN|LEAST_REQUEST) oneof=kind # Algorithm: LEAST_REQUEST, ROUND_ROBIN, RANDOM, PASSTHROUGH.
  warmup             Warmup inert                        # Less traffic for endpoints that are new.
  warmupDurationSecs duration inert #!use warmup
  zoneAwareLbSetting ZoneAwareLbSetting inert            # Preference for endpoints of the same zone.

type BackendUtilization
  errorUtilizationPenaltyPercent     uint32   # How much errors weigh.
  metricNamesForComputingUtilization []string # Reported metrics to take the load from.
  weightExpirationPeriod             string   # Age at which a report is forgotten.
  weightStabilizationPeriod          string   # Time for which an endpoint must report before it is weighed.
  weightUpdatePeriod                 string   # Time between two computations.

type ConsistentHash
  httpCookie             HttpCookie oneof=g0 # Hash of a cookie, which is set when it is missing.
  httpHeaderName         string oneof=g0     # Hash of this header field.
  httpQueryParameterName string oneof=g0     # Hash of this query parameter.
  maglev                 Maglev oneof=g1     # Spread by Maglev's table.
  minimumRingSize        int64               #!use ringHash
  ringHash               RingHash oneof=g1   # Spread by a ring; the default.
  useSourceIp            bool oneof=g0       # Hash of the client's address.

type HttpCookie
  attributes []Attribute inert # More attributes of the cookie.
  name       string !          # Name of the cookie.
  path       string            # Path of the cookie.
  ttl        string            # Its life; 0s for the session.

type Attribute
  name  string ! # Name of the attribute.
  value string   # Its value.

type Maglev
  tableSize int64 # Size of the table, a prime.

type RingHash
  minimumRingSize int64 # Fewest points on the ring.

type LocalityLbSetting
  distribute       []Distribute # Weights from one locality to others.
  enabled          bool         # Turns it on or off for this host.
  failover         []Failover   # Region that takes over for another.
  failoverPriority []string     # Labels that are compared in order to rank endpoints.

type Distribute
  from string   # Locality of the client: region/zone/sub-zone, * for any.
  to   {}uint32 # Percentages by locality; 100 together.

type Failover
  from string # Region whose endpoints fail.
  to   string # Region that takes over.

type Warmup
  aggression     double     # How the part grows; 1 for linear.
  duration       duration ! # Time until an endpoint gets its full part.
  minimumPercent double     # Part that it begins with.

type ZoneAwareLbSetting
  enabled          bool       # Turns it on or off for this host.
  failover         []Failover # Region that takes over for another.
  failoverPriority []string   # Labels that are compared in order to rank endpoints.
  minClusterSize   uint32     # Fewest endpoints for it to act.

type OutlierDetection
  baseEjectionTime               duration      # Shortest time an endpoint stays out.
  consecutive5xxErrors           uint32        # Answers of 500 and above in a row that eject an endpoint.
  consecutiveErrors              int32         # Old name of consecutiveGatewayErrors.
  consecutiveGatewayErrors       uint32        # Answers of 502, 503, 504 in a row that eject an endpoint.
  consecutiveLocalOriginFailures uint32        # Failures to connect in a row, when they are counted by themselves.
  interval                       duration      # Time between looks.
  maxEjectionPercent             int32         # Largest part of the endpoints that may be out.
  minHealthPercent               int32         # Part of healthy endpoints below which detection stops.
  outlierDetectionHttpErrorCodes []int64 inert # Statuses that count as failures.
  splitExternalLocalOriginErrors bool          # Whether failures to connect are counted by themselves.

type PortTrafficPolicy
  connectionPool   ConnectionPoolSettings # Limits for this port.
  loadBalancer     LoadBalancerSettings   # How endpoints are chosen for this port.
  outlierDetection OutlierDetection       # When endpoints that fail are left out, for this port.
  port             PortSelector           # The port that this is for.
  tls              ClientTLSSettings      # TLS to the endpoints of this port.

type ClientTLSSettings
  caCertificates     string                                   # File of the authorities that the server is verified with.
  caCrl              string                                   # File of a revocation list.
  clientCertificate  string                                   # File of the client's certificate, for MUTUAL.
  credentialName     string                                   # Secret with key, certificate and authorities, in place of files.
  insecureSkipVerify bool                                     # Takes any certificate of the server.
  mode               enum(DISABLE|SIMPLE|MUTUAL|ISTIO_MUTUAL) # DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL.
  privateKey         string                                   # File of the client's key, for MUTUAL.
  sni                string                                   # Server name to ask for.
  subjectAltNames    []string                                 # Names of which the server's certificate must have one.

type ProxyProtocol
  version enum(V1|V2) # Version of the head: V1 or V2.

type RetryBudget
  budgetInterval      string # Time over which requests are counted.
  minRetryConcurrency uint32 # Retries that are always allowed at a time.
  percent             double # Retries allowed, in percent of the requests.

type Tunnel
  protocol   string   # CONNECT or POST.
  targetHost string ! # Host at the far end.
  targetPort uint32 ! # Its port.

type WorkloadSelector
  matchLabels {}string # Labels that a pod must have, all of them.

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
  defaultEndpoint string inert      # Where traffic goes that no route takes.
  hosts           []string !        # Hosts that are served, as NAMESPACE/NAME or NAME, with a wildcard prefix if need be.
  name            string            # Name of the server, unique in the gateway.
  port            GatewayPort !     # Port to listen on.
  tls             ServerTLSSettings # TLS of the port.

type GatewayPort
  name       string ! # Name of the port.
  number     uint32 ! # Number of the port, as clients use it.
  protocol   string ! # HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.
  targetPort uint32   # Not used any more.

type ServerTLSSettings
  caCertCredentialName  string                                         # Secret with the authorities that clients are verified with.
  caCertificates        string                                         # File of the authorities that clients are verified with.
  caCrl                 string                                         # File of a revocation list.
  cipherSuites          []string                                       # Cipher suites that are taken; a safe choice when not set.
  credentialName        string                                         # Secret with key and certificate, in the gateway's namespace.
  credentialNames       []string                                       # Secrets with key and certificate, one an algorithm.
  ecdhCurves            []string                                       # Curves that are taken.
  httpsRedirect         bool                                           # Answers plain HTTP with a redirect to HTTPS.
  insecureSkipVerify    bool                                           # Takes any certificate of a client.
  maxProtocolVersion    enum(TLS_AUTO|TLSV1_0|TLSV1_1|TLSV1_2|TLSV1_3) # Highest version of TLS.
  minProtocolVersion    enum(TLS_AUTO|TLSV1_0|TLSV1_1|TLSV1_2|TLSV1_3) # Lowest version of TLS; TLSV1_2 when not set.
  mode                  enum(PASSTHROUGH|SIMPLE|MUTUAL|AUTO_PASSTHROUGH|ISTIO_MUTUAL|OPTIONAL_MUTUAL) # SIMPLE ends TLS here, MUTUAL wants a client's certificate too, PASSTHROUGH forwards by SNI.
  privateKey            string                                         # File of the server's key.
  serverCertificate     string                                         # File of the server's certificate.
  subjectAltNames       []string                                       # Names of which a client's certificate must have one.
  tlsCertificates       []TLSCertificate                               # Files of several certificates, one an algorithm.
  verifyCertificateHash []string                                       # SHA-256 of certificates that clients may have.
  verifyCertificateSpki []string                                       # SHA-256 of public keys that clients may have, in base64.

type TLSCertificate
  caCertificates    string # File of the authorities that clients are verified with.
  privateKey        string # File of the key.
  serverCertificate string # File of the certificate.

type ServiceEntry  # A service that the registry does not know by itself, often outside the mesh.
  apiVersion string             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string             # Kind of this object.
  metadata   ObjectMeta         # Name, namespace, labels and what else every object carries.
  spec       ServiceEntrySpec ! # What is wanted.
  status     IstioStatus        # What was last observed; written by controllers.

type ServiceEntrySpec
  addresses        []string                                          # Virtual addresses or CIDR blocks.
  endpoints        []WorkloadEntrySpec                               # Addresses behind the service.
  exportTo         []string                                          # Namespaces that see this: . for its own, * for all.
  hosts            []string !                                        # Names of the service.
  location         enum(MESH_EXTERNAL|MESH_INTERNAL)                 # Outside the mesh or inside.
  ports            []ServicePort map=name                            # Ports of the service.
  resolution       enum(NONE|STATIC|DNS|DNS_ROUND_ROBIN|DYNAMIC_DNS) # How addresses are found: NONE, STATIC, DNS, DNS_ROUND_ROBIN.
  subjectAltNames  []string                                          # Names of which the server's certificate must have one.
  workloadSelector LabelsSelector                                    # Pods and WorkloadEntries behind the service.

type WorkloadEntrySpec
  address        string       # Address or DNS name.
  labels         {}string     # Labels, as a pod has them.
  locality       string       # region/zone/sub-zone.
  network        string inert # Network that it is in.
  ports          {}uint32     # Port of the endpoint for each port's name of the service.
  serviceAccount string       # ServiceAccount that it runs as.
  weight         uint32       # Its part of the traffic.

type ServicePort
  name       string ! # Name; needed when there are several. Istio reads the protocol from its prefix (http-, grpc-, tcp- ...).
  number     uint32 ! # Number of the port.
  protocol   string   # TCP, UDP or SCTP.
  targetPort uint32   # Number or name of the pods' port; the service's own when not set.

type LabelsSelector
  labels {}string # Labels that a workload must have, all of them.

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
  metadata TemplateMeta        # Labels and annotations of the workloads' entries.
  probe    Probe inert         # How a workload's readiness is asked.
  template WorkloadEntrySpec ! # What the workloads' entries look like.

type TemplateMeta
  annotations {}string # Annotations.
  labels      {}string # Labels.

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
  command []string ! # Program and arguments; 0 means ready.

type Grpc
  port    uint32 # Port of gRPC's health service.
  service string # Service to ask for.

type HttpGet
  host        string       # Host to ask; the workload itself when not set.
  httpHeaders []HttpHeader # Header fields of the request.
  path        string       # Path of the request.
  port        uint32 !     # Port to ask.
  scheme      string       # HTTP or HTTPS.

type HttpHeader
  name  string # Name of the field.
  value string # Its value.

type TcpSocket
  host string   # Host to connect to; the workload itself when not set.
  port uint32 ! # Port to connect to.

type Sidecar  # What a workload's sidecar listens on and can reach.
  apiVersion string      # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string      # Kind of this object.
  metadata   ObjectMeta  # Name, namespace, labels and what else every object carries.
  spec       SidecarSpec # What is wanted.
  status     IstioStatus # What was last observed; written by controllers.

type SidecarSpec
  egress                []IstioEgressListener        # What can be reached.
  inboundConnectionPool ConnectionPoolSettings inert # Limits for what comes in.
  ingress               []IstioIngressListener inert # What is listened on.
  outboundTrafficPolicy OutboundTrafficPolicy        # What happens to traffic to unknown hosts.
  workloadSelector      LabelsSelector               # Workloads that this holds for.

type IstioEgressListener
  bind        string inert                      # Address to listen on; by interception when not set.
  captureMode enum(DEFAULT|IPTABLES|NONE) inert # How traffic comes to this listener.
  hosts       []string !                        # What is seen here, as namespace/host; ./* for the own namespace.
  port        SidecarPort                       # Port of the listener; every port of the services when not set.

type SidecarPort
  name       string # Name of the port.
  number     uint32 # Number of the port.
  protocol   string # Protocol: HTTP, HTTP2, GRPC, TCP ...
  targetPort uint32 # Not used any more.

type IstioIngressListener
  bind            string                      # Address to listen on.
  captureMode     enum(DEFAULT|IPTABLES|NONE) # How traffic comes to this listener.
  connectionPool  ConnectionPoolSettings      # Limits for this port.
  defaultEndpoint string                      # Where traffic goes: 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///PATH.
  port            SidecarPort !               # Port of the listener.
  tls             ServerTLSSettings           # TLS that ends here.

type OutboundTrafficPolicy
  egressProxy Destination inert             # Where unknown destinations are sent.
  mode        enum(REGISTRY_ONLY|ALLOW_ANY) # ALLOW_ANY lets unknown destinations pass, REGISTRY_ONLY does not.

type EnvoyFilter  # Changes to the generated proxy configuration.
  apiVersion string                # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                # Kind of this object.
  metadata   ObjectMeta            # Name, namespace, labels and what else every object carries.
  spec       EnvoyFilterSpec inert # What is wanted.
  status     IstioStatus           # What was last observed; written by controllers.

type EnvoyFilterSpec
  configPatches    []EnvoyConfigObjectPatch # What is changed, in order.
  priority         int32                    # Order among several; lower comes first.
  targetRefs       []TargetRef              # The objects that this is for.
  workloadSelector LabelsSelector           # Workloads that this is for; all of the namespace when not set.

type EnvoyConfigObjectPatch
  applyTo enum(INVALID|LISTENER|FILTER_CHAIN|NETWORK_FILTER|HTTP_FILTER|ROUTE_CONFIGURATION|VIRTUAL_HOST|HTTP_ROUTE|CLUSTER|EXTENSION_CONFIG|BOOTSTRAP|LISTENER_FILTER) # Kind of thing that is changed.
  match   EnvoyConfigObjectMatch # Which of them.
  patch   Patch                  # The change.

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
  apiVersion string                # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                # Kind of this object.
  metadata   ObjectMeta            # Name, namespace, labels and what else every object carries.
  spec       ProxyConfigSpec inert # What is wanted.
  status     IstioStatus           # What was last observed; written by controllers.

type ProxyConfigSpec
  concurrency          int32            # Worker threads of the proxy.
  environmentVariables {}string         # More environment of the proxy.
  image                Image            # Image of the proxy.
  selector             WorkloadSelector # Workloads that this is for; all of the namespace when not set.

type Image
  imageType string

)";

}  // namespace fairlead::mesh
