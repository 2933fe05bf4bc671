// networking.istio.io. Source: Istio API.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kNetworkingTables = R"(
type VirtualService
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       VirtualServiceSpec
  status     IstioStatus

type VirtualServiceSpec
  exportTo []string
  gateways []string
  hosts    []string
  http     []HTTPRoute
  tcp      []TCPRoute
  tls      []TLSRoute

type HTTPRoute
  corsPolicy       CorsPolicy
  delegate         Delegate
  directResponse   HTTPDirectResponse
  fault            HTTPFaultInjection
  headers          Headers
  match            []HTTPMatchRequest
  mirror           Destination
  mirror_percent   uint32
  mirrorPercent    uint32
  mirrorPercentage Percent
  mirrors          []HTTPMirrorPolicy
  name             string
  redirect         HTTPRedirect
  retries          HTTPRetry
  rewrite          HTTPRewrite
  route            []HTTPRouteDestination
  timeout          duration

type CorsPolicy
  allowCredentials    bool
  allowHeaders        []string
  allowMethods        []string
  allowOrigin         []string
  allowOrigins        []StringMatch
  exposeHeaders       []string
  maxAge              duration
  unmatchedPreflights enum(UNSPECIFIED|FORWARD|IGNORE)

type StringMatch
  exact  string oneof=kind
  prefix string oneof=kind
  regex  string oneof=kind

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
  abort Abort
  delay Delay

type Abort
  grpcStatus string oneof=kind
  http2Error string oneof=kind
  httpStatus int32 oneof=kind
  percentage Percent

type Percent
  value double

type Delay
  exponentialDelay duration oneof=kind
  fixedDelay       duration oneof=kind
  percent          int32
  percentage       Percent

type Headers
  request  HeaderOperations
  response HeaderOperations

type HeaderOperations
  add    {}string
  remove []string
  set    {}string

type HTTPMatchRequest
  authority       StringMatch
  gateways        []string
  headers         {}StringMatch
  ignoreUriCase   bool
  method          StringMatch
  name            string
  port            uint32
  queryParams     {}StringMatch
  scheme          StringMatch
  sourceLabels    {}string
  sourceNamespace string
  statPrefix      string
  uri             StringMatch
  withoutHeaders  {}StringMatch

type Destination
  host   string !
  port   PortSelector
  subset string

type PortSelector
  number uint32

type HTTPMirrorPolicy
  destination Destination !
  percentage  Percent

type HTTPRedirect
  authority     string
  derivePort    enum(FROM_PROTOCOL_DEFAULT|FROM_REQUEST_PORT) oneof=kind
  port          uint32 oneof=kind
  prefixRewrite string
  redirectCode  uint32
  scheme        string
  uri           string

type HTTPRetry
  attempts                 int32
  backoff                  duration
  perTryTimeout            duration
  retryIgnorePreviousHosts bool
  retryOn                  string
  retryRemoteLocalities    bool

type HTTPRewrite
  authority       string
  uri             string
  uriRegexRewrite RegexRewrite

type RegexRewrite
  match   string
  rewrite string

type HTTPRouteDestination
  destination Destination !
  headers     Headers
  weight      int32

type TCPRoute
  match []L4MatchAttributes
  route []RouteDestination

type L4MatchAttributes
  destinationSubnets []string
  gateways           []string
  port               uint32
  sourceLabels       {}string
  sourceNamespace    string
  sourceSubnet       string

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

type DestinationRule
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       DestinationRuleSpec
  status     IstioStatus

type DestinationRuleSpec
  exportTo         []string
  host             string !
  subsets          []Subset
  trafficPolicy    TrafficPolicy
  workloadSelector WorkloadSelector

type Subset
  labels        {}string
  name          string !
  trafficPolicy TrafficPolicy

type TrafficPolicy
  connectionPool    ConnectionPoolSettings
  loadBalancer      LoadBalancerSettings
  outlierDetection  OutlierDetection
  portLevelSettings []PortTrafficPolicy
  proxyProtocol     ProxyProtocol
  retryBudget       RetryBudget
  tls               ClientTLSSettings
  tunnel            Tunnel

type ConnectionPoolSettings
  http HTTPSettings
  tcp  TCPSettings

type HTTPSettings
  h2UpgradePolicy          enum(DEFAULT|DO_NOT_UPGRADE|UPGRADE)
  http1MaxPendingRequests  int32
  http2KeepAlive           HTTP2KeepAlive
  http2MaxRequests         int32
  idleTimeout              duration
  maxConcurrentStreams     int32
  maxRequestsPerConnection int32
  maxRetries               int32
  useClientProtocol        bool

type HTTP2KeepAlive
  interval duration
  timeout  duration

type TCPSettings
  connectTimeout        duration
  idleTimeout           string
  maxConnectionDuration duration
  maxConnections        int32
  tcpKeepalive          TcpKeepalive

type TcpKeepalive
  interval duration
  probes   uint32
  time     duration

type LoadBalancerSettings
  backendUtilization BackendUtilization oneof=kind
  consistentHash     ConsistentHash oneof=kind
  localityLbSetting  LocalityLbSetting
  simple             enum(UNSPECIFIED|LEAST_CONN|RANDOM|PASSTHROUGH|ROUND_ROBIN|LEAST_REQUEST) oneof=kind
  warmup             Warmup
  warmupDurationSecs duration                           #!deprecated
  zoneAwareLbSetting ZoneAwareLbSetting

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
  minimumRingSize        int64               #!deprecated
  ringHash               RingHash oneof=g1
  useSourceIp            bool oneof=g0

type HttpCookie
  attributes []Attribute
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
  baseEjectionTime               duration
  consecutive5xxErrors           uint32
  consecutiveErrors              int32
  consecutiveGatewayErrors       uint32
  consecutiveLocalOriginFailures uint32
  interval                       duration
  maxEjectionPercent             int32
  minHealthPercent               int32
  outlierDetectionHttpErrorCodes []int64
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
  mode               enum(DISABLE|SIMPLE|MUTUAL|ISTIO_MUTUAL)
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

type Gateway
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       GatewaySpec
  status     IstioStatus

type GatewaySpec
  selector {}string
  servers  []Server

type Server
  bind            string
  defaultEndpoint string
  hosts           []string !
  name            string
  port            GatewayPort !
  tls             ServerTLSSettings

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

type ServiceEntry
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       ServiceEntrySpec !
  status     IstioStatus

type ServiceEntrySpec
  addresses        []string
  endpoints        []WorkloadEntrySpec
  exportTo         []string
  hosts            []string !
  location         enum(MESH_EXTERNAL|MESH_INTERNAL)
  ports            []ServicePort
  resolution       enum(NONE|STATIC|DNS|DNS_ROUND_ROBIN|DYNAMIC_DNS)
  subjectAltNames  []string
  workloadSelector LabelsSelector

type WorkloadEntrySpec
  address        string
  labels         {}string
  locality       string
  network        string
  ports          {}uint32
  serviceAccount string
  weight         uint32

type ServicePort
  name       string !
  number     uint32 !
  protocol   string
  targetPort uint32

type LabelsSelector
  labels {}string

type WorkloadEntry
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       WorkloadEntrySpec !
  status     IstioStatus

type WorkloadGroup
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       WorkloadGroupSpec !
  status     IstioStatus

type WorkloadGroupSpec
  metadata TemplateMeta
  probe    Probe
  template WorkloadEntrySpec !

type TemplateMeta
  annotations {}string
  labels      {}string

type Probe
  exec                Exec oneof=kind
  failureThreshold    int32
  grpc                Grpc oneof=kind
  httpGet             HttpGet oneof=kind
  initialDelaySeconds int32
  periodSeconds       int32
  successThreshold    int32
  tcpSocket           TcpSocket oneof=kind
  timeoutSeconds      int32

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

type Sidecar
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       SidecarSpec
  status     IstioStatus

type SidecarSpec
  egress                []IstioEgressListener
  inboundConnectionPool ConnectionPoolSettings
  ingress               []IstioIngressListener
  outboundTrafficPolicy OutboundTrafficPolicy
  workloadSelector      LabelsSelector

type IstioEgressListener
  bind        string
  captureMode enum(DEFAULT|IPTABLES|NONE)
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
  egressProxy Destination
  mode        enum(REGISTRY_ONLY|ALLOW_ANY)

type EnvoyFilter
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       EnvoyFilterSpec
  status     IstioStatus

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

type ProxyConfig
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       ProxyConfigSpec
  status     IstioStatus

type ProxyConfigSpec
  concurrency          int32
  environmentVariables {}string
  image                Image
  selector             WorkloadSelector

type Image
  imageType string

)";

}  // namespace fairlead::mesh
