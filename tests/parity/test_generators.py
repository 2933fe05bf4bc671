"""What Istio's generators and ours say of the same resources, compared field by field.

A difference that known.yaml does not list fails; so does a line of known.yaml that nothing needs any more.
"""
import pathlib

import pytest
import yaml

from parity_diff import Known, differences, normal
from parity_istio import ROOT, build
from parity_world import World, load_case

HERE = pathlib.Path(__file__).resolve().parent
CASES = sorted((HERE / "cases").glob("*.yaml"))


@pytest.fixture(scope="module")
def known():
    return Known(yaml.safe_load((HERE / "known.yaml").read_text()))


def compare(world, proxies, known, case):
    problems = []
    for proxy, istio, ours in zip(proxies, world.istio(proxies), world.ours(proxies)):
        found = [d for d in differences(normal(istio), normal(ours)) if not known.covers(d, case)]
        problems += [f"[{proxy.name}] {d}" for d in found]
    assert not problems, f"{len(problems)} differences:\n" + "\n".join(problems[:40])


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case(path, known):
    case = load_case(path)
    compare(case.world, case.proxies, known, path.stem)


# The walkthrough with Bookinfo, step by step: what is applied at each.
BOOKINFO = ["manifests/istio/ingressgateway.yaml", "manifests/istio/egressgateway.yaml",
            "samples/bookinfo/platform/kube/bookinfo.yaml", "samples/sleep/sleep.yaml", "samples/httpbin/httpbin.yaml"]
GATEWAY = [*BOOKINFO, "samples/bookinfo/networking/bookinfo-gateway.yaml"]
RULES = [*GATEWAY, "samples/bookinfo/networking/destination-rule-all.yaml"]
STEPS = {
    "bookinfo": BOOKINFO,
    "gateway": GATEWAY,
    "all-v1": [*RULES, "samples/bookinfo/networking/virtual-service-all-v1.yaml"],
    **{name: [*RULES, f"samples/bookinfo/networking/virtual-service-{name}.yaml"] for name in (
        "reviews-50-v3", "reviews-80-20", "reviews-90-10", "reviews-test-v2", "reviews-jason-v2-v3", "reviews-v3", "reviews-v2-v3",
        "ratings-test-delay", "ratings-test-abort", "details-v2")},
    "httpbin-gateway": [*BOOKINFO, "samples/httpbin/httpbin-gateway.yaml"],
    "helloworld": ["manifests/istio/ingressgateway.yaml", "samples/helloworld/helloworld.yaml", "samples/helloworld/helloworld-gateway.yaml"],
    "tcp-echo": ["manifests/istio/ingressgateway.yaml", "samples/tcp-echo/tcp-echo-services.yaml", "samples/tcp-echo/tcp-echo-all-v1.yaml"],
    "tcp-echo-20-v2": ["manifests/istio/ingressgateway.yaml", "samples/tcp-echo/tcp-echo-services.yaml", "samples/tcp-echo/tcp-echo-20-v2.yaml"],
}


@pytest.mark.parametrize("step", STEPS)
def test_samples(step, known):
    documents = [d for name in STEPS[step] for d in yaml.safe_load_all((ROOT / name).read_text())]
    world = World(documents)
    wanted = [{"app": a} for a in ("productpage", "reviews", "ratings", "sleep", "httpbin", "helloworld", "tcp-echo")]
    wanted += [{"istio": "ingressgateway"}, {"istio": "egressgateway"}]
    proxies = []
    for labels in wanted:
        try:
            proxies.append(world.proxy_of(**labels))
        except LookupError:
            continue
    compare(world, proxies, known, step)


def test_every_line_of_the_table_is_needed(known, request):
    ran = [item for item in request.session.items if item.fspath == request.node.fspath]
    if len(ran) < len(CASES) + len(STEPS) + 1:
        pytest.skip("only a part of the cases has run")
    build(".")  # where Istio's generators can't be built, no case has been compared
    idle = [e["path"] for i, e in enumerate(known.entries) if i not in known.used and not e.get("sometimes")]
    assert not idle, idle
