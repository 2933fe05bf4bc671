"""Step 5: the page from the host, through the ingress gateway; and in a browser."""
import shutil
import struct
import subprocess
import zlib

import pytest

from bookinfo import ingress_url, page, stars
from walkthrough_mesh import eventually


def test_the_gateway_has_its_service(mesh):
    row = mesh.rows("kubectl get svc istio-ingressgateway -n istio-system")[0]
    # An ordinary user cannot listen on port 80: node ports are left, as on any cluster without a balancer.
    assert row[1] == "LoadBalancer" and (row[3].startswith("127.0.") or (mesh.rootless and row[3] == "<pending>"))
    ports = row[4]
    for port in ("15021:", "80:", "443:", "31400:", "15443:"):
        assert port in ports, ports


def test_find_host_and_port(mesh):
    port = mesh.let("INGRESS_PORT", "kubectl -n istio-system get service istio-ingressgateway "
                                    """-o jsonpath='{.spec.ports[?(@.name=="http2")].nodePort}'""")
    assert 30000 <= int(port) <= 32767
    host = mesh.let("INGRESS_HOST", "kubectl get po -l istio=ingressgateway -n istio-system "
                                    "-o jsonpath='{.items[0].status.hostIP}'")
    assert host == "127.0.0.1"


def test_the_balancer_answers_where_it_has_an_address(mesh):
    host = mesh.sh("kubectl -n istio-system get service istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'")
    if host:
        port = mesh.sh("""kubectl -n istio-system get service istio-ingressgateway -o jsonpath='{.spec.ports[?(@.name=="http2")].port}'""")
        eventually(lambda: "<title>Simple Bookstore App</title>" in mesh.sh(f"curl -sS http://{host}:{port}/productpage"), timeout=20)


def test_the_page_opens_from_the_host(mesh):
    eventually(lambda: "<title>Simple Bookstore App</title>" in page(mesh), timeout=20)


def test_all_three_versions_take_turns(mesh):
    seen = {stars(page(mesh)) for _ in range(30)}
    assert seen == {"none", "black", "red"}


def test_what_no_route_matches_is_not_found(mesh):
    assert mesh.sh("curl -sS -o /dev/null -w '%{http_code}' http://$INGRESS_HOST:$INGRESS_PORT/nothing-here") == "404"


def colors_of(png):
    """Counts of the two colours of stars in an 8-bit RGB(A) screenshot."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    channels = {2: 3, 6: 4}[kind]
    assert depth == 8
    data, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at:at + 8])
        if name == b"IDAT":
            data += png[at + 8:at + 8 + length]
        at += 12 + length
    raw, stride = zlib.decompress(data), width * channels
    before, counts = bytearray(stride), {"red": 0, "black": 0}
    for y in range(height):
        start = y * (stride + 1)
        way, line = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        for i in range(stride):  # PNG filters, RFC 2083 section 6
            left = line[i - channels] if i >= channels else 0
            up, corner = before[i], before[i - channels] if i >= channels else 0
            if way == 1:
                line[i] = (line[i] + left) & 255
            elif way == 2:
                line[i] = (line[i] + up) & 255
            elif way == 3:
                line[i] = (line[i] + (left + up) // 2) & 255
            elif way == 4:
                p = left + up - corner
                best = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
                line[i] = (line[i] + best) & 255
        for i in range(0, stride, channels):
            pixel = tuple(line[i:i + 3])
            if pixel == (0xd6, 0x1f, 0x26):
                counts["red"] += 1
            elif pixel == (0x1b, 0x1b, 0x1b):
                counts["black"] += 1
        before = line
    return counts


def look(mesh, browser):
    """Opens the page in Chromium and says which stars there are to see."""
    shot = mesh.home / "page.png"
    shot.unlink(missing_ok=True)
    profile = mesh.home / "chromium"
    argv = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,900",
            f"--user-data-dir={profile}", f"--screenshot={shot}", ingress_url(mesh, "/productpage")]
    subprocess.run(argv, env={**mesh.environment}, capture_output=True, timeout=120, check=True)
    counts = colors_of(shot.read_bytes())
    if counts["red"] > 100:
        return "red"
    return "black" if counts["black"] > 100 else "none"


def test_a_browser_shows_the_stars(mesh):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here; tools/setup test installs it")
    seen = set()
    for _ in range(20):
        seen.add(look(mesh, browser))
        if seen == {"none", "black", "red"}:
            return
    assert seen == {"none", "black", "red"}
