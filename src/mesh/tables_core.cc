// Core kinds other than Pod, and apps, coordination, events, admission, apiextensions, authentication.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kCoreTables = R"(
type Service
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       ServiceSpec
  status     ServiceStatus

type ServiceSpec
  ports                         []ServicePort merge=port map=port,protocol
  selector                      {}string
  clusterIP                     string
  clusterIPs                    []string
  type                          enum(ClusterIP|NodePort|LoadBalancer|ExternalName)
  externalIPs                   []string
  sessionAffinity               enum(ClientIP|None)
  loadBalancerIP                string
  loadBalancerSourceRanges      []string
  externalName                  string
  externalTrafficPolicy         enum(Cluster|Local)
  healthCheckNodePort           int32
  publishNotReadyAddresses      bool
  sessionAffinityConfig         SessionAffinityConfig
  ipFamilies                    []enum(IPv4|IPv6)
  ipFamilyPolicy                enum(SingleStack|PreferDualStack|RequireDualStack)
  allocateLoadBalancerNodePorts bool
  loadBalancerClass             string
  internalTrafficPolicy         enum(Cluster|Local)
  trafficDistribution           string

type ServicePort
  name        string
  protocol    enum(TCP|UDP|SCTP) ="TCP"
  appProtocol string
  port        int32 !
  targetPort  int-or-string
  nodePort    int32

type SessionAffinityConfig
  clientIP ClientIPConfig

type ClientIPConfig
  timeoutSeconds int32

type ServiceStatus
  loadBalancer LoadBalancerStatus
  conditions   []Condition merge=type map=type

type LoadBalancerStatus
  ingress []LoadBalancerIngress

type LoadBalancerIngress
  ip       string
  hostname string
  ipMode   string
  ports    []PortStatus

type PortStatus
  port     int32 !
  protocol enum(TCP|UDP|SCTP) !
  error    string

type Endpoints
  apiVersion string
  kind       string
  metadata   ObjectMeta
  subsets    []EndpointSubset

type EndpointSubset
  addresses         []EndpointAddress
  notReadyAddresses []EndpointAddress
  ports             []EndpointPort

type EndpointAddress
  ip        string !
  hostname  string
  nodeName  string
  targetRef ObjectReference

type ObjectReference
  kind            string
  namespace       string
  name            string
  uid             string
  apiVersion      string
  resourceVersion string
  fieldPath       string

type EndpointPort
  name        string
  port        int32 !
  protocol    enum(TCP|UDP|SCTP)
  appProtocol string

type Namespace
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       NamespaceSpec
  status     NamespaceStatus

type NamespaceSpec
  finalizers []string

type NamespaceStatus
  phase      string
  conditions []NamespaceCondition merge=type map=type

type NamespaceCondition
  type               string !
  status             enum(True|False|Unknown) !
  lastTransitionTime time
  reason             string
  message            string

type ConfigMap
  apiVersion string
  kind       string
  metadata   ObjectMeta
  immutable  bool
  data       {}string
  binaryData {}bytes

type Secret
  apiVersion string
  kind       string
  metadata   ObjectMeta
  immutable  bool
  data       {}bytes
  stringData {}string
  type       string

type ServiceAccount
  apiVersion                   string
  kind                         string
  metadata                     ObjectMeta
  secrets                      []ObjectReference merge=name map=name
  imagePullSecrets             []LocalObjectReference
  automountServiceAccountToken bool

type Node
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       NodeSpec
  status     NodeStatus

type NodeSpec
  podCIDR       string
  podCIDRs      []string merge set
  providerID    string
  unschedulable bool
  taints        []Taint
  configSource  NodeConfigSource
  externalID    string

type Taint
  key       string !
  value     string
  effect    enum(NoSchedule|PreferNoSchedule|NoExecute) !
  timeAdded time

type NodeConfigSource
  configMap ConfigMapNodeConfigSource

type ConfigMapNodeConfigSource
  namespace        string !
  name             string !
  uid              string
  resourceVersion  string
  kubeletConfigKey string !

type NodeStatus
  capacity        {}quantity
  allocatable     {}quantity
  phase           string
  conditions      []NodeCondition merge=type map=type
  addresses       []NodeAddress merge=type map=type
  daemonEndpoints NodeDaemonEndpoints
  nodeInfo        NodeSystemInfo
  images          []ContainerImage
  volumesInUse    []string
  volumesAttached []AttachedVolume
  config          NodeConfigStatus
  runtimeHandlers []NodeRuntimeHandler
  features        NodeFeatures

type NodeCondition
  type               string !
  status             enum(True|False|Unknown) !
  lastHeartbeatTime  time
  lastTransitionTime time
  reason             string
  message            string

type NodeAddress
  type    string !
  address string !

type NodeDaemonEndpoints
  kubeletEndpoint DaemonEndpoint

type DaemonEndpoint
  Port int32 !

type NodeSystemInfo
  machineID               string !
  systemUUID              string !
  bootID                  string !
  kernelVersion           string !
  osImage                 string !
  containerRuntimeVersion string !
  kubeletVersion          string !
  kubeProxyVersion        string !
  operatingSystem         string !
  architecture            string !
  swap                    NodeSwapStatus

type NodeSwapStatus
  capacity int64

type ContainerImage
  names     []string
  sizeBytes int64

type AttachedVolume
  name       string !
  devicePath string !

type NodeConfigStatus
  assigned      NodeConfigSource
  active        NodeConfigSource
  lastKnownGood NodeConfigSource
  error         string

type NodeRuntimeHandler
  name     string
  features NodeRuntimeHandlerFeatures

type NodeRuntimeHandlerFeatures
  recursiveReadOnlyMounts bool
  userNamespaces          bool

type NodeFeatures
  supplementalGroupsPolicy bool

type Event
  apiVersion         string
  kind               string
  metadata           ObjectMeta !
  involvedObject     ObjectReference !
  reason             string
  message            string
  source             EventSource
  firstTimestamp     time
  lastTimestamp      time
  count              int32
  type               string
  eventTime          microtime
  series             EventSeries
  action             string
  related            ObjectReference
  reportingComponent string
  reportingInstance  string

type EventSource
  component string
  host      string

type EventSeries
  count            int32
  lastObservedTime microtime

type Deployment
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       DeploymentSpec
  status     DeploymentStatus

type DeploymentSpec
  replicas                int32
  selector                LabelSelector
  template                PodTemplateSpec !
  strategy                DeploymentStrategy retain
  minReadySeconds         int32
  revisionHistoryLimit    int32
  paused                  bool
  progressDeadlineSeconds int32

type PodTemplateSpec
  metadata ObjectMeta
  spec     PodSpec

type DeploymentStrategy
  type          enum(Recreate|RollingUpdate)
  rollingUpdate RollingUpdateDeployment

type RollingUpdateDeployment
  maxUnavailable int-or-string
  maxSurge       int-or-string

type DeploymentStatus
  observedGeneration  int64
  replicas            int32
  updatedReplicas     int32
  readyReplicas       int32
  availableReplicas   int32
  unavailableReplicas int32
  terminatingReplicas int32
  conditions          []DeploymentCondition merge=type map=type
  collisionCount      int32

type DeploymentCondition
  type               string !
  status             enum(True|False|Unknown) !
  lastUpdateTime     time
  lastTransitionTime time
  reason             string
  message            string

type ReplicaSet
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       ReplicaSetSpec
  status     ReplicaSetStatus

type ReplicaSetSpec
  replicas        int32
  minReadySeconds int32
  selector        LabelSelector
  template        PodTemplateSpec

type ReplicaSetStatus
  replicas             int32 !
  fullyLabeledReplicas int32
  readyReplicas        int32
  availableReplicas    int32
  terminatingReplicas  int32
  observedGeneration   int64
  conditions           []ReplicaSetCondition merge=type map=type

type ReplicaSetCondition
  type               string !
  status             enum(True|False|Unknown) !
  lastTransitionTime time
  reason             string
  message            string

type Lease
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       LeaseSpec

type LeaseSpec
  holderIdentity       string
  leaseDurationSeconds int32
  acquireTime          microtime
  renewTime            microtime
  leaseTransitions     int32
  strategy             string
  preferredHolder      string

type EventsEvent
  apiVersion               string
  kind                     string
  metadata                 ObjectMeta
  eventTime                microtime !
  series                   EventsEventSeries
  reportingController      string
  reportingInstance        string
  action                   string
  reason                   string
  regarding                ObjectReference
  related                  ObjectReference
  note                     string
  type                     string
  deprecatedSource         EventSource
  deprecatedFirstTimestamp time
  deprecatedLastTimestamp  time
  deprecatedCount          int32

type EventsEventSeries
  count            int32 !
  lastObservedTime microtime !

type MutatingWebhookConfiguration
  apiVersion string
  kind       string
  metadata   ObjectMeta
  webhooks   []MutatingWebhook merge=name map=name

type MutatingWebhook
  name                    string !
  clientConfig            WebhookClientConfig !
  rules                   []RuleWithOperations
  failurePolicy           enum(Ignore|Fail)
  matchPolicy             enum(Exact|Equivalent)
  namespaceSelector       LabelSelector
  objectSelector          LabelSelector
  sideEffects             enum(Unknown|None|Some|NoneOnDryRun)
  timeoutSeconds          int32
  admissionReviewVersions []string !
  reinvocationPolicy      enum(Never|IfNeeded)
  matchConditions         []MatchCondition merge=name map=name

type WebhookClientConfig
  url      string
  service  ServiceReference
  caBundle bytes

type ServiceReference
  namespace string !
  name      string !
  path      string
  port      int32

type RuleWithOperations
  operations  []enum(*|CREATE|UPDATE|DELETE|CONNECT)
  apiGroups   []string
  apiVersions []string
  resources   []string
  scope       enum(Cluster|Namespaced|*)

type MatchCondition
  name       string !
  expression string !

type ValidatingWebhookConfiguration
  apiVersion string
  kind       string
  metadata   ObjectMeta
  webhooks   []ValidatingWebhook merge=name map=name

type ValidatingWebhook
  name                    string !
  clientConfig            WebhookClientConfig !
  rules                   []RuleWithOperations
  failurePolicy           enum(Ignore|Fail)
  matchPolicy             enum(Exact|Equivalent)
  namespaceSelector       LabelSelector
  objectSelector          LabelSelector
  sideEffects             enum(Unknown|None|Some|NoneOnDryRun)
  timeoutSeconds          int32
  admissionReviewVersions []string !
  matchConditions         []MatchCondition merge=name map=name

type CustomResourceDefinition
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       CustomResourceDefinitionSpec !
  status     CustomResourceDefinitionStatus

type CustomResourceDefinitionSpec
  group                 string !
  names                 CustomResourceDefinitionNames !
  scope                 enum(Cluster|Namespaced) !
  versions              []CustomResourceDefinitionVersion !
  conversion            CustomResourceConversion
  preserveUnknownFields bool

type CustomResourceDefinitionNames
  plural     string !
  singular   string
  shortNames []string
  kind       string !
  listKind   string
  categories []string

type CustomResourceDefinitionVersion
  name                     string !
  served                   bool !
  storage                  bool !
  deprecated               bool
  deprecationWarning       string
  schema                   CustomResourceValidation
  subresources             CustomResourceSubresources
  additionalPrinterColumns []CustomResourceColumnDefinition
  selectableFields         []SelectableField

type CustomResourceValidation
  openAPIV3Schema JSONSchemaProps

type JSONSchemaProps
  id                                   string
  $schema                              string
  $ref                                 string
  description                          string
  type                                 string
  format                               string
  title                                string
  default                              any
  maximum                              double
  exclusiveMaximum                     bool
  minimum                              double
  exclusiveMinimum                     bool
  maxLength                            int64
  minLength                            int64
  pattern                              string
  maxItems                             int64
  minItems                             int64
  uniqueItems                          bool
  multipleOf                           double
  enum                                 []any
  maxProperties                        int64
  minProperties                        int64
  required                             []string
  items                                any
  allOf                                []JSONSchemaProps
  oneOf                                []JSONSchemaProps
  anyOf                                []JSONSchemaProps
  not                                  JSONSchemaProps
  properties                           {}JSONSchemaProps
  additionalProperties                 any
  patternProperties                    {}JSONSchemaProps
  dependencies                         {}any
  additionalItems                      any
  definitions                          {}JSONSchemaProps
  externalDocs                         ExternalDocumentation
  example                              any
  nullable                             bool
  x-kubernetes-preserve-unknown-fields bool
  x-kubernetes-embedded-resource       bool
  x-kubernetes-int-or-string           bool
  x-kubernetes-list-map-keys           []string
  x-kubernetes-list-type               string
  x-kubernetes-map-type                string
  x-kubernetes-validations             []ValidationRule merge=rule map=rule

type ExternalDocumentation
  description string
  url         string

type ValidationRule
  rule              string !
  message           string
  messageExpression string
  reason            string
  fieldPath         string
  optionalOldSelf   bool

type CustomResourceSubresources
  status any
  scale  CustomResourceSubresourceScale

type CustomResourceSubresourceScale
  specReplicasPath   string !
  statusReplicasPath string !
  labelSelectorPath  string

type CustomResourceColumnDefinition
  name        string !
  type        string !
  format      string
  description string
  priority    int32
  jsonPath    string !

type SelectableField
  jsonPath string !

type CustomResourceConversion
  strategy enum(None|Webhook) !
  webhook  WebhookConversion

type WebhookConversion
  clientConfig             CRDWebhookClientConfig
  conversionReviewVersions []string !

type CRDWebhookClientConfig
  url      string
  service  CRDServiceReference
  caBundle bytes

type CRDServiceReference
  namespace string !
  name      string !
  path      string
  port      int32

type CustomResourceDefinitionStatus
  conditions     []CustomResourceDefinitionCondition map=type
  acceptedNames  CustomResourceDefinitionNames
  storedVersions []string

type CustomResourceDefinitionCondition
  type               string !
  status             enum(True|False|Unknown) !
  lastTransitionTime time
  reason             string
  message            string

type TokenReview
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       TokenReviewSpec !
  status     TokenReviewStatus

type TokenReviewSpec
  token     string
  audiences []string

type TokenReviewStatus
  authenticated bool
  user          UserInfo
  audiences     []string
  error         string

type UserInfo
  username string
  uid      string
  groups   []string
  extra    {}[]string

type TokenRequest
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       TokenRequestSpec !
  status     TokenRequestStatus

type TokenRequestSpec
  audiences         []string !
  expirationSeconds int64
  boundObjectRef    BoundObjectReference

type BoundObjectReference
  kind       string
  apiVersion string
  name       string
  uid        string

type TokenRequestStatus
  token               string !
  expirationTimestamp time !

)";

}  // namespace fairlead::mesh
