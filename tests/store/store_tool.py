"""rule_store_tool as a process: requests, answers, and what its watch tells."""
import json
import queue
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program(name):
    """A program of the tree, built if it is not there yet."""
    path = ROOT / "build" / name
    if not path.exists():
        subprocess.run(["cmake", "--build", str(ROOT / "build"), "--target", name], check=True, stdout=subprocess.DEVNULL)
    return str(path)


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(answer["message"])
        self.code = answer["error"]
        self.message = answer["message"]


def eventually(what, seconds=60):
    """The first true answer of `what`."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


class Store:
    def __init__(self, where, *options, before=(), **named):
        arguments = [*before, program("rule_store_tool"), where, *options, *(f"{k}={v}" for k, v in named.items())]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        self.told = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self._answer()
        except BaseException:
            self.process.kill()
            raise

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            if "told" in answer:
                self.told.append(answer["told"])
            else:
                self.answers.put(answer)
        self.answers.put(None)

    def _answer(self):
        answer = self.answers.get(timeout=30)
        if answer is None:
            raise EOFError(self.process.stderr.read())
        if "error" in answer:
            raise Refused(answer)
        return answer

    def send(self, do, app="shop", kind="flow_rule", **more):
        self.process.stdin.write(json.dumps({"do": do, "app": app, "kind": kind, **more}) + "\n")
        self.process.stdin.flush()

    def ask(self, do, app="shop", kind="flow_rule", **more):
        self.send(do, app, kind, **more)
        return self._answer()

    def read(self, app="shop", kind="flow_rule"):
        got = self.ask("read", app, kind)
        return got["text"], got["version"]

    def write(self, text, expected="", app="shop", kind="flow_rule"):
        return self.ask("write", app, kind, text=text, expected=expected)["version"]

    def refused(self, do, app="shop", kind="flow_rule", **more):
        try:
            got = self.ask(do, app, kind, **more)
        except Refused as refusal:
            return refusal
        raise AssertionError(f"not refused: {got}")

    def health(self):
        return self.ask("health")

    def healthy(self):
        health = self.health()
        return health["reachable"] and health["writable"]

    def hears(self, what, seconds=15):
        try:
            eventually(lambda: what in self.told, seconds)
        except AssertionError:
            raise AssertionError(f"{what[:20]} was not told, only {[each[:20] for each in self.told]}; {self.health()}") from None

    def stop(self):
        """Stands still, as a process that the machine has no time for."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def finish(self):
        """Ends as a process does that is asked to."""
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def append(store, token):
    """Adds a token to the document by compare-and-set, as two people at once would have to. True: acknowledged; False: unknown or refused."""
    try:
        text, version = store.read()
        if f"{token}," in text:
            return True
        store.write(text + f"{token},", version)
        return True
    except Refused as refusal:
        assert refusal.code in ("Unavailable", "Conflict"), refusal
        return False


def has(command):
    return shutil.which(command) is not None
