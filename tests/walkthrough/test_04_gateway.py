"""Step 4: let the outside in, and let analyze look at it."""
from walkthrough_mesh import eventually


def test_apply_the_gateway(mesh):
    out = mesh.sh("kubectl apply -f samples/bookinfo/networking/bookinfo-gateway.yaml")
    assert "gateway.networking.istio.io/bookinfo-gateway created" in out
    assert "virtualservice.networking.istio.io/bookinfo created" in out


def test_analyze_warns_of_pods_without_sidecar(mesh):
    done = mesh.run("istioctl analyze")
    text = done.stdout + done.stderr
    for version in ("v1", "v2"):
        assert f"Warning [IST0103] (Pod default/helloworld-{version}-" in text, text
    assert "bookinfo" not in text and "productpage" not in text, text


def test_analyze_is_content_after_a_restart(mesh):
    mesh.sh("kubectl rollout restart deployment helloworld-v1 helloworld-v2")
    for version in ("v1", "v2"):
        mesh.sh(f"kubectl rollout status deployment helloworld-{version} --timeout=60s")
    mesh.pods_ready("app=helloworld", each="2/2")

    def content():
        done = mesh.run("istioctl analyze")
        assert "No validation issues found when analyzing namespace: default." in done.stderr, done.stdout + done.stderr
        assert done.returncode == 0
    eventually(content, timeout=30)
