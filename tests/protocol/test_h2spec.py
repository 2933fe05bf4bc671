"""h2spec's 145 conformance tests, in plain text and over TLS. Needs Go (or h2spec on the PATH) to get the program."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ports import free_port
from wire import downstream_tls, listener, manager, cluster

PROGRAM = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"


@pytest.fixture(scope="session")
def h2spec():
    if found := shutil.which("h2spec"):
        return found
    if not shutil.which("go"):
        pytest.skip("h2spec needs Go, which is not installed")
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fairlead" / "go"
    program = folder / "h2spec"
    if not program.exists():
        made = subprocess.run(["go", "install", PROGRAM], env={**os.environ, "GOBIN": str(folder)}, capture_output=True, text=True, timeout=300)
        if made.returncode:
            pytest.skip(f"h2spec could not be built: {made.stderr[-300:]}")
    return program


@pytest.fixture(autouse=True)
def long_answers(origin):
    origin.answer = lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + 1000 * b"x"  # some tests need a body


def run(h2spec, port, *arguments):
    done = subprocess.run([h2spec, "-h", "127.0.0.1", "-p", str(port), "-o", "3", *arguments], capture_output=True, text=True, timeout=120)
    passed = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert passed, done.stdout + done.stderr
    return tuple(int(n) for n in passed.groups()), done.stdout[done.stdout.find("Failures:"):]


def test_plain_text(h2spec, start):
    _, port = start(codec_type="HTTP2")
    counts, failures = run(h2spec, port)
    assert counts == (145, 145, 0, 0), failures


def test_tls(h2spec, start, origin, certificate):
    port = free_port()
    start.proxy([listener("l", port, manager(), tls=downstream_tls(*certificate))], [cluster("origin", origin.port)])
    counts, failures = run(h2spec, port, "-t", "-k")
    assert counts == (145, 145, 0, 0), failures


def test_a_codec_that_is_told_by_its_first_bytes(h2spec, start):
    """The same where HTTP/1.1 is spoken too. What is no preface of HTTP/2 is then an HTTP/1.1 request that gets its 400,
    where h2spec waits for a bare end of the connection."""
    _, port = start()
    counts, failures = run(h2spec, port)
    assert counts == (145, 144, 0, 1) and "Sends invalid connection preface" in failures, failures
