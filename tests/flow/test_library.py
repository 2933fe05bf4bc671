"""The flow libraries as their users have them: installed into a folder that is then moved, found by CMake and by pkg-config, used from
C++ and C, and with a dashboard."""
import http.server
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/flow"
# As many as make check uses; the objects are there from the unit tests, as a rule.
JOBS = str(os.cpu_count() or 1)


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800, **more)
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    build = ROOT / "build"
    if not (build / "build.ninja").exists():
        run("cmake", "--preset", "release", cwd=ROOT)
    run("cmake", "--build", build, "-j", JOBS, "--target", "fairlead_flow", "fairlead_sentinel_shipped")
    run("cmake", "--install", build, "--component", "flow", "--prefix", folder / "first")
    shutil.move(folder / "first", folder / "moved")
    return folder / "moved"


@pytest.fixture(scope="module")
def programs(installed, tmp_path_factory):
    """The example by find_package."""
    build = tmp_path_factory.mktemp("example")
    run("cmake", "-S", EXAMPLE, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", build)
    return build


@pytest.fixture(scope="module")
def pkg_config(installed):
    folders = {str(p.parent) for p in installed.rglob("*.pc")}
    assert len(folders) == 1
    env = dict(os.environ, PKG_CONFIG_PATH=folders.pop())

    def flags(*what):
        return run("pkg-config", *what, env=env).split()

    return flags


def test_only_what_users_need_is_installed(installed):
    files = {p.relative_to(installed / "include/fairlead").as_posix() for p in (installed / "include/fairlead").rglob("*.h")}
    assert {"flow/engine.h", "flow/guarded.h", "flow/fairlead_flow.h", "sentinel/agent.h"} <= files
    assert all(f.startswith("flow/") or f == "sentinel/agent.h" for f in files)
    texts = "".join(p.read_text() for p in installed.rglob("*") if p.suffix in (".h", ".cmake", ".pc"))
    assert str(ROOT) not in texts and str(installed.parent) not in texts


def test_examples_by_cmake(programs):
    out = run(programs / "flow_example")
    assert "orders: 5 of 8 passed" in out and "breaker of payments: CLOSED -> OPEN" in out
    assert run(programs / "flow_example_c").splitlines() == ["refused: rule 0: count: must be 0 or more", "orders: 5 of 8 passed"]


def test_examples_by_pkg_config(pkg_config, tmp_path):
    run("c++", "-std=c++20", EXAMPLE / "main.cc", "-o", tmp_path / "main", *pkg_config("--cflags", "--libs", "fairlead-flow"))
    assert "orders: 5 of 8 passed" in run(tmp_path / "main")
    run("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", EXAMPLE / "main.c", "-o", tmp_path / "c.o", *pkg_config("--cflags", "fairlead-flow"))
    run("c++", tmp_path / "c.o", "-o", tmp_path / "c", *pkg_config("--libs", "fairlead-flow"))
    assert "orders: 5 of 8 passed" in run(tmp_path / "c")
    run("c++", "-std=c++20", EXAMPLE / "agent.cc", "-o", tmp_path / "agent", *pkg_config("--cflags", "--libs", "fairlead-sentinel"))
    out = run(tmp_path / "agent", "--seconds", "1", "--rate", "5", "--port", "0", "--log", tmp_path / "log")
    assert "orders: 5 passed, 0 refused" in out


class Dashboard:
    """Takes heartbeats and asks who sent them, as Sentinel's dashboard does."""

    def __init__(self):
        self.beats = queue.Queue()
        beats = self.beats

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.send_response(200 if self.path == "/registry/machine" else 404)
                self.end_headers()
                if self.path == "/registry/machine":
                    beats.put(dict(urllib.parse.parse_qsl(body)))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def ask(port, command, **form):
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{command}", data, timeout=20) as answer:
        return answer.read().decode()


def test_example_obeys_a_dashboard(programs, tmp_path):
    dashboard = Dashboard()
    program = subprocess.Popen([programs / "flow_agent", "--dashboard", dashboard.at, "--app", "demo", "--seconds", "120", "--rate", "40", "--port", "0", "--log", tmp_path / "log"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        beat = dashboard.beats.get(timeout=60)
        assert beat["app"] == "demo" and beat["v"] == "1.8.8" and beat["pid"] == str(program.pid)
        port = int(beat["port"])
        assert program.stdout.readline() == f"commands: 127.0.0.1:{port}\n"
        assert re.fullmatch(r"orders: 40 passed, 0 refused\n", program.stdout.readline())
        assert ask(port, "setRules", type="flow", data=json.dumps([{"resource": "orders", "count": 3, "id": 7}])) == "success"
        assert [(r["resource"], r["count"], r["id"]) for r in json.loads(ask(port, "getRules?type=flow"))] == [("orders", 3.0, 7)]
        # The second in which the rule came may be any. From then on three places a second hold, and windows overlap by a half.
        for _ in range(20):
            passed, refused = map(int, re.fullmatch(r"orders: (\d+) passed, (\d+) refused\n", program.stdout.readline()).groups())
            assert passed + refused == 40
            if passed <= 6:
                break
        assert 1 <= passed <= 6
        nodes = {n["resource"]: n for n in json.loads(ask(port, "clusterNode"))}
        assert nodes["orders"]["oneMinuteBlock"] >= refused
        for _ in range(200):
            lines = ask(port, "metric?startTime=0&endTime=99999999999999&identity=orders").splitlines()
            if sum(int(line.split("|")[2]) for line in lines) >= 40:
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the first second is not in the log: {lines}")
        assert list((tmp_path / "log").glob("demo-metrics.log.*.idx"))
    finally:
        program.terminate()
        program.wait(timeout=20)
        dashboard.close()


def test_example_refuses_what_it_cannot_use(programs):
    for arguments in (["--rate", "0"], ["--port"], ["--nonsense", "1"]):
        done = subprocess.run([programs / "flow_agent", *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "--dashboard HOST:PORT" in done.stderr
