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
  selector                      {}string              # Labels of the pods that traffic goes to.
  clusterIP                     string                # Virtual address; None for a headless service.
  clusterIPs                    []string              # Virtual addresses, one a family.
  type                          enum(ClusterIP|NodePort|LoadBalancer|ExternalName) # How the service can be reached: ClusterIP, NodePort, LoadBalancer or ExternalName.
  externalIPs                   []string              # More addresses that the service is reached by.
  sessionAffinity               enum(ClientIP|None)   # ClientIP keeps a client at one pod.
  loadBalancerIP                string                # Address asked of the load balancer; depends on the provider.
  loadBalancerSourceRanges      []string              # Clients that the load balancer takes.
  externalName                  string                # Name that DNS answers with, for type ExternalName.
  externalTrafficPolicy         enum(Cluster|Local)   # Cluster, or Local for pods of the node that was reached.
  healthCheckNodePort           int32                 # Port at which the balancer asks for health, with externalTrafficPolicy Local.
  publishNotReadyAddresses      bool                  # Whether pods that are not ready count.
  sessionAffinityConfig         SessionAffinityConfig # How long a client stays at one pod.
  ipFamilies                    []enum(IPv4|IPv6)     # IPv4, IPv6 or both.
  ipFamilyPolicy                enum(SingleStack|PreferDualStack|RequireDualStack) # SingleStack, PreferDualStack or RequireDualStack.
  allocateLoadBalancerNodePorts bool                  # Whether a load balancer gets node ports; true by default.
  loadBalancerClass             string                # Implementation of the load balancer.
  internalTrafficPolicy         enum(Cluster|Local)   # Cluster, or Local for pods of the client's node.
  trafficDistribution           string                # Preference for endpoints that are near.

type ServicePort
  name        string                    # Name; needed when there are several. Istio reads the protocol from its prefix (http-, grpc-, tcp- ...).
  protocol    enum(TCP|UDP|SCTP) ="TCP" # TCP, UDP or SCTP.
  appProtocol string                    # Application protocol, e.g. http, grpc, tcp.
  port        int32 !                   # Port of the service.
  targetPort  int-or-string             # Number or name of the pods' port; the service's own when not set.
  nodePort    int32                     # Port on every node, 30000 to 32767.

type SessionAffinityConfig
  clientIP ClientIPConfig # By the client's address.

type ClientIPConfig
  timeoutSeconds int32 # How long it lasts; 10800 by default.

type ServiceStatus
  loadBalancer LoadBalancerStatus              # Where the load balancer is reached.
  conditions   []Condition merge=type map=type # What else was observed.

type LoadBalancerStatus
  ingress []LoadBalancerIngress # Addresses of the load balancer.

type LoadBalancerIngress
  ip       string # Address.
  hostname string # Name.
  ipMode   string # VIP or Proxy.
  ports    []PortStatus

type PortStatus
  port     int32 !
  protocol enum(TCP|UDP|SCTP) !
  error    string

type Endpoints  # Addresses behind a service.
  apiVersion string           # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string           # Kind of this object.
  metadata   ObjectMeta       # Name, namespace, labels and what else every object carries.
  subsets    []EndpointSubset # Addresses and ports.

type EndpointSubset
  addresses         []EndpointAddress # Addresses that are ready.
  notReadyAddresses []EndpointAddress # Addresses that are not ready.
  ports             []EndpointPort    # Ports of the addresses.

type EndpointAddress
  ip        string !        # Address.
  hostname  string          # Name of the endpoint.
  nodeName  string          # Node of the endpoint.
  targetRef ObjectReference # Pod behind it.

type ObjectReference
  kind            string # Kind of the object.
  namespace       string # Its namespace.
  name            string # Its name.
  uid             string # Its uid.
  apiVersion      string # Its group and version.
  resourceVersion string # Its version.
  fieldPath       string # Part of the object.

type EndpointPort
  name        string             # Name of the port.
  port        int32 !            # Number of the port.
  protocol    enum(TCP|UDP|SCTP) # TCP, UDP or SCTP.
  appProtocol string             # Application protocol.

type Namespace  # A scope for names.
  apiVersion string          # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string          # Kind of this object.
  metadata   ObjectMeta      # Name, namespace, labels and what else every object carries.
  spec       NamespaceSpec   # What is wanted.
  status     NamespaceStatus # What was last observed; written by controllers.

type NamespaceSpec
  finalizers []string # Who has to finish before the namespace is gone.

type NamespaceStatus
  phase      string                                   # Active or Terminating.
  conditions []NamespaceCondition merge=type map=type # What was last observed.

type NamespaceCondition
  type               string !                   # Kind of condition.
  status             enum(True|False|Unknown) ! # True, False or Unknown.
  lastTransitionTime time                       # When the status last changed.
  reason             string                     # Why, in a word.
  message            string                     # Why, for people.

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
  apiVersion                   string                                # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind                         string                                # Kind of this object.
  metadata                     ObjectMeta                            # Name, namespace, labels and what else every object carries.
  secrets                      []ObjectReference merge=name map=name # Secrets for its pods.
  imagePullSecrets             []LocalObjectReference                # Secrets for pulling images.
  automountServiceAccountToken bool                                  # Whether pods get its token.

type Node  # The machine that pods run on.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  spec       NodeSpec   # What is wanted.
  status     NodeStatus # What was last observed; written by controllers.

type NodeSpec
  podCIDR       string             # Range of pods' addresses.
  podCIDRs      []string merge set # Ranges of pods' addresses.
  providerID    string
  unschedulable bool               # Whether new pods stay away.
  taints        []Taint            # What keeps pods away that do not tolerate it.
  configSource  NodeConfigSource
  externalID    string

type Taint
  key       string !                                      # Key.
  value     string                                        # Value.
  effect    enum(NoSchedule|PreferNoSchedule|NoExecute) ! # NoSchedule, PreferNoSchedule or NoExecute.
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
  capacity        {}quantity                          # What the node has.
  allocatable     {}quantity                          # What pods may use.
  phase           string
  conditions      []NodeCondition merge=type map=type # What was last observed.
  addresses       []NodeAddress merge=type map=type   # Addresses of the node.
  daemonEndpoints NodeDaemonEndpoints
  nodeInfo        NodeSystemInfo                      # Kernel, versions, ids.
  images          []ContainerImage
  volumesInUse    []string
  volumesAttached []AttachedVolume
  config          NodeConfigStatus
  runtimeHandlers []NodeRuntimeHandler
  features        NodeFeatures

type NodeCondition
  type               string !                   # Ready, MemoryPressure, DiskPressure or PIDPressure.
  status             enum(True|False|Unknown) ! # True, False or Unknown.
  lastHeartbeatTime  time                       # When it was last confirmed.
  lastTransitionTime time                       # When the status last changed.
  reason             string                     # Why, in a word.
  message            string                     # Why, for people.

type NodeAddress
  type    string ! # InternalIP, Hostname ...
  address string ! # Address.

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
  involvedObject     ObjectReference ! # What it is about.
  reason             string            # One word for why.
  message            string            # A sentence for people.
  source             EventSource       # Who tells it.
  firstTimestamp     time              # When it was first seen.
  lastTimestamp      time              # When it was last seen.
  count              int32             # How often it happened.
  type               string            # Normal or Warning.
  eventTime          microtime
  series             EventSeries
  action             string
  related            ObjectReference
  reportingComponent string            # Who tells it.
  reportingInstance  string

type EventSource
  component string # Part of the cluster.
  host      string # Node.

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
  metadata ObjectMeta # Labels and annotations of the pods.
  spec     PodSpec    # What the pods look like.

type DeploymentStrategy
  type          enum(Recreate|RollingUpdate) # Recreate ends the old pods first; RollingUpdate replaces them step by step.
  rollingUpdate RollingUpdateDeployment      # Bounds of a rolling update.

type RollingUpdateDeployment
  maxUnavailable int-or-string # Number or percentage of pods that may be missing.
  maxSurge       int-or-string # Number or percentage of pods that may exist above the wanted number.

type DeploymentStatus
  observedGeneration  int64                                     # Generation of the object that this is about.
  replicas            int32                                     # Pods that there are.
  updatedReplicas     int32                                     # Pods of the newest template.
  readyReplicas       int32                                     # Pods that are ready.
  availableReplicas   int32                                     # Pods that have been ready for minReadySeconds.
  unavailableReplicas int32                                     # Pods that are still missing.
  terminatingReplicas int32                                     # Pods that are ending.
  conditions          []DeploymentCondition merge=type map=type # What was last observed.
  collisionCount      int32                                     # Clashes of names of ReplicaSets.

type DeploymentCondition
  type               string !                   # Available, Progressing or ReplicaFailure.
  status             enum(True|False|Unknown) ! # True, False or Unknown.
  lastUpdateTime     time                       # When this was last written.
  lastTransitionTime time                       # When the status last changed.
  reason             string                     # Why, in a word.
  message            string                     # Why, for people.

type ReplicaSet  # Keeps a number of equal pods running.
  apiVersion string           # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string           # Kind of this object.
  metadata   ObjectMeta       # Name, namespace, labels and what else every object carries.
  spec       ReplicaSetSpec   # What is wanted.
  status     ReplicaSetStatus # What was last observed; written by controllers.

type ReplicaSetSpec
  replicas        int32           # How many pods are wanted.
  minReadySeconds int32           # How long a pod has to be ready to count as available.
  selector        LabelSelector   # Labels of its pods.
  template        PodTemplateSpec # What its pods look like.

type ReplicaSetStatus
  replicas             int32 !                                   # Pods that there are.
  fullyLabeledReplicas int32                                     # Pods with the template's labels.
  readyReplicas        int32                                     # Pods that are ready.
  availableReplicas    int32                                     # Pods that have been ready for minReadySeconds.
  terminatingReplicas  int32                                     # Pods that are ending.
  observedGeneration   int64                                     # Generation of the object that this is about.
  conditions           []ReplicaSetCondition merge=type map=type # What was last observed.

type ReplicaSetCondition
  type               string !                   # ReplicaFailure.
  status             enum(True|False|Unknown) ! # True, False or Unknown.
  lastTransitionTime time                       # When the status last changed.
  reason             string                     # Why, in a word.
  message            string                     # Why, for people.

type Lease  # A lock with a time limit.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  spec       LeaseSpec  # What is wanted.

type LeaseSpec
  holderIdentity       string    # Who holds it.
  leaseDurationSeconds int32     # How long it holds without renewal.
  acquireTime          microtime # When it was taken.
  renewTime            microtime # When it was last renewed.
  leaseTransitions     int32     # How often it changed hands.
  strategy             string
  preferredHolder      string

type EventsEvent  # Something that happened to an object.
  apiVersion               string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind                     string     # Kind of this object.
  metadata                 ObjectMeta # Name, namespace, labels and what else every object carries.
  eventTime                microtime !
  series                   EventsEventSeries
  reportingController      string
  reportingInstance        string
  action                   string
  reason                   string     # Why, in a word.
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
  apiVersion string                                # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                                # Kind of this object.
  metadata   ObjectMeta                            # Name, namespace, labels and what else every object carries.
  webhooks   []MutatingWebhook merge=name map=name # The webhooks, in order of their names.

type MutatingWebhook
  name                    string !                             # Full name of the webhook.
  clientConfig            WebhookClientConfig !                # Where it is called.
  rules                   []RuleWithOperations                 # Requests that it is called for.
  failurePolicy           enum(Ignore|Fail)                    # What happens when it cannot be called: Fail or Ignore.
  matchPolicy             enum(Exact|Equivalent)               # Exact, or Equivalent for other versions of a resource too.
  namespaceSelector       LabelSelector                        # Namespaces that it is called for.
  objectSelector          LabelSelector                        # Objects that it is called for.
  sideEffects             enum(Unknown|None|Some|NoneOnDryRun) # None, NoneOnDryRun, Some or Unknown.
  timeoutSeconds          int32                                # Time for its answer; 10 by default.
  admissionReviewVersions []string !                           # Versions of AdmissionReview that it understands.
  reinvocationPolicy      enum(Never|IfNeeded)                 # Never, or IfNeeded when later webhooks change the object.
  matchConditions         []MatchCondition merge=name map=name

type WebhookClientConfig
  url      string           # URL of the webhook.
  service  ServiceReference # Service of the webhook.
  caBundle bytes            # Authority that its certificate is verified with.

type ServiceReference
  namespace string !
  name      string !
  path      string
  port      int32

type RuleWithOperations
  operations  []enum(*|CREATE|UPDATE|DELETE|CONNECT) # CREATE, UPDATE, DELETE, CONNECT or *.
  apiGroups   []string                               # Groups; * for all.
  apiVersions []string                               # Versions; * for all.
  resources   []string                               # Resources; pods, pods/exec, * ...
  scope       enum(Cluster|Namespaced|*)             # Cluster, Namespaced or *.

type MatchCondition
  name       string !
  expression string !

type ValidatingWebhookConfiguration  # Services that may refuse objects before they are stored.
  apiVersion string                                  # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                                  # Kind of this object.
  metadata   ObjectMeta                              # Name, namespace, labels and what else every object carries.
  webhooks   []ValidatingWebhook merge=name map=name # The webhooks, in order of their names.

type ValidatingWebhook
  name                    string !                             # Full name of the webhook.
  clientConfig            WebhookClientConfig !                # Where it is called.
  rules                   []RuleWithOperations                 # Requests that it is called for.
  failurePolicy           enum(Ignore|Fail)                    # What happens when it cannot be called: Fail or Ignore.
  matchPolicy             enum(Exact|Equivalent)               # Exact, or Equivalent for other versions of a resource too.
  namespaceSelector       LabelSelector                        # Namespaces that it is called for.
  objectSelector          LabelSelector                        # Objects that it is called for.
  sideEffects             enum(Unknown|None|Some|NoneOnDryRun) # None, NoneOnDryRun, Some or Unknown.
  timeoutSeconds          int32                                # Time for its answer; 10 by default.
  admissionReviewVersions []string !                           # Versions of AdmissionReview that it understands.
  matchConditions         []MatchCondition merge=name map=name

type CustomResourceDefinition  # A kind that the API serves in addition to its own.
  apiVersion string                         # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string                         # Kind of this object.
  metadata   ObjectMeta                     # Name, namespace, labels and what else every object carries.
  spec       CustomResourceDefinitionSpec ! # What is wanted.
  status     CustomResourceDefinitionStatus # What was last observed; written by controllers.

type CustomResourceDefinitionSpec
  group                 string !                            # Group of the kind.
  names                 CustomResourceDefinitionNames !     # Names of the kind.
  scope                 enum(Cluster|Namespaced) !          # Namespaced or Cluster.
  versions              []CustomResourceDefinitionVersion ! # Versions of the kind.
  conversion            CustomResourceConversion
  preserveUnknownFields bool

type CustomResourceDefinitionNames
  plural     string ! # Name in URLs.
  singular   string   # Name of one.
  shortNames []string # Short names for command lines.
  kind       string ! # Kind of the objects.
  listKind   string   # Kind of lists of them.
  categories []string # Groups of kinds, such as all.

type CustomResourceDefinitionVersion
  name                     string !                         # Name of the version, such as v1.
  served                   bool !                           # Whether it is served.
  storage                  bool !                           # Whether objects are kept in it.
  deprecated               bool
  deprecationWarning       string
  schema                   CustomResourceValidation         # What objects look like.
  subresources             CustomResourceSubresources       # status and scale.
  additionalPrinterColumns []CustomResourceColumnDefinition # Columns of kubectl get.
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
  items                                any # Which keys, and under which paths; all when not set.
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
  message           string # Why, for people.
  messageExpression string
  reason            string # Why, in a word.
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
  clientConfig             CRDWebhookClientConfig # Where it is called.
  conversionReviewVersions []string !

type CRDWebhookClientConfig
  url      string
  service  CRDServiceReference
  caBundle bytes # Authority that its certificate is verified with.

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
  type               string !                   # Established, NamesAccepted ...
  status             enum(True|False|Unknown) ! # True, False or Unknown.
  lastTransitionTime time                       # When the status last changed.
  reason             string                     # Why, in a word.
  message            string                     # Why, for people.

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
