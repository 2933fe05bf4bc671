// flow.fairlead.dev: rules of flow control, selecting workloads. What a rule consists of is Sentinel's (1.8), with its names.
#include "mesh/tables.h"

namespace fairlead::mesh {

const char* const kFlowTables = R"(
type FlowRule  # How many calls of a resource pass, by number in a second or by those in progress.
  apiVersion string       # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string       # Kind of this object.
  metadata   ObjectMeta   # Name, namespace, labels and what else every object carries.
  spec       FlowRuleSpec ! # What is wanted.
  status     FlowStatus   # What was last observed; written by controllers.

type FlowRuleSpec
  app      string           # Value of the workloads' label app that this is for.
  selector FlowSelector     # Workloads that this is for; all of the namespace when neither this nor app is set.
  rules    []FlowRuleItem ! # Rules, of which a call must pass all.

type FlowSelector
  matchLabels {}string # Labels that a pod must have, all of them.

type FlowStatus open
  acceptedRules      int64                           # Rules that are valid.
  conditions         []Condition merge=type map=type # What was last observed.
  observedGeneration int64                           # Generation of the object that this is about.

type FlowRuleItem
  resource          string !          # What is called: a path template as /orders/{id} or GET:/orders/{id}, or the name of the service.
  limitApp          string            # Who calls: an origin, default (everyone) or other (origins that no rule names).
  grade             int32             # What is counted: 0 calls in progress, 1 calls in a second.
  count             double            # How many pass; 0 or more.
  strategy          int32             # Whose calls are counted: 0 the resource's own, 1 refResource's, 2 those that come by the context refResource.
  refResource       string            # The other resource, or the context.
  controlBehavior   int32             # What happens to the others: 0 refused, 1 warm up, 2 they queue, 3 both.
  warmUpPeriodSec   int32             # Seconds of warming up.
  maxQueueingTimeMs int32             # Longest time in the queue, in milliseconds.
  clusterMode       bool              # Counted by a token server, which there is none of: counted by each instance then.
  clusterConfig     FlowClusterConfig # How it is counted in cluster mode.
  regex             bool              # The resource is a regular expression for whole names.

type FlowClusterConfig
  flowId                  int64  # Number of the rule in the cluster.
  thresholdType           int32  # 0: count is each instance's share, 1: of all together.
  fallbackToLocalWhenFail bool   # Without a token server each instance counts.
  strategy                int32  # 0.
  sampleCount             int32  # Buckets of the window.
  windowIntervalMs        int32  # Length of the window, in milliseconds.
  resourceTimeout         int64  # Longest time that a token is held, in milliseconds.
  resourceTimeoutStrategy int32  # What happens then.
  acquireRefuseStrategy   int32  # What happens to calls without a token.
  clientOfflineTime       int64  # After so many milliseconds a silent client's tokens are free.

type DegradeRule  # Circuit breakers of resources, by slow calls or exceptions.
  apiVersion string          # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string          # Kind of this object.
  metadata   ObjectMeta      # Name, namespace, labels and what else every object carries.
  spec       DegradeRuleSpec ! # What is wanted.
  status     FlowStatus      # What was last observed; written by controllers.

type DegradeRuleSpec
  app      string              # Value of the workloads' label app that this is for.
  selector FlowSelector        # Workloads that this is for; all of the namespace when neither this nor app is set.
  rules    []DegradeRuleItem ! # Breakers, all of which must be closed.

type DegradeRuleItem
  resource           string ! # What is called: a path template as /orders/{id} or GET:/orders/{id}, or the name of the service.
  limitApp           string   # Of no effect.
  grade              int32    # What is watched: 0 the ratio of slow calls, 1 the ratio of exceptions, 2 their number.
  count              double   # The time above which a call is slow, in milliseconds; the ratio (0 to 1), or the number.
  timeWindow         int32    # Seconds that the breaker stays open.
  minRequestAmount   int32    # With fewer calls in the interval it stays closed.
  slowRatioThreshold double   # Ratio of slow calls, 0 to 1.
  statIntervalMs     int32    # Length of the interval, in milliseconds.
  regex              bool     # The resource is a regular expression for whole names.

type ParamFlowRule  # How many calls of a resource pass for each value of an argument.
  apiVersion string            # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string            # Kind of this object.
  metadata   ObjectMeta        # Name, namespace, labels and what else every object carries.
  spec       ParamFlowRuleSpec ! # What is wanted.
  status     FlowStatus        # What was last observed; written by controllers.

type ParamFlowRuleSpec
  app        string                # Value of the workloads' label app that this is for.
  selector   FlowSelector          # Workloads that this is for; all of the namespace when neither this nor app is set.
  parameters []FlowParameter       # The arguments of a call, by position; those of the oldest object that has some hold.
  rules      []ParamFlowRuleItem ! # Rules, of which a call must pass all.

type FlowParameter
  header       string oneof=from # The value of a header field.
  query        string oneof=from # The value of a query parameter.
  cookie       string oneof=from # The value of a cookie.
  pathVariable string oneof=from # A segment of the path that stands in braces in the resource: id of /orders/{id}.
  address      bool   oneof=from # The client's IP address.

type ParamFlowRuleItem
  resource          string !                 # What is called: a path template as /orders/{id} or GET:/orders/{id}, or the name of the service.
  limitApp          string                   # Of no effect.
  grade             int32                    # What is counted: 0 calls in progress, 1 calls in durationInSec.
  paramIdx          int32                    # Position of the argument, from 0; -1 is the last.
  count             double                   # How many pass for each value; 0 or more.
  controlBehavior   int32                    # What happens to the others: 0 refused, 2 they queue.
  maxQueueingTimeMs int32                    # Longest time in the queue, in milliseconds.
  burstCount        int32                    # So many more at once.
  durationInSec     int64                    # Length of the interval, in seconds.
  paramFlowItemList []ParamFlowException     # Values with numbers of their own.
  clusterMode       bool                     # Counted by a token server, which there is none of: counted by each instance then.
  clusterConfig     ParamFlowClusterConfig   # How it is counted in cluster mode.
  regex             bool                     # The resource is a regular expression for whole names.

type ParamFlowException
  object    string ! # The value, as text.
  count     int32    # How many pass.
  classType string   # Its type; java.lang.String for what requests say.

type ParamFlowClusterConfig
  flowId                  int64  # Number of the rule in the cluster.
  thresholdType           int32  # 0: count is each instance's share, 1: of all together.
  fallbackToLocalWhenFail bool   # Without a token server each instance counts.
  sampleCount             int32  # Buckets of the window.
  windowIntervalMs        int32  # Length of the window, in milliseconds.

type SystemRule  # Bounds of a workload as a whole, for what comes in.
  apiVersion string         # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string         # Kind of this object.
  metadata   ObjectMeta     # Name, namespace, labels and what else every object carries.
  spec       SystemRuleSpec ! # What is wanted.
  status     FlowStatus     # What was last observed; written by controllers.

type SystemRuleSpec
  app      string             # Value of the workloads' label app that this is for.
  selector FlowSelector       # Workloads that this is for; all of the namespace when neither this nor app is set.
  rules    []SystemRuleItem ! # Of several the strictest value of each field holds.

type SystemRuleItem
  highestSystemLoad double # Average load of a minute above which calls are refused.
  highestCpuUsage   double # Share of the processors' time above which calls are refused, 0 to 1.
  qps               double # Calls in a second.
  avgRt             int64  # Average time of a call, in milliseconds.
  maxThread         int64  # Calls in progress.

type AuthorityRule  # Which origins may call a resource.
  apiVersion string            # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string            # Kind of this object.
  metadata   ObjectMeta        # Name, namespace, labels and what else every object carries.
  spec       AuthorityRuleSpec ! # What is wanted.
  status     FlowStatus        # What was last observed; written by controllers.

type AuthorityRuleSpec
  app      string                # Value of the workloads' label app that this is for.
  selector FlowSelector          # Workloads that this is for; all of the namespace when neither this nor app is set.
  rules    []AuthorityRuleItem ! # One for each resource.

type AuthorityRuleItem
  resource string ! # What is called: a path template as /orders/{id} or GET:/orders/{id}, or the name of the service.
  limitApp string ! # Origins, separated by commas.
  strategy int32    # 0: they alone may call; 1: they may not.
  regex    bool     # The resource is a regular expression for whole names.

type GatewayFlowRule  # How many requests of a gateway's route or API pass, as a whole or for each value of a field.
  apiVersion string              # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string              # Kind of this object.
  metadata   ObjectMeta          # Name, namespace, labels and what else every object carries.
  spec       GatewayFlowRuleSpec ! # What is wanted.
  status     FlowStatus          # What was last observed; written by controllers.

type GatewayFlowRuleSpec
  app      string                  # Value of the gateways' label app that this is for.
  selector FlowSelector            # Gateways that this is for; all of the namespace when neither this nor app is set.
  rules    []GatewayFlowRuleItem ! # Rules, of which a request must pass all.

type GatewayFlowRuleItem
  resource            string !         # Name of a route or of an API.
  resourceMode        int32            # 0: it is a route's, 1: an API's.
  grade               int32            # What is counted: 0 requests in progress, 1 requests in intervalSec.
  count               double           # How many pass; 0 or more.
  intervalSec         int64            # Length of the interval, in seconds.
  controlBehavior     int32            # What happens to the others: 0 refused, 2 they queue.
  burst               int32            # So many more at once.
  maxQueueingTimeoutMs int32           # Longest time in the queue, in milliseconds.
  paramItem           GatewayParamItem # Each value of this is counted apart.

type GatewayParamItem
  parseStrategy int32  # 0 the client's address, 1 the host, 2 a header field, 3 a query parameter, 4 a cookie.
  fieldName     string # Name of the field, parameter or cookie.
  pattern       string # Values that it does not match are not limited.
  matchStrategy int32  # 0 exact, 2 regular expression, 3 part of the value.

type ApiDefinition  # Groups of paths of a gateway, to be named in rules.
  apiVersion string            # Group and version of this object's schema, e.g. v1 or apps/v1.
  kind       string            # Kind of this object.
  metadata   ObjectMeta        # Name, namespace, labels and what else every object carries.
  spec       ApiDefinitionSpec ! # What is wanted.
  status     FlowStatus        # What was last observed; written by controllers.

type ApiDefinitionSpec
  app      string                # Value of the gateways' label app that this is for.
  selector FlowSelector          # Gateways that this is for; all of the namespace when neither this nor app is set.
  rules    []ApiDefinitionItem ! # Groups.

type ApiDefinitionItem
  apiName        string !           # Name of the group.
  predicateItems []ApiPathPredicate # Paths, of which one must match.

type ApiPathPredicate
  pattern       string ! # A path, or a pattern.
  matchStrategy int32    # 0 exact, 1 by pattern (/static/**), 2 regular expression.
)";

}  // namespace fairlead::mesh
