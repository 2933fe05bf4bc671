// Shapes that every group uses: metadata, selectors, conditions. Source: k8s.io/apimachinery meta/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kMetaTables = R"(
type ObjectMeta
  name                       string
  generateName               string
  namespace                  string
  selfLink                   string
  uid                        string
  resourceVersion            string
  generation                 int64
  creationTimestamp          time
  deletionTimestamp          time
  deletionGracePeriodSeconds int64
  labels                     {}string
  annotations                {}string
  ownerReferences            []OwnerReference merge=uid map=uid
  finalizers                 []string merge set
  managedFields              []any

type OwnerReference
  apiVersion         string !
  kind               string !
  name               string !
  uid                string !
  controller         bool
  blockOwnerDeletion bool

type LabelSelector
  matchLabels      {}string
  matchExpressions []LabelSelectorRequirement

type LabelSelectorRequirement
  key      string !
  operator enum(In|NotIn|Exists|DoesNotExist) !
  values   []string

type Condition
  type               string !
  status             enum(True|False|Unknown) !
  observedGeneration int64
  lastTransitionTime time !
  reason             string !
  message            string !

type DeleteOptions
  apiVersion                                       string
  kind                                             string
  gracePeriodSeconds                               int64
  preconditions                                    Preconditions
  orphanDependents                                 bool
  propagationPolicy                                string
  dryRun                                           []string
  ignoreStoreReadErrorWithClusterBreakingPotential bool

type Preconditions
  uid             string
  resourceVersion string

type Scale
  apiVersion string
  kind       string
  metadata   ObjectMeta
  spec       ScaleSpec
  status     ScaleStatus

type ScaleSpec
  replicas int32

type ScaleStatus
  replicas int32 !
  selector string

type IstioStatus open
  conditions         []Condition merge=type map=type
  validationMessages []any
  observedGeneration int64

)";

}  // namespace fairlead::mesh
