// Field numbers of Kubernetes' API messages (1.32): facts taken from the generated.proto files of k8s.io/api and
// k8s.io/apimachinery. protobuf.h explains the notation; a line that begins with a space continues the one before.
#include "api/protobuf.h"

namespace fairlead::api::detail {

const std::string_view kProtobufTables = R"(
core.Namespace 1:metadata:meta.ObjectMeta 2:spec:core.NamespaceSpec 3:status:core.NamespaceStatus
core.Pod 1:metadata:meta.ObjectMeta 2:spec:core.PodSpec 3:status:core.PodStatus
core.Service 1:metadata:meta.ObjectMeta 2:spec:core.ServiceSpec 3:status:core.ServiceStatus
core.Endpoints 1:metadata:meta.ObjectMeta 2:subsets:[]core.EndpointSubset
core.ConfigMap 1:metadata:meta.ObjectMeta 4:immutable:b 2:data:{}s 3:binaryData:{}y
core.Secret 1:metadata:meta.ObjectMeta 5:immutable:b 2:data:{}y 4:stringData:{}s 3:type:s
core.ServiceAccount 1:metadata:meta.ObjectMeta 2:secrets:[]core.ObjectReference
 3:imagePullSecrets:[]core.LocalObjectReference 4:automountServiceAccountToken:b
core.Node 1:metadata:meta.ObjectMeta 2:spec:core.NodeSpec 3:status:core.NodeStatus
core.Event 1:metadata:meta.ObjectMeta 2:involvedObject:core.ObjectReference 3:reason:s 4:message:s
 5:source:core.EventSource 6:firstTimestamp:T 7:lastTimestamp:T 8:count:i 9:type:s 10:eventTime:M
 11:series:core.EventSeries 12:action:s 13:related:core.ObjectReference 14:reportingComponent:s 15:reportingInstance:s
core.Binding 1:metadata:meta.ObjectMeta 2:target:core.ObjectReference
apps.Deployment 1:metadata:meta.ObjectMeta 2:spec:apps.DeploymentSpec 3:status:apps.DeploymentStatus
apps.ReplicaSet 1:metadata:meta.ObjectMeta 2:spec:apps.ReplicaSetSpec 3:status:apps.ReplicaSetStatus
discovery.EndpointSlice 1:metadata:meta.ObjectMeta 4:addressType:s 2:endpoints:[]discovery.Endpoint
 3:ports:[]discovery.EndpointPort
coordination.Lease 1:metadata:meta.ObjectMeta 2:spec:coordination.LeaseSpec
authentication.TokenRequest 1:metadata:meta.ObjectMeta 2:spec:authentication.TokenRequestSpec
 3:status:authentication.TokenRequestStatus
authentication.TokenReview 1:metadata:meta.ObjectMeta 2:spec:authentication.TokenReviewSpec
 3:status:authentication.TokenReviewStatus
authentication.SelfSubjectReview 1:metadata:meta.ObjectMeta 2:status:authentication.SelfSubjectReviewStatus
authorization.SelfSubjectAccessReview 1:metadata:meta.ObjectMeta 2:spec:authorization.SelfSubjectAccessReviewSpec
 3:status:authorization.SubjectAccessReviewStatus
authorization.SelfSubjectRulesReview 1:metadata:meta.ObjectMeta 2:spec:authorization.SelfSubjectRulesReviewSpec
 3:status:authorization.SubjectRulesReviewStatus
authorization.SubjectAccessReview 1:metadata:meta.ObjectMeta 2:spec:authorization.SubjectAccessReviewSpec
 3:status:authorization.SubjectAccessReviewStatus
authorization.LocalSubjectAccessReview 1:metadata:meta.ObjectMeta 2:spec:authorization.SubjectAccessReviewSpec
 3:status:authorization.SubjectAccessReviewStatus
policy.Eviction 1:metadata:meta.ObjectMeta 2:deleteOptions:meta.DeleteOptions
autoscaling.Scale 1:metadata:meta.ObjectMeta 2:spec:autoscaling.ScaleSpec 3:status:autoscaling.ScaleStatus
meta.DeleteOptions 1:gracePeriodSeconds:l 2:preconditions:meta.Preconditions 3:orphanDependents:b
 4:propagationPolicy:s 5:dryRun:[]s 6:ignoreStoreReadErrorWithClusterBreakingPotential:b
admissionregistration.MutatingWebhookConfiguration 1:metadata:meta.ObjectMeta
 2:Webhooks:[]admissionregistration.MutatingWebhook
admissionregistration.ValidatingWebhookConfiguration 1:metadata:meta.ObjectMeta
 2:Webhooks:[]admissionregistration.ValidatingWebhook
meta.ObjectMeta 1:name:s 2:generateName:s 3:namespace:s 4:selfLink:s 5:uid:s 6:resourceVersion:s 7:generation:l
 8:creationTimestamp:T 9:deletionTimestamp:T 10:deletionGracePeriodSeconds:l 11:labels:{}s 12:annotations:{}s
 13:ownerReferences:[]meta.OwnerReference 14:finalizers:[]s
core.NamespaceSpec 1:finalizers:[]s
core.NamespaceStatus 1:phase:s 2:conditions:[]core.NamespaceCondition
core.PodSpec 1:volumes:[]core.Volume 20:initContainers:[]core.Container 2:containers:[]core.Container
 34:ephemeralContainers:[]core.EphemeralContainer 3:restartPolicy:s 4:terminationGracePeriodSeconds:l
 5:activeDeadlineSeconds:l 6:dnsPolicy:s 7:nodeSelector:{}s 8:serviceAccountName:s 9:serviceAccount:s
 21:automountServiceAccountToken:b 10:nodeName:s 11:hostNetwork:b 12:hostPID:b 13:hostIPC:b 27:shareProcessNamespace:b
 14:securityContext:core.PodSecurityContext 15:imagePullSecrets:[]core.LocalObjectReference 16:hostname:s
 17:subdomain:s 18:affinity:core.Affinity 19:schedulerName:s 22:tolerations:[]core.Toleration
 23:hostAliases:[]core.HostAlias 24:priorityClassName:s 25:priority:i 26:dnsConfig:core.PodDNSConfig
 28:readinessGates:[]core.PodReadinessGate 29:runtimeClassName:s 30:enableServiceLinks:b 31:preemptionPolicy:s
 32:overhead:{}Q 33:topologySpreadConstraints:[]core.TopologySpreadConstraint 35:setHostnameAsFQDN:b 36:os:core.PodOS
 37:hostUsers:b 38:schedulingGates:[]core.PodSchedulingGate 39:resourceClaims:[]core.PodResourceClaim
 40:resources:core.ResourceRequirements
core.PodStatus 1:phase:s 2:conditions:[]core.PodCondition 3:message:s 4:reason:s 11:nominatedNodeName:s 5:hostIP:s
 16:hostIPs:[]core.HostIP 6:podIP:s 12:podIPs:[]core.PodIP 7:startTime:T
 10:initContainerStatuses:[]core.ContainerStatus 8:containerStatuses:[]core.ContainerStatus 9:qosClass:s
 13:ephemeralContainerStatuses:[]core.ContainerStatus 14:resize:s
 15:resourceClaimStatuses:[]core.PodResourceClaimStatus
core.ServiceSpec 1:ports:[]core.ServicePort 2:selector:{}s 3:clusterIP:s 18:clusterIPs:[]s 4:type:s 5:externalIPs:[]s
 7:sessionAffinity:s 8:loadBalancerIP:s 9:loadBalancerSourceRanges:[]s 10:externalName:s 11:externalTrafficPolicy:s
 12:healthCheckNodePort:i 13:publishNotReadyAddresses:b 14:sessionAffinityConfig:core.SessionAffinityConfig
 19:ipFamilies:[]s 17:ipFamilyPolicy:s 20:allocateLoadBalancerNodePorts:b 21:loadBalancerClass:s
 22:internalTrafficPolicy:s 23:trafficDistribution:s
core.ServiceStatus 1:loadBalancer:core.LoadBalancerStatus 2:conditions:[]meta.Condition
core.EndpointSubset 1:addresses:[]core.EndpointAddress 2:notReadyAddresses:[]core.EndpointAddress
 3:ports:[]core.EndpointPort
core.ObjectReference 1:kind:s 2:namespace:s 3:name:s 4:uid:s 5:apiVersion:s 6:resourceVersion:s 7:fieldPath:s
core.LocalObjectReference 1:name:s
core.NodeSpec 1:podCIDR:s 7:podCIDRs:[]s 3:providerID:s 4:unschedulable:b 5:taints:[]core.Taint
 6:configSource:core.NodeConfigSource 2:externalID:s
core.NodeStatus 1:capacity:{}Q 2:allocatable:{}Q 3:phase:s 4:conditions:[]core.NodeCondition
 5:addresses:[]core.NodeAddress 6:daemonEndpoints:core.NodeDaemonEndpoints 7:nodeInfo:core.NodeSystemInfo
 8:images:[]core.ContainerImage 9:volumesInUse:[]s 10:volumesAttached:[]core.AttachedVolume
 11:config:core.NodeConfigStatus 12:runtimeHandlers:[]core.NodeRuntimeHandler 13:features:core.NodeFeatures
core.EventSource 1:component:s 2:host:s
core.EventSeries 1:count:i 2:lastObservedTime:M
apps.DeploymentSpec 1:replicas:i 2:selector:meta.LabelSelector 3:template:core.PodTemplateSpec
 4:strategy:apps.DeploymentStrategy 5:minReadySeconds:i 6:revisionHistoryLimit:i 7:paused:b
 9:progressDeadlineSeconds:i
apps.DeploymentStatus 1:observedGeneration:l 2:replicas:i 3:updatedReplicas:i 7:readyReplicas:i 4:availableReplicas:i
 5:unavailableReplicas:i 6:conditions:[]apps.DeploymentCondition 8:collisionCount:i
apps.ReplicaSetSpec 1:replicas:i 4:minReadySeconds:i 2:selector:meta.LabelSelector 3:template:core.PodTemplateSpec
apps.ReplicaSetStatus 1:replicas:i 2:fullyLabeledReplicas:i 4:readyReplicas:i 5:availableReplicas:i
 3:observedGeneration:l 6:conditions:[]apps.ReplicaSetCondition
discovery.Endpoint 1:addresses:[]s 2:conditions:discovery.EndpointConditions 3:hostname:s
 4:targetRef:core.ObjectReference 5:deprecatedTopology:{}s 6:nodeName:s 7:zone:s 8:hints:discovery.EndpointHints
discovery.EndpointPort 1:name:s 2:protocol:s 3:port:i 4:appProtocol:s
coordination.LeaseSpec 1:holderIdentity:s 2:leaseDurationSeconds:i 3:acquireTime:M 4:renewTime:M 5:leaseTransitions:i
 6:strategy:s 7:preferredHolder:s
authentication.TokenRequestSpec 1:audiences:[]s 4:expirationSeconds:l
 3:boundObjectRef:authentication.BoundObjectReference
authentication.TokenRequestStatus 1:token:s 2:expirationTimestamp:T
authentication.TokenReviewSpec 1:token:s 2:audiences:[]s
authentication.TokenReviewStatus 1:authenticated:b 2:user:authentication.UserInfo 4:audiences:[]s 3:error:s
authentication.SelfSubjectReviewStatus 1:userInfo:authentication.UserInfo
authorization.SelfSubjectAccessReviewSpec 1:resourceAttributes:authorization.ResourceAttributes
 2:nonResourceAttributes:authorization.NonResourceAttributes
authorization.SubjectAccessReviewStatus 1:allowed:b 4:denied:b 2:reason:s 3:evaluationError:s
authorization.SelfSubjectRulesReviewSpec 1:namespace:s
authorization.SubjectRulesReviewStatus 1:resourceRules:[]authorization.ResourceRule
 2:nonResourceRules:[]authorization.NonResourceRule 3:incomplete:b 4:evaluationError:s
authorization.SubjectAccessReviewSpec 1:resourceAttributes:authorization.ResourceAttributes
 2:nonResourceAttributes:authorization.NonResourceAttributes 3:user:s 4:groups:[]s 5:extra:{}E 6:uid:s
autoscaling.ScaleSpec 1:replicas:i
autoscaling.ScaleStatus 1:replicas:i 2:selector:s
meta.Preconditions 1:uid:s 2:resourceVersion:s
admissionregistration.MutatingWebhook 1:name:s 2:clientConfig:admissionregistration.WebhookClientConfig
 3:rules:[]admissionregistration.RuleWithOperations 4:failurePolicy:s 9:matchPolicy:s
 5:namespaceSelector:meta.LabelSelector 11:objectSelector:meta.LabelSelector 6:sideEffects:s 7:timeoutSeconds:i
 8:admissionReviewVersions:[]s 10:reinvocationPolicy:s 12:matchConditions:[]admissionregistration.MatchCondition
admissionregistration.ValidatingWebhook 1:name:s 2:clientConfig:admissionregistration.WebhookClientConfig
 3:rules:[]admissionregistration.RuleWithOperations 4:failurePolicy:s 9:matchPolicy:s
 5:namespaceSelector:meta.LabelSelector 10:objectSelector:meta.LabelSelector 6:sideEffects:s 7:timeoutSeconds:i
 8:admissionReviewVersions:[]s 11:matchConditions:[]admissionregistration.MatchCondition
meta.OwnerReference 5:apiVersion:s 1:kind:s 3:name:s 4:uid:s 6:controller:b 7:blockOwnerDeletion:b
core.NamespaceCondition 1:type:s 2:status:s 4:lastTransitionTime:T 5:reason:s 6:message:s
core.Volume 1:name:s 2:-:core.VolumeSource
core.Container 1:name:s 2:image:s 3:command:[]s 4:args:[]s 5:workingDir:s 6:ports:[]core.ContainerPort
 19:envFrom:[]core.EnvFromSource 7:env:[]core.EnvVar 8:resources:core.ResourceRequirements
 23:resizePolicy:[]core.ContainerResizePolicy 24:restartPolicy:s 9:volumeMounts:[]core.VolumeMount
 21:volumeDevices:[]core.VolumeDevice 10:livenessProbe:core.Probe 11:readinessProbe:core.Probe
 22:startupProbe:core.Probe 12:lifecycle:core.Lifecycle 13:terminationMessagePath:s 20:terminationMessagePolicy:s
 14:imagePullPolicy:s 15:securityContext:core.SecurityContext 16:stdin:b 17:stdinOnce:b 18:tty:b
core.EphemeralContainer 1:-:core.EphemeralContainerCommon 2:targetContainerName:s
core.PodSecurityContext 1:seLinuxOptions:core.SELinuxOptions 8:windowsOptions:core.WindowsSecurityContextOptions
 2:runAsUser:l 6:runAsGroup:l 3:runAsNonRoot:b 4:supplementalGroups:[]l 12:supplementalGroupsPolicy:s 5:fsGroup:l
 7:sysctls:[]core.Sysctl 9:fsGroupChangePolicy:s 10:seccompProfile:core.SeccompProfile
 11:appArmorProfile:core.AppArmorProfile 13:seLinuxChangePolicy:s
core.Affinity 1:nodeAffinity:core.NodeAffinity 2:podAffinity:core.PodAffinity 3:podAntiAffinity:core.PodAntiAffinity
core.Toleration 1:key:s 2:operator:s 3:value:s 4:effect:s 5:tolerationSeconds:l
core.HostAlias 1:ip:s 2:hostnames:[]s
core.PodDNSConfig 1:nameservers:[]s 2:searches:[]s 3:options:[]core.PodDNSConfigOption
core.PodReadinessGate 1:conditionType:s
core.TopologySpreadConstraint 1:maxSkew:i 2:topologyKey:s 3:whenUnsatisfiable:s 4:labelSelector:meta.LabelSelector
 5:minDomains:i 6:nodeAffinityPolicy:s 7:nodeTaintsPolicy:s 8:matchLabelKeys:[]s
core.PodOS 1:name:s
core.PodSchedulingGate 1:name:s
core.PodResourceClaim 1:name:s 3:resourceClaimName:s 4:resourceClaimTemplateName:s
core.ResourceRequirements 1:limits:{}Q 2:requests:{}Q 3:claims:[]core.ResourceClaim
core.PodCondition 1:type:s 2:status:s 3:lastProbeTime:T 4:lastTransitionTime:T 5:reason:s 6:message:s
core.HostIP 1:ip:s
core.PodIP 1:ip:s
core.ContainerStatus 1:name:s 2:state:core.ContainerState 3:lastState:core.ContainerState 4:ready:b 5:restartCount:i
 6:image:s 7:imageID:s 8:containerID:s 9:started:b 10:allocatedResources:{}Q 11:resources:core.ResourceRequirements
 12:volumeMounts:[]core.VolumeMountStatus 13:user:core.ContainerUser 14:allocatedResourcesStatus:[]core.ResourceStatus
core.PodResourceClaimStatus 1:name:s 2:resourceClaimName:s
core.ServicePort 1:name:s 2:protocol:s 6:appProtocol:s 3:port:i 4:targetPort:O 5:nodePort:i
core.SessionAffinityConfig 1:clientIP:core.ClientIPConfig
core.LoadBalancerStatus 1:ingress:[]core.LoadBalancerIngress
meta.Condition 1:type:s 2:status:s 3:observedGeneration:l 4:lastTransitionTime:T 5:reason:s 6:message:s
core.EndpointAddress 1:ip:s 3:hostname:s 4:nodeName:s 2:targetRef:core.ObjectReference
core.EndpointPort 1:name:s 2:port:i 3:protocol:s 4:appProtocol:s
core.Taint 1:key:s 2:value:s 3:effect:s 4:timeAdded:T
core.NodeConfigSource 2:configMap:core.ConfigMapNodeConfigSource
core.NodeCondition 1:type:s 2:status:s 3:lastHeartbeatTime:T 4:lastTransitionTime:T 5:reason:s 6:message:s
core.NodeAddress 1:type:s 2:address:s
core.NodeDaemonEndpoints 1:kubeletEndpoint:core.DaemonEndpoint
core.NodeSystemInfo 1:machineID:s 2:systemUUID:s 3:bootID:s 4:kernelVersion:s 5:osImage:s 6:containerRuntimeVersion:s
 7:kubeletVersion:s 8:kubeProxyVersion:s 9:operatingSystem:s 10:architecture:s
core.ContainerImage 1:names:[]s 2:sizeBytes:l
core.AttachedVolume 1:name:s 2:devicePath:s
core.NodeConfigStatus 1:assigned:core.NodeConfigSource 2:active:core.NodeConfigSource
 3:lastKnownGood:core.NodeConfigSource 4:error:s
core.NodeRuntimeHandler 1:name:s 2:features:core.NodeRuntimeHandlerFeatures
core.NodeFeatures 1:supplementalGroupsPolicy:b
meta.LabelSelector 1:matchLabels:{}s 2:matchExpressions:[]meta.LabelSelectorRequirement
core.PodTemplateSpec 1:metadata:meta.ObjectMeta 2:spec:core.PodSpec
apps.DeploymentStrategy 1:type:s 2:rollingUpdate:apps.RollingUpdateDeployment
apps.DeploymentCondition 1:type:s 2:status:s 6:lastUpdateTime:T 7:lastTransitionTime:T 4:reason:s 5:message:s
apps.ReplicaSetCondition 1:type:s 2:status:s 3:lastTransitionTime:T 4:reason:s 5:message:s
discovery.EndpointConditions 1:ready:b 2:serving:b 3:terminating:b
discovery.EndpointHints 1:forZones:[]discovery.ForZone
authentication.BoundObjectReference 1:kind:s 2:apiVersion:s 3:name:s 4:uID:s
authentication.UserInfo 1:username:s 2:uid:s 3:groups:[]s 4:extra:{}E
authorization.ResourceAttributes 1:namespace:s 2:verb:s 3:group:s 4:version:s 5:resource:s 6:subresource:s 7:name:s
 8:fieldSelector:authorization.FieldSelectorAttributes 9:labelSelector:authorization.LabelSelectorAttributes
authorization.NonResourceAttributes 1:path:s 2:verb:s
authorization.ResourceRule 1:verbs:[]s 2:apiGroups:[]s 3:resources:[]s 4:resourceNames:[]s
authorization.NonResourceRule 1:verbs:[]s 2:nonResourceURLs:[]s
admissionregistration.WebhookClientConfig 3:url:s 1:service:admissionregistration.ServiceReference 2:caBundle:y
admissionregistration.RuleWithOperations 1:operations:[]s 2:-:admissionregistration.Rule
admissionregistration.MatchCondition 1:name:s 2:expression:s
core.VolumeSource 1:hostPath:core.HostPathVolumeSource 2:emptyDir:core.EmptyDirVolumeSource
 6:secret:core.SecretVolumeSource 10:persistentVolumeClaim:core.PersistentVolumeClaimVolumeSource
 16:downwardAPI:core.DownwardAPIVolumeSource 19:configMap:core.ConfigMapVolumeSource
 26:projected:core.ProjectedVolumeSource 30:image:core.ImageVolumeSource
core.ContainerPort 1:name:s 2:hostPort:i 3:containerPort:i 4:protocol:s 5:hostIP:s
core.EnvFromSource 1:prefix:s 2:configMapRef:core.ConfigMapEnvSource 3:secretRef:core.SecretEnvSource
core.EnvVar 1:name:s 2:value:s 3:valueFrom:core.EnvVarSource
core.ContainerResizePolicy 1:resourceName:s 2:restartPolicy:s
core.VolumeMount 1:name:s 2:readOnly:b 7:recursiveReadOnly:s 3:mountPath:s 4:subPath:s 5:mountPropagation:s
 6:subPathExpr:s
core.VolumeDevice 1:name:s 2:devicePath:s
core.Probe 1:-:core.ProbeHandler 2:initialDelaySeconds:i 3:timeoutSeconds:i 4:periodSeconds:i 5:successThreshold:i
 6:failureThreshold:i 7:terminationGracePeriodSeconds:l
core.Lifecycle 1:postStart:core.LifecycleHandler 2:preStop:core.LifecycleHandler
core.SecurityContext 1:capabilities:core.Capabilities 2:privileged:b 3:seLinuxOptions:core.SELinuxOptions
 10:windowsOptions:core.WindowsSecurityContextOptions 4:runAsUser:l 8:runAsGroup:l 5:runAsNonRoot:b
 6:readOnlyRootFilesystem:b 7:allowPrivilegeEscalation:b 9:procMount:s 11:seccompProfile:core.SeccompProfile
 12:appArmorProfile:core.AppArmorProfile
core.EphemeralContainerCommon 1:name:s 2:image:s 3:command:[]s 4:args:[]s 5:workingDir:s 6:ports:[]core.ContainerPort
 19:envFrom:[]core.EnvFromSource 7:env:[]core.EnvVar 8:resources:core.ResourceRequirements
 23:resizePolicy:[]core.ContainerResizePolicy 24:restartPolicy:s 9:volumeMounts:[]core.VolumeMount
 21:volumeDevices:[]core.VolumeDevice 10:livenessProbe:core.Probe 11:readinessProbe:core.Probe
 22:startupProbe:core.Probe 12:lifecycle:core.Lifecycle 13:terminationMessagePath:s 20:terminationMessagePolicy:s
 14:imagePullPolicy:s 15:securityContext:core.SecurityContext 16:stdin:b 17:stdinOnce:b 18:tty:b
core.SELinuxOptions 1:user:s 2:role:s 3:type:s 4:level:s
core.WindowsSecurityContextOptions 1:gmsaCredentialSpecName:s 2:gmsaCredentialSpec:s 3:runAsUserName:s 4:hostProcess:b
core.Sysctl 1:name:s 2:value:s
core.SeccompProfile 1:type:s 2:localhostProfile:s
core.AppArmorProfile 1:type:s 2:localhostProfile:s
core.NodeAffinity 1:requiredDuringSchedulingIgnoredDuringExecution:core.NodeSelector
 2:preferredDuringSchedulingIgnoredDuringExecution:[]core.PreferredSchedulingTerm
core.PodAffinity 1:requiredDuringSchedulingIgnoredDuringExecution:[]core.PodAffinityTerm
 2:preferredDuringSchedulingIgnoredDuringExecution:[]core.WeightedPodAffinityTerm
core.PodAntiAffinity 1:requiredDuringSchedulingIgnoredDuringExecution:[]core.PodAffinityTerm
 2:preferredDuringSchedulingIgnoredDuringExecution:[]core.WeightedPodAffinityTerm
core.PodDNSConfigOption 1:name:s 2:value:s
core.ResourceClaim 1:name:s 2:request:s
core.ContainerState 1:waiting:core.ContainerStateWaiting 2:running:core.ContainerStateRunning
 3:terminated:core.ContainerStateTerminated
core.VolumeMountStatus 1:name:s 2:mountPath:s 3:readOnly:b 4:recursiveReadOnly:s
core.ContainerUser 1:linux:core.LinuxContainerUser
core.ResourceStatus 1:name:s 2:resources:[]core.ResourceHealth
core.ClientIPConfig 1:timeoutSeconds:i
core.LoadBalancerIngress 1:ip:s 2:hostname:s 3:ipMode:s 4:ports:[]core.PortStatus
core.ConfigMapNodeConfigSource 1:namespace:s 2:name:s 3:uid:s 4:resourceVersion:s 5:kubeletConfigKey:s
core.DaemonEndpoint 1:Port:i
core.NodeRuntimeHandlerFeatures 1:recursiveReadOnlyMounts:b 2:userNamespaces:b
meta.LabelSelectorRequirement 1:key:s 2:operator:s 3:values:[]s
apps.RollingUpdateDeployment 1:maxUnavailable:O 2:maxSurge:O
discovery.ForZone 1:name:s
authorization.FieldSelectorAttributes 1:rawSelector:s 2:requirements:[]meta.FieldSelectorRequirement
authorization.LabelSelectorAttributes 1:rawSelector:s 2:requirements:[]meta.LabelSelectorRequirement
admissionregistration.ServiceReference 1:namespace:s 2:name:s 3:path:s 4:port:i
admissionregistration.Rule 1:apiGroups:[]s 2:apiVersions:[]s 3:resources:[]s 4:scope:s
core.HostPathVolumeSource 1:path:s 2:type:s
core.EmptyDirVolumeSource 1:medium:s 2:sizeLimit:Q
core.SecretVolumeSource 1:secretName:s 2:items:[]core.KeyToPath 3:defaultMode:i 4:optional:b
core.PersistentVolumeClaimVolumeSource 1:claimName:s 2:readOnly:b
core.DownwardAPIVolumeSource 1:items:[]core.DownwardAPIVolumeFile 2:defaultMode:i
core.ConfigMapVolumeSource 1:-:core.LocalObjectReference 2:items:[]core.KeyToPath 3:defaultMode:i 4:optional:b
core.ProjectedVolumeSource 1:sources:[]core.VolumeProjection 2:defaultMode:i
core.ImageVolumeSource 1:reference:s 2:pullPolicy:s
core.ConfigMapEnvSource 1:-:core.LocalObjectReference 2:optional:b
core.SecretEnvSource 1:-:core.LocalObjectReference 2:optional:b
core.EnvVarSource 1:fieldRef:core.ObjectFieldSelector 2:resourceFieldRef:core.ResourceFieldSelector
 3:configMapKeyRef:core.ConfigMapKeySelector 4:secretKeyRef:core.SecretKeySelector
core.ProbeHandler 1:exec:core.ExecAction 2:httpGet:core.HTTPGetAction 3:tcpSocket:core.TCPSocketAction
 4:grpc:core.GRPCAction
core.LifecycleHandler 1:exec:core.ExecAction 2:httpGet:core.HTTPGetAction 3:tcpSocket:core.TCPSocketAction
 4:sleep:core.SleepAction
core.Capabilities 1:add:[]s 2:drop:[]s
core.NodeSelector 1:nodeSelectorTerms:[]core.NodeSelectorTerm
core.PreferredSchedulingTerm 1:weight:i 2:preference:core.NodeSelectorTerm
core.PodAffinityTerm 1:labelSelector:meta.LabelSelector 2:namespaces:[]s 3:topologyKey:s
 4:namespaceSelector:meta.LabelSelector 5:matchLabelKeys:[]s 6:mismatchLabelKeys:[]s
core.WeightedPodAffinityTerm 1:weight:i 2:podAffinityTerm:core.PodAffinityTerm
core.ContainerStateWaiting 1:reason:s 2:message:s
core.ContainerStateRunning 1:startedAt:T
core.ContainerStateTerminated 1:exitCode:i 2:signal:i 3:reason:s 4:message:s 5:startedAt:T 6:finishedAt:T
 7:containerID:s
core.LinuxContainerUser 1:uid:l 2:gid:l 3:supplementalGroups:[]l
core.ResourceHealth 1:resourceID:s 2:health:s
core.PortStatus 1:port:i 2:protocol:s 3:error:s
meta.FieldSelectorRequirement 1:key:s 2:operator:s 3:values:[]s
core.KeyToPath 1:key:s 2:path:s 3:mode:i
core.DownwardAPIVolumeFile 1:path:s 2:fieldRef:core.ObjectFieldSelector 3:resourceFieldRef:core.ResourceFieldSelector
 4:mode:i
core.VolumeProjection 1:secret:core.SecretProjection 2:downwardAPI:core.DownwardAPIProjection
 3:configMap:core.ConfigMapProjection 4:serviceAccountToken:core.ServiceAccountTokenProjection
 5:clusterTrustBundle:core.ClusterTrustBundleProjection
core.ObjectFieldSelector 1:apiVersion:s 2:fieldPath:s
core.ResourceFieldSelector 1:containerName:s 2:resource:s 3:divisor:Q
core.ConfigMapKeySelector 1:-:core.LocalObjectReference 2:key:s 3:optional:b
core.SecretKeySelector 1:-:core.LocalObjectReference 2:key:s 3:optional:b
core.ExecAction 1:command:[]s
core.HTTPGetAction 1:path:s 2:port:O 3:host:s 4:scheme:s 5:httpHeaders:[]core.HTTPHeader
core.TCPSocketAction 1:port:O 2:host:s
core.GRPCAction 1:port:i 2:service:s
core.SleepAction 1:seconds:l
core.NodeSelectorTerm 1:matchExpressions:[]core.NodeSelectorRequirement 2:matchFields:[]core.NodeSelectorRequirement
core.SecretProjection 1:-:core.LocalObjectReference 2:items:[]core.KeyToPath 4:optional:b
core.DownwardAPIProjection 1:items:[]core.DownwardAPIVolumeFile
core.ConfigMapProjection 1:-:core.LocalObjectReference 2:items:[]core.KeyToPath 4:optional:b
core.ServiceAccountTokenProjection 1:audience:s 2:expirationSeconds:l 3:path:s
core.ClusterTrustBundleProjection 1:name:s 2:signerName:s 3:labelSelector:meta.LabelSelector 5:optional:b 4:path:s
core.HTTPHeader 1:name:s 2:value:s
core.NodeSelectorRequirement 1:key:s 2:operator:s 3:values:[]s
)";

}  // namespace fairlead::api::detail
