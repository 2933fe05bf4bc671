#!/usr/bin/env python3
"""The engine beside Sentinel's: what entering and leaving cost, in alternating rounds.
Usage: bench/flow/engine.py [--rounds 3] [--sentinel-cpp DIR]

Ours by Google Benchmark (engine_bench), sentinel-core by JMH (bench/flow/java, from Maven Central), and, if a checkout of
github.com/alibaba/sentinel-cpp is named, that one by Google Benchmark (bench/flow/cpp), all pinned to the same two cores. Figures are
medians of the rounds, in ns for each call; for two threads, the time of one call of each."""
import argparse
import json
import os
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


def google(program):
    with tempfile.TemporaryDirectory() as home:  # sentinel-cpp's logs
        out = subprocess.run(["taskset", "-c", "0,1", program, "--benchmark_format=json", "--benchmark_min_time=0.3"], env=os.environ | {"HOME": home},
                             capture_output=True, text=True, check=True).stdout
    results = json.loads(out[out.index("{"):])["benchmarks"]
    faults = [b["error_message"] for b in results if b.get("error_occurred")]
    if faults:
        raise SystemExit(f"{program}: {faults}")
    # With two threads the library's time is of the wall, divided by the threads: what one call takes is twice that.
    return {b["name"]: b["real_time"] * b["threads"] for b in results}


def build_cpp(checkout):
    """sentinel-cpp's core with Debian's libraries, beside our own build."""
    folder = ROOT / "build/sentinel-cpp"
    subprocess.run(["cmake", "-S", ROOT / "bench/flow/cpp", "-B", folder, f"-DSENTINEL_CPP={pathlib.Path(checkout).resolve()}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "-j2"], check=True, stdout=subprocess.DEVNULL)
    return folder / "sentinel_cpp_bench"


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
    parser.add_argument("--sentinel-cpp", metavar="DIR", help="a checkout of alibaba/sentinel-cpp; needs libabsl-dev, libtbb-dev, libspdlog-dev and libfmt-dev")
    options = parser.parse_args()
    subprocess.run(["cmake", "--build", ROOT / "build", "--target", "engine_bench"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mvn", "-q", "-B", "package", "dependency:build-classpath", "-Dmdep.outputFile=target/cp"], cwd=JAVA, check=True)
    classpath = f"{JAVA}/target/classes:{(JAVA / 'target/cp').read_text()}"
    cpp = build_cpp(options.sentinel_cpp) if options.sentinel_cpp else None
    a, b, c = [], [], []
    for _ in range(options.rounds):
        a.append(google(ROOT / "build/engine_bench"))
        b.append(sentinels(classpath, 1) | sentinels(classpath, 2))
        if cpp:
            c.append(google(cpp))
    print("| entering and leaving | Fairlead | sentinel-core 1.8.8 | ratio |" + (" sentinel-cpp | ratio |" if c else ""))
    print("| --- | --- | --- | --- |" + (" --- | --- |" if c else ""))
    for title, name, (method, rules), threads in ROWS:
        own = statistics.median(r[name] for r in a)
        theirs = statistics.median(r[method, rules, threads] for r in b)
        row = f"| {title} | {own:.0f} ns | {theirs:.0f} ns | {theirs / own:.1f} |"
        if c:
            # It finds resources by name alone.
            third = statistics.median(r["enter_and_leave/rules:1" if name == "enter_by_name" else name] for r in c)
            row += f" {third:.0f} ns | {third / own:.1f} |"
        print(row)


main()
