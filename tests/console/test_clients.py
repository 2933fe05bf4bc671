"""Real clients (plain Java, Dubbo; Spring Boot is in test_zookeeper.py) under a real console: rules written by people are obeyed by all instances of an app."""
import time
import urllib.parse
import urllib.request

import pytest

from fleet import Console, Java, Person, eventually, plain_client, registered
from ports import free_port

# Far below the half minute after which every client is looked at: what comes in this time was told because it changed.
TOLD = 10


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def console(keep, place):
    return keep(Console, folder=place / "console")


@pytest.fixture(scope="module")
def admin(console):
    return console.admin()


@pytest.fixture(scope="module")
def shop(keep, classpaths, console, admin, place):
    program = plain_client(keep, classpaths, console, "shop", place / "shop")
    registered(admin, "shop", program)
    return program


# Of each kind: a rule for resource R, what the original's path takes, calls that make it block, the exception, calls that still pass.
RULES = {
    "flow": ({"resource": "R", "grade": 1, "count": 1}, "/v2/flow/rule", ["CALL R - - 10"], "FlowException", "CALL elsewhere - - 5"),
    "degrade": ({"resource": "R", "grade": 2, "count": 1, "timeWindow": 60, "minRequestAmount": 1}, "/degrade/rule", ["FAIL R - - 5", "CALL R - - 1"], "DegradeException",
                "CALL elsewhere - - 5"),
    "param-flow": ({"resource": "R", "paramIdx": 0, "grade": 1, "count": 1, "durationInSec": 1}, "/paramFlow/rule", ["CALL R - vase 10"], "ParamFlowException", "CALL R - - 5"),
    "authority": ({"resource": "R", "strategy": 1, "limitApp": "stranger"}, "/authority/rule", ["CALL R stranger - 3"], "AuthorityException", "CALL R friend - 5"),
    "system": ({"qps": 0}, "/system/new.json", ["CALL R - - 3"], "SystemBlockException", None),
    # The gateway's slot takes arguments that its parser made; of a rule without a parameter it is this one.
    "gateway-flow": ({"resource": "R", "resourceMode": 0, "grade": 1, "count": 1, "intervalSec": 1}, "/gateway/flow/new.json", ["CALL R - $D 10"], "ParamFlowException",
                     "CALL elsewhere - $D 5"),
}


def by_original_path(person, app, kind, path, rule):
    if kind == "system":
        return person.good("POST", path, form={"app": app, "ip": "127.0.0.1", "port": "1", **rule})
    entity = {"app": app, "ip": "127.0.0.1", "port": 1}
    if kind in ("param-flow", "authority"):
        entity["rule"] = rule
    elif kind == "gateway-flow":
        entity |= {**{k: v for k, v in rule.items() if k != "intervalSec"}, "interval": 1, "intervalUnit": 0}
    else:
        entity |= rule
    return person.good("POST", path, entity)


@pytest.mark.parametrize("way", ["page", "tree", "original"])
@pytest.mark.parametrize("kind", RULES)
def test_a_rule_is_stored_and_then_obeyed_at_once(shop, admin, console, kind, way):
    template, path, calls, exception, others = RULES[kind]
    resource = f"{kind}-{way}"
    rule = {name: resource if value == "R" else value for name, value in template.items()}
    calls = [line.replace(" R ", f" {resource} ") for line in calls]

    for line in calls:
        assert shop.calls(line)[1] == 0, "nothing is blocked before there is a rule"
    if way == "page":
        admin.write("shop", kind, [{"enabled": True, **rule}])
    elif way == "tree":
        admin.add("shop", kind, rule)
    else:
        said = by_original_path(original(console), "shop", kind, path, rule)
        assert said["success"], said
    stored = admin.rules("shop", kind)["rules"]
    assert len(stored) == 1 and stored[0].get("resource", "") == rule.get("resource", "")

    start = time.monotonic()

    def blocked():
        answers = [shop.calls(line) for line in calls]
        return answers[-1][1] > 0 and answers[-1][2] == exception
    eventually(blocked, f"{kind} is obeyed", TOLD)
    print(f"obeyed after {time.monotonic() - start:.3f} s")
    if others:
        assert shop.calls(others.replace(" R ", f" {resource} "))[1] == 0
    eventually(lambda: admin.has("shop", shop.id, kind, 1), "the console sees it loaded", TOLD)

    admin.write("shop", kind, [])
    eventually(lambda: shop.calls(calls[-1])[1] == 0, f"without the rule {kind} blocks nothing", TOLD)


def original(console):
    """Somebody who logged in by the original's path."""
    person = Person(console)
    said = person.good("POST", "/auth/login", form={"username": "admin", "password": console.password})
    assert said["success"] and said["data"]["superUser"], said
    return person


def test_many_rules_and_any_names_are_told(shop, admin):
    name = "订单/创建?x=1&y=%2B+;\"'<b>"
    admin.write("shop", "flow", [*({"enabled": True, "resource": f"/many/{n}", "grade": 1, "count": n} for n in range(3000)), {"enabled": True, "resource": name, "grade": 1, "count": 0}])
    eventually(lambda: shop.calls(f"CALL {name} - - 2")[1] == 2, "the last of 3001 rules is obeyed", TOLD)
    eventually(lambda: admin.has("shop", shop.id, "flow", 3001), "all are seen to be there", TOLD)
    admin.write("shop", "flow", [])
    eventually(lambda: shop.calls(f"CALL {name} - - 2")[1] == 0, "and its removal", TOLD)


def test_a_disabled_rule_is_kept_and_not_obeyed(shop, admin):
    written = admin.write("shop", "flow", [{"enabled": True, "resource": "switched", "grade": 1, "count": 0}])
    eventually(lambda: shop.calls("CALL switched - - 2")[1] == 2, "the rule is obeyed", TOLD)
    rule = {**written["rules"][0], "enabled": False}
    assert admin.write("shop", "flow", [rule])["rules"] == [rule]
    eventually(lambda: shop.calls("CALL switched - - 2")[1] == 0, "the disabled rule is not", TOLD)
    admin.write("shop", "flow", [])


def direct(program, path, **parameters):
    """A command as anybody in the network can give it."""
    data = urllib.parse.urlencode(parameters).encode() if parameters else None
    with urllib.request.urlopen(f"http://{program.id}{path}", data, timeout=10) as answer:
        return answer.read().decode()


def test_flow_and_degrade_rules_of_one_app_never_touch_each_other(shop, admin, console):
    import json
    legacy = original(console)
    admin.write("shop", "flow", [{"enabled": True, "resource": "both", "grade": 1, "count": 0}])
    flow = admin.rules("shop", "flow")
    for write in (lambda: admin.write("shop", "degrade", [{"enabled": True, "resource": "both", "grade": 2, "count": 3, "timeWindow": 10}]),
                  lambda: by_original_path(legacy, "shop", "degrade", "/degrade/rule", {"resource": "both", "grade": 2, "count": 4, "timeWindow": 10})):
        write()
        assert admin.rules("shop", "flow") == flow
    degrade = admin.rules("shop", "degrade")
    assert [r["count"] for r in degrade["rules"]] == [3, 4]
    by_original_path(legacy, "shop", "flow", "/v2/flow/rule", {"resource": "both", "grade": 0, "count": 9})
    assert admin.rules("shop", "degrade") == degrade
    assert [r["grade"] for r in admin.rules("shop", "flow")["rules"]] == [1, 0]

    def loaded(kind):
        return sorted((r["resource"], r["grade"], r["count"]) for r in json.loads(direct(shop, f"/getRules?type={kind}")))
    eventually(lambda: loaded("flow") == [("both", 0, 9), ("both", 1, 0)] and loaded("degrade") == [("both", 2, 3), ("both", 2, 4)], "the client has both lists", TOLD)
    admin.write("shop", "flow", [])
    eventually(lambda: loaded("flow") == [], "the flow rules are gone", TOLD)
    assert loaded("degrade") == [("both", 2, 3), ("both", 2, 4)] and admin.rules("shop", "degrade") == degrade
    admin.write("shop", "degrade", [])


def test_drift_is_shown_and_healed(shop, admin):
    admin.write("shop", "flow", [{"enabled": True, "resource": "drift", "grade": 1, "count": 0}])
    eventually(lambda: shop.calls("CALL drift - - 2")[1] == 2, "the rule is obeyed", TOLD)
    assert "success" in direct(shop, "/setRules", type="flow", data='[{"resource":"smuggled","grade":1,"count":5}]')
    shown = admin.loaded("shop", shop.id, "flow")
    assert [r["resource"] for r in shown["rules"]] == ["smuggled"]
    assert [r["resource"] for r in shown["difference"]["missing"]] == ["drift"]
    assert [r["resource"] for r in shown["difference"]["extra"]] == ["smuggled"]
    # It is looked for every half minute.
    eventually(lambda: shop.calls("CALL drift - - 2")[1] == 2, "the stored rule is back", 60)
    eventually(lambda: admin.has("shop", shop.id, "flow", 1), "and shown to be", TOLD)
    assert admin.loaded("shop", shop.id, "flow")["difference"] == {"missing": [], "extra": []}
    admin.write("shop", "flow", [])


def test_what_clients_count_arrives(shop, admin, console):
    admin.write("shop", "flow", [{"enabled": True, "resource": "counted", "grade": 1, "count": 0}])
    eventually(lambda: shop.calls("CALL counted - - 1")[1] == 1, "the rule is obeyed", TOLD)

    def both():
        shop.calls("CALL counted - - 3")
        shop.calls("CALL passing - - 2")
        shop.calls("FAIL failing - - 1")
        rows = {row["resource"]: row for row in admin.get("/api/apps/shop/top?seconds=60&limit=1000")}
        return rows["counted"]["block"] > 0 and rows["passing"]["pass"] > 0 and rows["failing"]["exception"] > 0 and rows
    rows = eventually(both, "passes, blocks and exceptions by resource", 30)
    assert rows["counted"]["pass"] == 0 or rows["counted"]["block"] > rows["counted"]["pass"]
    assert rows["passing"]["block"] == 0
    series = admin.get("/api/apps/shop/metrics?resource=counted&step=1")
    assert sum(series["block"]) > 0 and len(series["times"]) == len(series["block"])

    def scraped():
        shop.calls("CALL counted - - 1")
        shop.calls("CALL passing - - 1")
        text = console.nobody().raw("GET", "/metrics").body
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return (float(lines.get('sentinel_block_qps{app="shop",resource="counted"}', 0)) > 0
                and float(lines.get('sentinel_pass_qps{app="shop",resource="passing"}', 0)) > 0
                and lines['fairlead_console_machines{app="shop"}'] == "1")
    eventually(scraped, "the page for Prometheus has them", 30)

    legacy = original(console)
    top = legacy.get("/metric/queryTopResourceMetric.json?app=shop&pageSize=20&searchKey=counted")
    assert top["success"] and sum(p["blockQps"] for p in top["data"]["metric"]["counted"]) > 0
    one = legacy.get("/metric/queryByAppAndResource.json?app=shop&identity=counted")
    assert sum(p["blockQps"] for p in one["data"]) > 0
    admin.write("shop", "flow", [])


def test_the_resource_tree_and_list_are_the_clients(shop, admin, console):
    admin.write("shop", "flow", [{"enabled": True, "resource": "leaf", "grade": 1, "count": 100}])

    def seen():
        shop.calls("CALL leaf - - 3")
        found = admin.get("/api/apps/shop/resources")
        assert not found["problems"]
        listed = next(n for n in [*found["list"], None] if n is None or n["resource"] == "leaf")

        def walk(nodes, above):
            for node in nodes:
                if node["resource"] == "leaf":
                    return above
                if (below := walk(node["children"], [*above, node["resource"]])) is not None:
                    return below
            return None
        return listed and listed["minute_pass"] >= 3 and listed["rules"] == {"flow": 1} and walk(found["tree"], []) == ["plain_context"]
    eventually(seen, "the resource below its context, with its counts and rules")
    assert admin.get(f"/api/apps/shop/resources?machine={shop.id}")["list"]
    assert admin.get("/api/apps/shop/resources?machine=127.0.0.9:1")["list"] == []

    legacy = original(console)
    ip, port = shop.id.split(":")
    tree = legacy.get(f"/resource/machineResource.json?ip={ip}&port={port}&type=root")
    assert tree["success"] and "leaf" in [node["resource"] for node in tree["data"]]
    found = legacy.get(f"/resource/machineResource.json?ip={ip}&port={port}&type=cluster&searchKey=LEA")
    assert [node["resource"] for node in found["data"]] == ["leaf"]
    admin.write("shop", "flow", [])


def test_a_client_that_comes_again_elsewhere_has_the_rules(run, classpaths, console, admin, tmp_path):
    admin.write("moving", "flow", [{"enabled": True, "resource": "R", "grade": 1, "count": 0}])
    admin.write("moving", "param-flow", [{"enabled": True, "resource": "P", "paramIdx": 0, "grade": 1, "count": 0, "durationInSec": 1}])
    first = plain_client(run, classpaths, console, "moving", tmp_path / "first")
    eventually(lambda: first.calls("CALL R - - 2")[1] == 2 and first.calls("CALL P - a 2")[1] == 2, "obeyed by one that came after the rules", 60)
    first.stop()
    second = plain_client(run, classpaths, console, "moving", tmp_path / "second", **{"csp.sentinel.heartbeat.client.ip": "127.0.0.2"})
    assert second.id.split(":")[1] != first.id.split(":")[1]
    eventually(lambda: second.calls("CALL R - - 2")[1] == 2 and second.calls("CALL P - a 2")[1] == 2, "obeyed at another address and port", 60)
    assert {m["id"] for m in admin.machines("moving")} >= {second.id}


def test_a_console_that_comes_again_has_lost_nothing_and_tells_clients(run, classpaths, tmp_path):
    console = run(Console, folder=tmp_path / "own")
    admin = console.admin()
    program = plain_client(run, classpaths, console, "kept", tmp_path / "kept")
    registered(admin, "kept", program)
    written = {"flow": admin.write("kept", "flow", [{"enabled": True, "resource": "R", "grade": 1, "count": 0}, {"enabled": False, "resource": "off", "grade": 1, "count": 0}]),
               "degrade": admin.write("kept", "degrade", [{"enabled": True, "resource": "D", "grade": 2, "count": 7, "timeWindow": 5}])}
    changes = admin.get("/api/apps/kept/history")
    eventually(lambda: program.calls("CALL R - - 2")[1] == 2, "the rule is obeyed", TOLD)
    console.kill()
    assert program.calls("CALL R - - 2")[1] == 2, "a client without a console keeps its rules"
    assert "success" in direct(program, "/setRules", type="flow", data="[]")
    assert program.calls("CALL R - - 2")[1] == 0
    console.start()
    assert console.password is not None and admin.get("/api/session")["user"]["name"] == "admin", "the session goes on"
    for kind, before in written.items():
        assert admin.rules("kept", kind) == before
    assert admin.get("/api/apps/kept/history") == changes
    eventually(lambda: program.calls("CALL R - - 2")[1] == 2, "the client that lost its rules is told them again", 30)


# Dubbo

SERVICE = "clients.Greeting"
HELLO = "clients.Greeting:hello(java.lang.String)"
FAIL = "clients.Greeting:fail(java.lang.String)"


@pytest.fixture(scope="module")
def dubbo(keep, classpaths, console, admin, place):
    serves = free_port()
    programs = []
    for main, app in (("Provider", "greeter"), ("Consumer", "caller")):
        port = free_port()
        program = keep(Java, classpaths["dubbo"], f"clients.{main}", app, str(serves), folder=place / app, properties={
            "project.name": app, "csp.sentinel.dashboard.server": f"127.0.0.1:{console.port}", "csp.sentinel.api.port": port,
            "csp.sentinel.heartbeat.interval.ms": 1000, "csp.sentinel.heartbeat.client.ip": "127.0.0.1"})
        program.id = f"127.0.0.1:{port}"
        program.line("^ready$")
        programs.append(program)
    for program, app in zip(programs, ("greeter", "caller")):
        registered(admin, app, program)
    return programs


@pytest.mark.parametrize("app", ["greeter", "caller"])
@pytest.mark.parametrize("resource", [SERVICE, HELLO])
def test_dubbo_obeys_flow_rules_of_interfaces_and_methods(dubbo, admin, app, resource):
    consumer = dubbo[1]
    assert consumer.calls("CALL hello a 5") == (5, 0, "-")
    admin.add(app, "flow", {"resource": resource, "grade": 1, "count": 0})
    start = time.monotonic()
    eventually(lambda: consumer.calls("CALL hello a 3") == (0, 3, "FlowException"), f"{resource} is obeyed by {app}", TOLD)
    print(f"obeyed after {time.monotonic() - start:.3f} s")
    assert (consumer.calls("CALL fail a 1")[1] == 0) == (resource == HELLO), "a method's rule concerns this method alone"
    admin.write(app, "flow", [])
    eventually(lambda: consumer.calls("CALL hello a 3") == (3, 0, "-"), "and its removal", TOLD)


def test_dubbo_providers_know_their_consumers_as_origins(dubbo, admin):
    consumer = dubbo[1]
    admin.write("greeter", "authority", [{"enabled": True, "resource": HELLO, "strategy": 1, "limitApp": "caller"}])
    eventually(lambda: consumer.calls("CALL hello a 3") == (0, 3, "AuthorityException"), "the consumer is refused by its name", TOLD)
    admin.write("greeter", "authority", [{"enabled": True, "resource": HELLO, "strategy": 1, "limitApp": "somebody-else"}])
    eventually(lambda: consumer.calls("CALL hello a 3") == (3, 0, "-"), "another name is not it", TOLD)
    admin.write("greeter", "authority", [])
    admin.write("greeter", "flow", [{"enabled": True, "resource": HELLO, "limitApp": "caller", "grade": 1, "count": 0}])
    eventually(lambda: consumer.calls("CALL hello a 3") == (0, 3, "FlowException"), "a flow rule for one origin", TOLD)
    admin.write("greeter", "flow", [])


def test_dubbo_obeys_the_other_kinds(dubbo, admin):
    consumer = dubbo[1]
    admin.write("greeter", "degrade", [{"enabled": True, "resource": FAIL, "grade": 2, "count": 1, "timeWindow": 60, "minRequestAmount": 1}])
    eventually(lambda: consumer.calls("CALL fail a 5")[2] == "DegradeException", "the breaker opens", TOLD)
    assert consumer.calls("CALL hello a 3") == (3, 0, "-")
    admin.write("greeter", "degrade", [])
    admin.write("greeter", "param-flow", [{"enabled": True, "resource": HELLO, "paramIdx": 0, "grade": 1, "count": 1, "durationInSec": 1, "paramFlowItemList": [
        {"object": "vip", "count": 1000, "classType": "java.lang.String"}]}])
    eventually(lambda: consumer.calls("CALL hello a 5")[2] == "ParamFlowException", "a hot argument is held back", TOLD)
    assert consumer.calls("CALL hello vip 20") == (20, 0, "-"), "a value with a limit of its own"
    admin.write("greeter", "param-flow", [])
    admin.write("greeter", "system", [{"enabled": True, "qps": 0}])
    eventually(lambda: consumer.calls("CALL hello b 3") == (0, 3, "SystemBlockException"), "the system rule", TOLD)
    admin.write("greeter", "system", [])
    eventually(lambda: consumer.calls("CALL hello b 3") == (3, 0, "-"), "and its removal", TOLD)
