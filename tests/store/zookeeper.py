"""Debian's ZooKeeper on loopback ports: one server or an ensemble of three, to be killed, stopped and started again."""
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

from kazoo.client import KazooClient
from ports import free_port

from store_tool import eventually

START = "/usr/share/zookeeper/bin/zkServer.sh"
# Short ticks, for short sessions (2 ticks at least) and elections.
CONFIG = """tickTime=100
initLimit=50
syncLimit=20
minSessionTimeout=400
maxSessionTimeout=60000
dataDir={data}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=*
"""


class Server:
    def __init__(self, folder, *, port=None, number=0, ensemble="", flags=""):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.flags = flags
        if number:
            (self.data / "myid").write_text(str(number))
        (self.folder / "zoo.cfg").write_text(CONFIG.format(data=self.data, port=self.port) + ensemble)
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, wait=True):
        # A small, interpreted-first JVM: it starts in half a second, and three of them fit beside other tests.
        flags = f"-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dzookeeper.forceSync=yes {self.flags}"
        env = {**os.environ, "JMXDISABLE": "true", "ZOO_LOG_DIR": str(self.folder), "JVMFLAGS": flags}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen([START, "start-foreground", str(self.folder / "zoo.cfg")], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait()
        return self

    def word(self, text):
        """A four-letter word; "" when it does not answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(text.encode())
                s.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: s.recv(65536), b"")).decode()
        except OSError:
            return ""

    def mode(self):
        return next((line.split()[1] for line in self.word("srvr").splitlines() if line.startswith("Mode:")), "")

    def wait(self):
        eventually(self.mode, 30)

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def client(self, **options):
        """Somebody else, who knows nothing of rules."""
        client = KazooClient(hosts=self.address, timeout=10, **options)
        client.start(timeout=20)
        return client

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


def ensemble(folder):
    """Three, whose last one answers reads when the others are gone: its read-only mode takes local sessions alone."""
    ports = [free_port() for _ in range(6)]
    lines = "".join(f"server.{n}=127.0.0.1:{ports[n - 1]}:{ports[n + 2]}\n" for n in (1, 2, 3))
    lines += "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n"
    return [Server(Path(folder) / str(n), number=n, ensemble=lines, flags="-Dreadonlymode.enabled=true") for n in (1, 2, 3)]


class Wire:
    """Between a client and a server: loses the next write (create, set, delete), or the answer to it, and the connection with it."""

    WRITES = (1, 2, 5)  # ZooKeeper's numbers of the operations

    def __init__(self, server):
        self.server = server
        self.lose = None  # "request" or "answer"
        self.lost = 0
        self.between = lambda: None  # what happens before the client may come back
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                self._connection(client)
            except OSError:
                return

    # One at a time: who comes back waits until `between` is done.
    def _connection(self, client):
        upstream = socket.create_connection(("127.0.0.1", self.server.port))
        lost = threading.Event()
        cut_at = []
        back = threading.Thread(target=self._answers, args=(upstream, client, cut_at, lost), daemon=True)
        back.start()
        first = True
        while frame := self._frame(client):
            operation = int.from_bytes(frame[8:12], "big")
            if not first and self.lose and operation in self.WRITES:
                how, self.lose = self.lose, None
                if how == "answer":
                    cut_at.append(frame[4:8])
                    upstream.sendall(frame)
                    assert lost.wait(10)
                self.lost += 1
                break
            first = False
            upstream.sendall(frame)
        upstream.close()
        client.close()
        if self.lost:
            self.between()

    def _answers(self, upstream, client, cut_at, lost):
        try:
            while frame := self._frame(upstream):
                if frame[4:8] in cut_at:
                    lost.set()
                    return
                client.sendall(frame)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    @staticmethod
    def _frame(end):
        got = b""
        try:
            while len(got) < 4 or len(got) < 4 + int.from_bytes(got[:4], "big"):
                more = end.recv(4 - len(got) if len(got) < 4 else 4 + int.from_bytes(got[:4], "big") - len(got))
                if not more:
                    return b""
                got += more
        except OSError:
            return b""
        return got

    def close(self):
        self.listener.close()
