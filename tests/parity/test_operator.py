"""What an operator asks a proxy: names and types of statistics, and admin pages, of Envoy and of us under the same bootstrap.
What Envoy has beyond ours stands in known_operator.yaml, with the reason; a name in neither fails."""
import json
import pathlib
import re
import socket
import subprocess

import pytest
import yaml

from parity_pair import HCM, ROUTER, H1Origin, H2Origin, address, both, cluster, h2_cluster

KNOWN = yaml.safe_load((pathlib.Path(__file__).resolve().parent / "known_operator.yaml").read_text())


@pytest.fixture(scope="module")
def pair(envoy, tmp_path_factory):
    h1, h2 = H1Origin(), H2Origin()

    def bootstrap(r):
        endpoints = {"version_info": "1", "resources": [{"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "eds",
                                                         "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(h1.port)}}]}]}]}
        (r.folder / "eds.json").write_text(json.dumps(endpoints))
        eds = {"name": "eds", "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": {"path_config_source": {"path": str(r.folder / "eds.json")}}}}
        check = {"timeout": "1s", "interval": "0.2s", "no_traffic_interval": "0.2s", "unhealthy_threshold": 1, "healthy_threshold": 1, "http_health_check": {"path": "/h"}}
        routes = [{"match": {"prefix": prefix}, "route": {"cluster": name}} for prefix, name in (("/nobody", "nobody"), ("/h2", "h2"), ("/eds", "eds"))]
        routes += [{"match": {"prefix": "/direct"}, "direct_response": {"status": 403}},
                   {"match": {"prefix": "/status/503"}, "route": {"cluster": "h1", "retry_policy": {"retry_on": "5xx", "num_retries": 1}}},
                   {"match": {"prefix": "/"}, "route": {"cluster": "h1"}}]
        hcm = {"@type": HCM, "stat_prefix": "in", "http_filters": [ROUTER],
               "route_config": {"name": "rc", "virtual_hosts": [{"name": "vh", "domains": ["*"], "routes": routes}]}}
        tcp = {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "h1"}
        return {"node": {"id": "n", "cluster": "c"}, "static_resources": {
            "listeners": [{"name": name, "address": address(r.port(name)), "filter_chains": [{"filters": [{"name": name, "typed_config": config}]}]}
                          for name, config in (("http", hcm), ("tcp", tcp))],
            "clusters": [cluster("h1", h1.port, health_checks=[check], outlier_detection={}, circuit_breakers={"thresholds": [{"track_remaining": True}]}),
                         h2_cluster("h2", h2.port), cluster("nobody", 1), eds]}}
    running = both(envoy, tmp_path_factory.mktemp("pair"), bootstrap)
    for r in running:
        for path, args in (("/x", []), ("/direct", []), ("/nobody", []), ("/h2", ["--http2-prior-knowledge"]), ("/eds", []), ("/status/503", [])):
            subprocess.run(["curl", "-s", "-o", "/dev/null", "-m", "5", *args, f"http://127.0.0.1:{r.port('http')}{path}"], check=False)
        with socket.create_connection(("127.0.0.1", r.port("tcp"))) as s:
            s.sendall(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            s.recv(100)
    yield running
    for r in running:
        r.stop()


def names(r):
    """Statistics by name, ports by what they are for."""
    ports = {str(port): name for name, port in r.ports.items()}
    lines = [re.sub(r"_(\d{5})\b", lambda m: "_" + ports.get(m[1], m[1]), line) for line in r.admin("/stats")[2].splitlines()]
    return {line.rsplit(": ", 1)[0] for line in lines if ": " in line}


def test_statistics_have_envoys_names(pair):
    theirs, ours = map(names, pair)
    missing = [n for n in sorted(theirs - ours) if not any(re.fullmatch(k["name"], n) for k in KNOWN["statistics"])]
    assert not missing, "\n".join(missing)
    excused = [f"{n}: {k['name']}" for n in sorted(theirs & ours) for k in KNOWN["statistics"] if re.fullmatch(k["name"], n)]
    assert not excused, "these are there; a pattern that covers them would hide their loss\n" + "\n".join(excused)
    assert len(theirs & ours) > 400


def test_families_have_envoys_types(pair):
    theirs, ours = (dict(re.findall(r"^# TYPE (\S+) (\S+)$", r.admin("/stats/prometheus")[2], re.M)) for r in pair)
    assert {k: v for k, v in ours.items() if k in theirs} == {k: theirs[k] for k in ours if k in theirs}


PAGES = [("GET", p) for p in (
    "/", "/help", "/certs", "/clusters", "/clusters?format=json", "/config_dump", "/config_dump?resource=static_clusters", "/config_dump?include_eds",
    "/config_dump?resource=static_clusters&mask=cluster.name", "/config_dump?resource=nothing", "/config_dump?mask=clusters", "/config_dump?mask=bootstrap.node",
    "/config_dump?name_regex=h.*", "/contention", "/hot_restart_version", "/init_dump", "/init_dump?mask=listener", "/listeners", "/listeners?format=json", "/memory",
    "/memory/tcmalloc", "/ready", "/runtime", "/runtime_modify", "/server_info", "/stats", "/stats?format=html", "/stats?format=json", "/stats?format=bad",
    "/stats?format=json&type=Counters", "/stats?usedonly", "/stats?type=Gauges", "/stats?type=Histograms", "/stats?type=TextReadouts", "/stats?type=Bad", "/stats?filter=[",
    "/stats?histogram_buckets=cumulative", "/stats?histogram_buckets=disjoint", "/stats?histogram_buckets=detailed", "/stats?histogram_buckets=bad", "/stats/prometheus",
    "/stats/recentlookups", "/stats/recentlookups/enable", "/logging", "/cpuprofiler", "/heapprofiler", "/allocprofiler", "/nothing", "/drain_listeners", "/quitquitquit")]
PAGES += [("POST", p) for p in (
    "/contention", "/cpuprofiler", "/heapprofiler", "/heapprofiler?enable=y", "/stats/recentlookups/enable", "/stats/recentlookups/clear", "/stats/recentlookups/disable",
    "/runtime_modify", "/runtime_modify?a=1", "/reopen_logs", "/logging", "/logging?level=info", "/logging?bad=info", "/logging?level=bad", "/reset_counters",
    "/healthcheck/fail", "/healthcheck/ok", "/drain_listeners?graceful")]
SAME_BODY = {"/ready", "/hot_restart_version", "/runtime_modify", "/runtime_modify?a=1", "/init_dump", "/certs", "/stats/recentlookups/enable",
             "/config_dump?resource=nothing", "/config_dump?mask=clusters", "/stats?type=Bad", "/stats?format=bad", "/stats?filter=[", "/heapprofiler", "/reopen_logs",
             "/reset_counters", "/healthcheck/fail", "/healthcheck/ok", "/drain_listeners", "/quitquitquit", "/config_dump?resource=static_clusters&mask=cluster.name"}


def shape(value):
    """The keys of a JSON document, lists by their first entry."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.parametrize("method, page", PAGES, ids=lambda x: x)
def test_page(pair, method, page):
    if any(re.fullmatch(k["page"], page) for k in KNOWN["pages"]):
        pytest.skip("known to differ")
    theirs, ours = (r.admin(page, method) for r in pair)
    assert ours[0] == theirs[0], ours[2][:300]
    kinds = [{k.lower(): v for k, v in fields.items()}["content-type"] for _, fields, _ in (theirs, ours)]
    assert kinds[0] == kinds[1]
    if page in SAME_BODY:
        assert ours[2] == theirs[2]
    elif kinds[0] == "application/json" and page.startswith(("/clusters", "/listeners", "/memory")):
        a, b = (shape(json.loads(body)) for _, _, body in (theirs, ours))
        assert a.keys() == b.keys()


def test_help_lists_envoys_pages(pair):
    theirs, ours = (set(re.findall(r"^  (/\S*?)(?: \(POST\))?:", r.admin("/help")[2], re.M)) for r in pair)
    missing = [p for p in sorted(theirs - ours) if not any(re.fullmatch(k["page"], p) for k in KNOWN["pages"])]
    assert not missing
