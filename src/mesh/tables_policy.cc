// security.istio.io, telemetry.istio.io, extensions.istio.io. Source: Istio API.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kPolicyTables = R"(
type PeerAuthentication  # Mutual TLS that workloads accept.
  apiVersion string                 # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                 # Kind of this object.
  metadata   ObjectMeta             # Name, namespace, labels and what else every object carries.
  spec       PeerAuthenticationSpec # What is wanted.
  status     IstioStatus            # What was last observed; written by controllers.

type PeerAuthenticationSpec
  mtls          MutualTLS        # Mode for all ports.
  portLevelMtls {}MutualTLS      # Mode for single ports.
  selector      WorkloadSelector

type MutualTLS
  mode enum(UNSET|DISABLE|PERMISSIVE|STRICT) # STRICT only takes mutual TLS, PERMISSIVE also plain text.

type RequestAuthentication  # Which JSON web tokens are accepted.
  apiVersion string                    # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                    # Kind of this object.
  metadata   ObjectMeta                # Name, namespace, labels and what else every object carries.
  spec       RequestAuthenticationSpec inert # What is wanted.
  status     IstioStatus               # What was last observed; written by controllers.

type RequestAuthenticationSpec
  jwtRules   []JwtRule
  selector   WorkloadSelector
  targetRef  TargetRef
  targetRefs []TargetRef

type JwtRule
  audiences             []string
  forwardOriginalToken  bool
  fromCookies           []string
  fromHeaders           []FromHeader
  fromParams            []string
  issuer                string
  jwks                  string
  jwks_uri              string
  jwksUri               string
  outputClaimToHeaders  []OutputClaimToHeader
  outputPayloadToHeader string
  presence              enum(OPTIONAL|REQUIRED)
  spaceDelimitedClaims  []string
  timeout               duration

type FromHeader
  name   string !
  prefix string

type OutputClaimToHeader
  claim  string !
  header string !

type AuthorizationPolicy  # Who may do what.
  apiVersion string                  # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                  # Kind of this object.
  metadata   ObjectMeta              # Name, namespace, labels and what else every object carries.
  spec       AuthorizationPolicySpec inert # What is wanted.
  status     IstioStatus             # What was last observed; written by controllers.

type AuthorizationPolicySpec
  action     enum(ALLOW|DENY|AUDIT|CUSTOM) # ALLOW, DENY, AUDIT or CUSTOM.
  provider   NamedMatch oneof=kind
  rules      []Rule                        # Requests that the action is for.
  selector   WorkloadSelector              # Workloads that this holds for.
  targetRef  TargetRef
  targetRefs []TargetRef

type Rule
  from []RuleFrom
  to   []RuleTo
  when []PolicyCondition

type RuleFrom
  source Source

type Source
  ipBlocks             []string
  namespaces           []string
  notIpBlocks          []string
  notNamespaces        []string
  notPrincipals        []string
  notRemoteIpBlocks    []string
  notRequestPrincipals []string
  notServiceAccounts   []string
  notTrustDomains      []string
  principals           []string
  remoteIpBlocks       []string
  requestPrincipals    []string
  serviceAccounts      []string
  trustDomains         []string

type RuleTo
  operation Operation

type Operation
  hosts      []string
  methods    []string
  notHosts   []string
  notMethods []string
  notPaths   []string
  notPorts   []string
  paths      []string
  ports      []string

type PolicyCondition
  key       string !
  notValues []string
  values    []string

type Telemetry  # Access logs, metrics and traces.
  apiVersion string        # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string        # Kind of this object.
  metadata   ObjectMeta    # Name, namespace, labels and what else every object carries.
  spec       TelemetrySpec inert # What is wanted.
  status     IstioStatus   # What was last observed; written by controllers.

type TelemetrySpec
  accessLogging []AccessLogging
  metrics       []Metric
  selector      WorkloadSelector
  targetRef     TargetRef
  targetRefs    []TargetRef
  tracing       []Tracing

type AccessLogging
  disabled  bool
  filter    LogFilter
  match     LogSelector
  providers []Provider

type LogFilter
  expression string

type LogSelector
  mode enum(CLIENT_AND_SERVER|CLIENT|SERVER)

type Provider
  name string !

type Metric
  overrides         []MetricsOverride
  providers         []Provider
  reportingInterval duration

type MetricsOverride
  disabled     bool
  match        MetricSelector
  tagOverrides {}TagOverride

type MetricSelector
  customMetric string oneof=kind
  metric       enum(ALL_METRICS|REQUEST_COUNT|REQUEST_DURATION|REQUEST_SIZE|RESPONSE_SIZE|TCP_OPENED_CONNECTIONS|TCP_CLOSED_CONNECTIONS|TCP_SENT_BYTES|TCP_RECEIVED_BYTES|GRPC_REQUEST_MESSAGES|GRPC_RESPONSE_MESSAGES) oneof=kind
  mode         enum(CLIENT_AND_SERVER|CLIENT|SERVER)

type TagOverride
  operation enum(UPSERT|REMOVE)
  value     string

type Tracing
  customTags                   {}CustomTag
  disableContextPropagation    bool
  disableSpanReporting         bool
  enableIstioTags              bool
  match                        LogSelector
  providers                    []Provider
  randomSamplingPercentage     double
  useRequestIdForTraceSampling bool

type CustomTag
  environment NamedWithDefault oneof=kind
  formatter   ValueHolder oneof=kind
  header      NamedWithDefault oneof=kind
  literal     ValueHolder oneof=kind

type NamedWithDefault
  defaultValue string
  name         string !

type ValueHolder
  value string !

type WasmPlugin  # A WebAssembly filter for proxies.
  apiVersion string           # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string           # Kind of this object.
  metadata   ObjectMeta       # Name, namespace, labels and what else every object carries.
  spec       WasmPluginSpec ! inert # What is wanted.
  status     IstioStatus      # What was last observed; written by controllers.

type WasmPluginSpec
  failStrategy    enum(FAIL_CLOSE|FAIL_OPEN|FAIL_RELOAD)
  imagePullPolicy enum(UNSPECIFIED_POLICY|IfNotPresent|Always)
  imagePullSecret string
  match           []TrafficSelector
  phase           enum(UNSPECIFIED_PHASE|AUTHN|AUTHZ|STATS)
  pluginConfig    any
  pluginName      string
  priority        int32
  selector        WorkloadSelector
  sha256          string
  targetRef       TargetRef
  targetRefs      []TargetRef
  type            enum(UNSPECIFIED_PLUGIN_TYPE|HTTP|NETWORK)
  url             string !
  verificationKey string
  vmConfig        VmConfig

type TrafficSelector
  mode  enum(UNDEFINED|CLIENT|SERVER|CLIENT_AND_SERVER)
  ports []PortNumber

type PortNumber
  number int64 !

type VmConfig
  env []Env

type Env
  name      string !
  value     string
  valueFrom enum(INLINE|HOST)

)";

}  // namespace fairlead::mesh
