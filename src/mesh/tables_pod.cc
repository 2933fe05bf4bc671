// Pod and what it is made of, volumes apart. Source: Kubernetes core/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kPodTables = R"(
type Pod  # Containers that run together on one node and share an address.
  apiVersion string     # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string     # Kind of this object.
  metadata   ObjectMeta # Name, namespace, labels and what else every object carries.
  spec       PodSpec    # What is wanted.
  status     PodStatus  # What was last observed; written by controllers.

type PodSpec  # How the containers of a pod are run.
  volumes                       []Volume retain merge=name map=name # What containers may mount.
  initContainers                []Container merge=name map=name    # Containers that run before the others, one after the other; with restartPolicy Always they stay as sidecars.
  containers                    []Container ! merge=name map=name  # Containers of the pod; at least one.
  ephemeralContainers           []EphemeralContainer merge=name map=name
  restartPolicy                 enum(Always|OnFailure|Never)       # Whether containers that end are started again.
  terminationGracePeriodSeconds int64                              # Seconds between SIGTERM and SIGKILL when the pod is deleted.
  activeDeadlineSeconds         int64                              # Seconds after which a running pod is failed.
  dnsPolicy                     enum(ClusterFirstWithHostNet|ClusterFirst|Default|None) # Where the pod's DNS settings come from.
  nodeSelector                  {}string                           # Labels that a node must have.
  serviceAccountName            string                             # Service account whose token the pod gets.
  serviceAccount                string                             # Old name of serviceAccountName; both are kept equal.
  automountServiceAccountToken  bool                               # Whether the service account's token is mounted.
  nodeName                      string                             # Node the pod runs on.
  hostNetwork                   bool                               # Use the node's network instead of one of the pod's own.
  hostPID                       bool
  hostIPC                       bool
  shareProcessNamespace         bool                               # One process namespace for all containers.
  securityContext               PodSecurityContext                 # User, group and what else holds for all containers.
  imagePullSecrets              []LocalObjectReference merge=name map=name # Secrets for pulling images.
  hostname                      string                             # Host name of the pod; its own name when not set.
  subdomain                     string                             # With it the pod's full name is hostname.subdomain.namespace.svc.DOMAIN.
  affinity                      Affinity                           # Scheduling wishes.
  schedulerName                 string                             # Scheduler that places the pod.
  tolerations                   []Toleration                       # Taints that the pod puts up with.
  hostAliases                   []HostAlias merge=ip map=ip        # Lines for the pod's /etc/hosts.
  priorityClassName             string                             # Importance of the pod.
  priority                      int32
  dnsConfig                     PodDNSConfig                       # More DNS settings, merged with those of dnsPolicy.
  readinessGates                []PodReadinessGate                 # Conditions, beyond the containers', that readiness needs.
  runtimeClassName              string
  enableServiceLinks            bool                               # Whether services become environment variables.
  preemptionPolicy              enum(PreemptLowerPriority|Never)
  overhead                      {}quantity                         # Resources of the runtime itself.
  topologySpreadConstraints     []TopologySpreadConstraint merge=topologyKey map=topologyKey,whenUnsatisfiable # How pods spread over zones and nodes.
  setHostnameAsFQDN             bool
  os                            PodOS
  hostUsers                     bool
  schedulingGates               []PodSchedulingGate merge=name map=name
  resourceClaims                []PodResourceClaim retain merge=name map=name
  resources                     ResourceRequirements
  hostnameOverride              string

type Volume
  name                  string !                          # Name, unique in the pod.
  hostPath              HostPathVolumeSource              # A path of the node.
  emptyDir              EmptyDirVolumeSource              # A folder that lives as long as the pod.
  gcePersistentDisk     GCEPersistentDiskVolumeSource
  awsElasticBlockStore  AWSElasticBlockStoreVolumeSource
  gitRepo               GitRepoVolumeSource
  secret                SecretVolumeSource                # Keys of a Secret as files.
  nfs                   NFSVolumeSource
  iscsi                 ISCSIVolumeSource
  glusterfs             GlusterfsVolumeSource
  persistentVolumeClaim PersistentVolumeClaimVolumeSource # A claim in the same namespace.
  rbd                   RBDVolumeSource
  flexVolume            FlexVolumeSource
  cinder                CinderVolumeSource
  cephfs                CephFSVolumeSource
  flocker               FlockerVolumeSource
  downwardAPI           DownwardAPIVolumeSource           # Fields of the pod as files.
  fc                    FCVolumeSource
  azureFile             AzureFileVolumeSource
  configMap             ConfigMapVolumeSource             # Keys of a ConfigMap as files.
  vsphereVolume         VsphereVirtualDiskVolumeSource
  quobyte               QuobyteVolumeSource
  azureDisk             AzureDiskVolumeSource
  photonPersistentDisk  PhotonPersistentDiskVolumeSource
  projected             ProjectedVolumeSource             # Several sources in one folder.
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
  fieldPath  string ! # Path of the field, e.g. metadata.labels['app'].

type ResourceFieldSelector
  containerName string
  resource      string !
  divisor       quantity

type Container  # One program with its image, ports, environment and mounts.
  name                     string !                           # Name, a DNS label, unique in the pod.
  image                    string                             # Image to run.
  command                  []string                           # Entry point instead of the image's. $(VAR) is replaced.
  args                     []string                           # Arguments instead of the image's. $(VAR) is replaced.
  workingDir               string                             # Folder to start in; the image's when not set.
  ports                    []ContainerPort merge=containerPort map=containerPort,protocol # Ports the container listens on; for information, and for names.
  envFrom                  []EnvFromSource                    # ConfigMaps and Secrets whose keys become environment variables.
  env                      []EnvVar merge=name map=name       # Environment variables.
  resources                ResourceRequirements               # CPU and memory wanted and allowed.
  resizePolicy             []ContainerResizePolicy
  restartPolicy            enum(Always|OnFailure|Never)       # Always makes an init container a sidecar.
  restartPolicyRules       []ContainerRestartRule
  volumeMounts             []VolumeMount merge=mountPath map=mountPath # Volumes and where they appear in the container.
  volumeDevices            []VolumeDevice merge=devicePath map=devicePath
  livenessProbe            Probe                              # When it fails the container is restarted.
  readinessProbe           Probe                              # Only while it succeeds the pod gets traffic of services.
  startupProbe             Probe                              # Until it succeeds the other probes wait.
  lifecycle                Lifecycle                          # Commands after start and before stop.
  terminationMessagePath   string                             # File whose content becomes the termination message.
  terminationMessagePolicy enum(File|FallbackToLogsOnError)
  imagePullPolicy          enum(Always|Never|IfNotPresent)    # When to pull the image. Always for the tag latest, else IfNotPresent.
  securityContext          SecurityContext                    # User, capabilities and what else this container runs with.
  stdin                    bool                               # Keep standard input open.
  stdinOnce                bool
  tty                      bool                               # Give the container a terminal.

type ContainerPort
  name          string                    # Name, unique in the pod, that services and probes may use.
  hostPort      int32                     # Port on the node.
  containerPort int32 !                   # Port number, 1 to 65535.
  protocol      enum(TCP|UDP|SCTP) ="TCP" # TCP, UDP or SCTP.
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
  name      string !     # Name of the variable.
  value     string       # Its value. $(VAR) is replaced by variables before it.
  valueFrom EnvVarSource # Where the value comes from; not together with value.

type EnvVarSource
  fieldRef         ObjectFieldSelector   # A field of the pod, e.g. metadata.name or status.podIP.
  resourceFieldRef ResourceFieldSelector # A resource limit or request of a container.
  configMapKeyRef  ConfigMapKeySelector  # A key of a ConfigMap.
  secretKeyRef     SecretKeySelector     # A key of a Secret.
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
  limits   {}quantity               # The most that may be used.
  requests {}quantity               # What is set aside; as much as limits when not given.
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
  name              string !                           # Name of the volume.
  readOnly          bool                               # Mount read-only.
  recursiveReadOnly string
  mountPath         string !                           # Path in the container.
  subPath           string                             # Path inside the volume.
  mountPropagation  enum(None|HostToContainer|Bidirectional)
  subPathExpr       string

type VolumeDevice
  name       string !
  devicePath string !

type Probe
  exec                          ExecAction      # Succeeds when the command ends with 0.
  httpGet                       HTTPGetAction   # Succeeds on a status from 200 to 399.
  tcpSocket                     TCPSocketAction # Succeeds when the port accepts a connection.
  grpc                          GRPCAction      # Succeeds when the gRPC health service says SERVING.
  initialDelaySeconds           int32           # Seconds after start before the first probe.
  timeoutSeconds                int32           # Seconds after which a probe has failed.
  periodSeconds                 int32           # Seconds between probes.
  successThreshold              int32           # Successes in a row after a failure that count as success.
  failureThreshold              int32           # Failures in a row that count as failure.
  terminationGracePeriodSeconds int64

type ExecAction
  command []string

type HTTPGetAction
  path        string           # Path to request.
  port        int-or-string !  # Number or name of the port.
  host        string
  scheme      enum(HTTP|HTTPS) # HTTP or HTTPS.
  httpHeaders []HTTPHeader     # Header fields of the request.

type HTTPHeader
  name  string !
  value string

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
  capabilities             Capabilities                  # Capabilities to add and drop.
  privileged               bool                          # Run with all capabilities.
  seLinuxOptions           SELinuxOptions
  windowsOptions           WindowsSecurityContextOptions
  runAsUser                int64                         # User id to run as.
  runAsGroup               int64                         # Group id to run as.
  runAsNonRoot             bool
  readOnlyRootFilesystem   bool                          # Mount the root file system read-only.
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
  value string

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
  phase                       string                             # Pending, Running, Succeeded, Failed or Unknown.
  conditions                  []PodCondition merge=type map=type # PodScheduled, Initialized, ContainersReady, Ready.
  message                     string
  reason                      string
  nominatedNodeName           string
  hostIP                      string                             # Address of its node.
  hostIPs                     []HostIP merge=ip
  podIP                       string                             # Address of the pod.
  podIPs                      []PodIP merge=ip map=ip
  startTime                   time                               # When the node took up the pod.
  initContainerStatuses       []ContainerStatus                  # One entry for each init container.
  containerStatuses           []ContainerStatus                  # One entry for each container.
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
  state                    ContainerState                     # Waiting, running or terminated, with details.
  lastState                ContainerState                     # How the run before ended.
  ready                    bool !                             # Whether its readiness probe succeeds.
  restartCount             int32 !                            # How often it was started again.
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
