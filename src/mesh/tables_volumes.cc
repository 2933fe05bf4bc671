// Where a pod's volumes come from. Source: Kubernetes core/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kVolumeTables = R"(
type HostPathVolumeSource
  path string ! # Path on the node.
  type enum(|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice) # What has to be there.

type EmptyDirVolumeSource
  medium    string   # Memory, or the disk when not set.
  sizeLimit quantity # Most that it may hold.

type GCEPersistentDiskVolumeSource
  pdName    string !
  fsType    string
  partition int32
  readOnly  bool

type AWSElasticBlockStoreVolumeSource
  volumeID  string !
  fsType    string
  partition int32
  readOnly  bool

type GitRepoVolumeSource
  repository string !
  revision   string
  directory  string

type SecretVolumeSource
  secretName  string      # Name of the Secret.
  items       []KeyToPath # Which keys, and under which paths; all when not set.
  defaultMode int32       # Permissions of the files; 0644 by default.
  optional    bool        # Whether it may be missing.

type KeyToPath
  key  string ! # Key of the value.
  path string ! # File that it becomes.
  mode int32    # Permissions of the file.

type NFSVolumeSource
  server   string !
  path     string !
  readOnly bool

type ISCSIVolumeSource
  targetPortal      string !
  iqn               string !
  lun               int32 !
  iscsiInterface    string ="default"
  fsType            string
  readOnly          bool
  portals           []string
  chapAuthDiscovery bool
  chapAuthSession   bool
  secretRef         LocalObjectReference
  initiatorName     string

type GlusterfsVolumeSource
  endpoints string !
  path      string !
  readOnly  bool

type PersistentVolumeClaimVolumeSource
  claimName string !
  readOnly  bool

type RBDVolumeSource
  monitors  []string !
  image     string !
  fsType    string
  pool      string ="rbd"
  user      string ="admin"
  keyring   string ="/etc/ceph/keyring"
  secretRef LocalObjectReference
  readOnly  bool

type FlexVolumeSource
  driver    string !
  fsType    string
  secretRef LocalObjectReference
  readOnly  bool
  options   {}string

type CinderVolumeSource
  volumeID  string !
  fsType    string
  readOnly  bool
  secretRef LocalObjectReference

type CephFSVolumeSource
  monitors   []string !
  path       string
  user       string
  secretFile string
  secretRef  LocalObjectReference
  readOnly   bool

type FlockerVolumeSource
  datasetName string
  datasetUUID string

type DownwardAPIVolumeSource
  items       []DownwardAPIVolumeFile # Which keys, and under which paths; all when not set.
  defaultMode int32                   # Permissions of the files; 0644 by default.

type DownwardAPIVolumeFile
  path             string !              # File.
  fieldRef         ObjectFieldSelector   # Field of the pod.
  resourceFieldRef ResourceFieldSelector # Limit or request of a container.
  mode             int32                 # Permissions of the file.

type FCVolumeSource
  targetWWNs []string
  lun        int32
  fsType     string
  readOnly   bool
  wwids      []string

type AzureFileVolumeSource
  secretName string !
  shareName  string !
  readOnly   bool

type ConfigMapVolumeSource
  name        string      # Name of the ConfigMap.
  items       []KeyToPath # Which keys, and under which paths; all when not set.
  defaultMode int32       # Permissions of the files; 0644 by default.
  optional    bool        # Whether it may be missing.

type VsphereVirtualDiskVolumeSource
  volumePath        string !
  fsType            string
  storagePolicyName string
  storagePolicyID   string

type QuobyteVolumeSource
  registry string !
  volume   string !
  readOnly bool
  user     string
  group    string
  tenant   string

type AzureDiskVolumeSource
  diskName    string !
  diskURI     string !
  cachingMode string
  fsType      string ="ext4"
  readOnly    bool
  kind        string

type PhotonPersistentDiskVolumeSource
  pdID   string !
  fsType string

type ProjectedVolumeSource
  sources     []VolumeProjection # What is put together in the folder.
  defaultMode int32              # Permissions of the files; 0644 by default.

type VolumeProjection
  secret              SecretProjection              # Values of a Secret.
  downwardAPI         DownwardAPIProjection         # Fields of the pod.
  configMap           ConfigMapProjection           # Values of a ConfigMap.
  serviceAccountToken ServiceAccountTokenProjection # A token of the pod's ServiceAccount.
  clusterTrustBundle  ClusterTrustBundleProjection
  podCertificate      PodCertificateProjection

type SecretProjection
  name     string      # Name of the Secret.
  items    []KeyToPath # Which keys, and under which paths; all when not set.
  optional bool        # Whether it may be missing.

type DownwardAPIProjection
  items []DownwardAPIVolumeFile # Which keys, and under which paths; all when not set.

type ConfigMapProjection
  name     string      # Name of the ConfigMap.
  items    []KeyToPath # Which keys, and under which paths; all when not set.
  optional bool        # Whether it may be missing.

type ServiceAccountTokenProjection
  audience          string   # Whom the token is for.
  expirationSeconds int64    # How long it is valid; it is renewed in time.
  path              string ! # File.

type ClusterTrustBundleProjection
  name          string
  signerName    string
  labelSelector LabelSelector
  optional      bool # Whether it may be missing.
  path          string !

type PodCertificateProjection
  signerName           string
  keyType              string
  maxExpirationSeconds int32
  credentialBundlePath string
  keyPath              string
  certificateChainPath string

type PortworxVolumeSource
  volumeID string !
  fsType   string
  readOnly bool

type ScaleIOVolumeSource
  gateway          string !
  system           string !
  secretRef        LocalObjectReference
  sslEnabled       bool
  protectionDomain string
  storagePool      string
  storageMode      string ="ThinProvisioned"
  volumeName       string
  fsType           string ="xfs"
  readOnly         bool

type StorageOSVolumeSource
  volumeName      string
  volumeNamespace string
  fsType          string
  readOnly        bool
  secretRef       LocalObjectReference

type CSIVolumeSource
  driver               string !
  readOnly             bool
  fsType               string
  volumeAttributes     {}string
  nodePublishSecretRef LocalObjectReference

type EphemeralVolumeSource
  volumeClaimTemplate PersistentVolumeClaimTemplate

type PersistentVolumeClaimTemplate
  metadata ObjectMeta
  spec     PersistentVolumeClaimSpec !

type PersistentVolumeClaimSpec
  accessModes               []string
  selector                  LabelSelector
  resources                 VolumeResourceRequirements
  volumeName                string
  storageClassName          string
  volumeMode                string
  dataSource                TypedLocalObjectReference
  dataSourceRef             TypedObjectReference
  volumeAttributesClassName string

type VolumeResourceRequirements
  limits   {}quantity
  requests {}quantity

type TypedLocalObjectReference
  apiGroup string
  kind     string !
  name     string !

type TypedObjectReference
  apiGroup  string
  kind      string !
  name      string !
  namespace string

type ImageVolumeSource
  reference  string
  pullPolicy enum(Always|Never|IfNotPresent)

)";

}  // namespace fairlead::mesh
