// Shapes that every group uses: metadata, selectors, conditions. Source: k8s.io/apimachinery meta/v1.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kMetaTables = R"(
type ObjectMeta  # What every stored object carries.
  name                       string                             # Unique within the namespace and kind; cannot be changed.
  generateName               string                             # Prefix of a name that the server completes with five random characters.
  namespace                  string                             # Namespace that the name is unique in; "default" when none is given.
  selfLink                   string                             # No longer set by servers.
  uid                        string                             # Identity in time and space, given by the server.
  resourceVersion            string                             # Version of this state, for optimistic locking and watches; opaque.
  generation                 int64                              # Counts the changes of the wanted state.
  creationTimestamp          time                               # When the server created the object.
  deletionTimestamp          time                               # When the object will be gone; set once deletion was asked for.
  deletionGracePeriodSeconds int64                              # Seconds the object has to end by itself.
  labels                     {}string                           # Keys and values to select objects by.
  annotations                {}string                           # Keys and values for tools; not used for selection.
  ownerReferences            []OwnerReference merge=uid map=uid # Objects that this one belongs to; it is removed when all of them are gone.
  finalizers                 []string merge set                 # What has to be done, by name, before the object may be removed.
  managedFields              []any                              # Who set which field.

type OwnerReference
  apiVersion         string ! # Group and version of the owner.
  kind               string ! # Kind of the owner.
  name               string ! # Name of the owner.
  uid                string ! # Uid of the owner.
  controller         bool     # Whether the owner manages the object.
  blockOwnerDeletion bool     # Whether the owner stays until this is gone, in foreground deletion.

type LabelSelector  # A query over labels; all requirements have to hold. Empty matches everything.
  matchLabels      {}string                   # Labels that must have these values.
  matchExpressions []LabelSelectorRequirement # Requirements with an operator.

type LabelSelectorRequirement
  key      string !                             # Key of the label.
  operator enum(In|NotIn|Exists|DoesNotExist) ! # How key and values relate.
  values   []string                             # Values, for In and NotIn.

type Condition
  type               string !                   # Name of the condition.
  status             enum(True|False|Unknown) ! # Whether it holds.
  observedGeneration int64                      # Generation of the object that this is about.
  lastTransitionTime time !                     # When the status last changed.
  reason             string !                   # One word for why, for programs.
  message            string !                   # A sentence for why, for people.

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
  apiVersion string      # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string      # Kind of this object.
  metadata   ObjectMeta  # Name, namespace, labels and what else every object carries.
  spec       ScaleSpec   # What is wanted.
  status     ScaleStatus # What was last observed; written by controllers.

type ScaleSpec
  replicas int32 # Pods that are wanted.

type ScaleStatus
  replicas int32 ! # Pods that there are.
  selector string  # Labels of the pods.

type IstioStatus open
  conditions         []Condition merge=type map=type # What was last observed.
  validationMessages []any                           # What analysis says.
  observedGeneration int64                           # Generation of the object that this is about.

)";

}  // namespace fairlead::mesh
