"""The end: the host was not touched, and nothing is left."""
import pathlib

from walkthrough_mesh import eventually, host_state


def test_nothing_on_the_host_has_changed(mesh):
    assert host_state() == mesh.host_before


def test_status_tells_of_parts_and_memory(mesh):
    out = mesh.sh(f"fairlead status --name {mesh.name} --data-dir {mesh.home}/data")
    assert "istiod" in out and "istio-ingressgateway" in out, out


def test_down_leaves_nothing(mesh):
    mesh.sh(f"fairlead down --name {mesh.name} --data-dir {mesh.home}/data --purge")

    def gone():
        left = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if mesh.name in command or str(mesh.home) in command:
                left.append((process.name, command))
        assert not left, left
    eventually(gone, timeout=20)
    assert not (mesh.home / "data").exists() or not any((mesh.home / "data").iterdir())
    assert host_state() == mesh.host_before


def test_down_again_is_no_error(mesh):
    mesh.sh(f"fairlead down --name {mesh.name} --data-dir {mesh.home}/data")
