"""Step 6: versions by rule, by weight, by user."""
import collections
import json
import re

from bookinfo import login, many, page, stars
from walkthrough_mesh import eventually


def of_api(body):
    reviews = json.loads(body)["reviews"]
    return reviews[0].get("rating", {}).get("color", "none")


def only(mesh, color, options=""):
    """From some moment on, nothing but this colour."""
    eventually(lambda: [stars(page(mesh, options)) for _ in range(5)] == [color] * 5, timeout=30)
    assert {stars(page(mesh, options)) for _ in range(20)} == {color}


def test_everything_from_v1(mesh):
    mesh.sh("kubectl apply -f samples/bookinfo/networking/destination-rule-all.yaml")
    out = mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-all-v1.yaml")
    assert out.count("created") == 4, out
    only(mesh, "none")


def test_the_rules_can_be_listed(mesh):
    names = {row[0] for row in mesh.rows("kubectl get virtualservices")}
    assert names == {"bookinfo", "productpage", "reviews", "ratings", "details"}
    head = mesh.sh("kubectl get dr").splitlines()[0].split()
    assert head == ["NAME", "HOST", "AGE"]


def test_the_sidecar_has_what_it_was_told(mesh):
    def check():
        lines = mesh.sh("istioctl proxy-status deploy/productpage-v1").splitlines()
        assert lines[:2] == ["Clusters Match", "Listeners Match"], lines
        assert re.fullmatch(r"Routes Match \(RDS last loaded at \w{3}, \d\d \w{3} \d{4} [\d:]{8} UTC\)", lines[2]), lines
    eventually(check)
    wrong = mesh.run("istioctl proxy-config clusters nobody")
    assert wrong.returncode != 0 and wrong.stderr == 'Error: pods "nobody" not found\n'


def test_half_and_half(mesh):
    mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-reviews-50-v3.yaml")
    eventually(lambda: {of_api(body) for _, body in many(mesh, "/api/v1/products/0/reviews", 20)} == {"none", "red"}, timeout=30)
    answers = many(mesh, "/api/v1/products/0/reviews", 2000)
    assert {status for status, _ in answers} == {200}
    counts = collections.Counter(of_api(body) for _, body in answers)
    assert set(counts) == {"none", "red"}, counts
    assert 900 <= counts["red"] <= 1100, counts


def test_jason_sees_v2(mesh):
    out = mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-reviews-test-v2.yaml")
    assert "reviews configured" in out
    jason = login(mesh, "jason")
    only(mesh, "black", jason)
    only(mesh, "none")
    assert ">jason " in page(mesh, jason)
