"""Figures that need proxies of their own: idle connections, many clusters, two workers."""
import socket
import statistics
import time

import load
import peers


def one(bench, name, tag, config, port, workers=1, cpu=peers.PROXY_CPU):
    starter = bench.start_fairlead if name == "fairlead" else bench.start_envoy
    path = peers.write_json(bench.folder / f"{tag}.json", config)
    process = starter(path, tag, workers=workers, cpu=cpu)
    bench.others.append(process)
    peers.wait_port(process, port)
    return process


def mesh_like(bench, wanted):
    return [n for n in ("fairlead", "envoy") if n in wanted and (n != "envoy" or bench.envoy)]


def request(sock):
    sock.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got or not got.endswith(b"x"):
        piece = sock.recv(4096)
        if not piece:
            raise RuntimeError("closed: " + got.decode(errors="replace")[:100])
        got += piece


def idle_connections(bench, wanted, args, count=8000):
    """Connections that had one request each and stay open. One client address has ports for more, but a client's and a
    proxy's descriptors have to fit into the usual limit of 20,000 as well."""
    figures = []
    for name in mesh_like(bench, wanted):
        ports = bench.ports()
        process = one(bench, name, f"idle-{name}",
                      peers.bootstrap(ports, peers.free_ports(1)[0], bench.origin, 9, 9, bench.folder, f"idle-{name}"), ports["plain"])
        warm = socket.create_connection(("127.0.0.1", ports["plain"]))
        request(warm)
        time.sleep(0.3)
        before = process.pss_mib()
        held = []
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", ports["plain"])))
            request(held[-1])
        time.sleep(0.3)
        per = (process.pss_mib() - before) * 2**20 / count
        figures.append(f"{name} {per:,.0f} bytes")
        for s in held:
            s.close()
        process.stop()
    return f"{count:,} idle HTTP/1.1 connections, each after one request: " + ", ".join(figures) + " for each (user space)."


def scaled(bench, count, port, admin):
    """A virtual host, a route, a cluster and an endpoint for each of `count` services, as Istio makes them."""
    hosts = [{"name": f"svc-{i}", "domains": [f"svc-{i}", f"svc-{i}.default", f"svc-{i}.default.svc.cluster.local"],
              "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": f"outbound|80||svc-{i}.default.svc.cluster.local"}}]}
             for i in range(count)]
    return {"node": {"id": "scale", "cluster": "bench"}, "admin": {"address": peers.address(admin)}, "static_resources": {
        "listeners": [{"name": "plain", "address": peers.address(port), "filter_chains": [{"filters": [peers.hcm("scale", hosts)]}]}],
        "clusters": [peers.cluster(f"outbound|80||svc-{i}.default.svc.cluster.local", bench.origin) for i in range(count)]}}


def scale(bench, wanted, args, counts=(1, 1000, 10000)):
    lines = ["| services (virtual host, route, cluster, endpoint) | " + " | ".join(f"{n:,}" for n in counts) + " | memory of each |",
             "| --- |" + " --- |" * (len(counts) + 1)]
    for name in mesh_like(bench, wanted):
        running = {}
        for n in counts:
            port, admin = peers.free_ports(2)
            tag = f"scale-{name}-{n}"
            running[n] = (one(bench, name, tag, scaled(bench, n, port, admin), port), port)
        time.sleep(0.5)
        memory = {n: running[n][0].pss_mib() for n in counts}
        cpu = {n: [] for n in counts}
        for round_ in range(-1, args.rounds):
            for n in counts:
                process, port = running[n]
                before = process.cpu_seconds()
                # 64 connections that all ask for the service in the middle of the list.
                seen = load.wrk(port, 1 if round_ < 0 else args.seconds, bench.nice,
                                headers=(f"Host: svc-{n // 2}.default.svc.cluster.local",))
                if seen.errors:
                    raise RuntimeError(f"{name} with {n} services: {seen.errors} errors")
                if round_ >= 0:
                    cpu[n].append((process.cpu_seconds() - before) / seen.requests * 1e6)
        for process, _ in running.values():
            process.stop()
        medians = {n: statistics.median(cpu[n]) for n in counts}
        per = (memory[counts[-1]] - memory[counts[0]]) * 2**20 / (counts[-1] - counts[0])
        cells = " | ".join(f"{medians[n]:.1f} us ({medians[n] / medians[counts[0]] - 1:+.0%}), {memory[n]:.1f} MiB" for n in counts)
        lines.append(f"| {name} | {cells} | {per:,.0f} bytes |")
    return "\n".join(lines)


def workers(bench, wanted, args):
    figures = []
    for name in mesh_like(bench, wanted):
        parts = []
        for n in (1, 2):
            ports = bench.ports()
            process = one(bench, name, f"workers-{name}-{n}",
                          peers.bootstrap(ports, peers.free_ports(1)[0], bench.origin, 9, 9, bench.folder, f"workers-{name}-{n}"),
                          ports["plain"], workers=n, cpu="0,1")
            load.wrk(ports["plain"], 1, bench.nice)
            cpu, rates = [], []
            for _ in range(args.rounds):
                before = process.cpu_seconds()
                seen = load.wrk(ports["plain"], args.seconds, bench.nice)
                cpu.append((process.cpu_seconds() - before) / seen.requests * 1e6)
                rates.append(seen.rate)
            parts.append(f"{n} worker{'s' * (n > 1)} {statistics.median(cpu):.1f} us, {statistics.median(rates) / 1000:.1f} k/s")
            process.stop()
        figures.append(f"{name}: " + "; ".join(parts))
    return "Workers, HTTP/1.1 keep-alive, the proxy on both cores beside load and origin: " + ". ".join(figures) + "."
