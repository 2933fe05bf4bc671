// Where a pod's volumes come from. Source: Kubernetes core/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kVolumeTables = R"(
type HostPathVolumeSource
  path string !
  type enum(|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice)

type EmptyDirVolumeSource
  medium    string
  sizeLimit quantity

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
  secretName  string
  items       []KeyToPath
  defaultMode int32
  optional    bool

type KeyToPath
  key  string !
  path string !
  mode int32

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
  items       []DownwardAPIVolumeFile
  defaultMode int32

type DownwardAPIVolumeFile
  path             string !
  fieldRef         ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  mode             int32

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
  name        string
  items       []KeyToPath
  defaultMode int32
  optional    bool

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
  sources     []VolumeProjection
  defaultMode int32

type VolumeProjection
  secret              SecretProjection
  downwardAPI         DownwardAPIProjection
  configMap           ConfigMapProjection
  serviceAccountToken ServiceAccountTokenProjection
  clusterTrustBundle  ClusterTrustBundleProjection
  podCertificate      PodCertificateProjection

type SecretProjection
  name     string
  items    []KeyToPath
  optional bool

type DownwardAPIProjection
  items []DownwardAPIVolumeFile

type ConfigMapProjection
  name     string
  items    []KeyToPath
  optional bool

type ServiceAccountTokenProjection
  audience          string
  expirationSeconds int64
  path              string !

type ClusterTrustBundleProjection
  name          string
  signerName    string
  labelSelector LabelSelector
  optional      bool
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
