#!/usr/bin/env python3
"""Start-up time, memory, and how long a configuration change takes to reach traffic. Prints Markdown."""
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAIRLEAD = str(ROOT / "build/fairlead")
CHANGES = 100


def run(*command, **kw):
    return subprocess.run(command, check=True, capture_output=True, text=True, **kw).stdout


def members(mesh):
    """The processes of a mesh: its host agent and all below it, with their arguments."""
    parents, words = {}, {}
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(proc.name)] = int((proc / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words[int(proc.name)] = [w.decode(errors="replace") for w in (proc / "cmdline").read_bytes().split(b"\0") if w]
        except OSError:
            continue
    found = {pid for pid, w in words.items() if w[1:] == ["agent", mesh]}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return {pid: words[pid] for pid in found if pid in words}
        found |= more


def pss_by_role(mesh):
    """MiB of each process of the mesh, by the part it plays."""
    out = {}
    for pid, words in members(mesh).items():
        try:
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        pss = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
        text = " ".join(words)
        role = ("istiod" if "discovery" in words or " control" in text else
                "sidecar" if "sidecar" in words else "gateway" if "router" in words else
                "pod init" if "pod-init" in text else "sample" if "sample" in text or "bookinfo" in text else
                "node" if "node" in text else "host agent" if "agent" in text else "program")
        out.setdefault(role, []).append(pss / 1024)
    return out


class Api:
    """The API server, by the client certificate of the mesh's own kubeconfig (through kubectl proxy would measure kubectl)."""

    def __init__(self, kubeconfig):
        import base64
        import ssl
        import yaml
        config = yaml.safe_load(pathlib.Path(kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        self.folder = tempfile.mkdtemp()
        files = {"ca": cluster["certificate-authority-data"], "cert": user["client-certificate-data"], "key": user["client-key-data"]}
        for name, data in files.items():
            pathlib.Path(self.folder, name).write_bytes(base64.b64decode(data))
        context = ssl.create_default_context(cafile=f"{self.folder}/ca")
        context.load_cert_chain(f"{self.folder}/cert", f"{self.folder}/key")
        self.connection = http.client.HTTPSConnection(cluster["server"].removeprefix("https://"), context=context)

    def call(self, method, path, body=None, kind="application/json"):
        self.connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
        response = self.connection.getresponse()
        data = json.loads(response.read() or b"{}")
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {data.get('message')}")
        return data


def config_latency(api, port):
    """ms from the moment a VirtualService is stored until a request through the gateway obeys it."""
    gateway = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "latency"},
               "spec": {"selector": {"istio": "ingressgateway"},
                        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["latency.test"]}]}}
    service = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "latency"},
               "spec": {"hosts": ["latency.test"], "gateways": ["latency"], "http": [{"directResponse": {"status": 200, "body": {"string": "0"}}}]}}
    base = "/apis/networking.istio.io/v1/namespaces/default"
    api.call("POST", f"{base}/gateways", gateway)
    api.call("POST", f"{base}/virtualservices", service)
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def seen():
        connection.request("GET", "/", headers={"Host": "latency.test"})
        response = connection.getresponse()
        return response.read().decode() if response.status == 200 else None

    deadline = time.monotonic() + 20
    while True:
        try:
            if seen() == "0":
                break
        except OSError:
            connection.close()
        if time.monotonic() > deadline:
            raise RuntimeError("the gateway never served latency.test")
        time.sleep(0.01)
    times = []
    for i in range(1, CHANGES + 1):
        patch = {"spec": {"http": [{"directResponse": {"status": 200, "body": {"string": str(i)}}}]}}
        start = time.monotonic()
        api.call("PATCH", f"{base}/virtualservices/latency", patch, "application/merge-patch+json")
        while seen() != str(i):
            if time.monotonic() - start > 10:
                raise RuntimeError(f"change {i} did not arrive within 10 s")
        times.append((time.monotonic() - start) * 1e3)
    return times


def main():
    data = tempfile.mkdtemp(prefix="fairlead-bench-")
    name = f"bench-{os.getpid()}"
    kubeconfig = f"{data}/kubeconfig-bench"
    up = [FAIRLEAD, "up", "--name", name, "--data-dir", f"{data}/state", "--kubeconfig", kubeconfig, "--port", "17443"]
    down = [FAIRLEAD, "down", "--name", name, "--data-dir", f"{data}/state", "--kubeconfig", kubeconfig]
    try:
        seconds = {"cold": [], "warm": []}
        for _ in range(3):
            for state in ("cold", "warm"):
                start = time.monotonic()
                run(*up)
                seconds[state].append(time.monotonic() - start)
                run(*down, *(["--purge"] if state == "warm" else []))
        run(*up)
        run(FAIRLEAD, "apply", "--kubeconfig", kubeconfig, "-f", "-",
            input="{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {istio-injection: enabled}}}")
        run(FAIRLEAD, "apply", "--kubeconfig", kubeconfig, "--wait", "120", "-f", str(ROOT / "samples/bookinfo/platform/kube/bookinfo.yaml"))
        api = Api(kubeconfig)
        ingress = api.call("GET", "/api/v1/namespaces/istio-system/services/istio-ingressgateway")
        port = next(p["nodePort"] for p in ingress["spec"]["ports"] if p["name"] == "http2")
        time.sleep(5)  # idle, as the table says
        memory = pss_by_role(name)
        times = sorted(config_latency(api, port))
        print("## The mesh\n")
        print("| what | figure |\n| --- | --- |")
        print(f"| `fairlead up` to Ready, nothing stored (median of 3) | {statistics.median(seconds['cold']):.2f} s |")
        print(f"| `fairlead up` to Ready, state there (median of 3) | {statistics.median(seconds['warm']):.2f} s |")
        for role, values in sorted(memory.items()):
            print(f"| memory (PSS) of {role}, with Bookinfo, idle (median of {len(values)}) | {statistics.median(values):.1f} MiB |")
        print(f"| VirtualService stored to first request that obeys, p50 of {CHANGES} | {times[len(times) // 2]:.1f} ms |")
        print(f"| the same, p99 | {times[int(len(times) * 0.99) - 1]:.1f} ms |")
    finally:
        subprocess.run([*down, "--purge"], capture_output=True)
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
