"""The pages' sources: types hold, and the list of packages can be installed from any registry."""
import json
import pathlib
import subprocess

WEB = pathlib.Path(__file__).resolve().parent.parent.parent / "web"


def test_types_hold(console):
    done = subprocess.run(["node", "node_modules/vue-tsc/bin/vue-tsc.js", "--noEmit"], cwd=WEB, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_lock_names_no_registry_and_versions_are_exact():
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    package = json.loads((WEB / "package.json").read_text())
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]
    assert all(v[0].isdigit() for v in versions), versions
