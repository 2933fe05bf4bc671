"""The programs of tests/counterparts: go-control-plane as an xDS server, gRPC's Go library on both sides of a proxy."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def go_program(name):
    """The program's path, built when its source is newer. Skips the test where it cannot be."""
    sources, program = ROOT / "tests/counterparts", ROOT / "build/counterparts" / name
    newest = max(p.stat().st_mtime for p in (sources / "go.mod", sources / "go.sum", *(sources / name).iterdir()))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    if not shutil.which("go"):
        pytest.skip(f"counterparts/{name} needs Go, which is not installed")
    program.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["go", "build", "-mod=readonly", "-p", "2", "-o", program, f"./{name}"], cwd=sources, env={**os.environ, "GOTOOLCHAIN": "local"},
                          capture_output=True, text=True, timeout=900)
    if made.returncode:
        if "dial tcp" in made.stderr or "no such host" in made.stderr:
            pytest.skip(f"the modules of counterparts/{name} could not be fetched: {made.stderr[-300:]}")
        raise AssertionError(made.stderr)
    return program
