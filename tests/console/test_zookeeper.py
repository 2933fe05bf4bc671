"""ZooKeeper as the truth: a Spring Boot application reads its rules from there by itself, other writers write there, and it may go away."""
import json
import time
import urllib.error
import urllib.request

import pytest

from fleet import Console, Java, ZooKeeper, eventually, plain_client, registered
from ports import free_port

TOLD = 10
NODE = "/sentinel_rule_config/web/"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("zookeeper")


@pytest.fixture(scope="module")
def zookeeper(keep, place):
    if not ZooKeeper.SERVER.exists():
        pytest.skip("no ZooKeeper here: tools/setup test installs it")
    return keep(ZooKeeper, place / "zookeeper")


@pytest.fixture(scope="module")
def console(keep, place, zookeeper):
    return keep(Console, "--zk-session-timeout-ms", "3000", "--store-timeout-ms", "3000", folder=place / "console", store=f"zk:{zookeeper.hosts}")


@pytest.fixture(scope="module")
def admin(console):
    return console.admin()


def spring_app(start, classpaths, console, zookeeper, folder):
    port, commands = free_port(), free_port()
    app = start(Java, classpaths["spring"], "clients.Spring", f"--server.port={port}", folder=folder,
                environment={"APP": "web", "DASHBOARD": f"127.0.0.1:{console.port}", "COMMANDS": str(commands), "ZOOKEEPER": zookeeper.hosts})
    app.url, app.id = f"http://127.0.0.1:{port}", f"127.0.0.1:{commands}"

    def answers():
        assert app.process.poll() is None, app.errors()
        try:
            return get(app, "/hello") in (200, 429)
        except OSError:
            return False
    eventually(answers, "the application answers", 120)
    return app


def get(app, path):
    try:
        with urllib.request.urlopen(app.url + path, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(scope="module")
def spring(keep, classpaths, console, zookeeper, admin, place):
    app = spring_app(keep, classpaths, console, zookeeper, place / "spring")
    registered(admin, "web", app)
    return app


def node(zookeeper, name):
    """What zkCli prints of a node: its value is the line that is a list."""
    for line in zookeeper.cli("get", NODE + name).splitlines():
        if line.startswith("["):
            try:
                return json.loads(line)
            except ValueError:
                continue  # a logger's line
    return None


def rule(resource="/hello", **fields):
    return {"enabled": True, "resource": resource, "grade": 1, "count": 0, **fields}


def test_spring_obeys_what_the_console_stores_in_the_nodes_it_reads(spring, admin, zookeeper):
    assert get(spring, "/hello") == 200
    # The data source makes its nodes without a value; that is no rule, and no garbage.
    assert node(zookeeper, "flow_rule") is None and next(a for a in admin.get("/api/apps") if a["name"] == "web")["garbage"] == []
    admin.write("web", "flow", [rule()])
    start = time.monotonic()
    eventually(lambda: get(spring, "/hello") == 429, "the flow rule is obeyed", TOLD)
    print(f"obeyed after {time.monotonic() - start:.3f} s")
    assert get(spring, "/slow?ms=1") == 200
    assert [r["resource"] for r in node(zookeeper, "flow_rule")] == ["/hello"]

    slow = {"enabled": True, "resource": "/slow", "grade": 0, "count": 20, "slowRatioThreshold": 0.1, "minRequestAmount": 1, "timeWindow": 120, "statIntervalMs": 20000}
    admin.write("web", "degrade", [slow])
    eventually(lambda: get(spring, "/slow?ms=200") == 429, "the breaker opens", TOLD)
    assert get(spring, "/hello") == 429, "the flow rule is still there"
    assert [r["resource"] for r in node(zookeeper, "flow_rule")] == ["/hello"] and [r["resource"] for r in node(zookeeper, "degrade_rule")] == ["/slow"]
    admin.write("web", "degrade", [])
    eventually(lambda: get(spring, "/slow?ms=200") == 200, "without its rule the breaker is gone", TOLD)
    assert get(spring, "/hello") == 429
    admin.write("web", "flow", [])
    eventually(lambda: get(spring, "/hello") == 200, "and without the flow rule all pass", TOLD)


def test_spring_obeys_the_kinds_that_it_does_not_read_by_itself(spring, admin):
    admin.write("web", "system", [{"enabled": True, "qps": 0}])
    eventually(lambda: get(spring, "/hello") == 429, "the system rule is obeyed", TOLD)
    admin.write("web", "system", [])
    eventually(lambda: get(spring, "/hello") == 200, "and its removal", TOLD)


def test_a_foreign_write_is_seen_by_all(spring, admin, zookeeper):
    admin.write("web", "flow", [rule("/other", count=5)])
    said = zookeeper.cli("set", NODE + "flow_rule", '[{"resource":"/hello","grade":1,"count":0,"by":"zkCli"}]')
    found = eventually(lambda: (f := admin.rules("web", "flow"))["rules"][0].get("by") == "zkCli" and f, f"the console shows it: {said}", TOLD)
    assert [r["resource"] for r in found["rules"]] == ["/hello"]
    change = admin.get("/api/apps/web/history?limit=1")[0]
    assert (change["user"], change["source"]) == ("", "outside")
    eventually(lambda: get(spring, "/hello") == 429, "Spring obeys it", TOLD)

    zookeeper.cli("set", NODE + "flow_rule", '[{"resource":')
    garbage = eventually(lambda: (f := admin.rules("web", "flow"))["garbage"] and f, "garbage is shown", TOLD)
    assert garbage["garbage"]["text"] == '[{"resource":' and [r["resource"] for r in garbage["rules"]] == ["/hello"]
    refused = admin.raw("PUT", "/api/apps/web/rules/flow", {"expected": garbage["version"], "rules": []})
    assert (refused.status, refused.code) == (422, "garbage")
    admin.write("web", "flow", [], garbage["version"], overwrite_garbage=True)
    eventually(lambda: get(spring, "/hello") == 200, "and the rules are gone", TOLD)


def test_spring_needs_no_console_for_its_rules(spring, console, admin, zookeeper):
    admin.write("web", "flow", [])
    eventually(lambda: get(spring, "/hello") == 200, "nothing is blocked", TOLD)
    console.kill()
    zookeeper.cli("set", NODE + "flow_rule", '[{"resource":"/hello","grade":1,"count":0}]')
    eventually(lambda: get(spring, "/hello") == 429, "it reads the node by itself", TOLD)
    console.start()
    assert [(r["resource"], r["count"]) for r in admin.rules("web", "flow")["rules"]] == [("/hello", 0)]
    assert admin.get("/api/apps/web/history?limit=1")[0]["source"] == "outside", "what was written meanwhile is in the history"
    registered(admin, "web", spring)


def test_spring_that_comes_again_on_another_port_has_its_rules(run, classpaths, console, admin, zookeeper, tmp_path):
    admin.write("web", "flow", [rule()])
    other = spring_app(run, classpaths, console, zookeeper, tmp_path / "spring")
    eventually(lambda: get(other, "/hello") == 429, "obeyed by the one that came later", 30)
    registered(admin, "web", other)


def test_clients_keep_their_rules_while_zookeeper_is_gone(run, spring, classpaths, console, admin, zookeeper, tmp_path):
    admin.write("web", "flow", [rule()])
    admin.write("plain", "flow", [rule("R")])
    program = plain_client(run, classpaths, console, "plain", tmp_path / "plain")
    registered(admin, "plain", program)
    eventually(lambda: get(spring, "/hello") == 429 and program.calls("CALL R - - 2")[1] == 2, "both obey", TOLD)
    before = {app: admin.rules(app, "flow") for app in ("web", "plain")}
    assert admin.get("/api/about")["store"]["reachable"] is True

    zookeeper.stop()
    health = eventually(lambda: not (s := admin.get("/api/about")["store"])["reachable"] and s, "the console says so", 30)
    assert zookeeper.hosts.split(":")[1] in health["detail"] + health["name"] and health["detail"]
    assert {app: admin.rules(app, "flow") for app in before} == before, "rules are still shown"
    refused = admin.raw("PUT", "/api/apps/web/rules/flow", {"expected": before["web"]["version"], "rules": []})
    assert (refused.status, refused.code) == (503, "unavailable") and refused.message
    assert {app: admin.rules(app, "flow") for app in before} == before
    assert "fairlead_console_store_reachable 0" in console.nobody().raw("GET", "/metrics").body
    assert get(spring, "/hello") == 429 and program.calls("CALL R - - 2")[1] == 2, "clients go on with what they have"
    # Even a console that starts now knows them, and tells a client that comes now.
    console.restart()
    assert {app: [r["resource"] for r in admin.rules(app, "flow")["rules"]] for app in before} == {"web": ["/hello"], "plain": ["R"]}
    late = plain_client(run, classpaths, console, "plain", tmp_path / "late")
    eventually(lambda: late.calls("CALL R - - 2")[1] == 2, "a client that comes now is told the last good rules", 60)

    zookeeper.start()
    eventually(lambda: admin.get("/api/about")["store"]["reachable"], "the console is back", 60)
    assert {app: [r["resource"] for r in admin.rules(app, "flow")["rules"]] for app in before} == {"web": ["/hello"], "plain": ["R"]}

    def written():
        stored = admin.rules("web", "flow")
        return admin.raw("PUT", "/api/apps/web/rules/flow", {"expected": stored["version"], "rules": []}).status == 200
    eventually(written, "and writes", 30)
    eventually(lambda: get(spring, "/hello") == 200, "which clients follow again", 60)
    assert program.calls("CALL R - - 2")[1] == 2
