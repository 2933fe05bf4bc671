"""HTTPS at the gateway: certificates in Secrets, replaced while in use, several hosts, client certificates, TLS passed through."""
import textwrap
import threading
import time

import pytest

from walkthrough_mesh import eventually

CERTIFICATES = """
mkdir -p {d}/one {d}/two
for set in one two; do
  openssl req -x509 -sha256 -nodes -days 365 -newkey rsa:2048 -subj '/O=example Inc./CN=example.com' \
    -keyout {d}/$set/example.com.key -out {d}/$set/example.com.crt
  for host in httpbin helloworld nginx; do
    openssl req -out {d}/$set/$host.csr -newkey rsa:2048 -nodes -keyout {d}/$set/$host.key -subj "/CN=$host.example.com/O=$host organization"
    printf 'subjectAltName=DNS:%s.example.com\\n' $host > {d}/$set/$host.ext
    openssl x509 -req -sha256 -days 365 -CA {d}/$set/example.com.crt -CAkey {d}/$set/example.com.key -CAcreateserial \
      -extfile {d}/$set/$host.ext -in {d}/$set/$host.csr -out {d}/$set/$host.crt
  done
done
openssl req -out {d}/one/client.csr -newkey rsa:2048 -nodes -keyout {d}/one/client.key -subj '/CN=client.example.com/O=client organization'
openssl x509 -req -sha256 -days 365 -CA {d}/one/example.com.crt -CAkey {d}/one/example.com.key -CAcreateserial \
  -in {d}/one/client.csr -out {d}/one/client.crt
"""


def gateway(*servers):
    listed = "".join(f"""
  - port:
      number: 443
      name: https-{name}
      protocol: {'TLS' if mode == 'PASSTHROUGH' else 'HTTPS'}
    tls:
      mode: {mode}
{'      credentialName: ' + name + '-credential' if mode != 'PASSTHROUGH' else ''}
    hosts:
    - {name}.example.com""" for name, mode in servers)
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: mygateway
spec:
  selector:
    istio: ingressgateway
  servers:{listed}
"""


ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: httpbin-secure
spec:
  hosts:
  - httpbin.example.com
  gateways:
  - mygateway
  http:
  - match:
    - uri:
        prefix: /status
    - uri:
        prefix: /headers
    route:
    - destination:
        port:
          number: 8000
        host: httpbin
"""
HELLOWORLD_ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: helloworld-secure
spec:
  hosts:
  - helloworld.example.com
  gateways:
  - mygateway
  http:
  - match:
    - uri:
        exact: /hello
    route:
    - destination:
        host: helloworld
        port:
          number: 5000
"""
SERVER = textwrap.dedent("""
    import http.server, ssl
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from behind")
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/etc/certs/tls.crt", "/etc/certs/tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
""")
PASSTHROUGH = """
apiVersion: v1
kind: Service
metadata: {name: my-nginx, labels: {run: my-nginx}}
spec:
  ports: [{port: 443, targetPort: 8443, protocol: TCP, name: https}]
  selector: {run: my-nginx}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: my-nginx}
spec:
  replicas: 1
  selector: {matchLabels: {run: my-nginx}}
  template:
    metadata: {labels: {run: my-nginx}}
    spec:
      containers:
      - name: my-nginx
        image: busybox
        command: [python3, -u, -c, %s]
        ports: [{containerPort: 8443}]
        volumeMounts: [{name: certs, mountPath: /etc/certs, readOnly: true}]
      volumes:
      - name: certs
        secret: {secretName: nginx-server-certs}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: nginx}
spec:
  hosts: [nginx.example.com]
  gateways: [mygateway]
  tls:
  - match: [{port: 443, sniHosts: [nginx.example.com]}]
    route: [{destination: {host: my-nginx, port: {number: 443}}}]
"""


@pytest.fixture(scope="module")
def certs(mesh):
    folder = mesh.home / "certs"
    mesh.sh(CERTIFICATES.replace("{d}", str(folder)))
    mesh.let("SECURE_INGRESS_PORT", "kubectl -n istio-system get service istio-ingressgateway "
                                    """-o jsonpath='{.spec.ports[?(@.name=="https")].nodePort}'""")
    yield folder
    mesh.sh("kubectl delete gateway mygateway; kubectl delete virtualservice httpbin-secure helloworld-secure nginx --ignore-not-found; "
            "kubectl delete -n istio-system secret httpbin-credential helloworld-credential --ignore-not-found; "
            "kubectl delete secret nginx-server-certs --ignore-not-found; kubectl delete deployment,service my-nginx --ignore-not-found", check=False)


def secret_tls(name, folder):
    return (f"kubectl create -n istio-system secret tls {name}-credential --key={folder}/{name}.key --cert={folder}/{name}.crt"
            " --dry-run=client -o yaml | kubectl apply -f -")


def https(mesh, folder, path="/status/418", host="httpbin", more=""):
    """What curl says: (exit code, status, body and trace)."""
    done = mesh.run(f"""curl -sS -v -w '\\n%{{http_code}}' --max-time 10 -HHost:{host}.example.com --resolve "{host}.example.com:$SECURE_INGRESS_PORT:$INGRESS_HOST" """
                    f"""--cacert {folder}/example.com.crt {more} "https://{host}.example.com:$SECURE_INGRESS_PORT{path}" """)
    return done.returncode, done.stdout.rsplit("\n", 1)[-1], done.stdout + done.stderr


def status(mesh, *args, **kwargs):
    code, answer, text = https(mesh, *args, **kwargs)
    assert code == 0, text
    return answer


def test_one_host_with_a_certificate_from_a_secret(mesh, certs):
    mesh.sh(secret_tls("httpbin", certs / "one"))
    mesh.apply(gateway(("httpbin", "SIMPLE")))
    mesh.apply(ROUTE)
    eventually(lambda: status(mesh, certs / "one") == "418", timeout=30)
    _, _, text = https(mesh, certs / "one")
    assert "TLSv1.3" in text and "ALPN: server accepted h2" in text, text
    assert https(mesh, certs / "two")[0] == 60, "another CA is not to be believed"


def test_the_key_reaches_the_gateway_by_sds_alone(mesh, certs):
    dump = mesh.sh("kubectl exec -n istio-system deploy/istio-ingressgateway -- pilot-agent request GET config_dump")
    assert "kubernetes://httpbin-credential" in dump
    assert "BEGIN PRIVATE KEY" not in dump
    assert "httpbin-credential" in mesh.sh("istioctl proxy-config secret -n istio-system deploy/istio-ingressgateway")


def test_the_secret_is_replaced_while_requests_come(mesh, certs):
    folder, stop, problems, seen = certs / "both", threading.Event(), [], []
    mesh.sh(f"mkdir -p {folder}; cat {certs}/one/example.com.crt {certs}/two/example.com.crt > {folder}/example.com.crt")

    def load():
        while not stop.is_set():
            code, answer, text = https(mesh, folder)
            seen.append(answer)
            if (code, answer) != (0, "418"):
                problems.append(text)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        time.sleep(0.5)
        mesh.sh(secret_tls("httpbin", certs / "two"))
        eventually(lambda: status(mesh, certs / "two") == "418", timeout=30)
        time.sleep(0.5)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not problems, problems[0]
    assert len(seen) > 4
    assert https(mesh, certs / "one")[0] == 60, "the certificate of before is gone"


def test_hosts_have_certificates_of_their_own(mesh, certs):
    mesh.sh(secret_tls("httpbin", certs / "one"))
    mesh.sh(secret_tls("helloworld", certs / "one"))
    mesh.apply(gateway(("httpbin", "SIMPLE"), ("helloworld", "SIMPLE")))
    mesh.apply(HELLOWORLD_ROUTE)
    eventually(lambda: status(mesh, certs / "one", "/hello", "helloworld") == "200", timeout=30)
    eventually(lambda: status(mesh, certs / "one") == "418", timeout=30)


def test_a_host_without_its_secret_leaves_the_others_alone(mesh, certs):
    mesh.sh("kubectl delete -n istio-system secret helloworld-credential")
    mesh.sh("kubectl rollout restart deployment istio-ingressgateway -n istio-system; "
            "kubectl rollout status deployment istio-ingressgateway -n istio-system --timeout=90s")
    eventually(lambda: status(mesh, certs / "one") == "418", timeout=40)
    assert https(mesh, certs / "one", "/hello", "helloworld")[0] != 0
    mesh.sh(secret_tls("helloworld", certs / "one"))
    eventually(lambda: status(mesh, certs / "one", "/hello", "helloworld") == "200", timeout=30)


def test_clients_show_certificates(mesh, certs):
    d = certs / "one"
    mesh.sh("kubectl -n istio-system delete secret httpbin-credential")
    mesh.sh(f"kubectl create -n istio-system secret generic httpbin-credential --from-file=tls.key={d}/httpbin.key "
            f"--from-file=tls.crt={d}/httpbin.crt --from-file=ca.crt={d}/example.com.crt")
    mesh.apply(gateway(("httpbin", "MUTUAL"), ("helloworld", "SIMPLE")))
    eventually(lambda: https(mesh, d)[0] != 0, timeout=30)
    assert "certificate required" in https(mesh, d)[2]
    client = f"--cert {d}/client.crt --key {d}/client.key"
    assert status(mesh, d, more=client) == "418"
    _, _, text = https(mesh, d, "/headers", more=client)
    assert "CN=client.example.com" in text, "the application sees who called"
    assert status(mesh, d, "/hello", "helloworld") == "200", "the other host asks for none"


def test_tls_is_passed_through_to_who_has_the_certificate(mesh, certs):
    d = certs / "one"
    mesh.sh(f"kubectl create secret tls nginx-server-certs --key {d}/nginx.key --cert {d}/nginx.crt")
    import json
    mesh.apply(PASSTHROUGH % json.dumps(SERVER))
    mesh.pods_ready("run=my-nginx")
    mesh.apply(gateway(("nginx", "PASSTHROUGH"), ("httpbin", "MUTUAL")))
    eventually(lambda: "from behind" in https(mesh, d, "/", "nginx")[2], timeout=30)
    assert status(mesh, d, more=f"--cert {d}/client.crt --key {d}/client.key") == "418"
