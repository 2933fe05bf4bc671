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
  selector      WorkloadSelector # Workloads that this is for; all of the namespace when not set.

type MutualTLS
  mode enum(UNSET|DISABLE|PERMISSIVE|STRICT) # STRICT only takes mutual TLS, PERMISSIVE also plain text.

type RequestAuthentication  # Which JSON web tokens are accepted.
  apiVersion string                          # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                          # Kind of this object.
  metadata   ObjectMeta                      # Name, namespace, labels and what else every object carries.
  spec       RequestAuthenticationSpec inert # What is wanted.
  status     IstioStatus                     # What was last observed; written by controllers.

type RequestAuthenticationSpec
  jwtRules   []JwtRule        # Tokens that are taken.
  selector   WorkloadSelector # Workloads that this is for; all of the namespace when not set.
  targetRef  TargetRef        # The object that this is for.
  targetRefs []TargetRef      # The objects that this is for.

type JwtRule
  audiences             []string              # Audiences of which a token must name one.
  forwardOriginalToken  bool                  # Whether the token goes on to the application.
  fromCookies           []string              # Cookies that the token may be in.
  fromHeaders           []FromHeader          # Header fields that the token may be in.
  fromParams            []string              # Query parameters that the token may be in.
  issuer                string                # Who signs the tokens (iss).
  jwks                  string                # The keys themselves.
  jwks_uri              string
  jwksUri               string                # Where the keys are.
  outputClaimToHeaders  []OutputClaimToHeader # Claims to hand on in header fields.
  outputPayloadToHeader string                # Field to hand on the token's content in, in base64.
  presence              enum(OPTIONAL|REQUIRED)
  spaceDelimitedClaims  []string
  timeout               duration              # Time for fetching the keys.

type FromHeader
  name   string ! # Name of the field.
  prefix string   # What stands before the token.

type OutputClaimToHeader
  claim  string ! # Name of the claim.
  header string ! # Field that gets it.

type AuthorizationPolicy  # Who may do what.
  apiVersion string                        # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                        # Kind of this object.
  metadata   ObjectMeta                    # Name, namespace, labels and what else every object carries.
  spec       AuthorizationPolicySpec inert # What is wanted.
  status     IstioStatus                   # What was last observed; written by controllers.

type AuthorizationPolicySpec
  action     enum(ALLOW|DENY|AUDIT|CUSTOM) # ALLOW, DENY, AUDIT or CUSTOM.
  provider   NamedMatch oneof=kind         # Who decides, for CUSTOM.
  rules      []Rule                        # Requests that the action is for.
  selector   WorkloadSelector              # Workloads that this holds for.
  targetRef  TargetRef                     # The object that this is for.
  targetRefs []TargetRef                   # The objects that this is for.

type Rule
  from []RuleFrom        # Sources, of which one has to match; none: any.
  to   []RuleTo          # Operations, of which one has to match; none: any.
  when []PolicyCondition # More conditions, all of which have to hold.

type RuleFrom
  source Source # The source.

type Source
  ipBlocks             []string # Addresses of the connection, with a prefix length if need be.
  namespaces           []string # Namespaces of the client's identity.
  notIpBlocks          []string # Addresses that do not match.
  notNamespaces        []string # Namespaces that do not match.
  notPrincipals        []string # Identities that do not match.
  notRemoteIpBlocks    []string # Original addresses that do not match.
  notRequestPrincipals []string # Identities of tokens that do not match.
  notServiceAccounts   []string # ServiceAccounts that do not match.
  notTrustDomains      []string
  principals           []string # Identities of the client's certificate: cluster.local/ns/NAMESPACE/sa/ACCOUNT.
  remoteIpBlocks       []string # Original addresses of clients, as X-Forwarded-For or the PROXY protocol say.
  requestPrincipals    []string # Identities of the token: ISSUER/SUBJECT.
  serviceAccounts      []string # ServiceAccounts of the client: NAMESPACE/NAME or NAME.
  trustDomains         []string

type RuleTo
  operation Operation # The operation.

type Operation
  hosts      []string # Hosts that are asked for.
  methods    []string # Methods.
  notHosts   []string # Hosts that do not match.
  notMethods []string # Methods that do not match.
  notPaths   []string # Paths that do not match.
  notPorts   []string # Ports that do not match.
  paths      []string # Paths, with a wildcard at one end if need be.
  ports      []string # Ports.

type PolicyCondition
  key       string ! # What is compared: request.headers[NAME], source.ip, request.auth.claims[NAME] ...
  notValues []string # Values that do not match.
  values    []string # Values of which one has to match.

type Telemetry  # Access logs, metrics and traces.
  apiVersion string              # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string              # Kind of this object.
  metadata   ObjectMeta          # Name, namespace, labels and what else every object carries.
  spec       TelemetrySpec inert # What is wanted.
  status     IstioStatus         # What was last observed; written by controllers.

type TelemetrySpec
  accessLogging []AccessLogging  # What is logged.
  metrics       []Metric         # What is counted, and with which tags.
  selector      WorkloadSelector # Workloads that this is for; all of the namespace when not set.
  targetRef     TargetRef        # The object that this is for.
  targetRefs    []TargetRef      # The objects that this is for.
  tracing       []Tracing        # What is traced.

type AccessLogging
  disabled  bool        # Turns logging off.
  filter    LogFilter   # Which requests are logged.
  match     LogSelector # Which side this is for.
  providers []Provider  # Where the log goes.

type LogFilter
  expression string # A CEL expression, such as response.code >= 400.

type LogSelector
  mode enum(CLIENT_AND_SERVER|CLIENT|SERVER) # CLIENT, SERVER or both.

type Provider
  name string ! # Name of a provider in the mesh's configuration.

type Metric
  overrides         []MetricsOverride # Changes to metrics and tags.
  providers         []Provider        # Where metrics go.
  reportingInterval duration          # Time between reports of TCP connections.

type MetricsOverride
  disabled     bool           # Turns the metric off.
  match        MetricSelector # Which metric, and which side.
  tagOverrides {}TagOverride  # Changes to tags, by their names.

type MetricSelector
  customMetric string oneof=kind
  metric       enum(ALL_METRICS|REQUEST_COUNT|REQUEST_DURATION|REQUEST_SIZE|RESPONSE_SIZE|TCP_OPENED_CONNECTIONS|TCP_CLOSED_CONNECTIONS|TCP_SENT_BYTES|TCP_RECEIVED_BYTES|GRPC_REQUEST_MESSAGES|GRPC_RESPONSE_MESSAGES) oneof=kind
  mode         enum(CLIENT_AND_SERVER|CLIENT|SERVER)

type TagOverride
  operation enum(UPSERT|REMOVE)
  value     string

type Tracing
  customTags                   {}CustomTag # Tags to add to spans, by their names.
  disableContextPropagation    bool
  disableSpanReporting         bool        # Turns reports off.
  enableIstioTags              bool
  match                        LogSelector # Which side this is for.
  providers                    []Provider  # Where spans go.
  randomSamplingPercentage     double      # Part of the requests that is traced.
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
  apiVersion string                 # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                 # Kind of this object.
  metadata   ObjectMeta             # Name, namespace, labels and what else every object carries.
  spec       WasmPluginSpec ! inert # What is wanted.
  status     IstioStatus            # What was last observed; written by controllers.

type WasmPluginSpec
  failStrategy    enum(FAIL_CLOSE|FAIL_OPEN|FAIL_RELOAD)
  imagePullPolicy enum(UNSPECIFIED_POLICY|IfNotPresent|Always)
  imagePullSecret string
  match           []TrafficSelector
  phase           enum(UNSPECIFIED_PHASE|AUTHN|AUTHZ|STATS) # Where in the chain of filters it stands.
  pluginConfig    any                                       # Configuration that the module gets.
  pluginName      string
  priority        int32                                     # Order within a phase; higher comes first.
  selector        WorkloadSelector                          # Workloads that this is for; all of the namespace when not set.
  sha256          string
  targetRef       TargetRef
  targetRefs      []TargetRef
  type            enum(UNSPECIFIED_PLUGIN_TYPE|HTTP|NETWORK)
  url             string !                                  # Where the module is: oci://, https:// or file://.
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
