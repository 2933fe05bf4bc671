"""A pod: a network namespace with a proxy under test, origins at the addresses of all other pods, and a client.

Redirection is what istio-init sets up, cut down: service addresses go to 15001, the pod's own address to 15006, what the
proxy itself sends goes straight on (by its socket mark, or its user id).
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest
import yaml

import parity_istio
from parity_istio import FAIRLEAD

HERE = pathlib.Path(__file__).resolve().parent
MARK = 1337
SDS_PORT = 15999
SERVICES = ("10.96.0.0/16", "198.51.100.0/24")
LOCAL = ("10.244.0.0/16", "10.96.0.0/16", "198.51.100.0/24")


def eventually(check, timeout=10):
    """Calls `check` until it returns something true; returns that."""
    end = time.monotonic() + timeout
    while not (result := check()):
        assert time.monotonic() < end, f"not within {timeout} s"
        time.sleep(0.05)
    return result


class Pod:
    def __init__(self, ip, sidecar=True):
        self.ip = ip
        self.folder = tempfile.TemporaryDirectory()
        self.processes = []
        unshare = ["unshare", "--net", "--fork", "--kill-child"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        self.holder = subprocess.Popen([*unshare, "sleep", "infinity"], stderr=subprocess.PIPE)
        self.enter = None
        end = time.monotonic() + 5
        while self.enter is None:
            children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
            if children and os.readlink(f"/proc/{children[0]}/ns/net") != os.readlink("/proc/self/ns/net"):
                self.enter = ["nsenter", "--target", children[0], "--net"] + ([] if os.geteuid() == 0 else ["--user", "--preserve-credentials"])
            elif self.holder.poll() is not None or time.monotonic() > end:
                self.close()
                pytest.skip("network namespaces are not permitted here")
            else:
                time.sleep(0.01)
        lines = ["ip link set lo up", *(f"ip route add local {net} dev lo" for net in LOCAL)]
        if sidecar:
            nat = "iptables -w -t nat -A OUTPUT -p tcp"
            lines += [f"{nat} -m mark --mark {MARK} -j RETURN", f"{nat} -m owner --uid-owner {MARK} -j RETURN",
                      f"{nat} -s 127.0.0.6 -j RETURN", f"{nat} -d {ip} -j REDIRECT --to-ports 15006",
                      *(f"{nat} -d {net} -j REDIRECT --to-ports 15001" for net in SERVICES)]
        self.run(["sh", "-ec", "\n".join(lines)])
        self.agent = self.start([sys.executable, HERE / "parity_agent.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, argv, **options):
        return subprocess.run([*self.enter, *argv], check=True, capture_output=True, text=True, timeout=30, **options)

    def start(self, argv, **options):
        process = subprocess.Popen([*self.enter, *argv], **options)
        self.processes.append(process)
        return process

    def ask(self, op, **request):
        self.agent.stdin.write(json.dumps({"op": op, **request}) + "\n")
        self.agent.stdin.flush()
        return json.loads(self.agent.stdout.readline())

    def get(self, to, path="/", host=None, headers=(), **more):
        sent = [["host", host or to[0]], *([k, v] for k, v in dict(headers).items())]
        return Answer(self.ask("fetch", to=to, path=path, headers=sent, **more))

    def get_many(self, n, to, path="/", host=None, headers=(), **more):
        sent = [["host", host or to[0]], *([k, v] for k, v in dict(headers).items())]
        return [Answer(a) for a in self.ask("many", requests=[{"to": to, "path": path, "headers": sent, **more}] * n)["answers"]]

    def admin(self, path):
        return self.run(["curl", "-sS", "--max-time", "5", f"http://127.0.0.1:15000{path}"]).stdout

    def stats(self, filter):
        out = {}
        for line in self.admin(f"/stats?filter={filter}").splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdigit():
                out[name] = int(value)
        return out

    def log(self):
        return pathlib.Path(self.folder.name, "log").read_text()

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.holder.send_signal(signal.SIGKILL)
        self.holder.wait()
        self.folder.cleanup()


class Answer:
    def __init__(self, raw):
        self.raw = raw
        self.status = raw.get("status")
        self.seconds = raw["seconds"]
        self.headers = dict(map(tuple, raw.get("headers", [])))
        self.body = raw.get("body", "")

    def origin(self):
        """What reached the origin."""
        got = json.loads(self.body)
        return got | {"headers": dict(map(tuple, got["headers"]))}

    def __repr__(self):
        return f"<{self.raw}>"


def bootstrap(proxy, xds, delta):
    ads = {"ads": {}, "resource_api_version": "V3"}
    host, port = xds.rsplit(":", 1)

    def static(name, ip, at):
        return {"name": name, "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": int(at)}}}}]}]}}
    return {
        "node": {"id": proxy.node_id(), "cluster": f"{proxy.name}.{proxy.namespace}", "metadata": proxy.metadata()},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]},
            "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [static("xds-grpc", host, port), static("sds-grpc", "127.0.0.1", SDS_PORT)]}}


class Driven(Pod):
    """`fairlead proxy`, told what to do by Istio's own server."""

    def __init__(self, world, proxy, delta=True):
        super().__init__(proxy.ip, sidecar=proxy.type == "sidecar")
        self.world, self.proxy = world, proxy
        try:
            self.begin(proxy, delta)
        except BaseException:
            self.close()  # nobody else has it yet
            raise

    def begin(self, proxy, delta):
        self.serve()
        self.start([sys.executable, HERE / "parity_sds.py", str(SDS_PORT), self.folder.name])
        path = pathlib.Path(self.folder.name, "bootstrap.yaml")
        path.write_text(yaml.safe_dump(bootstrap(proxy, self.xds, delta)))
        with open(pathlib.Path(self.folder.name, "log"), "w") as log:
            self.process = self.start([FAIRLEAD, "proxy", "-c", path, "--concurrency", "1", "--socket-mark", str(MARK), "-l", "debug"],
                                      stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 40  # a Secret that Istio does not have is waited for, 15 s by default
        while True:
            try:
                if self.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15000/ready"]).stdout == "200":
                    break
            except subprocess.CalledProcessError:
                pass
            assert self.process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < end, "the proxy did not become ready: " + self.log()[-3000:]
            time.sleep(0.02)

    def serve(self):
        self.harness = parity_istio.Istio(self.enter)
        self.processes.append(self.harness.process)
        self.xds = self.harness.ask(op="serve", listen="127.0.0.1:0", **self.world.for_istio())["address"]

    def origins(self, http=(), tcp=()):
        """Origins for the endpoints of services: {service: port names' kind} is found by the port's protocol."""
        self.ask("start", http=list(http), tcp=list(tcp))

    def refusals(self):
        return {name: n for name, n in self.stats("update_rejected").items() if n}
