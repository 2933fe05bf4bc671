#!/usr/bin/env python3
"""CPU time per request of one proxy worker on one core, beside nginx and HAProxy. Prints a Markdown table."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def descendants(pid):
    """pid and all below it."""
    found, queue = [], [pid]
    while queue:
        p = queue.pop()
        found.append(p)
        for task in pathlib.Path(f"/proc/{p}/task").glob("*/children"):
            queue += [int(c) for c in task.read_text().split()]
    return found


def cpu_seconds(pid):
    total = 0
    for p in descendants(pid):
        fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def pss_mib(pid):
    total = 0
    for p in descendants(pid):
        for line in pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def wait_for(url, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def start(cpu, *command):
    return subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def configs(folder, origin, ports):
    (folder / "body").mkdir()
    (folder / "body/index.html").write_text("x" * 100)
    (folder / "origin.conf").write_text(f"""
daemon off; master_process off; pid {folder}/origin.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{origin}; location / {{ root {folder}/body; }} }} }}
""")
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  upstream o {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{ports['nginx']};
    location / {{ proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header X-Request-Id $request_id; proxy_set_header X-Forwarded-For $remote_addr; }} }}
}}
""")
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:{ports['haproxy']}
  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header x-request-id
  option forwardfor
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{origin}
""")
    (folder / "fairlead.yaml").write_text(f"""
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
  - name: l
    address: {{socket_address: {{address: 127.0.0.1, port_value: {ports['fairlead']}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          use_remote_address: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: o}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: o
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: o
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {origin}}}}}}}}}]}}]
""")


def load(port, seconds, connections):
    out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    p50, p99 = re.search(r"50%\s+(\S+)", out)[1], re.search(r"99%\s+(\S+)", out)[1]
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return requests, rate, p50, p99, int(errors[1]) if errors else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    for tool in ("nginx", "haproxy", "wrk", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"bench/gateway.py: no {tool}; tools/setup bench installs it")
    if os.cpu_count() < 2:
        sys.exit("bench/gateway.py: needs two cores, one for the proxy and one for load and origin")
    origin, ports = 19100, {"fairlead": 19101, "nginx": 19102, "haproxy": 19103}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-bench-"))
    folder.chmod(0o755)
    configs(folder, origin, ports)
    running = {}
    try:
        running["origin"] = start(1, "nginx", "-c", str(folder / "origin.conf"))
        running["nginx"] = start(0, "nginx", "-c", str(folder / "nginx.conf"))
        running["haproxy"] = start(0, "haproxy", "-f", str(folder / "haproxy.cfg"))
        running["fairlead"] = start(0, str(ROOT / "build/fairlead"), "proxy", "-c", str(folder / "fairlead.yaml"), "--concurrency", "1",
                                    "--log-level", "error")
        for port in ports.values():
            body = wait_for(f"http://127.0.0.1:{port}/")
            assert body == b"x" * 100, body
        idle = {name: pss_mib(running[name].pid) for name in ports}
        results = {name: [] for name in ports}
        for name, port in ports.items():
            load(port, 1, args.connections)  # warm
        for _ in range(args.rounds):
            for name, port in ports.items():
                before = cpu_seconds(running[name].pid)
                requests, rate, p50, p99, errors = load(port, args.seconds, args.connections)
                used = cpu_seconds(running[name].pid) - before
                results[name].append((used / requests * 1e6, rate, p50, p99, errors))
        print(f"## One gateway worker on one core\n\nHTTP/1.1 keep-alive, {args.connections} connections, 100-byte bodies, "
              f"median of {args.rounds} alternating rounds of {args.seconds} s.\n")
        print("| proxy | CPU time/request | beside ours | requests/s | p50 | p99 | errors | memory (PSS) idle -> after |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        ours = statistics.median(r[0] for r in results["fairlead"])
        for name in ports:
            cpu = statistics.median(r[0] for r in results[name])
            rate = statistics.median(r[1] for r in results[name])
            middle = sorted(results[name])[len(results[name]) // 2]
            print(f"| {name} | {cpu:.1f} us | {cpu / ours:.2f} | {rate:,.0f} | {middle[2]} | {middle[3]} | {sum(r[4] for r in results[name])} "
                  f"| {idle[name]:.1f} -> {pss_mib(running[name].pid):.1f} MiB |")
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for process in running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
