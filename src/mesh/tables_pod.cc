// Pod and what it is made of, volumes apart. Source: Kubernetes core/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kPodTables = R"(
type Pod
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       PodSpec
  status     PodStatus

type PodSpec
  volumes                       []Volume retain merge=name map=name
  initContainers                []Container merge=name map=name
  containers                    []Container ! merge=name map=name
  ephemeralContainers           []EphemeralContainer merge=name map=name
  restartPolicy                 enum(Always|OnFailure|Never)
  terminationGracePeriodSeconds int64
  activeDeadlineSeconds         int64
  dnsPolicy                     enum(ClusterFirstWithHostNet|ClusterFirst|Default|None)
  nodeSelector                  {}string
  serviceAccountName            string
  serviceAccount                string
  automountServiceAccountToken  bool
  nodeName                      string
  hostNetwork                   bool
  hostPID                       bool
  hostIPC                       bool
  shareProcessNamespace         bool
  securityContext               PodSecurityContext
  imagePullSecrets              []LocalObjectReference merge=name map=name
  hostname                      string
  subdomain                     string
  affinity                      Affinity
  schedulerName                 string
  tolerations                   []Toleration
  hostAliases                   []HostAlias merge=ip map=ip
  priorityClassName             string
  priority                      int32
  dnsConfig                     PodDNSConfig
  readinessGates                []PodReadinessGate
  runtimeClassName              string
  enableServiceLinks            bool
  preemptionPolicy              enum(PreemptLowerPriority|Never)
  overhead                      {}quantity
  topologySpreadConstraints     []TopologySpreadConstraint merge=topologyKey map=topologyKey,whenUnsatisfiable
  setHostnameAsFQDN             bool
  os                            PodOS
  hostUsers                     bool
  schedulingGates               []PodSchedulingGate merge=name map=name
  resourceClaims                []PodResourceClaim retain merge=name map=name
  resources                     ResourceRequirements
  hostnameOverride              string

type Volume
  name                  string !
  hostPath              HostPathVolumeSource
  emptyDir              EmptyDirVolumeSource
  gcePersistentDisk     GCEPersistentDiskVolumeSource
  awsElasticBlockStore  AWSElasticBlockStoreVolumeSource
  gitRepo               GitRepoVolumeSource
  secret                SecretVolumeSource
  nfs                   NFSVolumeSource
  iscsi                 ISCSIVolumeSource
  glusterfs             GlusterfsVolumeSource
  persistentVolumeClaim PersistentVolumeClaimVolumeSource
  rbd                   RBDVolumeSource
  flexVolume            FlexVolumeSource
  cinder                CinderVolumeSource
  cephfs                CephFSVolumeSource
  flocker               FlockerVolumeSource
  downwardAPI           DownwardAPIVolumeSource
  fc                    FCVolumeSource
  azureFile             AzureFileVolumeSource
  configMap             ConfigMapVolumeSource
  vsphereVolume         VsphereVirtualDiskVolumeSource
  quobyte               QuobyteVolumeSource
  azureDisk             AzureDiskVolumeSource
  photonPersistentDisk  PhotonPersistentDiskVolumeSource
  projected             ProjectedVolumeSource
  portworxVolume        PortworxVolumeSource
  scaleIO               ScaleIOVolumeSource
  storageos             StorageOSVolumeSource
  csi                   CSIVolumeSource
  ephemeral             EphemeralVolumeSource
  image                 ImageVolumeSource

type LocalObjectReference
  name string

type ObjectFieldSelector
  apiVersion string
  fieldPath  string !

type ResourceFieldSelector
  containerName string
  resource      string !
  divisor       quantity

type Container
  name                     string !
  image                    string
  command                  []string
  args                     []string
  workingDir               string
  ports                    []ContainerPort merge=containerPort map=containerPort,protocol
  envFrom                  []EnvFromSource
  env                      []EnvVar merge=name map=name
  resources                ResourceRequirements
  resizePolicy             []ContainerResizePolicy
  restartPolicy            enum(Always|OnFailure|Never)
  restartPolicyRules       []ContainerRestartRule
  volumeMounts             []VolumeMount merge=mountPath map=mountPath
  volumeDevices            []VolumeDevice merge=devicePath map=devicePath
  livenessProbe            Probe
  readinessProbe           Probe
  startupProbe             Probe
  lifecycle                Lifecycle
  terminationMessagePath   string
  terminationMessagePolicy enum(File|FallbackToLogsOnError)
  imagePullPolicy          enum(Always|Never|IfNotPresent)
  securityContext          SecurityContext
  stdin                    bool
  stdinOnce                bool
  tty                      bool

type ContainerPort
  name          string
  hostPort      int32
  containerPort int32 !
  protocol      enum(TCP|UDP|SCTP) ="TCP"
  hostIP        string

type EnvFromSource
  prefix       string
  configMapRef ConfigMapEnvSource
  secretRef    SecretEnvSource

type ConfigMapEnvSource
  name     string
  optional bool

type SecretEnvSource
  name     string
  optional bool

type EnvVar
  name      string !
  value     string
  valueFrom EnvVarSource

type EnvVarSource
  fieldRef         ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  configMapKeyRef  ConfigMapKeySelector
  secretKeyRef     SecretKeySelector
  fileKeyRef       FileKeySelector

type ConfigMapKeySelector
  name     string
  key      string !
  optional bool

type SecretKeySelector
  name     string
  key      string !
  optional bool

type FileKeySelector
  volumeName string !
  path       string !
  key        string !
  optional   bool

type ResourceRequirements
  limits   {}quantity
  requests {}quantity
  claims   []ResourceClaim map=name

type ResourceClaim
  name    string !
  request string

type ContainerResizePolicy
  resourceName  string !
  restartPolicy string !

type ContainerRestartRule
  action    string
  exitCodes ContainerRestartRuleOnExitCodes

type ContainerRestartRuleOnExitCodes
  operator string
  values   []int32 set

type VolumeMount
  name              string !
  readOnly          bool
  recursiveReadOnly string
  mountPath         string !
  subPath           string
  mountPropagation  enum(None|HostToContainer|Bidirectional)
  subPathExpr       string

type VolumeDevice
  name       string !
  devicePath string !

type Probe
  exec                          ExecAction
  httpGet                       HTTPGetAction
  tcpSocket                     TCPSocketAction
  grpc                          GRPCAction
  initialDelaySeconds           int32
  timeoutSeconds                int32
  periodSeconds                 int32
  successThreshold              int32
  failureThreshold              int32
  terminationGracePeriodSeconds int64

type ExecAction
  command []string

type HTTPGetAction
  path        string
  port        int-or-string !
  host        string
  scheme      enum(HTTP|HTTPS)
  httpHeaders []HTTPHeader

type HTTPHeader
  name  string !
  value string !

type TCPSocketAction
  port int-or-string !
  host string

type GRPCAction
  port    int32 !
  service string

type Lifecycle
  postStart  LifecycleHandler
  preStop    LifecycleHandler
  stopSignal string

type LifecycleHandler
  exec      ExecAction
  httpGet   HTTPGetAction
  tcpSocket TCPSocketAction
  sleep     SleepAction

type SleepAction
  seconds int64 !

type SecurityContext
  capabilities             Capabilities
  privileged               bool
  seLinuxOptions           SELinuxOptions
  windowsOptions           WindowsSecurityContextOptions
  runAsUser                int64
  runAsGroup               int64
  runAsNonRoot             bool
  readOnlyRootFilesystem   bool
  allowPrivilegeEscalation bool
  procMount                string
  seccompProfile           SeccompProfile
  appArmorProfile          AppArmorProfile

type Capabilities
  add  []string
  drop []string

type SELinuxOptions
  user  string
  role  string
  type  string
  level string

type WindowsSecurityContextOptions
  gmsaCredentialSpecName string
  gmsaCredentialSpec     string
  runAsUserName          string
  hostProcess            bool

type SeccompProfile
  type             enum(Unconfined|RuntimeDefault|Localhost) !
  localhostProfile string

type AppArmorProfile
  type             string !
  localhostProfile string

type EphemeralContainer
  name                     string !
  image                    string
  command                  []string
  args                     []string
  workingDir               string
  ports                    []ContainerPort merge=containerPort map=containerPort,protocol
  envFrom                  []EnvFromSource
  env                      []EnvVar merge=name map=name
  resources                ResourceRequirements
  resizePolicy             []ContainerResizePolicy
  restartPolicy            string
  restartPolicyRules       []ContainerRestartRule
  volumeMounts             []VolumeMount merge=mountPath map=mountPath
  volumeDevices            []VolumeDevice merge=devicePath map=devicePath
  livenessProbe            Probe
  readinessProbe           Probe
  startupProbe             Probe
  lifecycle                Lifecycle
  terminationMessagePath   string
  terminationMessagePolicy enum(File|FallbackToLogsOnError)
  imagePullPolicy          enum(Always|Never|IfNotPresent)
  securityContext          SecurityContext
  stdin                    bool
  stdinOnce                bool
  tty                      bool
  targetContainerName      string

type PodSecurityContext
  seLinuxOptions           SELinuxOptions
  windowsOptions           WindowsSecurityContextOptions
  runAsUser                int64
  runAsGroup               int64
  runAsNonRoot             bool
  supplementalGroups       []int64
  supplementalGroupsPolicy string
  fsGroup                  int64
  sysctls                  []Sysctl
  fsGroupChangePolicy      enum(OnRootMismatch|Always)
  seccompProfile           SeccompProfile
  appArmorProfile          AppArmorProfile
  seLinuxChangePolicy      string

type Sysctl
  name  string !
  value string !

type Affinity
  nodeAffinity    NodeAffinity
  podAffinity     PodAffinity
  podAntiAffinity PodAntiAffinity

type NodeAffinity
  requiredDuringSchedulingIgnoredDuringExecution  NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution []PreferredSchedulingTerm

type NodeSelector
  nodeSelectorTerms []NodeSelectorTerm !

type NodeSelectorTerm
  matchExpressions []NodeSelectorRequirement
  matchFields      []NodeSelectorRequirement

type NodeSelectorRequirement
  key      string !
  operator enum(In|NotIn|Exists|DoesNotExist|Gt|Lt) !
  values   []string

type PreferredSchedulingTerm
  weight     int32 !
  preference NodeSelectorTerm !

type PodAffinity
  requiredDuringSchedulingIgnoredDuringExecution  []PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm

type PodAffinityTerm
  labelSelector     LabelSelector
  namespaces        []string
  topologyKey       string !
  namespaceSelector LabelSelector
  matchLabelKeys    []string
  mismatchLabelKeys []string

type WeightedPodAffinityTerm
  weight          int32 !
  podAffinityTerm PodAffinityTerm !

type PodAntiAffinity
  requiredDuringSchedulingIgnoredDuringExecution  []PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm

type Toleration
  key               string
  operator          enum(Exists|Equal)
  value             string
  effect            enum(NoSchedule|PreferNoSchedule|NoExecute)
  tolerationSeconds int64

type HostAlias
  ip        string !
  hostnames []string

type PodDNSConfig
  nameservers []string
  searches    []string
  options     []PodDNSConfigOption

type PodDNSConfigOption
  name  string
  value string

type PodReadinessGate
  conditionType string !

type TopologySpreadConstraint
  maxSkew            int32 !
  topologyKey        string !
  whenUnsatisfiable  enum(DoNotSchedule|ScheduleAnyway) !
  labelSelector      LabelSelector
  minDomains         int32
  nodeAffinityPolicy string
  nodeTaintsPolicy   string
  matchLabelKeys     []string

type PodOS
  name string !

type PodSchedulingGate
  name string !

type PodResourceClaim
  name                      string !
  resourceClaimName         string
  resourceClaimTemplateName string

type PodStatus
  observedGeneration          int64
  phase                       string
  conditions                  []PodCondition merge=type map=type
  message                     string
  reason                      string
  nominatedNodeName           string
  hostIP                      string
  hostIPs                     []HostIP merge=ip
  podIP                       string
  podIPs                      []PodIP merge=ip map=ip
  startTime                   time
  initContainerStatuses       []ContainerStatus
  containerStatuses           []ContainerStatus
  qosClass                    string
  ephemeralContainerStatuses  []ContainerStatus
  resize                      string
  resourceClaimStatuses       []PodResourceClaimStatus retain merge=name map=name
  extendedResourceClaimStatus PodExtendedResourceClaimStatus

type PodCondition
  type               string !
  observedGeneration int64
  status             enum(True|False|Unknown) !
  lastProbeTime      time
  lastTransitionTime time
  reason             string
  message            string

type HostIP
  ip string !

type PodIP
  ip string !

type ContainerStatus
  name                     string !
  state                    ContainerState
  lastState                ContainerState
  ready                    bool !
  restartCount             int32 !
  image                    string !
  imageID                  string !
  containerID              string
  started                  bool
  allocatedResources       {}quantity
  resources                ResourceRequirements
  volumeMounts             []VolumeMountStatus merge=mountPath map=mountPath
  user                     ContainerUser
  allocatedResourcesStatus []ResourceStatus merge=name map=name
  stopSignal               string

type ContainerState
  waiting    ContainerStateWaiting
  running    ContainerStateRunning
  terminated ContainerStateTerminated

type ContainerStateWaiting
  reason  string
  message string

type ContainerStateRunning
  startedAt time

type ContainerStateTerminated
  exitCode    int32 !
  signal      int32
  reason      string
  message     string
  startedAt   time
  finishedAt  time
  containerID string

type VolumeMountStatus
  name              string !
  mountPath         string !
  readOnly          bool
  recursiveReadOnly string

type ContainerUser
  linux LinuxContainerUser

type LinuxContainerUser
  uid                int64 !
  gid                int64 !
  supplementalGroups []int64

type ResourceStatus
  name      string !
  resources []ResourceHealth map=resourceID

type ResourceHealth
  resourceID string !
  health     string

type PodResourceClaimStatus
  name              string !
  resourceClaimName string

type PodExtendedResourceClaimStatus
  requestMappings   []ContainerExtendedResourceRequest !
  resourceClaimName string !

type ContainerExtendedResourceRequest
  containerName string !
  resourceName  string !
  requestName   string !

)";

}  // namespace fairlead::mesh
