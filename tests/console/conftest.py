import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

import fleet

JAVA = pathlib.Path(__file__).resolve().parent / "java"
CACHE = JAVA.parents[2] / ".cache" / "console-java"


@pytest.fixture
def run(tmp_path):
    """Starts a console (in a folder of this test's) and ends whatever the test started."""
    started = []

    def start(kind, *arguments, **more):
        if kind is fleet.Console:
            more.setdefault("folder", tmp_path / "console")
        made = kind(*arguments, **more)
        started.append(made)
        return made

    yield start
    for each in reversed(started):
        each.stop()


@pytest.fixture(scope="module")
def keep():
    """As `run`, for what a whole file uses."""
    started = []

    def start(kind, *arguments, **more):
        started.append(kind(*arguments, **more))
        return started[-1]

    yield start
    for each in reversed(started):
        each.stop()


@pytest.fixture(scope="session")
def classpaths():
    """The class paths of plain, spring and dubbo: built once into a cache, by the programs' sources."""
    if not shutil.which("java") or not shutil.which("javac"):
        pytest.skip("no JDK 17 here: tools/setup test installs it")
    if not shutil.which("mvn"):
        pytest.skip("no Maven here: tools/setup test installs it")
    sources = sorted(p for p in JAVA.rglob("*") if p.is_file() and "target" not in p.parts)
    digest = hashlib.sha256()
    for source in sources:
        digest.update(str(source.relative_to(JAVA)).encode() + b"\0" + source.read_bytes())
    folder = CACHE / digest.hexdigest()[:16]
    if not (folder / "built").exists():
        making = CACHE / f"making-{os.getpid()}"
        shutil.rmtree(making, ignore_errors=True)
        for source in sources:
            copy = making / source.relative_to(JAVA)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
        done = subprocess.run(["mvn", "-q", "-B", "process-classes"], cwd=making, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"mvn: {(done.stdout + done.stderr)[-3000:]}"
        (making / "built").touch()
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    return {name: f"{folder}/{name}/target/classes:{(folder / name / 'target/classpath').read_text().strip()}" for name in ("plain", "spring", "dubbo")}
