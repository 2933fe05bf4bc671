"""Step 2: an application without a sidecar, then Bookinfo with one in each pod."""
import re


def test_a_plain_app_comes_first(mesh):
    mesh.sh("kubectl apply -f samples/helloworld/helloworld.yaml")
    mesh.pods_ready("app=helloworld", each="1/1")


def test_label_the_namespace(mesh):
    assert "namespace/default labeled" in mesh.sh("kubectl label namespace default istio-injection=enabled")
    rows = mesh.rows("kubectl get namespace -L istio-injection")
    assert [row[-1] for row in rows if row[0] == "default"] == ["enabled"]


def test_apply_bookinfo(mesh):
    lines = mesh.sh("kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml").splitlines()
    assert len(lines) == 14, lines
    assert all(line.endswith(" created") for line in lines), lines


def test_each_pod_has_a_sidecar(mesh):
    rows = mesh.pods_ready("app in (details,productpage,ratings,reviews)")
    assert len(rows) == 6
    for row in rows:
        assert re.fullmatch(r"(details|productpage|ratings)-v1-[a-z0-9]{6,10}-[a-z0-9]{5}|reviews-v[123]-[a-z0-9]{6,10}-[a-z0-9]{5}", row[0]), row
    # What ran before the label still runs without one.
    mesh.pods_ready("app=helloworld", each="1/1")


def test_services_are_there(mesh):
    rows = {row[0]: row for row in mesh.rows("kubectl get services")}
    for name in ("details", "productpage", "ratings", "reviews"):
        assert rows[name][1] == "ClusterIP" and rows[name][4] == "9080/TCP", rows[name]
    assert rows["kubernetes"][4] == "443/TCP"


def test_applying_again_changes_nothing(mesh):
    lines = mesh.sh("kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml").splitlines()
    assert all(line.endswith(" unchanged") for line in lines), lines
