// Core kinds other than Pod, and apps, coordination, events, admission, apiextensions, authentication.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kCoreTables = R"(
type Service  # A name and an address for a set of pods.
  apiVersion string        # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string        # Kind of this object.
  metadata   ObjectMeta    # Name, namespace, labels and what else every object carries.
  spec       ServiceSpec   # What is wanted.
  status     ServiceStatus # What was last observed; written by controllers.

type ServiceSpec
  ports                         []ServicePort merge=port map=port,protocol # Ports of the service.
  selector                      {}string                           # Labels of the pods that traffic goes to.
  clusterIP                     string                             # Virtual address; None for a headless service.
  clusterIPs                    []string                           # Virtual addresses, one a family.
  type                          enum(ClusterIP|NodePort|LoadBalancer|ExternalName) # How the service can be reached: ClusterIP, NodePort, LoadBalancer or ExternalName.
  externalIPs                   []string                           # More addresses that the service is reached by.
  sessionAffinity               enum(ClientIP|None)                # ClientIP keeps a client at one pod.
  loadBalancerIP                string                             # Address asked of the load balancer; depends on the provider.
  loadBalancerSourceRanges      []string
  externalName                  string                             # Name that DNS answers with, for type ExternalName.
  externalTrafficPolicy         enum(Cluster|Local)                # Cluster, or Local for pods of the node that was reached.
  healthCheckNodePort           int32
  publishNotReadyAddresses      bool                               # Whether pods that are not ready count.
  sessionAffinityConfig         SessionAffinityConfig
  ipFamilies                    []enum(IPv4|IPv6)
  ipFamilyPolicy                enum(SingleStack|PreferDualStack|RequireDualStack)
  allocateLoadBalancerNodePorts bool
  loadBalancerClass             string
  internalTrafficPolicy         enum(Cluster|Local)                # Cluster, or Local for pods of the client's node.
  trafficDistribution           string

type ServicePort
  name        string                    # Name; needed when there are several. Istio reads the protocol from its prefix (http-, grpc-, tcp- ...).
  protocol    enum(TCP|UDP|SCTP) ="TCP" # TCP, UDP or SCTP.
  appProtocol string                    # Application protocol, e.g. http, grpc, tcp.
  port        int32 !                   # Port of the service.
  targetPort  int-or-string             # Number or name of the pods' port; the service's own when not set.
  nodePort    int32                     # Port on every node, 30000 to 32767.

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

type Endpoints  # Addresses behind a service.
  apiVersion string           # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string           # Kind of this object.
  metadata   ObjectMeta       # Name, namespace, labels and what else every object carries.
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

type Namespace  # A scope for names.
  apiVersion string          # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string          # Kind of this object.
  metadata   ObjectMeta      # Name, namespace, labels and what else every object carries.
  spec       NamespaceSpec   # What is wanted.
  status     NamespaceStatus # What was last observed; written by controllers.

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

type ConfigMap  # Configuration for pods.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  immutable  bool       # Once set the data cannot change.
  data       {}string   # Keys and text values.
  binaryData {}bytes    # Keys and binary values in base64.

type Secret  # Confidential data for pods.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  immutable  bool       # Once set the data cannot change.
  data       {}bytes    # Keys and values in base64.
  stringData {}string   # Keys and plain values; written into data.
  type       string     # What the secret is for.

type ServiceAccount  # Identity of the processes in a pod.
  apiVersion                   string                             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind                         string                             # Kind of this object.
  metadata                     ObjectMeta                         # Name, namespace, labels and what else every object carries.
  secrets                      []ObjectReference merge=name map=name
  imagePullSecrets             []LocalObjectReference
  automountServiceAccountToken bool

type Node  # The machine that pods run on.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  spec       NodeSpec   # What is wanted.
  status     NodeStatus # What was last observed; written by controllers.

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

type Event  # Something that happened to an object.
  apiVersion         string            # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind               string            # Kind of this object.
  metadata           ObjectMeta !      # Name, namespace, labels and what else every object carries.
  involvedObject     ObjectReference !
  reason             string            # One word for why.
  message            string            # A sentence for people.
  source             EventSource
  firstTimestamp     time
  lastTimestamp      time
  count              int32             # How often it happened.
  type               string            # Normal or Warning.
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

type Deployment  # Keeps a number of equal pods running and replaces them step by step when the template changes.
  apiVersion string           # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string           # Kind of this object.
  metadata   ObjectMeta       # Name, namespace, labels and what else every object carries.
  spec       DeploymentSpec   # What is wanted.
  status     DeploymentStatus # What was last observed; written by controllers.

type DeploymentSpec
  replicas                int32                     # How many pods are wanted.
  selector                LabelSelector             # Labels of the pods; must match the template and cannot change.
  template                PodTemplateSpec !         # Pod to create.
  strategy                DeploymentStrategy retain # How pods are replaced.
  minReadySeconds         int32                     # Seconds a pod has to be ready before it counts as available.
  revisionHistoryLimit    int32                     # How many old ReplicaSets are kept for undo.
  paused                  bool                      # Whether changes wait.
  progressDeadlineSeconds int32                     # Seconds without progress after which the rollout counts as failed.

type PodTemplateSpec
  metadata ObjectMeta
  spec     PodSpec

type DeploymentStrategy
  type          enum(Recreate|RollingUpdate) # Recreate ends the old pods first; RollingUpdate replaces them step by step.
  rollingUpdate RollingUpdateDeployment      # Bounds of a rolling update.

type RollingUpdateDeployment
  maxUnavailable int-or-string # Number or percentage of pods that may be missing.
  maxSurge       int-or-string # Number or percentage of pods that may exist above the wanted number.

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

type ReplicaSet  # Keeps a number of equal pods running.
  apiVersion string           # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string           # Kind of this object.
  metadata   ObjectMeta       # Name, namespace, labels and what else every object carries.
  spec       ReplicaSetSpec   # What is wanted.
  status     ReplicaSetStatus # What was last observed; written by controllers.

type ReplicaSetSpec
  replicas        int32           # How many pods are wanted.
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

type Lease  # A lock with a time limit.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  spec       LeaseSpec  # What is wanted.

type LeaseSpec
  holderIdentity       string
  leaseDurationSeconds int32
  acquireTime          microtime
  renewTime            microtime
  leaseTransitions     int32
  strategy             string
  preferredHolder      string

type EventsEvent  # Something that happened to an object.
  apiVersion               string            # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind                     string            # Kind of this object.
  metadata                 ObjectMeta        # Name, namespace, labels and what else every object carries.
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

type MutatingWebhookConfiguration  # Services that may change objects before they are stored.
  apiVersion string                             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                             # Kind of this object.
  metadata   ObjectMeta                         # Name, namespace, labels and what else every object carries.
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

type ValidatingWebhookConfiguration  # Services that may refuse objects before they are stored.
  apiVersion string                             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                             # Kind of this object.
  metadata   ObjectMeta                         # Name, namespace, labels and what else every object carries.
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

type CustomResourceDefinition  # A kind that the API serves in addition to its own.
  apiVersion string                         # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                         # Kind of this object.
  metadata   ObjectMeta                     # Name, namespace, labels and what else every object carries.
  spec       CustomResourceDefinitionSpec ! # What is wanted.
  status     CustomResourceDefinitionStatus # What was last observed; written by controllers.

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
  apiVersion string            # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string            # Kind of this object.
  metadata   ObjectMeta        # Name, namespace, labels and what else every object carries.
  spec       TokenReviewSpec ! # What is wanted.
  status     TokenReviewStatus # What was last observed; written by controllers.

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
  apiVersion string             # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string             # Kind of this object.
  metadata   ObjectMeta         # Name, namespace, labels and what else every object carries.
  spec       TokenRequestSpec ! # What is wanted.
  status     TokenRequestStatus # What was last observed; written by controllers.

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
