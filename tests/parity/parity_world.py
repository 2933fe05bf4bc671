"""Worlds: sets of resources that both control planes are given.

A case is a YAML file. Its first document, of kind Case, says which proxies ask and what the mesh configuration is; the
rest are resources. Manifests of applications need no more than kubectl does: what Kubernetes would add (cluster IPs,
pods of a Deployment, EndpointSlices) is added here, the same for both.
"""
import copy
import dataclasses
import ipaddress
import json
import pathlib
import subprocess
import tempfile

import yaml

import parity_istio
from parity_istio import FAIRLEAD

MESH = {"accessLogFile": "/dev/stdout"}
# What the control planes read of Kubernetes.
KINDS = ("Namespace", "Node", "Service", "Pod", "Deployment", "EndpointSlice", "Secret")
CREATED = "2024-01-01T00:00:00Z"


@dataclasses.dataclass
class Proxy:
    name: str
    type: str = "sidecar"
    ip: str = ""
    namespace: str = "default"
    labels: dict = dataclasses.field(default_factory=dict)

    def node_id(self):
        return f"{self.type}~{self.ip}~{self.name}.{self.namespace}~{self.namespace}.svc.cluster.local"

    def metadata(self):
        return {"NAMESPACE": self.namespace, "LABELS": self.labels, "ISTIO_VERSION": "1.30.0", "CLUSTER_ID": "Kubernetes"}


def is_istio(document):
    return document.get("apiVersion", "").split("/")[0].endswith(".istio.io")


class World:
    def __init__(self, documents, mesh=None):
        self.mesh = MESH | (mesh or {})
        self.documents = [copy.deepcopy(d) for d in documents if d and (is_istio(d) or d["kind"] in KINDS)]
        for d in self.documents:
            if d["kind"] not in ("Namespace", "Node"):
                d["metadata"].setdefault("namespace", "default")
            d["metadata"].setdefault("creationTimestamp", CREATED)
        self._pods()
        self._services()

    def of(self, *kinds):
        return [d for d in self.documents if d["kind"] in kinds]

    def _pods(self):
        addresses = (str(ipaddress.IPv4Address("10.244.0.1") + n) for n in range(1, 10000))
        taken = {p.get("status", {}).get("podIP") for p in self.of("Pod")}
        for pod in self.of("Pod"):
            pod.setdefault("status", {}).setdefault("phase", "Running")
            if not pod["status"].get("podIP"):
                pod["status"]["podIP"] = next(a for a in addresses if a not in taken)
        for deployment in self.of("Deployment"):
            template = deployment["spec"]["template"]
            for n in range(deployment["spec"].get("replicas", 1)):
                ip = next(a for a in addresses if a not in taken)
                self.documents.append({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": f"{deployment['metadata']['name']}-{n}", "namespace": deployment["metadata"]["namespace"],
                                 "labels": template["metadata"]["labels"], "creationTimestamp": CREATED},
                    "spec": {"serviceAccountName": "default"} | template["spec"],
                    "status": {"phase": "Running", "podIP": ip}})
        self.documents = [d for d in self.documents if d["kind"] != "Deployment"]
        for pod in self.of("Pod"):
            pod["status"].setdefault("podIPs", [{"ip": pod["status"]["podIP"]}])
            pod["status"].setdefault("conditions", [{"type": "Ready", "status": "True"}])

    def _services(self):
        addresses = (str(ipaddress.IPv4Address("10.96.1.0") + n) for n in range(1, 10000))
        sliced = {(d["metadata"]["namespace"], d["metadata"]["labels"]["kubernetes.io/service-name"]) for d in self.of("EndpointSlice")}
        for service in self.of("Service"):
            spec = service["spec"]
            for port in spec.get("ports", []):
                port.setdefault("protocol", "TCP")
                port.setdefault("targetPort", port["port"])
            if spec.get("type") == "ExternalName":
                continue
            spec.setdefault("type", "ClusterIP")
            spec.setdefault("clusterIP", next(addresses))
            spec.setdefault("clusterIPs", [spec["clusterIP"]])
            key = (service["metadata"]["namespace"], service["metadata"]["name"])
            if key in sliced or not spec.get("selector"):
                continue
            pods = [p for p in self.of("Pod") if p["metadata"]["namespace"] == key[0] and
                    spec["selector"].items() <= p["metadata"].get("labels", {}).items()]
            if not pods:
                continue
            self.documents.append({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": f"{key[1]}-1", "namespace": key[0], "labels": {"kubernetes.io/service-name": key[1]}},
                "endpoints": [{"addresses": [p["status"]["podIP"]], "conditions": {"ready": True},
                               "targetRef": {"kind": "Pod", "name": p["metadata"]["name"], "namespace": key[0]}} for p in pods],
                "ports": [{"name": port.get("name", ""), "protocol": port["protocol"], "port": self._target(port, pods[0])}
                          for port in spec["ports"]]})

    @staticmethod
    def _target(port, pod):
        if isinstance(port["targetPort"], int):
            return port["targetPort"]
        for container in pod["spec"].get("containers", []):
            for declared in container.get("ports", []):
                if declared.get("name") == port["targetPort"]:
                    return declared["containerPort"]
        raise ValueError(f"no container port {port['targetPort']}")

    def text(self, select=lambda d: True):
        return "\n---\n".join(yaml.safe_dump(d, sort_keys=False) for d in self.documents if select(d))

    def proxy_of(self, **labels):
        """The sidecar (or gateway) of the first pod with these labels."""
        for pod in self.of("Pod"):
            if labels.items() <= pod["metadata"].get("labels", {}).items():
                own = pod["metadata"]["labels"]
                kind = "router" if own.get("istio", "").endswith("gateway") else "sidecar"
                return Proxy(pod["metadata"]["name"], kind, pod["status"]["podIP"], pod["metadata"]["namespace"], own)
        raise LookupError(f"no pod with labels {labels}")

    # What each control plane is asked.

    def for_istio(self):
        # The fake API of Istio's server has no Ingress-like admission: labels and ids are taken as they are.
        return {"config": self.text(is_istio), "kubernetes": self.text(lambda d: not is_istio(d)), "mesh": yaml.safe_dump(self.mesh)}

    def istio(self, proxies):
        asked = [{"id": f"{p.name}.{p.namespace}", "type": p.type, "ip": p.ip, "namespace": p.namespace, "labels": p.labels} for p in proxies]
        return parity_istio.harness(yaml.safe_dump(self.mesh)).ask(op="dump", proxies=asked, **self.for_istio())["proxies"]

    def write(self, folder):
        """The folder that `fairlead control --files` reads."""
        mesh = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
                "data": {"mesh": yaml.safe_dump(self.mesh)}}
        # The mesh configuration comes first: names of services depend on it.
        pathlib.Path(folder, "0.yaml").write_text(yaml.safe_dump(mesh))
        pathlib.Path(folder, "1.yaml").write_text(self.text())

    def ours(self, proxies):
        out = []
        with tempfile.TemporaryDirectory() as folder:
            self.write(folder)
            for p in proxies:
                done = subprocess.run([FAIRLEAD, "control", "--files", folder, "--print", p.node_id(), "--metadata", json.dumps(p.metadata())],
                                      capture_output=True, text=True, timeout=30)
                assert done.returncode == 0, done.stderr
                out.append(json.loads(done.stdout))
        return out


@dataclasses.dataclass
class Case:
    name: str
    world: World
    proxies: list


def load_case(path):
    documents = [d for d in yaml.safe_load_all(path.read_text()) if d]
    head, rest = documents[0], documents[1:]
    assert head["kind"] == "Case", f"{path}: the first document is of kind Case"
    for name in head.get("with", []):
        rest = [d for d in yaml.safe_load_all((path.parent / name).read_text()) if d] + rest
    world = World(rest, head.get("mesh"))
    return Case(path.stem, world, [world.proxy_of(**labels) for labels in head["proxies"]])
