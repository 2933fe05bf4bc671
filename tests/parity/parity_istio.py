"""Istio's own generators: the Go program in istio/, built once and asked over a pipe."""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODULE = HERE / "istio"
FAIRLEAD = pathlib.Path(os.environ.get("FAIRLEAD", ROOT / "build" / "fairlead"))


def _missing():
    """Why the Go programs cannot be built here; None when they can."""
    go = shutil.which("go")
    needed = re.search(r"^go (\d+)\.(\d+)", (MODULE / "go.mod").read_text(), re.M)
    wanted = tuple(map(int, needed.groups()))
    if not go:
        return f"Go {wanted[0]}.{wanted[1]} or newer is needed to build Istio's generators, and there is no go on PATH"
    text = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, cwd="/").stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    if not found or tuple(map(int, found.groups())) < wanted:
        return f"Go {wanted[0]}.{wanted[1]} or newer is needed to build Istio's generators; here is {text.strip()}"
    return None


@functools.lru_cache(maxsize=None)
def build(package):
    """The path of the program built from a package that istio/go.mod names; skips the test where it cannot be."""
    if reason := _missing():
        pytest.skip(reason)
    folder = ROOT / "build" / "parity"
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / (pathlib.PurePosixPath(package).name if package != "." else "istio")
    done = subprocess.run(["go", "build", "-o", out, package], cwd=MODULE, capture_output=True, text=True)
    if done.returncode != 0 and "dial tcp" in done.stderr + done.stdout:
        pytest.skip(f"the modules that istio/go.mod names could not be fetched: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return out


class Istio:
    """One running harness; see istio/main.go for what it understands."""

    def __init__(self, enter=()):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*enter, build(".")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise AssertionError("the harness around Istio ended: " + self.log.read()[-2000:])
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.log.close()


_running = {}


def harness(mesh=""):
    """The running harness for a mesh configuration."""
    if mesh not in _running:
        _running[mesh] = Istio()
    return _running[mesh]


def end_all():
    for one in _running.values():
        one.end()
    _running.clear()
