#!/usr/bin/env python3
"""The console with many clients: 500 apps of 10 machines each, simulated. Usage: bench/flow/console.py [--apps 500] [--machines 10] [--seconds 30]

The machines are addresses of 127.0.0.0/8 on one port, all played by one process; each answers as Sentinel's command centre does, with
metrics of four resources a second. The console is pinned to one core, everything else to another. Prints CPU and memory of the console,
the time of its pages' requests, and, for an app of 1,000 machines, how long a rule takes from being stored to the last of them."""
import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESOURCES = ["/orders", "/orders/{id}", "/stock", "__total_inbound_traffic__"]


class Machine(asyncio.Protocol):
    """One connection to any of the machines: a request, an answer, closed."""

    rules = {}   # (ip, type) -> text
    told = {}    # (ip, type) -> when
    asked = 0

    def connection_made(self, transport):
        self.transport = transport
        self.data = b""

    def data_received(self, data):
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"content-length: (\d+)", head, re.I)
        if length and len(body) < int(length[1]):
            return
        Machine.asked += 1
        ip = self.transport.get_extra_info("sockname")[0]
        path, _, query = head.split(b" ", 2)[1].decode().partition("?")
        parameters = dict(urllib.parse.parse_qsl(query) + urllib.parse.parse_qsl(body.decode()))
        answer = "[]"
        if path == "/metric":
            begin, end = int(parameters["startTime"]) // 1000, int(parameters["endTime"]) // 1000
            answer = "\n".join(f"{s * 1000}|{r}|20|1|20|0|5|0|1|0" for s in range(begin, end + 1) for r in RESOURCES)
        elif path == "/setRules":
            Machine.rules[ip, parameters["type"]] = parameters["data"]
            Machine.told[ip, parameters["type"]] = time.monotonic()
            answer = "success"
        elif path == "/told":  # asked by main(): when machines were told; then forgotten
            answer = json.dumps(list(Machine.told.values()))
            Machine.told.clear()
        elif path == "/asked":
            answer = str(Machine.asked)
        elif path == "/getRules":
            answer = Machine.rules.get((ip, parameters["type"]), "[]")
        answer = answer.encode()
        self.transport.write(b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(answer) + answer)
        self.transport.close()


def address(number):
    return f"127.{10 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


class Console:
    def __init__(self, binary, folder):
        self.process = subprocess.Popen(["taskset", "-c", "0", binary, "console", "--listen", "127.0.0.1:0", "--data", folder], stdout=subprocess.PIPE, text=True)
        password = re.search(r"password (\S+)", self.process.stdout.readline())[1]
        self.port = int(re.search(r":(\d+),", self.process.stdout.readline())[1])
        self.cookie = ""
        answer, head = self.ask("POST", "/api/session", {"username": "admin", "password": password})
        self.cookie = head["set-cookie"].split(";")[0]

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"cookie": self.cookie, "content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status < 300, (method, path, answer.status, text[:300])
        return json.loads(text), answer.headers

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss_mib(self):
        return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(), re.M)[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


async def beats(console, machines, port):
    """All heartbeats, spread over ten seconds, by kept connections."""
    share = max(1, len(machines) // 10)
    reader, writer = await asyncio.open_connection("127.0.0.1", console.port)
    for begin in range(0, len(machines), share):
        started = time.monotonic()
        for app, ip in machines[begin:begin + share]:
            writer.write(f"GET /registry/machine?app={app}&ip={ip}&port={port}&v=1.8.8&hostname={ip} HTTP/1.1\r\nhost: c\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
        await asyncio.sleep(max(0, 1 - (time.monotonic() - started)))
    writer.close()


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def play_machines(listening):
    async def forever():
        server = await asyncio.get_running_loop().create_server(Machine, sock=listening, backlog=4096)
        await server.serve_forever()

    asyncio.run(forever())


def machines_say(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def rule_to_clients(arguments, console, port):
    spans, version = [], ""
    for round_ in range(5):
        machines_say(port, "/told")
        began, told = time.monotonic(), []
        answer, _ = console.ask("PUT", "/api/apps/many/rules/flow", {"expected": version, "rules": [{"resource": "/orders", "count": round_ + 1}]})
        version = answer["version"]
        while len(told) < arguments.wide and time.monotonic() - began < 60:
            time.sleep(0.05)
            told += machines_say(port, "/told")
        spans.append(sorted(t - began for t in told))
    picks = (statistics.median, lambda s: quantile(s, 0.99), max)
    return " / ".join(f"{statistics.median(pick(s) for s in spans) * 1000:.0f}" for pick in picks) + " ms"


async def measure(arguments, console, port):
    machines = [(f"app-{a}", address(a * arguments.machines + m)) for a in range(arguments.apps) for m in range(arguments.machines)]
    idle = console.pss_mib()
    await beats(console, [("many", address(60_000 + m)) for m in range(arguments.wide)], port)
    await asyncio.sleep(3)
    rows = [(f"rule stored to client, {arguments.wide} clients: p50 / p99 / last (median of 5)", rule_to_clients(arguments, console, port))]
    await beats(console, machines, port)
    keep = asyncio.create_task(beats(console, machines, port))
    await asyncio.sleep(5)
    asked, cpu, started = machines_say(port, "/asked"), console.cpu_seconds(), time.monotonic()
    while time.monotonic() - started < arguments.seconds:
        if keep.done():
            keep = asyncio.create_task(beats(console, machines, port))
        await asyncio.sleep(0.5)
    span = time.monotonic() - started
    rows += [(f"CPU with {arguments.apps} apps x {arguments.machines} machines (and those {arguments.wide})", f"{(console.cpu_seconds() - cpu) / span * 100:.0f} % of a core"),
             ("... commands asked a second", f"{(machines_say(port, '/asked') - asked) / span:.0f}"),
             ("memory (PSS), at start -> then", f"{idle:.0f} -> {console.pss_mib():.0f} MiB")]
    for name, path in (("all apps", "/api/apps"), ("metrics of an app, 5 minutes", "/api/apps/app-7/metrics?step=1"), ("top resources", "/api/apps/app-7/top?seconds=60"), ("rules", "/api/apps/app-7/rules/flow")):
        times = []
        for _ in range(50):
            began = time.monotonic()
            console.ask("GET", path)
            times.append((time.monotonic() - began) * 1000)
            time.sleep(0.02)
        rows.append((f"page request, {name}: p50 / p99 of 50", f"{statistics.median(times):.1f} / {quantile(times, 0.99):.1f} ms"))
    await keep
    return rows


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--apps", type=int, default=500)
    parser.add_argument("--machines", type=int, default=10)
    parser.add_argument("--wide", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {1})
    listening = socket.socket()
    listening.bind(("0.0.0.0", 0))  # machines are addresses of the loopback network; nothing is sent elsewhere
    port = listening.getsockname()[1]
    player = multiprocessing.Process(target=play_machines, args=(listening,), daemon=True)
    player.start()
    with tempfile.TemporaryDirectory() as folder:
        console = Console(os.environ.get("FAIRLEAD", str(ROOT / "build/fairlead")), folder)
        try:
            rows = await measure(arguments, console, port)
        finally:
            console.stop()
            player.terminate()
    print("| the console | figure |\n| --- | --- |")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


asyncio.run(main())
