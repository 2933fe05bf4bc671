#!/usr/bin/env python3
"""The engine beside sentinel-core: what entering and leaving cost, in alternating rounds. Usage: bench/flow/engine.py [--rounds 3]

Ours by Google Benchmark (engine_bench), Sentinel's by JMH (bench/flow/java, from Maven Central), both pinned to the same core (to both
for two threads). Figures are medians of the rounds, in ns for each call; for two threads, the time of one call of each."""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
JAVA = ROOT / "bench/flow/java"
ROWS = [  # title, ours, Sentinel's (method, rules), threads
    ("no rule", "enter_and_leave/rules:0", ("enter_and_leave", "0"), 1),
    ("one flow rule", "enter_and_leave/rules:1", ("enter_and_leave", "1"), 1),
    ("one flow rule, found by name", "enter_by_name", ("enter_and_leave", "1"), 1),
    ("five flow rules", "enter_and_leave/rules:5", ("enter_and_leave", "5"), 1),
    ("one flow rule, 2 threads", "enter_and_leave/rules:1/threads:2", ("enter_and_leave", "1"), 2),
    ("a rule for each of 1,000 values", "enter_with_parameter/threads:1", ("enter_with_parameter", None), 1),
    ("a refused call", "refused", ("refused", None), 1),
]


def ours():
    out = subprocess.run(["taskset", "-c", "0,1", ROOT / "build/engine_bench", "--benchmark_format=json", "--benchmark_min_time=0.3"], capture_output=True, text=True, check=True).stdout
    # With two threads the library's time is of the wall, divided by the threads: what one call takes is twice that.
    return {b["name"]: b["real_time"] * b["threads"] for b in json.loads(out)["benchmarks"]}


def sentinels(classpath, threads):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["taskset", "-c", "0,1", "java", "-Dcsp.sentinel.log.dir=" + folder, "-cp", classpath, "org.openjdk.jmh.Main", "-bm", "avgt", "-tu", "ns", "-f", "1", "-wi", "2", "-w", "1",
                        "-i", "3", "-r", "1", "-t", str(threads), "-rf", "json", "-rff", folder + "/out.json"] + (["-p", "rules=1", "enter_and_leave"] if threads > 1 else []),
                       check=True, stdout=subprocess.DEVNULL)
        results = json.loads(pathlib.Path(folder, "out.json").read_text())
    return {(r["benchmark"].rsplit(".", 1)[1], r.get("params", {}).get("rules"), threads): r["primaryMetric"]["score"] for r in results}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    subprocess.run(["cmake", "--build", ROOT / "build", "--target", "engine_bench"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mvn", "-q", "-B", "package", "dependency:build-classpath", "-Dmdep.outputFile=target/cp"], cwd=JAVA, check=True)
    classpath = f"{JAVA}/target/classes:{(JAVA / 'target/cp').read_text()}"
    a, b = [], []
    for _ in range(rounds):
        a.append(ours())
        b.append(sentinels(classpath, 1) | sentinels(classpath, 2))
    print("| entering and leaving | Fairlead | sentinel-core 1.8.8 | ratio |\n| --- | --- | --- | --- |")
    for title, name, (method, rules), threads in ROWS:
        own = statistics.median(r[name] for r in a)
        theirs = statistics.median(r[method, rules, threads] for r in b)
        print(f"| {title} | {own:.0f} ns | {theirs:.0f} ns | {theirs / own:.1f} |")


main()
