"""Streams of discovery go through their cluster: its TLS, each of its endpoints, its names, its pipes."""
import json
import os
import subprocess

import pytest

from ports import free_port
from test_proxy_chaos import FAIRLEAD, Origin, Proxy, assignment, endpoint, get, listener, routes, xds_cluster
from test_proxy_go_control_plane import GoServer

NAME = "xds.mesh.test"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def ca(folder, name):
    """A CA: files NAME.crt and NAME.key."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt",
            "-days", "2", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:true")


def leaf(folder, name, issuer, san):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr", "-subj", f"/CN={name}")
    (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.key", "-CAcreateserial", "-days", "2",
            "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.crt")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for name in ("good", "other"):
        ca(folder, name)
    leaf(folder, "server", "good", f"DNS:{NAME},URI:spiffe://mesh.test/xds")
    leaf(folder, "client", "good", "URI:spiffe://mesh.test/proxy")
    return folder


class World:
    """A proxy whose listener "static" is its own; what else it has comes by discovery."""

    def __init__(self, folder, pki):
        self.folder, self.pki = folder, pki
        self.parts = []
        self.origin = self.add(Origin("a"))
        self.port, self.static = free_port(), free_port()

    def add(self, part):
        self.parts.append(part)
        return part

    def server(self, *more, by="one stream", **where):
        s = self.add(GoServer(by, more=[str(m) for m in more], **where))
        source = {"ads": {}, "resource_api_version": "V3"}
        s.set("v1", {"cds": [{"name": "c", "type": "STATIC", "load_assignment": assignment("c", self.origin.port)}],
                     "lds": [listener(self.port, {"rds": {"route_config_name": "r", "config_source": source}})], "rds": [routes("r")]})
        return s

    def secured(self, *more, **where):
        return self.server("-cert", self.pki / "server.crt", "-key", self.pki / "server.key", *more, **where)

    def start(self, cluster, service={}, secrets=(), wait=True):
        api = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}, **service}]}
        own = {**listener(self.static, {"route_config": routes("own", cluster="own")}), "name": "static"}
        source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "1s"}
        self.proxy = self.add(Proxy(self.folder, {
            "node": {"id": "driven", "cluster": "test"},
            "static_resources": {"listeners": [own], "secrets": list(secrets), "clusters": [
                {**xds_cluster(1), "connect_timeout": "1s", **cluster}, {"name": "own", "type": "STATIC", "load_assignment": assignment("own", self.origin.port)}]},
            "dynamic_resources": {"ads_config": api, "cds_config": source, "lds_config": source}}))
        return self.proxy

    def serves(self, port):
        try:
            return get(port, "/", timeout=2)[:2] == (200, "a")
        except OSError:
            return False

    def log(self):
        return (self.folder / "proxy.log").read_text()

    def stop(self):
        for part in reversed(self.parts):
            getattr(part, "stop", None) and part.stop() or getattr(part, "kill", lambda: None)()


@pytest.fixture
def world(tmp_path, pki):
    w = World(tmp_path, pki)
    yield w
    w.stop()


def tls(validation, **more):
    common = {"validation_context": validation, **more}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": NAME, "common_tls_context": common}}}


def trusts(file, san=NAME, kind="DNS"):
    return {"trusted_ca": {"filename": str(file)}, "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": san}}]}


def at(*endpoints, name="xds", **more):
    return {"load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": list(endpoints)}]}, **more}


def test_both_sides_show_certificates(world, pki):
    server = world.secured("-client-ca", pki / "good.crt")
    mine = {"name": "mine", "tls_certificate": {"certificate_chain": {"inline_string": (pki / "client.crt").read_text()},
                                                "private_key": {"inline_string": (pki / "client.key").read_text()}}}
    proxy = world.start({**at(endpoint(server.port)), **tls(trusts(pki / "good.crt"), tls_certificate_sds_secret_configs=[{"name": "mine"}])},
                        {"initial_metadata": [{"key": "x-token", "value": "t1"}]}, [mine])
    proxy.wait(lambda: world.serves(world.port))
    opened = server.told("open")[0]
    assert (opened["client"], opened["sni"], opened["token"], opened["authority"]) == ("client", NAME, "t1", "xds")


@pytest.mark.parametrize("api", ["GRPC", "DELTA_GRPC"])
def test_streams_of_their_own_go_by_tls_too(world, pki, api):
    server = world.server("-cert", pki / "server.crt", "-key", pki / "server.key", by="streams of their own")
    source = {"api_config_source": {"api_type": api, "transport_api_version": "V3", "grpc_services": [
        {"envoy_grpc": {"cluster_name": "xds", "authority": "named"}, "initial_metadata": [{"key": "X-Token", "value": "t2"}]}]}, "resource_api_version": "V3"}
    server.set("v2", {"cds": [{"name": "c", "type": "STATIC", "load_assignment": assignment("c", world.origin.port)}],
                      "lds": [listener(world.port, {"rds": {"route_config_name": "r", "config_source": source}})], "rds": [routes("r")]})
    cluster = {**xds_cluster(server.port), **tls(trusts(pki / "good.crt", "spiffe://mesh.test/xds", "URI"))}
    proxy = world.add(Proxy(world.folder, {"node": {"id": "driven", "cluster": "t"}, "static_resources": {"clusters": [cluster]},
                                           "dynamic_resources": {"cds_config": source, "lds_config": source}}))
    proxy.wait(lambda: world.serves(world.port))
    assert len(server.told("open")) == 3 and {(e["token"], e["authority"], e["sni"]) for e in server.told("open")} == {("t2", "named", NAME)}


def test_a_server_of_another_ca_is_told_once_and_tried_again_while_the_rest_serves(world, pki):
    server = world.secured()
    anchors = world.folder / "ca.crt"
    anchors.write_text((pki / "other.crt").read_text())
    proxy = world.start({**at(endpoint(server.port)), **tls(trusts(anchors))})
    proxy.wait(lambda: world.serves(world.static))
    proxy.wait(lambda: world.log().count("certificate verify failed") > 0)
    assert not server.told("open") and not world.serves(world.port)
    # Mended on the machine, it is taken without a restart.
    new = world.folder / "new.crt"
    new.write_text((pki / "good.crt").read_text())
    os.rename(new, anchors)
    proxy.wait(lambda: world.serves(world.port), 40)
    lines = [line for line in world.log().splitlines() if "certificate verify failed" in line]
    assert len(lines) == 1 and f"stream to xds (127.0.0.1:{server.port}) failed" in lines[0], lines


def test_a_certificate_without_the_name_is_not_enough(world, pki):
    server = world.secured()
    proxy = world.start({**at(endpoint(server.port)), **tls(trusts(pki / "good.crt", "somebody.else"))})
    proxy.wait(lambda: f"stream to xds (127.0.0.1:{server.port}) failed" in world.log())
    assert world.serves(world.static) and not world.serves(world.port) and not server.told("open")


def test_a_client_without_the_certificate_that_is_asked_for_is_told_so(world, pki):
    server = world.secured("-client-ca", pki / "good.crt")
    proxy = world.start({**at(endpoint(server.port)), **tls(trusts(pki / "good.crt"))})
    proxy.wait(lambda: "certificate required" in world.log())
    assert world.serves(world.static) and not server.told("open")


def test_each_endpoint_has_its_turn(world, pki):
    server = world.secured()
    proxy = world.start({**at(*[endpoint(free_port()) for _ in range(3)], endpoint(server.port)), **tls(trusts(pki / "good.crt"))})
    proxy.wait(lambda: world.serves(world.port), 3)


def test_when_its_server_goes_the_next_one_is_asked(world):
    first, second = world.server(), world.server()
    proxy = world.start(at(endpoint(first.port), endpoint(second.port)))
    proxy.wait(lambda: world.serves(world.port), 3)
    using, spare = (first, second) if first.told("open") else (second, first)
    assert using.told("open") and not spare.told("open")
    using.stop()
    proxy.wait(lambda: spare.told("open"))
    assert world.serves(world.port)


@pytest.mark.parametrize("kind", ["STRICT_DNS", "LOGICAL_DNS"])
def test_names_are_resolved(world, pki, kind):
    server = world.secured()
    proxy = world.start({**at(endpoint(server.port, "localhost"), type=kind, dns_lookup_family="V4_ONLY"), **tls(trusts(pki / "good.crt"))})
    proxy.wait(lambda: world.serves(world.port), 3)


def test_a_name_that_does_not_resolve_is_told_and_the_rest_serves(world):
    proxy = world.start(at(endpoint(1, "nowhere.invalid"), type="STRICT_DNS"))
    proxy.wait(lambda: world.serves(world.static))
    proxy.wait(lambda: "nowhere.invalid does not resolve" in world.log() and "cluster xds has no endpoint" in world.log())


def test_a_pipe_carries_tls_as_well(world, pki):
    path = world.folder / "s"
    server = world.secured(at=f"unix:{path}")
    proxy = world.start({**at({"endpoint": {"address": {"pipe": {"path": str(path)}}}}), **tls(trusts(pki / "good.crt"))})
    proxy.wait(lambda: world.serves(world.port), 3)
    assert server.told("open")


@pytest.mark.parametrize("service,says", [
    ({"google_grpc": {"target_uri": "localhost:1", "stat_prefix": "x"}}, "google_grpc"),
    ({"envoy_grpc": {"cluster_name": "none"}}, 'dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name'),
])
def test_a_server_that_cannot_be_reached_is_refused_by_name(service, says, tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"dynamic_resources": {"ads_config": {"api_type": "GRPC", "grpc_services": [service]}}, "static_resources": {"clusters": [xds_cluster(1)]}}))
    ran = subprocess.run([FAIRLEAD, "proxy", "-c", path, "--mode", "validate"], capture_output=True, text=True)
    assert ran.returncode == 1 and says in ran.stderr, ran.stderr
