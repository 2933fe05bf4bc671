"""Chains of HTTP filters: an upgrade's own, and filters that run where a route asks for them. The same requests through Envoy and us."""
import json
import socket

import pytest

from envoy_program import envoy_program
from parity_pair import HCM, ROUTER, Origin, address, both, cluster, read_request

MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"


def mutations(value):
    append = {"append": {"header": {"key": "x-by", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}}
    return {"mutations": {"request_mutations": [append], "response_mutations": [append]}}


def mutation(name, value=None, **more):
    return {"name": name, "typed_config": {"@type": MUTATION, **mutations(value or name)}, **more}


def per_route(value):
    return {"@type": MUTATION + "PerRoute", **mutations(value)}


class Switching(Origin):
    """Answers an upgrade with 101, all else with 200, and tells which x-by it saw."""

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            while request := read_request(file):
                seen = json.dumps([v for k, v in request[2] if k == "x-by"])
                upgrade = dict(request[2]).get("upgrade")
                if upgrade:
                    peer.sendall(f"HTTP/1.1 101 Switching Protocols\r\nupgrade: {upgrade}\r\nconnection: upgrade\r\nx-seen: {seen}\r\n\r\n".encode())
                    return
                peer.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-seen: {seen}\r\n\r\n".encode())
        except OSError:
            pass
        finally:
            peer.close()


def route(prefix, upgrades=None, **more):
    action = {"cluster": "origin"}
    if upgrades is not None:
        action["upgrade_configs"] = [{"upgrade_type": t, "enabled": on} for t, on in upgrades.items()]
    return {"match": {"prefix": prefix}, "route": action, **more}


CHAINS = {"http_filters": [mutation("all"), mutation("off", disabled=True), mutation("off2", disabled=True), ROUTER],
          "upgrade_configs": [{"upgrade_type": "websocket", "filters": [mutation("socket"), mutation("off", "socket-off", disabled=True), ROUTER]}, {"upgrade_type": "plain"},
                              {"upgrade_type": "no", "enabled": False}, {"upgrade_type": "NoFilters", "enabled": False, "filters": [mutation("own"), ROUTER]}]}
ROUTES = [route("/none", {"websocket": False, "plain": False}), route("/all", {"websocket": True, "no": True, "nofilters": True, "other": True}),
          route("/on", typed_per_filter_config={"off": per_route("route")}), route("/empty", typed_per_filter_config={"off": {"@type": FILTER_CONFIG, "config": {}}}),
          route("/wrapped", typed_per_filter_config={"off": {"@type": FILTER_CONFIG, "config": per_route("wrapped")}, "all": {"@type": FILTER_CONFIG, "disabled": True}}),
          route("/stays", typed_per_filter_config={"off": {"@type": FILTER_CONFIG, "disabled": True, "config": per_route("x")}}), route("/plain")]


def bootstrap(origin):
    def make(running):
        config = {"@type": HCM, "stat_prefix": "in", "delayed_close_timeout": "0.1s", **CHAINS, "access_log": [{"name": "f", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(running.lines),
            "log_format": {"json_format": {"details": "%RESPONSE_CODE_DETAILS%", "flags": "%RESPONSE_FLAGS%", "number": "%REQ(X-NUMBER)%"}}}}],
            "route_config": {"virtual_hosts": [{"name": "host", "domains": ["host.example"], "routes": [route("/", typed_per_filter_config={"off": per_route("at route")})],
                                                "typed_per_filter_config": {"off2": {"@type": FILTER_CONFIG, "disabled": False, "config": per_route("host")}}},
                                               {"name": "all", "domains": ["*"], "routes": ROUTES}]}}
        return {"static_resources": {"listeners": [{"name": "l", "address": address(running.port("in")), "filter_chains": [{"filters": [{"name": "h", "typed_config": config}]}]}],
                                     "clusters": [cluster("origin", origin.port)]}}
    return make


REQUESTS = [(host, path, upgrade) for host, path in (*(("a.example", p) for p in ("/none", "/all", "/on", "/empty", "/wrapped", "/stays", "/plain", "/nowhere")), ("host.example", "/"))
            for upgrade in (None, "websocket", "WebSocket", "plain", "no", "nofilters", "other")]


def ask(proxy, number, host, path, upgrade):
    with socket.create_connection(("127.0.0.1", proxy.port("in")), timeout=10) as peer:
        more = f"connection: upgrade\r\nupgrade: {upgrade}\r\n" if upgrade else ""
        peer.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nx-number: {number}\r\n{more}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (data := peer.recv(65536)):
            head += data
        while b" 101 " in head[:13] and peer.recv(65536):
            pass  # the origin ends the tunnel
    lines = head.decode().partition("\r\n\r\n")[0].split("\r\n")
    return lines[0], sorted(line for line in lines[1:] if line.startswith(("x-", "upgrade")) and not line.startswith("x-envoy-upstream-service"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    origin = Switching()
    running = both(envoy_program(), tmp_path_factory.mktemp("chains"), bootstrap(origin))
    yield running
    for r in running:
        r.stop()


def test_the_same_filters_run(pair):
    results = []
    for proxy in pair:
        answers = [ask(proxy, n, *request) for n, request in enumerate(REQUESTS)]
        logged = {int(line["number"]): line for line in proxy.logged(len(REQUESTS))}
        results.append([(*answer, logged.get(n)) for n, answer in enumerate(answers)])
    problems = [f"{request}\n    Envoy: {a}\n    ours:  {b}" for request, a, b in zip(REQUESTS, *results) if a != b]
    assert not problems, "\n".join(problems)
    assert sum("101" in r[0] for r in results[1]) > 15 and sum("403" in r[0] for r in results[1]) > 10
    assert any("socket" in str(r) for r in results[1]) and any("wrapped" in str(r) for r in results[1])
