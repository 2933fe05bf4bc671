"""`fairlead proxy`: admin pages, logs and refusals of the real binary."""
import json
import os
import re
import signal
import subprocess

import pytest

from machine import eventually
from ports import free_port
from test_proxy import FAIRLEAD, get, origin  # noqa: F401  (origin is a fixture)

LISTENER = """
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - name: ingress
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          access_log:
          - name: envoy.access_loggers.file
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: {log},
              log_format: {{text_format_source: {{inline_string: "%REQ(:PATH)% %PATH(NQ)% %QUERY_PARAM(q)% %RESPONSE_CODE% %UPSTREAM_REMOTE_PORT%\\n"}}}}}}
          route_config: {{name: r, virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: origin}}}}]}}]}}
          http_filters: [{{name: envoy.filters.http.router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]
  clusters:
  - {{name: origin, type: STATIC, load_assignment: {{cluster_name: origin, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {origin}}}}}}}}}]}}]}}}}
"""


class Running:
    def __init__(self, folder, origin_port, log, stdout=subprocess.DEVNULL):
        self.port, self.admin = free_port(), free_port()
        self.file = folder / "bootstrap.yaml"
        self.file.write_text(LISTENER.format(port=self.port, admin=self.admin, origin=origin_port, log=log))
        self.process = subprocess.Popen([FAIRLEAD, "proxy", "-c", self.file, "--concurrency", "2"], stdout=stdout, stderr=subprocess.DEVNULL)
        eventually(lambda: get(self.admin, "/ready")[0] == 200)

    def page(self, path, method="GET"):
        return get(self.admin, path, method)[1].decode()

    def stat(self, name):
        return int(self.page(f"/stats?filter=^{re.escape(name)}$").split(": ")[1])


@pytest.fixture
def running(tmp_path, origin):
    made = []

    def start(log=tmp_path / "access.log", **kw):
        made.append(Running(tmp_path, origin, log, **kw))
        return made[-1]
    yield start
    for proxy in made:
        proxy.process.kill()
        proxy.process.wait()


def test_the_pages_that_istioctl_and_prometheus_read(running):
    proxy = running()
    get(proxy.port, "/hello")
    info = json.loads(proxy.page("/server_info"))
    assert info["state"] == "LIVE"
    dump = json.loads(proxy.page("/config_dump"))
    kinds = [c["@type"].rsplit(".", 1)[1] for c in dump["configs"]]
    assert {"BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"} <= set(kinds)
    named = json.loads(proxy.page("/config_dump?resource=static_clusters&name_regex=^ori"))
    assert [c["cluster"]["name"] for c in named["configs"]] == ["origin"]
    assert json.loads(proxy.page("/config_dump?resource=static_clusters&name_regex=^nobody"))["configs"] == []
    assert get(proxy.admin, "/config_dump?resource=nonsense")[0] == 404
    assert "origin::default_priority::max_connections::1024" in proxy.page("/clusters")
    assert proxy.page("/clusters?filter=^nobody$") == ""
    assert proxy.page("/listeners") == f"ingress::127.0.0.1:{proxy.port}\n"
    for path in ("/stats?filter=[", "/config_dump?name_regex=[", "/clusters?filter=["):
        status, body, _ = get(proxy.admin, path)
        assert status == 400 and b"regex" in body

    families, seen = set(), set()
    for line in proxy.page("/stats/prometheus").splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in families, f"{name} stands twice"
            families.add(name)
        else:
            sample = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_]+="(?:[^"\\]|\\.)*",?)*)\} ([0-9.e+]+)', line)
            assert sample, line
            assert sample[1] in families or re.sub("_(bucket|sum|count)$", "", sample[1]) in families, line
            assert line.rsplit(" ", 1)[0] not in seen, line
            seen.add(line.rsplit(" ", 1)[0])
    assert 'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"}' in seen


def test_counters_start_again_from_zero(running):
    proxy = running()
    get(proxy.port, "/")
    eventually(lambda: proxy.stat("http.ingress.downstream_rq_total") == 1)
    assert get(proxy.admin, "/reset_counters")[0] == 405, "a stray GET changes nothing"
    assert get(proxy.admin, "/reset_counters", "POST")[1] == b"OK\n"
    assert proxy.stat("http.ingress.downstream_rq_total") == 0
    get(proxy.port, "/")
    eventually(lambda: proxy.stat("http.ingress.downstream_rq_total") == 1)


def test_a_moved_log_file_is_opened_again_on_a_signal(running, tmp_path):
    log = tmp_path / "access.log"
    proxy = running(log)
    get(proxy.port, "/a?q=1&r=2")
    eventually(lambda: re.fullmatch(r"/a\?q=1&r=2 /a 1 200 \d+\n", log.read_text()))
    log.rename(tmp_path / "access.log.1")
    proxy.process.send_signal(signal.SIGUSR1)
    eventually(lambda: log.exists())
    get(proxy.port, "/b")
    eventually(lambda: log.read_text().startswith("/b /b - 200"))
    assert (tmp_path / "access.log.1").read_text().count("\n") == 1


def test_a_reader_of_the_log_that_stopped_reading_holds_up_nobody(running):
    read, write = os.pipe()
    proxy = running("/dev/stdout", stdout=write)
    os.close(write)
    path = "/" + "x" * 2000
    for _ in range(100):  # three times what the pipe takes
        assert get(proxy.port, path)[0] == 200
    assert proxy.stat("http.ingress.downstream_rq_2xx") == 100
    assert get(proxy.admin, "/ready")[0] == 200
    assert proxy.stat("filesystem.write_total_buffered") > 0
    proxy.process.terminate()
    assert proxy.process.wait(20) == 0, "what nobody reads does not keep the process from ending"
    os.close(read)


def test_no_loop_is_stuck(running):
    proxy = running()
    get(proxy.port, "/")
    assert proxy.stat("workers.watchdog_mega_miss") >= 0
    assert proxy.stat("server.total_connections") >= 0
    assert proxy.stat("server.memory_physical_size") > 0


@pytest.mark.parametrize("change, said", [
    (("stat_prefix: ingress", "stat_prefx: ingress"), r"bootstrap.yaml:11:\d+: static_resources.listeners\[0\].filter_chains\[0\].filters\[0\].typed_config.stat_prefx: unknown field .*did you mean stat_prefix"),
    (("prefix: \"/\"", "safe_regex: {regex: \"[\"}"), r"bootstrap.yaml:16:\d+: .*safe_regex.regex: \"\[\" is not an RE2 expression"),
    (("type: STATIC", "type: STATICS"), r"bootstrap.yaml:19:\d+: static_resources.clusters\[0\].type: \"STATICS\" is not one of STATIC, STRICT_DNS"),
    (("address: 127.0.0.1, port_value", "address: localhost, port_value"), r"bootstrap.yaml:\d+:\d+: .*\"localhost\" is not an IP address"),
    (("static_resources:", "static_resources: {"), r"bootstrap.yaml:\d+:\d+: invalid YAML"),
])
def test_a_bootstrap_is_refused_with_file_line_field_and_remedy(tmp_path, change, said):
    text = LISTENER.format(port=1, admin=2, origin=3, log="/dev/null").lstrip()
    before, after = text.split("static_resources:", 1)
    changed = before + ("static_resources:" + after).replace(*change, 1)
    assert changed != text
    (tmp_path / "bootstrap.yaml").write_text(changed)
    for mode in ("validate", "serve"):
        done = subprocess.run([FAIRLEAD, "proxy", "--mode", mode, "-c", "bootstrap.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        assert re.search(said, done.stderr), done.stderr
