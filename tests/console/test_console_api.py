"""The console's HTTP API with clients made of Python: who may do what, bad input, history, hostile clients, how it starts."""
import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest

from fleet import FAIRLEAD, Console, FakeClient, Person, eventually, quote, say
from ports import free_port

CHINESE = {"accept-language": "zh-CN,zh;q=0.9"}


def is_chinese(text):
    return re.search("[\u4e00-\u9fff]", text) is not None


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    made = Console(folder=folder / "console", store=f"dir:{folder}/rules")
    made.rules = folder / "rules"
    yield made
    made.stop()


@pytest.fixture(scope="module")
def admin(console):
    return console.admin()


@pytest.fixture(scope="module")
def people(console, admin):
    """By role; the editor may change the app "shop" alone."""
    for name, role, apps in (("vera", "viewer", []), ("ed", "editor", ["shop"])):
        admin.good("POST", "/api/users", {"name": name, "role": role, "apps": apps, "password": "correct horse"})
    return {"nobody": console.nobody(), "viewer": Person(console, "vera", "correct horse"), "editor": Person(console, "ed", "correct horse"), "admin": admin}


@pytest.fixture
def client(console):
    """A client of an app of its own."""
    made = FakeClient(console, f"app-{free_port()}")
    yield made
    made.stop()


def rule(resource="/a", **fields):
    return {"enabled": True, "resource": resource, "grade": 1, "count": 5, **fields}


# Sessions and users

def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(console):
    person = console.nobody()
    answer = person.raw("POST", "/api/session", {"username": "admin", "password": console.password})
    assert answer.status == 200 and answer.json()["user"]["role"] == "admin" and answer.json()["must_change_password"]
    flags = answer.headers["set-cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags) and "Secure" not in flags
    assert answer.headers["cache-control"] == "no-store"
    cookie = person.cookie
    assert person.get("/api/session")["user"]["name"] == "admin"
    person.good("DELETE", "/api/session")
    person.cookie = cookie
    answer = person.raw("GET", "/api/session")
    assert (answer.status, answer.code, answer.message) == (401, "unauthenticated", "log in first")
    assert person.raw("GET", "/api/session", headers=CHINESE).message == "请先登录"
    person.cookie = "fairlead=made-up"
    assert person.raw("GET", "/api/apps").status == 401


def test_the_first_password_is_shown_once_and_stored_nowhere(run, tmp_path):
    console = run(Console, folder=tmp_path / "own")
    first = console.password
    assert len(first) >= 16
    console.admin()
    console.password = None
    console.restart()
    assert console.password is None, "a password is printed at the first start alone"
    for file in console.folder.iterdir():
        assert first.encode() not in file.read_bytes(), file
    Person(console, "admin", first)


def test_a_password_is_changed_by_who_knows_it(console, admin):
    admin.good("POST", "/api/users", {"name": "pat", "role": "viewer", "apps": [], "password": "first password"})
    pat = Person(console, "pat", "first password")
    assert pat.get("/api/session")["must_change_password"]
    wrong = pat.raw("PUT", "/api/session/password", {"old": "is not it", "new": "second password"})
    assert (wrong.status, wrong.code) == (403, "forbidden")
    assert is_chinese(pat.raw("PUT", "/api/session/password", {"old": "is not it", "new": "second password"}, headers=CHINESE).message)
    short = pat.raw("PUT", "/api/session/password", {"old": "first password", "new": "short"})
    assert (short.status, short.code) == (400, "invalid") and "8" in short.message
    assert not pat.good("PUT", "/api/session/password", {"old": "first password", "new": "second password"})["must_change_password"]
    assert console.nobody().raw("POST", "/api/session", {"username": "pat", "password": "first password"}).status == 401
    pat = Person(console, "pat", "second password")
    # An admin who sets a password ends the sessions that the old one opened.
    admin.good("PUT", "/api/users/pat", {"password": "third password"})
    assert pat.raw("GET", "/api/session").status == 401
    pat = Person(console, "pat", "third password")
    admin.good("DELETE", "/api/users/pat")
    assert pat.raw("GET", "/api/session").status == 401


def test_the_last_admin_stays(console, admin):
    for answer in (admin.raw("DELETE", "/api/users/admin"), admin.raw("PUT", "/api/users/admin", {"role": "viewer"})):
        assert (answer.status, answer.code) == (400, "invalid") and answer.message == "admin is the last admin; make another user admin first"
    assert admin.raw("DELETE", "/api/users/admin", headers=CHINESE).message == "admin 是最后一个管理员，请先将其他用户设为管理员"
    assert [u["name"] for u in admin.get("/api/users")].count("admin") == 1


@pytest.mark.parametrize("body", [
    {}, {"name": "x"}, {"name": "x", "role": "king", "password": "long enough"}, {"name": "", "role": "viewer", "password": "long enough"},
    {"name": "a b", "role": "viewer", "password": "long enough"}, {"name": "x", "role": "viewer", "password": "short"}, {"name": "x", "role": "viewer"},
    {"name": "admin", "role": "viewer", "password": "long enough"}, {"name": ["x"], "role": {"a": 1}, "password": 12345678}])
def test_users_that_can_not_be_made_are_refused(admin, body):
    before = admin.get("/api/users")
    answer = admin.raw("POST", "/api/users", body)
    assert (answer.status, answer.code) == (400, "invalid") and ":" in answer.message
    assert is_chinese(admin.raw("POST", "/api/users", body, headers=CHINESE).message)
    assert admin.get("/api/users") == before


def test_guessing_passwords_is_throttled(run, tmp_path):
    console = run(Console, folder=tmp_path / "own")
    guesser = console.nobody()

    def guess(path="/api/session"):
        return guesser.raw("POST", path, {"username": "admin", "password": "guess"}).status
    assert [guess() for _ in range(5)] == [401] * 5
    answer = guesser.raw("POST", "/api/session", {"username": "admin", "password": console.password})
    assert (answer.status, answer.code) == (429, "throttled") and re.search(r"\d+ s", answer.message)
    assert is_chinese(guesser.raw("POST", "/api/session", {"username": "admin", "password": "guess"}, headers=CHINESE).message)
    said = guesser.raw("POST", "/auth/login", form={"username": "admin", "password": console.password}).json()
    assert not said["success"], "the original's path is no way around"
    eventually(lambda: guesser.raw("POST", "/api/session", {"username": "admin", "password": console.password}).status == 200, "who knows it is let in after a while", 30)
    audit = guesser.get("/api/audit?limit=1000")
    assert sum(1 for e in audit if e["action"] == "log in" and not e["ok"]) >= 6 and all(e["address"] == "127.0.0.1" for e in audit)


# Roles and other sites

# (method, path, body, who may)
ANYBODY, SESSION, EDITOR, ADMIN = ("nobody", "viewer", "editor", "admin"), ("viewer", "editor", "admin"), ("editor", "admin"), ("admin",)
DOORS = [
    ("GET", "/api/about", None, ANYBODY), ("GET", "/api/openapi.json", None, ANYBODY), ("GET", "/metrics", None, ANYBODY), ("GET", "/version", None, ANYBODY),
    ("GET", "/api/session", None, SESSION), ("GET", "/api/rule-kinds", None, SESSION), ("GET", "/api/apps", None, SESSION),
    ("GET", "/api/apps/shop/machines", None, SESSION), ("GET", "/api/apps/shop/rules/flow", None, SESSION), ("GET", "/api/apps/shop/history", None, SESSION),
    ("GET", "/api/apps/shop/warnings", None, SESSION), ("GET", "/api/apps/shop/effective?resource=a", None, SESSION), ("GET", "/api/apps/shop/export", None, SESSION),
    ("GET", "/api/apps/shop/metrics", None, SESSION), ("GET", "/api/apps/shop/top", None, SESSION), ("GET", "/api/apps/shop/resources", None, SESSION),
    ("POST", "/api/apps/shop/rules/flow/check", {"rules": []}, SESSION), ("POST", "/api/apps/shop/rules/flow/dry-run", {"rule": rule()}, SESSION),
    ("PUT", "/api/apps/shop/rules/flow", {"expected": "other", "rules": []}, EDITOR), ("POST", "/api/apps/shop/rules/flow/rollback", {"change": 0, "expected": ""}, EDITOR),
    ("POST", "/api/apps/shop/import", {"document": {"rules": {}}}, EDITOR), ("DELETE", "/api/apps/shop/machines/127.0.0.1:1", None, EDITOR), ("DELETE", "/api/apps/shop", None, EDITOR),
    ("PUT", "/api/apps/other/rules/flow", {"expected": "other", "rules": []}, ADMIN), ("POST", "/api/apps/other/import", {"document": {"rules": {}}}, ADMIN),
    ("POST", "/api/apps/other/rules/flow/rollback", {"change": 0, "expected": ""}, ADMIN), ("DELETE", "/api/apps/other", None, ADMIN),
    ("DELETE", "/api/apps/other/machines/127.0.0.1:1", None, ADMIN), ("GET", "/api/users", None, ADMIN), ("POST", "/api/users", {}, ADMIN), ("PUT", "/api/users/nobody", {}, ADMIN),
    ("DELETE", "/api/users/nobody", None, ADMIN), ("GET", "/api/audit", None, ADMIN),
    ("GET", "/app/names.json", None, SESSION), ("GET", "/v2/flow/rules?app=shop", None, SESSION), ("GET", "/degrade/rules.json?app=shop", None, SESSION),
    ("GET", "/metric/queryTopResourceMetric.json?app=shop", None, SESSION), ("GET", "/resource/machineResource.json", None, SESSION),
]


@pytest.mark.parametrize("method,path,body,who", DOORS)
def test_roles_open_their_doors_and_no_others(people, method, path, body, who):
    for role, person in people.items():
        answer = person.raw(method, path, body)
        if role in who:
            assert answer.status not in (401, 403), f"{role}: {answer.body}"
            continue
        assert (answer.status, answer.code) == ((401, "unauthenticated") if role == "nobody" else (403, "forbidden")), f"{role}: {answer.body}"
        assert answer.message and is_chinese(person.raw(method, path, body, headers=CHINESE).message)


def test_the_originals_paths_keep_to_roles_too(people):
    entity = {"app": "other", "resource": "/a", "grade": 1, "count": 1}
    for role in ("viewer", "editor"):
        for path, body in (("/v2/flow/rule", entity), ("/degrade/rule", entity), ("/paramFlow/rule", {"app": "other", "rule": entity}), ("/authority/rule", {"app": "other", "rule": entity})):
            said = people[role].good("POST", path, body)
            assert not said["success"] and "other" in said["msg"]
        assert not people[role].good("POST", "/system/new.json", form={"app": "other", "qps": 1})["success"]
    assert people["editor"].good("POST", "/v2/flow/rule", {**entity, "app": "shop"})["success"]
    assert people["admin"].rules("other", "flow")["rules"] == []
    stored = people["admin"].good("POST", "/v2/flow/rule", entity)["data"]["id"]
    assert not people["editor"].good("PUT", f"/v2/flow/rule/{stored}", {**entity, "count": 9})["success"]
    assert not people["editor"].good("DELETE", f"/v2/flow/rule/{stored}?app=other")["success"]
    assert [r["count"] for r in people["admin"].rules("other", "flow")["rules"]] == [1]
    for app in ("other", "shop"):
        people["admin"].write(app, "flow", [])


@pytest.mark.parametrize("method,path,body", [(m, p, b) for m, p, b, _ in DOORS if m != "GET"] + [("POST", "/api/session", {"username": "a", "password": "b"}), ("DELETE", "/api/session", None),
                                              ("POST", "/auth/login", None), ("POST", "/v2/flow/rule", {"app": "shop"}), ("POST", "/system/new.json", None)])
def test_requests_from_other_sites_are_refused(console, admin, method, path, body):
    here = f"http://127.0.0.1:{console.port}"
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"origin": here + "0"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
                    {"sec-fetch-site": "cross-site", "origin": here}):
        answer = admin.raw(method, path, body, headers=headers)
        assert (answer.status, answer.code) == (403, "forbidden"), headers
        assert "set-cookie" not in answer.headers


def test_requests_from_the_pages_are_taken(console, admin):
    body = {"rules": []}
    for headers in ({}, {"origin": f"http://127.0.0.1:{console.port}"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        assert admin.raw("POST", "/api/apps/shop/rules/flow/check", body, headers=headers).status == 200, headers
    assert admin.raw("GET", "/api/apps", headers={"sec-fetch-site": "cross-site"}).status == 200  # its answer is not for them to read
    assert "access-control-allow-origin" not in admin.raw("GET", "/api/apps", headers={"origin": "http://evil.example"}).headers


# Rules

# (kind, rule, the field that is named)
BAD_RULES = [
    ("flow", rule(""), "resource"), ("flow", rule(count=-1), "count"), ("flow", rule(grade=7), "grade"), ("flow", rule(count="many"), "count"), ("flow", rule(strategy=1), "refResource"), ("flow", rule(controlBehavior=1, warmUpPeriodSec=0), "warmUpPeriodSec"),
    ("degrade", rule(grade=0, count=1, timeWindow=0), "timeWindow"), ("degrade", rule(grade=1, count=1.5, timeWindow=1), "count"),
    ("degrade", rule(grade=0, count=1, timeWindow=1, slowRatioThreshold=2), "slowRatioThreshold"), ("degrade", rule(grade=2, count=1, timeWindow=1, minRequestAmount=0), "minRequestAmount"),
    ("param-flow", rule(paramIdx=0, durationInSec=0), "durationInSec"), ("param-flow", {"enabled": True, "resource": "a", "count": -3, "paramIdx": 0}, "count"),
    ("system", {"enabled": True, "highestCpuUsage": 1.5}, "highestCpuUsage"), ("authority", {"enabled": True, "resource": "a", "limitApp": ""}, "limitApp"),
    ("authority", {"enabled": True, "resource": "a", "limitApp": "b", "strategy": 5}, "strategy"),
    ("gateway-flow", {"enabled": True, "resource": "a", "count": 1, "intervalSec": 0}, "intervalSec"), ("gateway-api", {"enabled": True, "apiName": ""}, "apiName"),
]


@pytest.mark.parametrize("kind,bad,field", BAD_RULES)
def test_a_bad_rule_is_refused_by_field_in_the_readers_language(admin, kind, bad, field):
    good = admin.rules("strict", kind)
    for headers, chinese in (({}, False), (CHINESE, True)):
        answer = admin.raw("PUT", f"/api/apps/strict/rules/{kind}", {"expected": good["version"], "rules": [bad]}, headers=headers)
        assert (answer.status, answer.code) == (400, "invalid"), answer.body
        faults = answer.json()["error"]["faults"]
        assert [(f["index"], f["field"]) for f in faults] == [(0, field)]
        assert is_chinese(faults[0]["message"]) == chinese and is_chinese(answer.message) == chinese
        checked = admin.good("POST", f"/api/apps/strict/rules/{kind}/check", {"rules": [bad]}, headers=headers)
        assert checked["faults"] == faults
    assert admin.rules("strict", kind) == good


def test_all_faults_are_told_and_nothing_is_written(admin):
    before = admin.write("strict", "flow", [rule("/kept")])
    answer = admin.raw("PUT", "/api/apps/strict/rules/flow", {"expected": before["version"], "rules": [rule("/ok"), rule(count=-1), "no rule", rule("", grade=5)]})
    assert answer.status == 400
    found = {(f["index"], f["field"]) for f in answer.json()["error"]["faults"]}
    assert {(1, "count"), (3, "resource")} <= found and {index for index, _ in found} == {1, 2, 3}
    assert admin.rules("strict", "flow") == before
    admin.write("strict", "flow", [])


def test_of_two_editors_one_wins_and_the_other_is_shown_what(console, admin, people):
    start = admin.write("shop", "flow", [rule("/one")])
    mine, theirs = [*start["rules"], rule("/mine")], [*start["rules"], rule("/theirs")]
    won = people["editor"].write("shop", "flow", theirs, start["version"])
    lost = admin.raw("PUT", "/api/apps/shop/rules/flow", {"expected": start["version"], "rules": mine})
    assert (lost.status, lost.code) == (409, "conflict")
    assert lost.json()["error"]["stored"] == won and won["version"] != start["version"]
    assert [r["resource"] for r in admin.rules("shop", "flow")["rules"]] == ["/one", "/theirs"]
    assert is_chinese(admin.raw("PUT", "/api/apps/shop/rules/flow", {"expected": start["version"], "rules": mine}, headers=CHINESE).message)
    # As the page goes on: by the version that it was shown.
    admin.write("shop", "flow", [*won["rules"], rule("/mine")], won["version"])
    assert [r["resource"] for r in admin.rules("shop", "flow")["rules"]] == ["/one", "/theirs", "/mine"]
    admin.write("shop", "flow", [])


def test_many_at_once_lose_nothing(console, admin):
    """Each adds one rule and goes on with what it is shown until its rule is in."""
    import threading
    admin.write("busy", "flow", [])
    failures = []

    def add(number):
        try:
            stored = admin.rules("busy", "flow")
            for _ in range(100):
                answer = admin.raw("PUT", "/api/apps/busy/rules/flow", {"expected": stored["version"], "rules": [*stored["rules"], rule(f"/{number}")]})
                if answer.status == 200:
                    return
                assert answer.status == 409, answer.body
                stored = answer.json()["error"]["stored"]
            raise AssertionError("never came through")
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert sorted(r["resource"] for r in admin.rules("busy", "flow")["rules"]) == [f"/{n}" for n in range(8)]
    admin.write("busy", "flow", [])


def test_history_tells_who_and_what_and_takes_back(admin, people):
    first = people["editor"].write("shop", "flow", [rule("/a"), rule("/b")], comment="two of them")
    second = admin.write("shop", "flow", [{**first["rules"][0], "count": 7}])
    changes = admin.get("/api/apps/shop/history?kind=flow&limit=2")
    assert [(c["user"], c["source"], c["comment"], c["added"], c["removed"], c["changed"]) for c in changes] == [("admin", "console", "", 0, 1, 1), ("ed", "console", "two of them", 2, 0, 0)]
    whole = admin.get(f"/api/apps/shop/history/{changes[0]['id']}")
    assert [r["count"] for r in whole["before"]] == [5, 5] and [r["count"] for r in whole["after"]] == [7]
    assert admin.get(f"/api/apps/shop/history?before={changes[1]['id']}&limit=500&kind=flow") != changes
    assert admin.get("/api/apps/shop/history?kind=degrade") == []

    old = admin.raw("POST", "/api/apps/shop/rules/flow/rollback", {"change": changes[1]["id"], "expected": first["version"]})
    assert old.status == 409 and old.json()["error"]["stored"] == second
    back = admin.good("POST", "/api/apps/shop/rules/flow/rollback", {"change": changes[1]["id"], "expected": second["version"]})
    assert [(r["resource"], r["count"]) for r in back["rules"]] == [("/a", 5), ("/b", 5)]
    assert admin.get("/api/apps/shop/history?limit=1")[0]["comment"] == f"rollback to {changes[1]['id']}"
    for path, body in (("/api/apps/shop/rules/degrade/rollback", {"change": changes[1]["id"], "expected": ""}), ("/api/apps/shop/rules/flow/rollback", {"change": 999999, "expected": back["version"]}),
                       ("/api/apps/shop/rules/flow/rollback", {"expected": back["version"]})):
        assert admin.raw("POST", path, body).status == 404
    assert admin.raw("GET", "/api/apps/other/history/" + str(changes[1]["id"])).status == 404
    admin.write("shop", "flow", [])


def test_export_and_import(admin):
    admin.write("source", "flow", [rule("/a"), {**rule("/off"), "enabled": False}])
    admin.write("source", "system", [{"enabled": True, "qps": 10}])
    document = admin.get("/api/apps/source/export")
    assert sorted(document["rules"]) == ["flow", "system"]

    def plain(app, kind):
        return [{k: v for k, v in r.items() if k != "id"} for r in admin.rules(app, kind)["rules"]]
    admin.write("target", "flow", [rule("/own")])
    assert sorted(admin.good("POST", "/api/apps/target/import", {"document": document, "mode": "merge", "comment": "copied"})["changed"]) == ["flow", "system"]
    assert [(r["resource"], r["enabled"]) for r in plain("target", "flow")] == [("/own", True), ("/a", True), ("/off", False)]
    merged = admin.rules("target", "flow")["rules"]
    admin.good("POST", "/api/apps/target/import", {"document": document, "mode": "merge"})
    assert admin.rules("target", "flow")["rules"] == merged, "what is there is not there twice"
    admin.good("POST", "/api/apps/target/import", {"document": document, "mode": "replace"})
    assert plain("target", "flow") == plain("source", "flow")

    before = {kind: admin.rules("target", kind) for kind in ("flow", "degrade", "system")}
    for bad in ({"rules": {"flow": [rule("/x")], "degrade": [rule("/x", grade=9)]}}, {"rules": {"flow": [rule("/x")], "nonsense": []}}, {"rules": {"flow": "no list"}}, {"rules": 5}, {}, [], None):
        answer = admin.raw("POST", "/api/apps/target/import", {"document": bad})
        assert (answer.status, answer.code) == (400, "invalid"), bad
        assert is_chinese(admin.raw("POST", "/api/apps/target/import", {"document": bad}, headers=CHINESE).message)
    assert {kind: admin.rules("target", kind) for kind in before} == before
    for app in ("source", "target"):
        for kind in ("flow", "system"):
            admin.write(app, kind, [])
        admin.good("DELETE", f"/api/apps/{app}")
    assert not {"source", "target"} & {a["name"] for a in admin.get("/api/apps")}


def test_warnings_and_what_holds_for_a_resource(admin, client):
    client.heartbeat()
    app = client.app
    admin.write(app, "flow", [rule("/none", count=0), rule("/x/.*", regex=True, count=9), rule("/x/1", count=8), rule("/x/1", count=7), {**rule("/x/1", count=6), "enabled": False}])
    admin.write(app, "authority", [{"enabled": True, "resource": "/x/1", "limitApp": "a"}, {"enabled": True, "resource": "/x/1", "limitApp": "b"}])
    admin.write(app, "system", [{"enabled": True, "qps": 100}])
    found = admin.get(f"/api/apps/{app}/warnings")
    assert {(w["kind"], w["index"], w["code"]) for w in found} >= {("flow", 0, "zero"), ("flow", 3, "conflict"), ("authority", 1, "shadowed"), ("flow", 2, "unknown_resource")}
    chinese = admin.get(f"/api/apps/{app}/warnings", headers=CHINESE)
    assert len(chinese) == len(found) and all(is_chinese(w["message"]) for w in chinese) and not any(is_chinese(w["message"]) for w in found)
    checked = admin.good("POST", f"/api/apps/{app}/rules/flow/check", {"rules": [rule("/z", count=0)]})
    assert {w["code"] for w in checked["warnings"]} == {"zero", "unknown_resource"} and checked["faults"] == []
    holds = [(e["kind"], e["index"], e["how"], e["obeyed"]) for e in admin.get(f"/api/apps/{app}/effective?resource=%2Fx%2F1")["rules"]]
    assert holds == [("authority", 0, "exact", True), ("authority", 1, "exact", False), ("system", 0, "default", True),
                     ("flow", 2, "exact", True), ("flow", 3, "exact", True), ("flow", 4, "exact", False), ("flow", 1, "regex", True)]


def thin(second_ms, resource, passed=0, blocked=0, ok=0, failed=0, rt=0):
    return f"{second_ms}|{resource}|{passed}|{blocked}|{ok}|{failed}|{rt}|0|0|0"


def test_a_dry_run_counts_the_last_hour(admin, client):
    # Ten seconds of 30 calls, in a minute that is over.
    start = (int(time.time()) // 60 - 3) * 60_000
    client.lines = [thin(start + 1000 * i, "/dry", passed=28, blocked=2, ok=28, rt=3) for i in range(10)]
    client.heartbeat()
    eventually(lambda: [r["pass"] for r in admin.get(f"/api/apps/{client.app}/top?seconds=600")] == [280], "the metrics are taken")
    path = f"/api/apps/{client.app}/rules/flow/dry-run"
    run = admin.good("POST", path, {"rule": rule("/dry", count=20)})
    assert (run["requests"], run["blocked"], run["would_block"], run["note"]) == (300, 20, 100, "")
    assert sum(m["would_block"] for m in run["by_minute"]) == 100 and len(run["by_minute"]) == 60
    assert admin.good("POST", path, {"rule": rule("/dry", count=1000)})["would_block"] == 0
    assert admin.good("POST", path, {"rule": rule("/never", count=1)}, headers=CHINESE)["note"]
    answer = admin.raw("POST", path, {"rule": rule("/dry", count=-1)})
    assert answer.status == 400 and answer.json()["error"]["faults"][0]["field"] == "count"
    for none in ({}, {"rule": None}, {"rule": []}, {"rule": "x"}):
        assert admin.raw("POST", path, none).status == 400, none


# The store behind it

def test_another_writer_of_the_store_is_followed(console, admin, client):
    client.heartbeat()
    app = client.app
    first = admin.write(app, "flow", [rule("/console")])
    file = console.rules / app / "flow_rule.json"
    assert [r["resource"] for r in json.loads(file.read_text())] == ["/console"]
    put(file, json.dumps([{"resource": "/foreign", "count": 3, "unknown": "kept"}]))
    eventually(lambda: [r["resource"] for r in admin.rules(app, "flow")["rules"]] == ["/foreign"], "its change is seen")
    eventually(lambda: [r["resource"] for r in client.rules.get("flow", [])] == ["/foreign"], "and told to the client")
    change = admin.get(f"/api/apps/{app}/history?limit=1")[0]
    assert (change["user"], change["source"], change["added"], change["removed"]) == ("", "outside", 1, 1)
    late = admin.raw("PUT", f"/api/apps/{app}/rules/flow", {"expected": first["version"], "rules": []})
    assert late.status == 409 and late.json()["error"]["stored"]["rules"][0]["unknown"] == "kept"


def put(file, text):
    """As an editor that replaces files does it."""
    new = file.with_suffix(".new-by-hand")
    new.write_text(text)
    os.replace(new, file)


def test_garbage_in_the_store_is_shown_and_not_overwritten_unasked(console, admin, client):
    client.heartbeat()
    app = client.app
    admin.write(app, "flow", [rule("/good")])
    eventually(lambda: [r["resource"] for r in client.rules.get("flow", [])] == ["/good"], "the client has it")
    file = console.rules / app / "flow_rule.json"
    put(file, '[{"resource": "/half')
    shown = eventually(lambda: (found := admin.rules(app, "flow"))["garbage"] and found, "the garbage is shown")
    assert shown["garbage"]["text"] == '[{"resource": "/half' and shown["garbage"]["faults"][0]["message"]
    assert [r["resource"] for r in shown["rules"]] == ["/good"], "the last good rules stay"
    assert next(a for a in admin.get("/api/apps") if a["name"] == app)["garbage"] == ["flow"]
    refused = admin.raw("PUT", f"/api/apps/{app}/rules/flow", {"expected": shown["version"], "rules": [rule("/new")]})
    assert (refused.status, refused.code) == (422, "garbage") and "overwrite_garbage" in refused.message
    assert is_chinese(admin.raw("PUT", f"/api/apps/{app}/rules/flow", {"expected": shown["version"], "rules": [rule("/new")]}, headers=CHINESE).message)
    said = admin.good("POST", "/v2/flow/rule", {"app": app, "resource": "/new", "grade": 1, "count": 1})
    assert not said["success"]
    assert file.read_text() == '[{"resource": "/half' and [r["resource"] for r in client.rules["flow"]] == ["/good"]
    done = admin.write(app, "flow", [rule("/new")], shown["version"], overwrite_garbage=True)
    assert done["garbage"] is None and [r["resource"] for r in json.loads(file.read_text())] == ["/new"]


def test_events_tell_of_changes(console, admin):
    with socket.create_connection(("127.0.0.1", console.port), 20) as s:
        s.sendall(f"GET /api/events HTTP/1.1\r\nhost: x\r\ncookie: {admin.cookie}\r\n\r\n".encode())
        said = b""
        while b"retry" not in said:
            said += s.recv(4096)
        assert b"text/event-stream" in said
        version = admin.write("shop", "flow", [rule("/event")])["version"]
        while version.encode() not in said:
            more = s.recv(4096)
            assert more
            said += more
        event = json.loads(next(line for line in said.decode().splitlines() if line.startswith("data:") and version in line)[5:])
        assert event == {"type": "rules", "app": "shop", "kind": "flow", "version": version}
    assert console.nobody().raw("GET", "/api/events").status == 401
    admin.write("shop", "flow", [])


# Bad requests

def operations(admin):
    for path, methods in admin.get("/api/openapi.json")["paths"].items():
        for method in methods:
            if method in ("get", "put", "post", "delete"):
                yield method.upper(), path


BODIES = ["", "{", "[]", "7", "null", '"text"', "{}", '{"rules": 1, "rule": 2, "document": 3, "expected": 4, "change": "x", "name": 5, "role": 6, "apps": 7, "password": 8}',
          '{"rules": [[[]], null, 1], "expected": "", "rule": [], "document": {"rules": {"flow": [1, null, {}]}}, "apps": [1], "name": "", "role": ""}', '{"a":' * 5000, "\0\xff"]


def test_bad_input_of_every_endpoint_is_a_sentence_and_changes_nothing(console, admin):
    kept = admin.write("careful", "flow", [rule("/kept")])
    users = admin.get("/api/users")
    count = 0
    for method, pattern in operations(admin):
        if pattern in ("/api/events", "/api/session"):
            continue  # one never ends, the other ends this session
        for values in ({}, {"kind": "nonsense"}, {"app": "%2e%2e", "machine": "x", "name": "%00", "change": "x"}, {"app": "a" * 3000, "kind": "flow"}):
            path = re.sub(r"{(\w+)}", lambda m: values.get(m[1], {"app": "careful", "kind": "flow", "machine": "127.0.0.1:1", "change": "0", "name": "nobody"}[m[1]]), pattern)
            for body in BODIES if method != "GET" else [""]:
                if (method, pattern) == ("DELETE", "/api/apps/{app}") and body:
                    continue
                for query in ("", "?from=x&to=-1&step=99&limit=-5&before=zz&seconds=0&machine=%ff&resource=%00") if method == "GET" else ("",):
                    answer = admin.raw(method, path + query, text=body.encode("latin-1"))
                    count += 1
                    assert answer.status < 500, f"{method} {path}{query} {body[:50]}: {answer.status} {answer.body[:200]}"
                    if answer.status >= 400 and answer.headers["content-type"].startswith("application/json"):
                        assert answer.message and answer.code, answer.body
    assert count > 300
    assert admin.rules("careful", "flow") == kept and admin.get("/api/users") == users
    assert console.process.poll() is None


def test_bodies_that_are_no_json_are_refused_with_a_position(admin):
    answer = admin.raw("PUT", "/api/apps/shop/rules/flow", text='{"expected": "", "rules": [}')
    assert (answer.status, answer.code) == (400, "invalid") and "JSON" in answer.message
    assert is_chinese(admin.raw("PUT", "/api/apps/shop/rules/flow", text="{", headers=CHINESE).message)


def test_wrong_methods_are_told_the_right_ones(admin):
    for method, path, allowed in (("POST", "/api/apps", {"GET"}), ("PATCH", "/api/apps/shop/rules/flow", {"GET", "PUT"}), ("DELETE", "/api/users", {"GET", "POST"}), ("GET", "/auth/login", {"POST"}),
                                  ("GET", "/system/new.json", {"POST"}), ("GET", "/system/delete.json", {"POST"})):
        answer = admin.raw(method, path)
        assert answer.status == 405 and set(answer.headers["allow"].split(", ")) == allowed and all(m in answer.message for m in allowed)
        assert is_chinese(admin.raw(method, path, headers=CHINESE).message)
    assert admin.raw("HEAD", "/api/apps").status == 200


def test_what_is_not_there_is_404(admin):
    for path in ("/api/nothing", "/api/apps/shop/rules/nonsense", "/api/apps/shop/machines/127.0.0.1:1/rules/flow", "/api/apps/shop/history/1234567"):
        answer = admin.raw("GET", path)
        assert (answer.status, answer.code) == (404, "not_found"), path
        assert is_chinese(admin.raw("GET", path, headers=CHINESE).message), path
    assert admin.raw("PUT", "/api/users/who", {"role": "viewer"}).status == 404
    assert admin.raw("DELETE", "/api/users/who").status == 404
    assert admin.raw("GET", "/no-such-file.js").status == 404


def test_too_much_is_413(console, admin):
    before = admin.rules("shop", "flow")
    for length in (9 << 20, 1 << 40):
        with socket.create_connection(("127.0.0.1", console.port), 20) as s:
            s.sendall(f"PUT /api/apps/shop/rules/flow HTTP/1.1\r\nhost: x\r\ncookie: {admin.cookie}\r\ncontent-length: {length}\r\n\r\n".encode())
            said = b""
            try:
                for _ in range(160):
                    s.sendall(b"x" * 65536)
            except OSError:
                pass  # it has said no and gone
            try:
                while chunk := s.recv(65536):
                    said += chunk
            except ConnectionResetError:
                pass
            assert said.startswith(b"HTTP/1.1 413"), said[:200]
    assert admin.rules("shop", "flow") == before


def test_the_originals_paths_refuse_with_a_sentence(admin):
    for method, path, more in (
            ("GET", "/v2/flow/rules", {}), ("POST", "/v2/flow/rule", {"body": {}}), ("POST", "/v2/flow/rule", {"body": []}), ("POST", "/v2/flow/rule", {"body": {"app": "shop"}}),
            ("POST", "/degrade/rule", {"body": {"app": "shop", "resource": "a", "grade": 9}}), ("PUT", "/v2/flow/rule/77777", {"body": {"app": "shop"}}),
            ("PUT", "/v2/flow/rule/x", {"body": {}}), ("POST", "/paramFlow/rule", {"body": {"app": "shop", "rule": 5}}), ("POST", "/authority/rule", {"body": {"app": "shop", "rule": {"resource": "a"}}}),
            ("POST", "/system/new.json", {"form": {"app": "shop", "highestCpuUsage": "7"}}), ("POST", "/system/new.json", {"form": {}}),
            ("GET", "/resource/machineResource.json?ip=1.2.3.4&port=5", {}), ("GET", "/metric/queryTopResourceMetric.json", {}),
            ("GET", "/metric/queryTopResourceMetric.json?app=shop&startTime=0", {}), ("GET", "/metric/queryByAppAndResource.json?app=shop", {})):
        said = admin.good(method, path, **more)
        assert said["success"] is False and said["msg"] and said["data"] is None, (path, more, said)
    assert admin.rules("shop", "flow")["rules"] == []


# Clients, good and hostile

def test_registration(console, admin, client):
    assert client.heartbeat() == {"success": True, "code": 0, "msg": "success", "data": None}
    machine = eventually(lambda: next((m for m in admin.machines(client.app) if m["state"]["flow"] == "same"), None), "it is known and looked at")
    assert (machine["id"], machine["hostname"], machine["version"], machine["pid"], machine["healthy"]) == (client.id, "fake", "1.8.8", 77, True)
    answer = admin.raw("DELETE", f"/api/apps/{client.app}")
    assert answer.status == 400 and is_chinese(admin.raw("DELETE", f"/api/apps/{client.app}", headers=CHINESE).message)
    admin.good("DELETE", f"/api/apps/{client.app}/machines/{client.id}")
    assert admin.machines(client.app) == []
    assert admin.raw("DELETE", f"/api/apps/{client.app}/machines/{client.id}").status == 404
    # By GET too, as clients before 1.6 did.
    assert admin.get(f"/registry/machine?app={client.app}&ip=127.0.0.1&port={client.port}&v=1.4.0&hostname=old")["success"]
    assert [m["version"] for m in admin.machines(client.app)] == ["1.4.0"]


@pytest.mark.parametrize("beat", [
    {"app": ""}, {"app": "a/b"}, {"app": ".."}, {"app": "x" * 300}, {"app": "a\nb"}, {"port": "0"}, {"port": "-1"}, {"port": "65536"}, {"port": "8719x"}, {"port": ""}, {"port": "99999999999999999999"},
    {"ip": "example.com"}, {"ip": "1.2.3"}, {"ip": "1.2.3.4/x?"}, {"ip": "x" * 5000}, {"hostname": "h" * 300}, {"hostname": "a\x1b[0m"}, {"v": "1" * 300}])
def test_hostile_heartbeats_are_refused(console, admin, client, beat):
    apps = admin.get("/api/apps")
    said = client.heartbeat(**beat)
    assert said["success"] is False and said["msg"] and len(said["msg"]) < 500
    assert admin.get("/api/apps") == apps


def test_names_that_clients_choose_stay_text(console, admin):
    name = "a\"b<script>\\'é 空"
    client = FakeClient(console, name)
    try:
        client.lines = [thin(int(time.time()) * 1000 - 1000, "r\"<&\\", passed=1)]
        assert client.heartbeat()["success"]
        assert [m["id"] for m in admin.machines(name)] == [client.id]
        eventually(lambda: [r["resource"] for r in admin.get(f"/api/apps/{quote(name)}/top")] == ["r\"<&\\"], "its metrics are taken")
        admin.write(name, "flow", [rule("/a")])
        eventually(lambda: [r["resource"] for r in client.rules.get("flow", [])] == ["/a"], "its rules are told")
        scraped = console.nobody().raw("GET", "/metrics").body
        assert 'fairlead_console_machines{app="a\\"b<script>\\\\\'é 空"} 1' in scraped
    finally:
        admin.write(name, "flow", [])
        client.stop()


@pytest.mark.parametrize("text", ["garbage", "{}", "[1,2,null]", '[{"resource":5}]', "[" * 20000, "", "\0\xff\xfe", '{"a":1}x', '[{"resource":"/a","count":1e999}]'])
def test_garbage_from_a_client_is_its_problem_alone(console, admin, client, text):
    for path in ("/getRules", "/getParamFlowRules", "/jsonTree", "/clusterNode", "/metric", "/gateway/getRules", "/gateway/getApiDefinitions"):
        client.answers[path] = lambda request: say(request, text.encode("latin-1"))
    admin.write(client.app, "flow", [rule("/wanted")])
    assert client.heartbeat()["success"]
    eventually(lambda: client.rules.get("flow"), "it is told its rules all the same")
    found = admin.get(f"/api/apps/{client.app}/resources")
    assert isinstance(found["tree"], list) and isinstance(found["list"], list)
    assert eventually(lambda: admin.state(client.app, client.id)["flow"] != "unknown", "it is looked at")
    assert admin.state(client.app, client.id)["flow"] == "differs"
    loaded = admin.raw("GET", f"/api/apps/{client.app}/machines/{client.id}/rules/flow")
    assert loaded.status in (200, 503)
    assert [r["resource"] for r in admin.rules(client.app, "flow")["rules"]] == ["/wanted"]


def test_a_client_whose_tree_is_a_circle(admin, client):
    client.tree = [{"id": "1", "parentId": "2", "resource": "a"}, {"id": "2", "parentId": "1", "resource": "b"}, {"id": "3", "resource": "root"}, {"id": "4", "parentId": "3", "resource": "c"},
                   {"id": "5", "parentId": "4", "resource": "d"}, {"id": "4", "parentId": "5", "resource": "c"}]
    client.nodes = [{"resource": "c", "passQps": -1e300, "blockQps": "x", "threadNum": None}]
    assert client.heartbeat()["success"]
    found = admin.get(f"/api/apps/{client.app}/resources")
    assert [n["resource"] for n in found["tree"]] == ["c"] and [n["resource"] for n in found["list"]] == ["c"]


def endless(request):
    request.send_response(200)
    request.end_headers()
    for _ in range(4096):
        request.wfile.write(b"x" * 65536)


def silent(request):
    time.sleep(30)


def dripping(request):
    request.send_response(200)
    request.send_header("content-length", "1000000")
    request.end_headers()
    for _ in range(300):
        request.wfile.write(b"[")
        request.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize("hostile,sentence", [(endless, "MiB"), (silent, "in time"), (dripping, "in time")])
def test_a_client_that_never_ends_is_left_alone(console, admin, client, hostile, sentence):
    other = FakeClient(console, "polite")
    try:
        for path in ("/getRules", "/getParamFlowRules", "/jsonTree", "/clusterNode", "/metric"):
            client.answers[path] = hostile
        assert client.heartbeat()["success"] and other.heartbeat()["success"]
        admin.write("polite", "flow", [rule(f"/{hostile.__name__}")])
        eventually(lambda: [r["resource"] for r in other.rules.get("flow", [])] == [f"/{hostile.__name__}"], "others are served meanwhile", 10)
        answer = admin.raw("GET", f"/api/apps/{client.app}/machines/{client.id}/rules/flow")
        assert (answer.status, answer.code) == (503, "unavailable") and sentence in answer.message
        assert sentence in admin.get(f"/api/apps/{client.app}/resources")["problems"][0]
        assert sentence in eventually(lambda: admin.machines(client.app)[0]["problem"], "its machine's page says so")
    finally:
        other.stop()
        admin.write("polite", "flow", [])


def test_metrics_that_can_not_be_are_left_out(console, admin, client):
    now = int(time.time()) * 1000
    client.lines = [thin(now - 1000, "/fine", passed=3), "nonsense", f"{now}|/short|1", thin(now + 10**9, "/future", passed=5), thin(1, "/past", passed=5), thin(now - 1000, "/negative", passed=-5),
                    f"{now}|/huge|{10**30}|0|0|0|0|0|0|0", thin(now - 1000, "", passed=1), thin(now - 1000, "/a\x01b", passed=10**18)]
    assert client.heartbeat()["success"]
    rows = eventually(lambda: admin.get(f"/api/apps/{client.app}/top"), "the good line is taken")
    assert {r["resource"]: r["pass"] for r in rows}["/fine"] == 3
    assert not {"/future", "/past", "/negative", "/huge", ""} & {r["resource"] for r in rows}


def test_rules_are_told_again_to_a_client_that_changed_them(admin, client):
    admin.write(client.app, "flow", [rule("/stored")])
    client.heartbeat()
    eventually(lambda: admin.state(client.app, client.id)["flow"] == "same", "told")
    client.rules["flow"] = [{"resource": "/foreign", "count": 1}]
    difference = admin.loaded(client.app, client.id, "flow")["difference"]
    assert [r["resource"] for r in difference["extra"]] == ["/foreign"] and [r["resource"] for r in difference["missing"]] == ["/stored"]
    eventually(lambda: [r["resource"] for r in client.rules["flow"]] == ["/stored"], "healed within the sweep", 60)


def test_a_secret_for_registration(run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    console = run(Console, "--registration-secret-file", str(secret), folder=tmp_path / "own")
    client = FakeClient(console, "shop")
    assert client.heartbeat()["success"] is False and "secret" in client.heartbeat()["msg"]
    assert client.heartbeat(secret="wrong")["success"] is False
    assert console.admin().get("/api/apps") == []
    assert client.heartbeat(secret="open sesame")["success"]
    with_header = console.nobody().raw("POST", "/registry/machine", form={**client.beat_with, "port": "1"}, headers={"x-registration-secret": "open sesame"}).json()
    assert with_header["success"]
    about = console.admin().get("/api/about")
    assert about["registration_secret"] is True and about["store"]["reachable"]
    assert "store" not in console.nobody().get("/api/about")
    assert "open sesame" not in json.dumps(console.admin().get("/api/audit")) + console.log()
    client.stop()


# Starting

def refused(*arguments):
    done = subprocess.run([FAIRLEAD, "console", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "password" not in done.stdout
    return done.stderr


def test_what_keeps_it_from_starting_is_said_with_what_to_do(console, tmp_path):
    data = ("--data", str(tmp_path / "data"))
    said = refused("--listen", f"127.0.0.1:{console.port}", *data)
    assert str(console.port) in said and "--listen" in said
    assert "127.0.0.1:x" in refused("--listen", "127.0.0.1:x", *data)
    file = tmp_path / "file"
    file.write_text("")
    said = refused("--listen", "127.0.0.1:0", "--data", str(file / "below"))
    assert str(file) in said and "--data" in said
    said = refused("--listen", "127.0.0.1:0", *data, "--store", "nonsense:x")
    assert "nonsense" in said and "sqlite:" in said
    assert str(file) in refused("--listen", "127.0.0.1:0", *data, "--store", f"dir:{file}")
    assert str(file / "rules.db") in refused("--listen", "127.0.0.1:0", *data, "--store", f"sqlite:{file}/rules.db")
    assert "--key" in refused("--listen", "127.0.0.1:0", *data, "--cert", str(file))
    assert "missing.pem" in refused("--listen", "127.0.0.1:0", *data, "--cert", str(tmp_path / "missing.pem"), "--key", str(file))
    assert "missing" in refused("--listen", "127.0.0.1:0", *data, "--registration-secret-file", str(tmp_path / "missing"))


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/usr/sbin/runuser"), reason="no runuser to become an ordinary user")
def test_a_folder_that_may_not_be_written(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    os.chmod(folder, 0o555)
    for each in [tmp_path, *tmp_path.parents]:
        if each != each.parent and os.stat(each).st_uid == os.geteuid() and str(each).startswith("/tmp/"):
            os.chmod(each, os.stat(each).st_mode | 0o055)
    command = [os.path.abspath(FAIRLEAD), "console", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
    if os.geteuid() == 0:
        probe = subprocess.run(["runuser", "-u", "nobody", "--", command[0], "--help"], capture_output=True)
        if probe.returncode != 0:
            pytest.skip("nobody can't run the program from where it lies")
        command = ["runuser", "-u", "nobody", "--", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")
    assert done.returncode != 0 and str(folder) in done.stderr and "--data" in done.stderr


def test_https(run, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=console", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    console = run(Console, "--cert", str(certificate), "--key", str(key), folder=tmp_path / "own", tls=str(certificate))
    person = console.nobody()
    answer = person.raw("POST", "/api/session", {"username": "admin", "password": console.password}, headers={"origin": f"https://127.0.0.1:{console.port}"})
    assert answer.status == 200 and "Secure" in answer.headers["set-cookie"].split("; ")
    assert person.get("/api/session")["user"]["name"] == "admin"
    with socket.create_connection(("127.0.0.1", console.port), 10) as s:
        s.sendall(b"GET /api/about HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            assert not s.recv(100).startswith(b"HTTP/1.1 200"), "no plain text on this port"
        except ConnectionResetError:
            pass
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(socket.create_connection(("127.0.0.1", console.port), 10), server_hostname="127.0.0.1")


def test_the_pages_are_there(console):
    page = console.nobody().raw("GET", "/", headers={"accept-encoding": "gzip"})
    assert page.status == 200 and "frame-ancestors 'none'" in page.headers["content-security-policy"] and page.headers["content-encoding"] == "gzip"
    deep = console.nobody().raw("GET", "/apps/shop/rules/flow", headers={"accept-encoding": "gzip"})
    assert deep.status == 200 and deep.headers["content-type"].startswith("text/html")
