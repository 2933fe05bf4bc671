"""README's section about flow control as somebody types it: a console, the three kinds of client, one rule for all of them.

In a network namespace of its own, since README's ports are what they are. Folders below /tmp become the test's own."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import zipfile

import pytest

from fleet import FAIRLEAD, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = {"README.md": "Flow control", "README.zh-CN.md": "流量控制"}


def blocks(file):
    section = re.search(rf"^## {SECTIONS[file]}\n(.*?)^## ", (ROOT / file).read_text(), re.M | re.S)[1]
    return re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)


def test_both_languages_type_the_same():
    assert blocks("README.md") == blocks("README.zh-CN.md") and len(blocks("README.md")) == 5


class Terminal:
    """A shell in the namespace that goes on running; what it says is read all the time."""

    def __init__(self, desk, text):
        self.said = ""
        self.process = subprocess.Popen([*desk.inside, "bash", "-ec", text], cwd=desk.folder, env=desk.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said += line

    def types(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.process.wait(30)
        self.process.stdin.close()
        self.reader.join(10)
        self.process.stdout.close()


class Desk:
    def __init__(self, folder):
        self.folder, self.terminals = folder, []
        (folder / "bin").mkdir()
        (folder / "bin/fairlead").symlink_to(pathlib.Path(FAIRLEAD).resolve())
        for name in ("build", "examples"):
            (folder / name).symlink_to(ROOT / name)
        # The clients tell the console the machine's first address, and the namespace has none.
        self.environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}", "CSP_SENTINEL_HEARTBEAT_CLIENT_IP": "127.0.0.1",
                            "JAVA_TOOL_OPTIONS": f"-Dcsp.sentinel.heartbeat.client.ip=127.0.0.1 -Dcsp.sentinel.log.dir={folder}/java -Xmx96m"}
        own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.holder = subprocess.Popen(["unshare", *own, "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n"
        self.inside = ["nsenter", f"--target={self.holder.pid}", "--net", *(["--user", "--preserve-credentials"] if own else []), "--"]

    def opens(self, text):
        self.terminals.append(Terminal(self, text.replace("/tmp/", f"{self.folder}/")))
        return self.terminals[-1]

    def runs(self, text):
        done = subprocess.run([*self.inside, "bash", "-ec", text], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self):
        for terminal in reversed(self.terminals):
            terminal.close()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.close()


def write_jar(path, classpath, main):
    """A program as people have it: one file, which names the libraries beside it."""
    line = "Class-Path: " + " ".join(pathlib.Path(p).resolve().as_uri() + ("/" if pathlib.Path(p).is_dir() else "") for p in classpath.split(":"))
    folded = "\r\n ".join(line[i:i + 70] for i in range(0, len(line), 70))
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\nMain-Class: {main}\r\n{folded}\r\n\r\n")


def test_the_three_ways_of_flow_control(desk, classpaths):
    if not shutil.which("nsenter") or not shutil.which("cmake"):
        pytest.skip("no nsenter or cmake here")
    console, proxy, program, java, rule = blocks("README.md")
    seen = desk.opens(console)
    password = eventually(lambda: re.search(r"user admin, password (\S+)", seen.said), f"the password is printed: {seen.said}")[1]

    (desk.folder / "origin.py").write_text("""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Handler).serve_forever()
""")
    desk.opens("exec /usr/bin/python3 origin.py")
    desk.opens(proxy)

    def status():
        return desk.runs("curl -s -o /dev/null -w '%{http_code}' 127.0.0.1:8000/orders/1 || true")
    eventually(lambda: status() == "200", "the proxy serves")

    agent = desk.opens(program.replace("cmake --build build --target", "cmake --build build -j2 --target"))
    eventually(lambda: re.search(r"orders: [1-9]\d* passed", agent.said), "the C++ program calls", 600)

    write_jar(desk.folder / "app.jar", classpaths["plain"], "clients.Plain")
    app = desk.opens("exec " + java)
    eventually(lambda: "ready" in app.said, "the Java program runs", 90)

    def calls():
        before = app.said.count("pass ")
        app.types("CALL orders - - 3")
        eventually(lambda: app.said.count("pass ") > before, "the Java program answers")
        return re.findall(r"pass (\d+) block (\d+)", app.said)[-1]
    assert calls() == ("3", "0")

    # One app, three machines; then the rule, and the last command shows that the proxy obeys.
    eventually(lambda: 'fairlead_console_machines{app="shop"} 3' in desk.runs("curl -s 127.0.0.1:8080/metrics"), "the console knows all three", 60)
    assert status() == "200"
    said = desk.runs(rule.replace("PASSWORD", password).replace("curl -i", "sleep 1; curl -i"))
    assert said.count('"success":true') == 3, said
    eventually(lambda: status() == "429", "the proxy obeys")
    assert 'resource "/orders/{id}"' in desk.runs("curl -s 127.0.0.1:8000/orders/1")
    eventually(lambda: calls() == ("0", "3"), "the Java program obeys")
    mark = len(agent.said)
    eventually(lambda: re.search(r"orders: 0 passed", agent.said[mark:]), "the C++ program obeys")
