"""Streams of their own for each type (api_config_source), and how long what they bring is waited for."""
import http.client
import json
import subprocess
import threading
import time

import pytest

from ports import free_port
from test_proxy_chaos import FAIRLEAD, GRPC, Origin, Proxy, assignment, get, listener, routes, xds_cluster

pytest.importorskip("grpc", reason="python3-grpcio is not installed")
from xds_server import XdsServer


def source(cluster="xds", timeout=None, api_type="GRPC"):
    out = {"api_config_source": {**GRPC, "api_type": api_type, "grpc_services": [{"envoy_grpc": {"cluster_name": cluster}}]}, "resource_api_version": "V3"}
    return {**out, "initial_fetch_timeout": timeout} if timeout else out


def status(port):
    try:
        return get(port, "/", timeout=2)[0]
    except OSError:
        return None


@pytest.fixture
def world(tmp_path):
    parts = []

    def add(part):
        parts.append(part)
        return part

    yield add
    for part in reversed(parts):
        getattr(part, "stop", None) and part.stop() or getattr(part, "kill", lambda: None)()


def test_each_type_may_come_from_a_server_of_its_own(world, tmp_path):
    one, two = world(XdsServer()), world(XdsServer())
    origin, port = world(Origin("a")), free_port()
    one.set("cds", {"name": "c", "type": "EDS", "eds_cluster_config": {"eds_config": source("two")}})
    two.set("eds", assignment("c", origin.port))
    two.set("lds", listener(port, {"rds": {"route_config_name": "r", "config_source": source("one")}}))
    one.set("rds", routes("r", headers=[("x-version", "1")]))
    # What the other has by the same name is not asked for.
    two.set("rds", routes("r", headers=[("x-version", "other")]))
    proxy = world(Proxy(tmp_path, {"node": {"id": "n", "cluster": "t"}, "dynamic_resources": {"cds_config": source("one"), "lds_config": source("two")},
                                   "static_resources": {"clusters": [{**xds_cluster(s.port), "name": n} for n, s in (("one", one), ("two", two))]}}))
    assert get(port, "/")[:2] == (200, "a") and get(port, "/")[2]["x-version"] == "1"
    assert {t.rpartition(".")[2] for t, _, _ in one.acks} == {"Cluster", "RouteConfiguration"}
    assert {t.rpartition(".")[2] for t, _, _ in two.acks} == {"Listener", "ClusterLoadAssignment"}
    assert len(one.streams) == 2 and len(two.streams) == 2 and one.nacks == two.nacks == []
    for name in ("cluster_manager.cds", "listener_manager.lds", "cluster_manager.eds", "http.rds"):
        assert proxy.stat(name + ".control_plane.connected_state") == 1
    two.stop()
    proxy.wait(lambda: proxy.stat("listener_manager.lds.control_plane.connected_state") == 0)
    assert proxy.stat("cluster_manager.cds.control_plane.connected_state") == 1
    one.set("rds", routes("r", headers=[("x-version", "2")]))  # the others go on
    proxy.wait(lambda: get(port, "/")[2]["x-version"] == "2")


def test_a_listener_serves_when_its_routes_are_there_however_late_it_came(world, tmp_path):
    server, origin = world(XdsServer()), world(Origin("a"))
    first, second = free_port(), free_port()
    server.set("cds", {"name": "c", "type": "STATIC", "load_assignment": assignment("c", origin.port)})
    server.set("rds", routes("r"))
    server.set("lds", listener(first, {"rds": {"route_config_name": "r", "config_source": source(timeout="0.2s")}}))
    proxy = world(Proxy(tmp_path, {"node": {"id": "n", "cluster": "t"}, "dynamic_resources": {"cds_config": source(), "lds_config": source()},
                                   "static_resources": {"clusters": [xds_cluster(server.port)]}}))
    assert status(first) == 200
    time.sleep(0.4)  # the first's own time is over
    late = {**listener(second, {"rds": {"route_config_name": "late", "config_source": source(timeout="0s")}}), "name": "second"}
    server.set("lds", listener(first, {"rds": {"route_config_name": "r", "config_source": source(timeout="0.2s")}}), late)
    proxy.wait(lambda: proxy.stat("listener_manager.total_listeners_warming") == 1)
    answers = []
    asked = threading.Thread(target=lambda: answers.append(status(second)))  # it waits in the backlog
    asked.start()
    server.set("rds", routes("r"), routes("late"))
    asked.join()
    assert answers == [200] and status(first) == 200


def test_with_its_server_away_what_is_static_serves_when_the_time_is_over(world, tmp_path):
    away = free_port()
    origin, port, other = world(Origin("a")), free_port(), free_port()
    cluster = {"name": "c", "type": "STATIC", "load_assignment": assignment("c", origin.port)}
    waiting = {"name": "e", "type": "EDS", "eds_cluster_config": {"eds_config": source(timeout="0.4s")}}
    started = time.monotonic()
    proxy = world(Proxy(tmp_path, {"node": {"id": "n", "cluster": "t"},
                                   "dynamic_resources": {"cds_config": source(timeout="0.3s"), "lds_config": source(timeout="0.3s")},
                                   "static_resources": {"clusters": [xds_cluster(away), cluster, waiting],
                                                        "listeners": [listener(port, {"route_config": routes("static")}),
                                                                      {**listener(other, {"rds": {"route_config_name": "r", "config_source": source(timeout="0.5s")}}), "name": "other"}]}}))
    # Ready only then (Proxy waits for it).
    assert 0.4 < time.monotonic() - started < 10
    assert status(port) == 200 and status(other) == 404
    server = world(XdsServer(away))
    server.set("rds", routes("r"))
    server.set("cds", {"name": "d", "type": "STATIC", "load_assignment": assignment("d", origin.port)})
    server.set("lds")
    server.set("eds", assignment("e", origin.port))
    proxy.wait(lambda: status(other) == 200, 30)
    proxy.wait(lambda: proxy.stat("cluster.e.membership_total") == 1 and proxy.stat("cluster.d.membership_total") == 1, 30)
    assert server.nacks == []


def test_a_first_answer_that_is_refused_is_not_waited_for_any_longer(world, tmp_path):
    server, origin, port = world(XdsServer()), world(Origin("a")), free_port()
    server.set("cds", {"name": "bad", "type": "EDS", "eds_cluster_config": {"eds_config": source(api_type="REST")}})
    server.set("lds", listener(port, {"route_config": routes("r", action={"cluster": "static"})}))
    proxy = world(Proxy(tmp_path, {"node": {"id": "n", "cluster": "t"}, "dynamic_resources": {"cds_config": source(timeout="0s"), "lds_config": source(timeout="0s")},
                                   "static_resources": {"clusters": [xds_cluster(server.port), {"name": "static", "type": "STATIC",
                                                                                                "load_assignment": assignment("static", origin.port)}]}}))
    assert status(port) == 200
    (kind, version, why), = server.nacks
    assert kind.endswith(".Cluster") and "cluster bad" in why and "eds_cluster_config.eds_config.api_config_source.api_type" in why and "REST" in why


@pytest.mark.parametrize("what,says", [
    ({"api_type": "REST", "cluster_names": ["xds"]}, "REST"),
    ({"api_type": "AGGREGATED_GRPC"}, "dynamic_resources.cds_config.api_config_source.api_type"),
    ({"grpc_services": [{"google_grpc": {"target_uri": "localhost:1", "stat_prefix": "x"}}]}, "google_grpc"),
    ({"grpc_services": [{"envoy_grpc": {"cluster_name": "none"}}]}, 'no static cluster with an endpoint is called "none"'),
])
def test_a_source_that_is_not_taken_is_refused_by_name(what, says, tmp_path):
    bootstrap = tmp_path / "b.json"
    api = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}], **what}
    bootstrap.write_text(json.dumps({"dynamic_resources": {"cds_config": {"api_config_source": api}}, "static_resources": {"clusters": [xds_cluster(1)]}}))
    ran = subprocess.run([FAIRLEAD, "proxy", "-c", bootstrap, "--mode", "validate"], capture_output=True, text=True)
    assert ran.returncode == 1 and says in ran.stderr
