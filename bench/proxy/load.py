"""Load on one port for a while, and what it saw."""
import dataclasses
import re
import subprocess

from peers import LOAD_CPU, TOOLS


@dataclasses.dataclass
class Seen:
    requests: int
    rate: float
    p50: float        # microseconds
    p99: float
    errors: int = 0
    note: str = ""


def run(command, seconds, nice):
    prefix = ["nice", "-n", str(nice)] if nice else []
    done = subprocess.run([*prefix, "taskset", "-c", LOAD_CPU, *command], capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def microseconds(text):
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if not match:
        raise RuntimeError(f"wrk: no time in {text!r}")
    return float(match[1]) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7, "h": 3.6e9}[match[2]]


def percentile(sorted_values, q):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * q))] if sorted_values else float("nan")


def wrk(port, seconds, nice, connections=64, path="/", tls=False, headers=()):
    extra = [x for h in headers for x in ("-H", h)]
    out = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *extra,
               f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"], seconds, nice)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    errors = int(bad[1]) if bad else 0
    if sockets and "Connection: close" not in headers:  # wrk takes the announced end of a connection for a read error
        errors += sum(int(n) for n in sockets.groups())
    return Seen(int(re.search(r"(\d+) requests in", out)[1]), float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
                microseconds(re.search(r"\n +50% +(\S+)", out)[1]), microseconds(re.search(r"\n +99% +(\S+)", out)[1]), errors)


def h2load(port, seconds, nice, folder, tls=False, connections=16, streams=32, path="/", extra=()):
    log = folder / "h2load.log"
    out = run(["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), f"--log-file={log}", *extra,
               f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"], seconds, nice)
    rate = float(re.search(r"finished in [^,]+, ([\d.]+) req/s", out)[1])
    done, ok, failed, errored, timeout = (int(n) for n in re.search(
        r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out).groups())
    times = sorted(int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines())
    log.unlink()
    # What is cut off at the end counts as failed.
    return Seen(ok, rate, percentile(times, 0.5), percentile(times, 0.99), max(0, done - ok - connections * streams))


def handshakes(port, seconds, nice, resumed=False):
    out = run([str(TOOLS / "handshakes"), str(port), str(seconds), "16", "resumed" if resumed else "full"], seconds, nice).splitlines()
    requests, reused, errors = (int(n) for n in out[0].split())
    times = sorted(int(t) for t in out[1:])
    note = f"{reused / requests:.0%} resumed" if resumed and requests else ""
    return Seen(requests, requests / seconds, percentile(times, 0.5), percentile(times, 0.99), errors, note)
