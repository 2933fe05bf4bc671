"""Writes tests/flow/sequences/*.txt: seeded, so that the same program writes the same files. Format: README.md here."""
import json
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
SEQUENCES = 200
FEWER = {"param_many": 40}
ORIGINS = ["-", "-", "app1", "app2", "app3"]


def number(value):
    return f"{value:g}"


def flow(resource=0, app="default", grade=1, count=5.0, strategy=0, ref=0, behavior=0, warm=10, queue=500):
    return f"F {resource} {app} {grade} {number(count)} {strategy} {ref} {behavior} {warm} {queue}"


def events(r, n, pace, resources=1, contexts=1, origins=("-",), counts=(1,), flags=(0,), rt=(0, 30), errors=0.0, leave=0.9):
    """n entries about `pace` ms apart, some bursts and some idle gaps between; exits follow in their own time."""
    now, due, out, last = 0, [], [], 0

    def emit(at, text):
        nonlocal last
        head, tail = text.split(" ", 1)
        out.append(f"{head} {at - last} {tail}")
        last = at

    for i in range(n):
        now += r.choice([0, 0, 1, pace, pace, 2 * pace, r.randint(0, 4 * pace), r.choice([0, 500, 1000, 3100])])
        while due and due[0][0] <= now:
            at, index, failed = due.pop(0)
            emit(at, f"X {index} {failed}")
        emit(now, f"E {r.randrange(resources)} {r.randrange(contexts)} {r.choice(origins)} {r.choice(counts)} {r.choice(flags)} {i}")
        if r.random() < leave:
            due.append((now + r.randint(*rt), i, int(r.random() < errors)))
            due.sort()
    return out


def reject(r):
    rules = [flow(count=r.choice([0, 1, 2, 3.5, 5, 8, 20]))]
    return rules + events(r, 25, r.choice([5, 40, 90]), counts=(1, 1, 1, 2), rt=(0, 200))


def thread(r):
    return [flow(grade=0, count=r.choice([0, 1, 2, 4]))] + events(r, 25, 20, counts=(1, 1, 2), rt=(5, 400), flags=(0, 2))


def origin(r):
    rules = [flow(app="app1", count=r.randint(0, 4)), flow(app="other", count=r.randint(1, 4))]
    if r.random() < 0.5:
        rules.append(flow(count=r.randint(4, 9)))
    r.shuffle(rules)
    return rules + events(r, 28, 40, origins=ORIGINS, resources=2)


def relation(r):
    rules = [flow(strategy=1, ref=1, count=r.randint(1, 4)), flow(resource=1, strategy=2, ref=1, count=r.randint(1, 4))]
    if r.random() < 0.3:
        rules.append(flow(resource=2, app="app2", strategy=r.choice([1, 2]), ref=1, count=2))
    return rules + events(r, 30, 40, origins=ORIGINS, resources=3, contexts=2)


def warmup(r):
    rules = [flow(behavior=1, count=r.choice([3, 6, 10, 15, 2.5]), warm=r.choice([1, 2, 5, 10]))]
    return rules + events(r, 40, r.choice([60, 150, 300]), counts=(1, 1, 2))


def throttle(r):
    rules = [flow(behavior=2, count=r.choice([0, 1, 3, 10, 20, 7.5, 1000, 1500]), queue=r.choice([1, 20, 100, 500, 2000]))]
    return rules + events(r, 25, r.choice([3, 40, 120]), counts=(1, 1, 1, 2))


def warmup_throttle(r):
    rules = [flow(behavior=3, count=r.choice([2, 5, 10, 25, 7.5]), warm=r.choice([1, 3, 10]), queue=r.choice([20, 200, 900]))]
    return rules + events(r, 30, r.choice([20, 80, 200]))


def priority(r):
    return [flow(count=r.choice([1, 2, 4, 6]))] + events(r, 28, r.choice([15, 50, 110]), counts=(1, 1, 2), flags=(0, 1, 1))


def degrade(r):
    rules = []
    for _ in range(r.choice([1, 1, 2])):
        grade = r.randrange(3)
        count = [r.choice([10, 50, 100]), r.choice([0, 0.2, 0.5, 1]), r.choice([0, 1, 3])][grade]
        rules.append(f"D 0 {grade} {number(count)} {r.choice([1, 2, 3])} {r.choice([1, 2, 5])} "
                     f"{number(r.choice([0, 0.3, 0.5, 1]))} {r.choice([500, 1000, 1000, 2700])}")
    if r.random() < 0.2:
        rules.append(flow(count=3))
    return rules + events(r, 30, r.choice([30, 90, 250]), rt=(0, 150), errors=r.choice([0, 0.2, 0.5, 0.9]), leave=1)


def authority(r):
    rules = [f"A 0 {r.choice(['app1', 'app1,app2', 'app', 'app2,app3', 'app11,app1'])} {r.randrange(2)}"]
    if r.random() < 0.4:
        rules.append(flow(count=3))
    return rules + events(r, 14, 40, origins=ORIGINS, resources=2)


def system(r):
    rules = [f"Y {number(r.choice([-1, 1, 3, 6.5]))} {r.choice([-1, 20, 60])} {r.choice([-1, 0, 2])}"]
    if r.random() < 0.3:
        rules.append(f"Y {r.choice([2, 9])} -1 -1")
    return rules + events(r, 28, 40, resources=2, flags=(0, 2, 2), rt=(0, 120), counts=(1, 1, 2), origins=ORIGINS)


def param(index=0, grade=1, count=3.0, behavior=0, burst=0, duration=1, queue=0, items=(), resource=0):
    return f"P {resource} {index} {grade} {number(count)} {behavior} {burst} {duration} {queue} {','.join(items) or '-'}"


VALUES = ["sa", "sa", "sb", "i1", "i1", "l1", "i2", "d1.5", "f1.5", "ttrue", "cx", "b1", "h1", "n"]
ITEMS = ["int:1:{}", "java.lang.Integer:+2:{}", "long:1:{}", "java.lang.String:a:{}", "double:1.50:{}", "float:1.5f:{}", "boolean:TRUE:{}", "char:xy:{}",
         "byte:1:{}", "short:x:{}", "short:1:{}", "demo.Type:b:{}", "java.lang.Character:x:{}"]


def with_arguments(r, steps, values=("sa", "sa", "sb", "sc"), width=1, lists=0.0):
    """Every call gets `width` arguments, drawn from `values`."""
    out = []
    for step in steps:
        if step.startswith("E "):
            words = []
            for _ in range(width):
                inner = [r.choice([v for v in values if v != "n"]) for _ in range(r.randint(0, 3))]
                words.append("[" + "|".join(inner) if r.random() < lists else r.choice(values))
            step += " " + ",".join(words)
        out.append(step)
    return out


def param_reject(r):
    rules = [param(count=r.choice([0, 1, 2, 3.7, 5, 10]), burst=r.choice([0, 0, 1, 3]), duration=r.choice([1, 1, 2, 5]))]
    return rules + with_arguments(r, events(r, 30, r.choice([10, 60, 200]), counts=(1, 1, 2, 3)))


def param_throttle(r):
    rules = [param(behavior=2, count=r.choice([0, 1, 3, 8, 20, 1500]), duration=r.choice([1, 1, 3]), queue=r.choice([0, 20, 150, 600, 2000]))]
    return rules + with_arguments(r, events(r, 30, r.choice([5, 40, 150]), counts=(1, 1, 2)))


def param_thread(r):
    rules = [param(grade=0, count=r.choice([0, 1, 2, 3]), items=r.choice([(), ("int:1:1",), ("String:a:0",)]))]
    if r.random() < 0.3:
        rules.append(param(index=r.choice([0, 1]), grade=0, count=2, behavior=2))
    return rules + with_arguments(r, events(r, 30, 20, rt=(5, 500), leave=1), values=("sa", "sb", "i1", "n"), width=2, lists=0.2)


def param_value(r):
    """Types of values, exceptions, several arguments, indexes from the end and beyond, several rules."""
    rules = []
    for _ in range(r.choice([1, 1, 2, 3])):
        items = [each.format(r.choice([0, 1, 2, 7])) for each in r.sample(ITEMS, r.randint(0, 6))]
        rules.append(param(index=r.choice([0, 0, 1, 2, -1, -2, -4]), grade=r.choice([0, 1, 1]), count=r.choice([1, 2, 4]), behavior=r.choice([0, 0, 1, 2]),
                           burst=r.choice([0, 1]), duration=r.choice([1, 2]), queue=r.choice([0, 400]), items=items))
    return rules + with_arguments(r, events(r, 32, r.choice([10, 50]), counts=(1, 1, 2), rt=(0, 300)), values=VALUES, width=3, lists=0.15)


def param_mixed(r):
    """Beside the other kinds: who refuses first, and what is counted when a later rule refuses."""
    rules = [param(count=r.randint(1, 4), behavior=r.choice([0, 2]), queue=300), flow(count=r.randint(1, 6)), "A 0 app1 1", "Y 8 -1 -1"]
    if r.random() < 0.5:
        rules.append(param(grade=0, count=r.randint(1, 3)))
    return rules + with_arguments(r, events(r, 30, 30, origins=ORIGINS, resources=2, flags=(0, 1, 2), rt=(0, 300)))


def param_many(r):
    """More values than are kept: those used longest ago are forgotten."""
    rules = [param(count=r.choice([1, 2, 3]), behavior=r.choice([0, 2]), duration=r.choice([1, 2]), queue=r.choice([0, 900]))]
    steps = []
    for i in range(12):
        start, most = r.choice([0, 0, 1, 500, 3000, 3990]), r.choice([1, 1, 10, 600, 1010, 4000, 4001])
        steps.append(f"B {r.choice([0, 1, 50, 300])} 0 {start} {most}")
    return rules + steps


def regex(r):
    """Rules for several resources, after those for one; at most one expression of a kind, whose order Sentinel leaves open."""
    rules = []
    if r.random() < 0.5:
        rules.append(param(count=r.randint(1, 4), resource=r.randrange(2)))
    if r.random() < 0.7:
        rules.append(param(count=r.randint(1, 4), grade=r.choice([0, 1]), resource=r.choice(["[01]", ".", "[^2]"])).replace("P", "P*", 1))
    if r.random() < 0.5:
        rules.append(flow(resource=r.randrange(2), count=r.randint(1, 6)))
    if r.random() < 0.7:
        expression = r.choice(["[01]", ".", "[02]"])
        rules += [flow(resource=expression, app=app, count=r.randint(1, 5)).replace("F", "F*", 1) for app in r.sample(["default", "app1", "app2"], r.choice([1, 2]))]
    if r.random() < 0.5:
        rules.append(f"D* {r.choice(['[01]', '[0-2]'])} 2 {r.randint(0, 2)} 1 {r.choice([1, 2])} 1 1000")
    if r.random() < 0.2:
        rules.append("A* [02] app1 1")
    return rules + with_arguments(r, events(r, 30, 40, origins=ORIGINS, resources=3, rt=(0, 100), errors=0.3))


def gateway(r):
    """Rules of a gateway: those with a parameter first, at most one without; then a parameter rule and a flow rule beside them."""
    rules = []

    def rule(parse):
        pattern, match = r.choice([("-", 0), ("-", 0), ("x", 0), ("x", 3), ("[xy]+", 2), ("x", 1), ("x(?=y)", 0)])
        return (f"G 0 0 {r.choice([1, 1, 1, 0])} {number(r.choice([0, 1, 2, 3, 4.5]))} {r.choice([1, 1, 2])} {r.choice([0, 0, 2])} {r.choice([0, 1])} "
                f"{r.choice([0, 200, 900])} {parse} {pattern} {match}")

    for _ in range(r.choice([1, 1, 2, 3])):
        rules.append(rule(r.randrange(5)))
    if r.random() < 0.4:
        rules.append(rule("-"))
    if r.random() < 0.2:
        rules.append(param(count=r.randint(1, 4)))
    if r.random() < 0.2:
        rules.append(flow(count=r.randint(1, 5)))
    steps = []
    for step in events(r, 30, r.choice([10, 50, 150]), resources=r.choice([1, 1, 2]), counts=(1, 1, 2), flags=(0, 2), rt=(0, 300)):
        if step.startswith("E "):
            step = "Q" + step[1:] + " " + " ".join(r.choice(["x", "x", "xy", "y", "axb", "-", "$NM"]) for _ in range(5))
        steps.append(step)
    return rules + steps


def statistics(r):
    """Looks between the calls: resources, contexts, origins, entrances and the seconds of the metric log."""
    rules = [flow(count=r.randint(2, 6)), flow(resource=1, app="app1", count=2)]
    steps = []
    for step in events(r, 30, r.choice([30, 150, 700]), resources=2, contexts=2, origins=ORIGINS, counts=(1, 1, 2), flags=(0, 1, 2), rt=(0, 900), errors=0.3):
        steps.append(step)
        if r.random() < 0.4:
            look = r.choice(["r {}", "r {}", "c {} {}", "c {} {}", "o {} app1", "e {}", "m"])
            if look == "m":
                steps.append(f"M {r.choice([0, 0, 1000, 2500])} {r.randrange(2)}")
            else:
                steps.append(f"S {r.choice([0, 0, 1, 250, 500, 1000, 7000])} " + look.format(r.randrange(2), r.randrange(2)))
    return rules + steps + ["S 30000 r 0", "M 0 0", "S 40000 r 0"]


KINDS = [reject, thread, origin, relation, warmup, throttle, warmup_throttle, priority, degrade, authority, system, param_reject, param_throttle, param_thread,
         param_value, param_mixed, param_many, regex,
         gateway, statistics]

(HERE / "sequences").mkdir(exist_ok=True)
for kind in KINDS:
    lines = []
    for i in range(FEWER.get(kind.__name__, SEQUENCES)):
        lines.append(";".join(kind(random.Random(f"{kind.__name__} {i}"))))
    (HERE / "sequences" / f"{kind.__name__}.txt").write_text("\n".join(lines) + "\n")


RESOURCES = ["a", "/orders/{id}", "com.demo.Service:call(java.lang.String)", "中文", " ", "a\"b\\", "tab\t"]
NUMBERS = {"int": [0, 1, 2, 3, 10, 500, -1, "7", 5.0], "double": [0, 1, 0.5, 1e7, 12345678.5, 0.0001, 100, "2.5", -1, 1e21]}
FIELDS = {
    "flow": {"resource": RESOURCES, "limitApp": ["default", "other", "app1", "", None], "grade": [0, 1, 1, 1, 2, "1"], "count": NUMBERS["double"],
             "strategy": [0, 0, 0, 1, 2, -1], "refResource": ["b", None], "controlBehavior": [0, 0, 0, 1, 2, 3, -1], "warmUpPeriodSec": NUMBERS["int"],
             "maxQueueingTimeMs": NUMBERS["int"], "clusterMode": [False, False, True, "true", "false"], "regex": [False, False, False, True],
             "clusterConfig": "cluster"},
    "degrade": {"resource": RESOURCES, "limitApp": ["default", "app1", None], "grade": [0, 1, 2, 3, -1], "count": NUMBERS["double"],
                "timeWindow": NUMBERS["int"], "minRequestAmount": NUMBERS["int"], "slowRatioThreshold": [0, 0.3, 1, 1.5, -1],
                "statIntervalMs": [1000, 60000, 0, -5], "regex": [False, True]},
    "authority": {"resource": RESOURCES, "limitApp": ["a,b", "a", "", " "], "strategy": [0, 1, -1], "regex": [False, True]},
    "system": {"highestSystemLoad": [-1, 0, 2.5], "highestCpuUsage": [-1, 0, 0.75, 1], "qps": NUMBERS["double"], "avgRt": NUMBERS["int"] + [1 << 40],
               "maxThread": NUMBERS["int"]},
    "param": {"resource": RESOURCES, "grade": [0, 1, 1, -1], "paramIdx": [0, 1, -1, 0, 0, None], "count": NUMBERS["double"],
              "controlBehavior": [0, 0, 2, -1], "maxQueueingTimeMs": NUMBERS["int"], "burstCount": NUMBERS["int"], "durationInSec": NUMBERS["int"],
              "limitApp": ["default", None], "clusterMode": [False, False, True], "regex": [False, False, True], "clusterConfig": "cluster",
              "paramFlowItemList": "items"},
    "gateway": {"resource": RESOURCES, "resourceMode": [0, 1, -1], "grade": [0, 1, -1], "count": NUMBERS["double"], "intervalSec": NUMBERS["int"],
                "controlBehavior": [0, 2, -1], "burst": NUMBERS["int"], "maxQueueingTimeoutMs": NUMBERS["int"], "paramItem": "item"},
    "item": {"parseStrategy": [0, 1, 2, 3, 4, -1], "fieldName": ["f", " ", None], "pattern": ["x", None], "matchStrategy": [0, 1, 2, 3, -1]},
    "cluster": {"flowId": [1, 99, 0, None, 1 << 40], "thresholdType": [0, 1], "fallbackToLocalWhenFail": [True, False], "sampleCount": [1, 10, 0],
                "windowIntervalMs": [1000, 2000, 1005, 0]},
    "items": {"object": ["1", "x", 7], "count": [0, 1, 5, None], "classType": ["int", "java.lang.String", None]},
}
WORTH_KEEPING = {"flow": {"resource": "a"}, "degrade": {"resource": "a", "timeWindow": 10, "slowRatioThreshold": 0.5}, "authority": {"resource": "a", "limitApp": "x"},
                 "param": {"resource": "a", "paramIdx": 0}, "gateway": {"resource": "a"}}


def rule_object(r, kind, share):
    out = dict(WORTH_KEEPING.get(kind, {}))
    for field, values in FIELDS[kind].items():
        if r.random() > share:
            continue
        if values == "cluster":
            out[field] = {**{"flowId": 5}, **rule_object(r, values, 0.4)}
        elif values == "item":
            out[field] = rule_object(r, values, 0.6)
        elif values == "items":
            out[field] = [{**{"object": "v", "count": 1, "classType": "String"}, **rule_object(r, values, 0.5)} for _ in range(r.randrange(3))]
        else:
            out[field] = r.choice(values)
    return out


def rules(r):
    kind = r.choice(["flow", "flow", "degrade", "authority", "system", "param", "param", "gateway"])
    documents = [rule_object(r, kind, r.choice([0.1, 0.25, 0.6])) for _ in range(r.randrange(4))]
    return [kind + " " + json.dumps(documents, ensure_ascii=r.random() < 0.5)]


def expression(r, depth=0):
    def one():
        kind = r.random()
        if kind < 0.45 or depth > 3:
            return r.choice(["a", "b", "/", "-", "\\.", "\\d", "\\w", "\\S", "1", "é", "\\x61", "\\Qa.b\\E", "\\u0062", "\\-", "\\p{Alpha}", "\\D", "\\P{Digit}"])
        if kind < 0.6:
            return "."
        if kind < 0.75:
            return "[" + r.choice(["", "^"]) + "".join(r.choice(["a", "b-d", "\\d", "/", ".", "é", "0-9", "_", "-", "\\]", "\\W"]) for _ in range(r.randint(1, 3))) + "]"
        if kind < 0.95:
            return r.choice(["(", "(?:", "(?<n" + str(r.randrange(10**6)) + ">", "(?i:", "((?i)"]) + expression(r, depth + 1) + ")"
        return r.choice(["^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z"])

    parts = []
    for _ in range(r.randint(1, 4)):
        part = one()
        if part not in ("^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z") and r.random() < 0.4:
            part += r.choice(["*", "+", "?", "{2}", "{1,}", "{0,2}", "{1,3}", "*?", "+?", "??", "{2}?"])
        parts.append(part)
    out = "".join(parts)
    return out + "|" + expression(r, depth + 1) if r.random() < 0.15 and depth < 3 else out


BROKEN = ["(", ")", "a)", "[", "[a", "*a", "+", "?", "a{", "a{x}", "a{2,1}", "\\", "[b-a]", "(?", "(?<>a)", "a**", "\\y", "(?x", "x{", "a(b", "[^", "(?<=", "\\x1", "\\u12"]


def patterns(r):
    texts = ["", "a", "b", "ab", "aa", "aab", "a.b", "A", "AB", "1", "12", "a1", "/a/b", "a-b", "é", "aé", "_", "abc", "abab", "a b", "]", "é1é", "BB", "aAbB"]
    pattern = r.choice(BROKEN) if r.random() < 0.05 else expression(r)
    if "\\b" in pattern.lower():  # before Java 19 words at \\b are Unicode's
        texts = [text for text in texts if "é" not in text]
    return ["\t".join([pattern] + texts)]


def paths(r):
    def path(words, n):
        return r.choice(["/", "/", "/", ""]) + "/".join(r.choice(words) for _ in range(r.randint(0, n))) + r.choice(["", "", "/"])

    words = ["a", "b", "ab", "a.html", "x-y", "a+b", ""]
    pattern = path(words[:3] + ["*", "*", "**", "**", "a*", "?", "*.html", "{id}", "{id:[a-b]+}", "x-{n}", "a+b"], 5)
    return ["\t".join([pattern] + [path(words, 5) for _ in range(24)])]


for kind in [rules, patterns, paths]:
    lines = [kind(random.Random(f"{kind.__name__} {i}"))[0] for i in range(1000)]
    (HERE / "sequences" / f"{kind.__name__}.txt").write_text("\n".join(lines) + "\n")
