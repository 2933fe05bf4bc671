"""What the console's tests run: the console itself, people who use it, clients made of Python, clients made of Java, ZooKeeper."""
import http.client
import http.server
import json
import os
import pathlib
import queue
import re
import ssl
import subprocess
import threading
import time
import urllib.parse

from person import KINDS, Answer, Person, quote  # noqa: F401 (tests take them from here)
from ports import free_port

FAIRLEAD = os.environ.get("FAIRLEAD", "build/fairlead")


def eventually(look, what, seconds=20):
    """The first true value that `look` answers. An AssertionError of its own counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            found, why = look(), ""
        except (AssertionError, ConnectionError, KeyError, http.client.HTTPException) as error:
            found, why = None, f": {error!r}"
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}{why}"
        time.sleep(0.05)


def end(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Console:
    def __init__(self, *arguments, folder, port=None, store=None, tls=False):
        self.folder, self.port, self.tls = pathlib.Path(folder), port or free_port(), tls
        self.arguments = [*arguments, "--store", store] if store else list(arguments)
        self.password = self.process = None
        self.start()

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [FAIRLEAD, "console", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder), *self.arguments]
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        said = ""
        for line in self.process.stdout:
            said += line
            if password := re.search(r"user admin, password (\S+)", line):
                self.password = password[1]
            if line.startswith("console on"):
                return
        raise AssertionError(f"the console ended with {self.process.wait()}: {said}{self.log()}")

    def log(self):
        return (self.folder / "log").read_text()

    def connect(self):
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        context = ssl.create_default_context(cafile=self.tls)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    def admin(self):
        return Person(self, "admin", self.password)

    def nobody(self):
        return Person(self)

    def stop(self):
        end(self.process)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.stop()

    def restart(self):
        self.stop()
        self.start()


class FakeClient:
    """A Sentinel client's command centre. Rules are kept as it gets them; `answers` replaces the answer to a path."""

    def __init__(self, console, app, secret=None, **beat):
        self.console, self.app = console, app
        self.rules, self.asked, self.answers, self.lines = {}, [], {}, []
        self.tree, self.nodes = [], []
        self.beat_with = {"app": app, "ip": "127.0.0.1", "hostname": "fake", "v": "1.8.8", "version": "1", "pid": "77", **beat}
        if secret:
            self.beat_with["secret"] = secret
        client = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                client.serve(self, "")

            def do_POST(self):
                client.serve(self, self.rfile.read(int(self.headers.get("content-length") or 0)).decode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.id = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def heartbeat(self, **other):
        return self.console.nobody().raw("POST", "/registry/machine", form={**self.beat_with, "port": str(self.port), **other}).json()

    def serve(self, request, body):
        path, _, query = request.path.partition("?")
        given = dict(urllib.parse.parse_qsl(query) + urllib.parse.parse_qsl(body))
        self.asked.append((path, given))
        if special := self.answers.get(path):
            try:
                special(request)
            except OSError:
                pass  # whoever asked has had enough
            return
        kind = {"/getParamFlowRules": "param", "/setParamFlowRules": "param", "/gateway/getRules": "gateway", "/gateway/updateRules": "gateway",
                "/gateway/getApiDefinitions": "api", "/gateway/updateApiDefinitions": "api"}.get(path, given.get("type"))
        if path in ("/setRules", "/setParamFlowRules", "/gateway/updateRules", "/gateway/updateApiDefinitions"):
            self.rules[kind] = json.loads(given["data"])
            return say(request, "success")
        if path in ("/getRules", "/getParamFlowRules", "/gateway/getRules", "/gateway/getApiDefinitions"):
            return say(request, json.dumps(self.rules.get(kind, [])))
        if path == "/jsonTree":
            return say(request, json.dumps(self.tree))
        if path == "/clusterNode":
            return say(request, json.dumps(self.nodes))
        if path == "/metric":
            lines, self.lines = self.lines, []
            return say(request, "\n".join(lines) or "No metrics")
        say(request, f"Unknown command `{path[1:]}`", 400)

    def count(self, path):
        return sum(1 for asked, _ in self.asked if asked == path)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def say(request, text, status=200):
    data = text if isinstance(text, bytes) else text.encode()
    request.send_response(status)
    request.send_header("content-length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


class Java:
    """A Java program that is driven by lines, or only runs."""

    FLAGS = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]

    def __init__(self, classpath, main, *arguments, folder, properties=None, environment=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = [f"-D{name}={value}" for name, value in {"csp.sentinel.log.dir": self.folder, **(properties or {})}.items()]
        with open(self.folder / "stderr", "a") as errors:
            self.process = subprocess.Popen(["java", *self.FLAGS, *flags, "-cp", classpath, main, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=errors, encoding="utf-8", env={**os.environ, **(environment or {})})
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def line(self, like, seconds=90):
        """The next line that matches; others are loggers'."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no line like {like!r} in {seconds} s: {self.errors()}") from None
            assert line is not None, f"the program ended: {self.errors()}"
            if found := re.search(like, line):
                return found

    def calls(self, line):
        """(passed, blocked, the last block's exception)"""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        found = self.line(r"^pass (\d+) block (\d+) (\S+)$")
        return int(found[1]), int(found[2]), found[3]

    def errors(self):
        return (self.folder / "stderr").read_text()[-3000:]

    def stop(self):
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except OSError:
                pass
        end(self.process)
        self.process.stdout.close()


def plain_client(start, classpaths, console, app, folder, **properties):
    port = free_port()
    program = start(Java, classpaths["plain"], "clients.Plain", folder=folder, properties={
        "project.name": app, "csp.sentinel.dashboard.server": f"127.0.0.1:{console.port}", "csp.sentinel.api.port": port,
        "csp.sentinel.heartbeat.interval.ms": 1000, "csp.sentinel.heartbeat.client.ip": "127.0.0.1", **properties})
    program.line("^ready$")
    program.id = f"{properties.get('csp.sentinel.heartbeat.client.ip', '127.0.0.1')}:{port}"
    return program


def registered(person, app, program):
    """Waits until the console knows it and has seen its rules."""
    eventually(lambda: person.state(app, program.id)["flow"] == "same", f"{program.id} of {app} is known", 60)


class ZooKeeper:
    SERVER = pathlib.Path("/usr/share/zookeeper/bin/zkServer.sh")
    CLIENT = pathlib.Path("/usr/share/zookeeper/bin/zkCli.sh")

    def __init__(self, folder):
        self.folder, self.port, self.process = pathlib.Path(folder), free_port(), None
        self.hosts = f"127.0.0.1:{self.port}"
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "zoo.cfg").write_text(f"dataDir={self.folder}/data\nclientPort={self.port}\nclientPortAddress=127.0.0.1\ntickTime=500\n"
                                             "admin.enableServer=false\n4lw.commands.whitelist=ruok\nmaxClientCnxns=100\n")
        self.start()

    def environment(self):
        return {**os.environ, "JMXDISABLE": "true", "SERVER_JVMFLAGS": " ".join(Java.FLAGS), "CLIENT_JVMFLAGS": " ".join(Java.FLAGS), "ZOO_LOG_DIR": str(self.folder)}

    def start(self):
        with open(self.folder / "out", "a") as out:
            # A session of its own: the script is a shell around the JVM.
            self.process = subprocess.Popen([self.SERVER, "start-foreground", self.folder / "zoo.cfg"], stdout=out, stderr=out, env=self.environment())
        eventually(self.answers, f"ZooKeeper answers: {(self.folder / 'out').read_text()[-1000:]}", 60)

    def answers(self):
        import socket
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"ruok")
                return s.recv(4) == b"imok"
        except OSError:
            return False

    def cli(self, *command):
        done = subprocess.run([self.CLIENT, "-server", self.hosts, *command], capture_output=True, text=True, env=self.environment(), timeout=60)
        return done.stdout + done.stderr

    def stop(self):
        end(self.process)
