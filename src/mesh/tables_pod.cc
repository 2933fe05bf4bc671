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
  initContainers                []Container merge=name map=name     # Containers that run before the others, one after the other; with restartPolicy Always they stay as sidecars.
  containers                    []Container ! merge=name map=name   # Containers of the pod; at least one.
  ephemeralContainers           []EphemeralContainer merge=name map=name
  restartPolicy                 enum(Always|OnFailure|Never)        # Whether containers that end are started again.
  terminationGracePeriodSeconds int64                               # Seconds between SIGTERM and SIGKILL when the pod is deleted.
  activeDeadlineSeconds         int64                               # Seconds after which a running pod is failed.
  dnsPolicy                     enum(ClusterFirstWithHostNet|ClusterFirst|Default|None) # Where the pod's DNS settings come from.
  nodeSelector                  {}string                            # Labels that a node must have.
  serviceAccountName            string                              # Service account whose token the pod gets.
  serviceAccount                string                              # Old name of serviceAccountName; both are kept equal.
  automountServiceAccountToken  bool                                # Whether the service account's token is mounted.
  nodeName                      string                              # Node the pod runs on.
  hostNetwork                   bool                                # Use the node's network instead of one of the pod's own.
  hostPID                       bool                                # Share the node's processes; not available here.
  hostIPC                       bool                                # Share the node's IPC; not available here.
  shareProcessNamespace         bool                                # One process namespace for all containers.
  securityContext               PodSecurityContext                  # User, group and what else holds for all containers.
  imagePullSecrets              []LocalObjectReference merge=name map=name # Secrets for pulling images.
  hostname                      string                              # Host name of the pod; its own name when not set.
  subdomain                     string                              # With it the pod's full name is hostname.subdomain.namespace.svc.DOMAIN.
  affinity                      Affinity                            # Scheduling wishes.
  schedulerName                 string                              # Scheduler that places the pod.
  tolerations                   []Toleration                        # Taints that the pod puts up with.
  hostAliases                   []HostAlias merge=ip map=ip         # Lines for the pod's /etc/hosts.
  priorityClassName             string                              # Importance of the pod.
  priority                      int32                               # Priority as a number.
  dnsConfig                     PodDNSConfig                        # More DNS settings, merged with those of dnsPolicy.
  readinessGates                []PodReadinessGate                  # Conditions, beyond the containers', that readiness needs.
  runtimeClassName              string
  enableServiceLinks            bool                                # Whether services become environment variables.
  preemptionPolicy              enum(PreemptLowerPriority|Never)
  overhead                      {}quantity                          # Resources of the runtime itself.
  topologySpreadConstraints     []TopologySpreadConstraint merge=topologyKey map=topologyKey,whenUnsatisfiable # How pods spread over zones and nodes.
  setHostnameAsFQDN             bool                                # Whether the hostname is the full name.
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
  name string # Name of the object.

type ObjectFieldSelector
  apiVersion string   # Version of the path; v1.
  fieldPath  string ! # Path of the field, e.g. metadata.labels['app'].

type ResourceFieldSelector
  containerName string   # Name of the container.
  resource      string ! # Such as limits.cpu or requests.memory.
  divisor       quantity # Unit of the value, such as 1m or 1Mi.

type Container  # One program with its image, ports, environment and mounts.
  name                     string !                                    # Name, a DNS label, unique in the pod.
  image                    string                                      # Image to run.
  command                  []string                                    # Entry point instead of the image's. $(VAR) is replaced.
  args                     []string                                    # Arguments instead of the image's. $(VAR) is replaced.
  workingDir               string                                      # Folder to start in; the image's when not set.
  ports                    []ContainerPort merge=containerPort map=containerPort,protocol # Ports the container listens on; for information, and for names.
  envFrom                  []EnvFromSource                             # ConfigMaps and Secrets whose keys become environment variables.
  env                      []EnvVar merge=name map=name                # Environment variables.
  resources                ResourceRequirements                        # CPU and memory wanted and allowed.
  resizePolicy             []ContainerResizePolicy
  restartPolicy            enum(Always|OnFailure|Never)                # Always makes an init container a sidecar.
  restartPolicyRules       []ContainerRestartRule
  volumeMounts             []VolumeMount merge=mountPath map=mountPath # Volumes and where they appear in the container.
  volumeDevices            []VolumeDevice merge=devicePath map=devicePath
  livenessProbe            Probe                                       # When it fails the container is restarted.
  readinessProbe           Probe                                       # Only while it succeeds the pod gets traffic of services.
  startupProbe             Probe                                       # Until it succeeds the other probes wait.
  lifecycle                Lifecycle                                   # Commands after start and before stop.
  terminationMessagePath   string                                      # File whose content becomes the termination message.
  terminationMessagePolicy enum(File|FallbackToLogsOnError)            # File, or FallbackToLogsOnError for the end of the log.
  imagePullPolicy          enum(Always|Never|IfNotPresent)             # When to pull the image. Always for the tag latest, else IfNotPresent.
  securityContext          SecurityContext                             # User, capabilities and what else this container runs with.
  stdin                    bool                                        # Keep standard input open.
  stdinOnce                bool                                        # Whether stdin is closed after the first session.
  tty                      bool                                        # Give the container a terminal.

type ContainerPort
  name          string                    # Name, unique in the pod, that services and probes may use.
  hostPort      int32                     # Port on the node.
  containerPort int32 !                   # Port number, 1 to 65535.
  protocol      enum(TCP|UDP|SCTP) ="TCP" # TCP, UDP or SCTP.
  hostIP        string

type EnvFromSource
  prefix       string             # What stands before each name.
  configMapRef ConfigMapEnvSource # ConfigMap whose keys become variables.
  secretRef    SecretEnvSource    # Secret whose keys become variables.

type ConfigMapEnvSource
  name     string # Name of the ConfigMap.
  optional bool   # Whether it may be missing.

type SecretEnvSource
  name     string # Name of the Secret.
  optional bool   # Whether it may be missing.

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
  name     string   # Name of the ConfigMap.
  key      string ! # Key of the value.
  optional bool     # Whether it may be missing.

type SecretKeySelector
  name     string   # Name of the Secret.
  key      string ! # Key of the value.
  optional bool     # Whether it may be missing.

type FileKeySelector
  volumeName string !
  path       string !
  key        string !
  optional   bool # Whether it may be missing.

type ResourceRequirements
  limits   {}quantity # The most that may be used.
  requests {}quantity # What is set aside; as much as limits when not given.
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
  name              string !                                 # Name of the volume.
  readOnly          bool                                     # Mount read-only.
  recursiveReadOnly string
  mountPath         string !                                 # Path in the container.
  subPath           string                                   # Path inside the volume.
  mountPropagation  enum(None|HostToContainer|Bidirectional) # None, HostToContainer or Bidirectional.
  subPathExpr       string                                   # Path in the volume, with $(NAME) of the environment.

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
  terminationGracePeriodSeconds int64           # Time to end after this probe failed; the pod's when not set.

type ExecAction
  command []string # Program and arguments; 0 means success.

type HTTPGetAction
  path        string           # Path to request.
  port        int-or-string !  # Number or name of the port.
  host        string           # Host to ask; the pod when not set.
  scheme      enum(HTTP|HTTPS) # HTTP or HTTPS.
  httpHeaders []HTTPHeader     # Header fields of the request.

type HTTPHeader
  name  string ! # Name of the field.
  value string   # Its value.

type TCPSocketAction
  port int-or-string ! # Number or name of the port.
  host string          # Host to connect to; the pod when not set.

type GRPCAction
  port    int32 ! # Number of the port.
  service string  # Service to ask for; the server as a whole when not set.

type Lifecycle
  postStart  LifecycleHandler # What is done after the container has started.
  preStop    LifecycleHandler # What is done before it is told to end.
  stopSignal string

type LifecycleHandler
  exec      ExecAction      # Run a program.
  httpGet   HTTPGetAction   # Ask by HTTP.
  tcpSocket TCPSocketAction # Not acted on; kept for old manifests.
  sleep     SleepAction     # Wait.

type SleepAction
  seconds int64 ! # Seconds to wait.

type SecurityContext
  capabilities             Capabilities   # Capabilities to add and drop.
  privileged               bool           # Run with all capabilities.
  seLinuxOptions           SELinuxOptions
  windowsOptions           WindowsSecurityContextOptions
  runAsUser                int64          # User id to run as.
  runAsGroup               int64          # Group id to run as.
  runAsNonRoot             bool           # Refuse to start as root.
  readOnlyRootFilesystem   bool           # Mount the root file system read-only.
  allowPrivilegeEscalation bool           # Whether a process may gain rights that its parent lacks.
  procMount                string
  seccompProfile           SeccompProfile # Filter of system calls.
  appArmorProfile          AppArmorProfile

type Capabilities
  add  []string # Capabilities to give, such as NET_ADMIN.
  drop []string # Capabilities to take away; ALL for all.

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
  type             enum(Unconfined|RuntimeDefault|Localhost) ! # RuntimeDefault, Localhost or Unconfined.
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
  runAsUser                int64          # User id of the processes.
  runAsGroup               int64          # Group id of the processes.
  runAsNonRoot             bool           # Refuse to start as root.
  supplementalGroups       []int64        # More groups of the processes.
  supplementalGroupsPolicy string
  fsGroup                  int64          # Group that volumes belong to.
  sysctls                  []Sysctl       # Kernel settings of the pod.
  fsGroupChangePolicy      enum(OnRootMismatch|Always)
  seccompProfile           SeccompProfile # Filter of system calls.
  appArmorProfile          AppArmorProfile
  seLinuxChangePolicy      string

type Sysctl
  name  string !
  value string

type Affinity
  nodeAffinity    NodeAffinity    # Preference for nodes.
  podAffinity     PodAffinity     # Preference for nodes with certain pods.
  podAntiAffinity PodAntiAffinity # Preference for nodes without certain pods.

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
  namespaceSelector LabelSelector # Namespaces that it is called for.
  matchLabelKeys    []string
  mismatchLabelKeys []string

type WeightedPodAffinityTerm
  weight          int32 !
  podAffinityTerm PodAffinityTerm !

type PodAntiAffinity
  requiredDuringSchedulingIgnoredDuringExecution  []PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm

type Toleration
  key               string                                      # Key of the taint; every one when not set.
  operator          enum(Exists|Equal)                          # Equal or Exists.
  value             string                                      # Value of the taint.
  effect            enum(NoSchedule|PreferNoSchedule|NoExecute) # Effect of the taint; every one when not set.
  tolerationSeconds int64                                       # How long it is tolerated.

type HostAlias
  ip        string ! # Address.
  hostnames []string # Names for it in /etc/hosts.

type PodDNSConfig
  nameservers []string             # More name servers.
  searches    []string             # More domains to search.
  options     []PodDNSConfigOption # Options of the resolver; one of the same name takes the place of the default.

type PodDNSConfigOption
  name  string # Name, such as ndots.
  value string # Its value.

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
  observedGeneration          int64                              # Generation of the object that this is about.
  phase                       string                             # Pending, Running, Succeeded, Failed or Unknown.
  conditions                  []PodCondition merge=type map=type # PodScheduled, Initialized, ContainersReady, Ready.
  message                     string                             # Why the pod is in this state, for people.
  reason                      string                             # Why the pod is in this state, in a word.
  nominatedNodeName           string
  hostIP                      string                             # Address of its node.
  hostIPs                     []HostIP merge=ip                  # Addresses of the node.
  podIP                       string                             # Address of the pod.
  podIPs                      []PodIP merge=ip map=ip            # Addresses of the pod.
  startTime                   time                               # When the node took up the pod.
  initContainerStatuses       []ContainerStatus                  # One entry for each init container.
  containerStatuses           []ContainerStatus                  # One entry for each container.
  qosClass                    string                             # Guaranteed, Burstable or BestEffort.
  ephemeralContainerStatuses  []ContainerStatus
  resize                      string
  resourceClaimStatuses       []PodResourceClaimStatus retain merge=name map=name
  extendedResourceClaimStatus PodExtendedResourceClaimStatus

type PodCondition
  type               string !                   # Initialized, ContainersReady, Ready, PodScheduled ...
  observedGeneration int64                      # Generation of the object that this is about.
  status             enum(True|False|Unknown) ! # True, False or Unknown.
  lastProbeTime      time                       # When it was last looked at.
  lastTransitionTime time                       # When the status last changed.
  reason             string                     # Why, in a word.
  message            string                     # Why, for people.

type HostIP
  ip string ! # Address.

type PodIP
  ip string ! # Address.

type ContainerStatus
  name                     string !       # Name of the container.
  state                    ContainerState # Waiting, running or terminated, with details.
  lastState                ContainerState # How the run before ended.
  ready                    bool !         # Whether its readiness probe succeeds.
  restartCount             int32 !        # How often it was started again.
  image                    string !       # Image that it runs.
  imageID                  string !       # Image that it runs, with its digest.
  containerID              string         # Id of the container.
  started                  bool           # Whether its startup probe has succeeded.
  allocatedResources       {}quantity
  resources                ResourceRequirements
  volumeMounts             []VolumeMountStatus merge=mountPath map=mountPath
  user                     ContainerUser
  allocatedResourcesStatus []ResourceStatus merge=name map=name
  stopSignal               string

type ContainerState
  waiting    ContainerStateWaiting    # It has not started yet, or not again.
  running    ContainerStateRunning    # It runs.
  terminated ContainerStateTerminated # It has ended.

type ContainerStateWaiting
  reason  string # Why, in a word.
  message string # Why, for people.

type ContainerStateRunning
  startedAt time # When it started.

type ContainerStateTerminated
  exitCode    int32 ! # Exit code; 128 and the signal when it was killed.
  signal      int32   # Signal that ended it.
  reason      string  # Why, in a word.
  message     string  # Why, for people.
  startedAt   time    # When it started.
  finishedAt  time    # When it ended.
  containerID string  # Id of the container.

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
