"""Every page in both languages: no console errors, names on all controls, no sideways scrolling on a phone, and its main action."""
import json
import os
import re

import pytest

APP = os.environ.get("FAIRLEAD_CONSOLE_APP", "shop-api")
GATEWAY = os.environ.get("FAIRLEAD_CONSOLE_GATEWAY", "edge-gateway")
KINDS = ["flow", "degrade", "param-flow", "system", "authority"]
PAGES = {
    "apps": "/apps", "metrics": f"/apps/{APP}/metrics", "resources": f"/apps/{APP}/resources", **{kind: f"/apps/{APP}/rules/{kind}" for kind in KINDS},
    "gateway-apis": f"/apps/{GATEWAY}/gateway/apis", "gateway-rules": f"/apps/{GATEWAY}/gateway/rules", "machines": f"/apps/{APP}/machines", "history": f"/apps/{APP}/history",
    "audit": "/audit", "users": "/users",
}
TITLES = {
    "apps": ("Apps", "应用列表"), "metrics": ("Live metrics", "实时监控"), "resources": ("Resources", "簇点链路"), "machines": ("Machines", "机器列表"), "history": ("History", "变更历史"),
    "audit": ("Audit", "审计"), "users": ("Users", "用户与角色"),
}
WORDS = {
    "add": ("Add a rule", "新增规则"), "save": ("Save", "保存"), "cancel": ("Cancel", "取消"), "delete": ("Delete", "删除"), "close": ("Close", "关闭"), "dry": ("Dry run", "试运行"),
    "search": ("Search rules", "搜索规则"), "disable": ("Disable", "停用"), "theirs": ("Take over theirs", "采用对方版本"), "mine": ("Apply my change on top", "在其版本上重新应用我的修改"),
    "overwrite": ("Overwrite", "覆盖"), "rollback": ("Roll back", "回滚"), "difference": ("Difference", "查看差异"), "list": ("List", "列表视图"), "login": ("Log in", "登录"),
    "user": ("User name", "用户名"), "password": ("Password", "密码"),
}

# Controls that a screen reader would read as nothing: no text, no label, no title.
NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, select, textarea, [role=button], [role=switch], [role=combobox], [role=img], [role=dialog], table')]
  .filter((e) => e.getClientRects().length && !e.closest('[aria-hidden=true]'))
  .filter((e) => {
    const by = (e.getAttribute('aria-labelledby') || '').split(' ').map((id) => id && document.getElementById(id)?.textContent).join('')
    const labels = [...(e.labels || [])].map((l) => l.textContent).join('')
    return !(e.getAttribute('aria-label') || by || labels || (e.tagName !== 'INPUT' && e.textContent) || e.title || '').trim()
  }).map((e) => e.outerHTML.slice(0, 200))"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def say(language):
    return lambda word: (WORDS.get(word) or TITLES[word])[language == "zh"]


def settled(page):
    page.wait_for_selector("h1")
    page.wait_for_function("() => !document.querySelector('.skeleton')")


def named(page):
    assert page.evaluate(NAMELESS) == []


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_without_errors_and_with_names(open_page, shot, language, name):
    page = open_page(PAGES[name])
    settled(page)
    if name in TITLES:
        assert page.locator("h1").inner_text() == TITLES[name][language == "zh"] or name == "users"
    assert page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en")
    if name == "metrics":
        page.wait_for_selector(".chart canvas")
    named(page)
    shot(page, name)


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone_and_has_a_dark_face(open_page, shot, name):
    page = open_page(PAGES[name], width=375, height=740, dark=True)
    settled(page)
    assert page.evaluate(WIDER) <= 0
    named(page)
    shot(page, f"{name}-phone-dark", full_page=True)


def test_login_leads_to_the_page_that_was_asked_for(open_page, console, shot, say):
    page = open_page(f"/apps/{APP}/rules/flow", sign_in=False, expected=("401",))
    page.get_by_label(say("user"), exact=True).fill(console.user)
    page.get_by_label(say("password"), exact=True).fill("wrong-password")
    named(page)
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    shot(page, "login")
    page.get_by_label(say("password"), exact=True).fill(console.password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/apps/{APP}/rules/flow")
    settled(page)


def test_the_language_is_switched_and_remembered(open_page, language):
    page = open_page("/apps")
    settled(page)
    page.locator(".bar .bar-button").filter(has_text="EN" if language == "zh" else "中文").click()
    page.reload()
    settled(page)
    assert page.locator("h1").inner_text() == TITLES["apps"][language == "en"]


def test_the_theme_is_switched_and_remembered(open_page):
    page = open_page("/apps")
    settled(page)
    page.locator(".bar .bar-button").nth(2).click()
    page.reload()
    settled(page)
    assert "dark" in page.locator("html").get_attribute("class")


def add_flow_rule(page, say, resource, count):
    page.locator(".page-actions").get_by_role("button", name=say("add")).click()
    dialog = page.get_by_role("dialog")
    fields = dialog.locator(".field")
    fields.first.locator("input").fill(resource)
    page.keyboard.press("Tab")
    field(dialog, ("Threshold", "单机阈值")).fill(count)
    return dialog


def field(dialog, titles):
    return dialog.locator(".field").filter(has=dialog.page.locator(".field-label", has_text=re.compile("^(" + "|".join(map(re.escape, titles)) + r")\*?$"))).locator("input").first


def test_a_rule_is_added_found_switched_off_copied_and_deleted(open_page, shot, say):
    page = open_page(PAGES["flow"])
    settled(page)
    add_flow_rule(page, say, "GET:/from-the-test", "not a number")
    page.get_by_role("button", name=say("save")).click()
    page.locator(".field-fault").first.wait_for()
    dialog = page.get_by_role("dialog")
    field(dialog, ("Threshold", "单机阈值")).fill("12.50")
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    page.get_by_label(say("search")).fill("from-the-test")
    row = page.locator("tbody tr").filter(has_text="12.5")
    row.wait_for()
    assert page.locator("tbody tr").count() == 1
    row.get_by_role("switch").locator("..").click()
    page.locator("tbody tr.off").wait_for()
    row.locator("button", has_text=re.compile("Copy|复制")).click()
    page.get_by_role("dialog").get_by_role("button", name=say("save")).click()
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 2")
    page.locator("thead input").click()
    page.locator(".tools").get_by_role("button", name=say("delete")).click()
    named(page)
    page.get_by_role("dialog").get_by_role("button", name=say("delete")).click()
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 0")


@pytest.mark.parametrize("kind", [*KINDS, "gateway-flow", "gateway-api"])
def test_the_form_has_every_field_that_is_described(open_page, console, shot, say, language, kind):
    path = {"gateway-flow": PAGES["gateway-rules"], "gateway-api": PAGES["gateway-apis"]}.get(kind) or PAGES[kind]
    page = open_page(path)
    settled(page)
    described = next(k for k in page.request.get(console.url + "/api/rule-kinds").json() if k["kind"] == kind)
    page.locator(".page-actions").get_by_role("button", name=say("add")).click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    labels = [re.sub(r"\*$", "", text) for text in dialog.locator(".dialog-body > .field > .field-label").all_inner_texts()]
    defaults = {f["name"]: f["default"] for f in described["fields"]}
    for f in described["fields"]:
        shown = all(defaults.get(c["field"]) in c["in"] for c in f.get("shown_when") or [])
        assert (f["title"][language] in labels) == shown or sum(o["title"] == f["title"] for o in described["fields"]) > 1, f["name"]
    named(page)
    shot(page, f"form-{kind}")
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_escape_closes_and_focus_comes_back(open_page, say):
    page = open_page(PAGES["flow"])
    settled(page)
    button = page.locator(".page-actions").get_by_role("button", name=say("add"))
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


@pytest.mark.parametrize("choice", ["theirs", "mine"])
def test_a_conflict_shows_both_and_either_can_win(open_page, console, shot, say, choice):
    page = open_page(PAGES["flow"], expected=("409",))
    settled(page)
    before = page.request.get(f"{console.url}/api/apps/{APP}/rules/flow").json()
    dialog = add_flow_rule(page, say, "GET:/mine", "7")
    theirs = [*before["rules"], {"enabled": True, "resource": "GET:/theirs", "count": 3, "grade": 1, "limitApp": "default", "strategy": 0, "controlBehavior": 0}]
    stored = page.request.put(f"{console.url}/api/apps/{APP}/rules/flow", data={"expected": before["version"], "rules": theirs}, headers={"Origin": console.url})
    assert stored.ok, stored.text()
    dialog.get_by_role("button", name=say("save")).click()
    page.get_by_role("button", name=say("theirs")).wait_for()
    sides = page.locator(".sides section").all_inner_texts()
    assert "GET:/theirs" in sides[0] and "GET:/mine" in sides[1]
    named(page)
    shot(page, "conflict")
    page.get_by_role("button", name=say(choice)).click()
    page.locator(".sides").wait_for(state="hidden")
    page.get_by_role("dialog").wait_for(state="hidden")
    names = [r["resource"] for r in page.request.get(f"{console.url}/api/apps/{APP}/rules/flow").json()["rules"]]
    assert "GET:/theirs" in names and ("GET:/mine" in names) == (choice == "mine")
    if not console.is_mock:
        now = page.request.get(f"{console.url}/api/apps/{APP}/rules/flow").json()
        page.request.put(f"{console.url}/api/apps/{APP}/rules/flow", data={"expected": now["version"], "rules": before["rules"]}, headers={"Origin": console.url})


def test_a_change_from_outside_appears_by_itself(open_page, console):
    page = open_page(PAGES["flow"])
    settled(page)
    page.locator(".live.on").wait_for()
    console.mock(do="write", app=APP, kind="flow", rules=[{"enabled": True, "resource": "GET:/outside", "count": 1}])
    page.locator("tbody").get_by_text("GET:/outside").wait_for()


def test_garbage_is_shown_and_only_overwritten_when_told(open_page, console, shot, say):
    console.mock(do="reset")
    page = open_page("/apps/billing/rules/flow")
    settled(page)
    assert page.locator(".garbage-faults li").count() == 2 and page.locator(".source li").count() == 5
    named(page)
    shot(page, "garbage", full_page=True)
    add_flow_rule(page, say, "GET:/new", "7").get_by_role("button", name=say("save")).click()
    overwrite = page.get_by_role("button", name=say("overwrite"), exact=True)
    overwrite.wait_for()
    assert overwrite.is_disabled()
    shot(page, "garbage-question")
    page.get_by_role("dialog").last.locator(".el-checkbox").click()
    overwrite.click()
    page.get_by_role("dialog").first.wait_for(state="hidden")
    page.locator("tbody").get_by_text("GET:/new").wait_for()
    assert page.locator(".garbage").count() == 0


def test_a_dry_run_says_what_would_have_been_blocked(open_page, shot, say):
    page = open_page(PAGES["flow"])
    settled(page)
    page.locator("tbody tr").first.locator("button.link").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=say("dry")).click()
    dialog.locator(".dry-run").wait_for()
    assert re.search(r"\d", dialog.locator(".dry-run").inner_text())
    shot(page, "dry-run")


@pytest.mark.parametrize("at,kind", list(enumerate(["flow", "degrade", "param-flow", "authority"])))
def test_a_resource_has_a_button_for_each_kind_of_rule(open_page, say, language, at, kind):
    page = open_page(PAGES["resources"])
    settled(page)
    page.get_by_text(say("list"), exact=True).click()
    row = page.locator("tbody tr").first
    name = row.locator(".strong").inner_text()
    row.locator("button").nth(at).click()
    dialog = page.get_by_role("dialog")
    assert dialog.locator(".field input").first.input_value() == name
    if kind == "flow":
        field(dialog, ("Threshold", "单机阈值")).fill("77")
        dialog.get_by_role("button", name=say("save")).click()
        dialog.wait_for(state="hidden")


def test_effective_rules_of_a_resource_are_listed(open_page, shot):
    page = open_page(PAGES["resources"])
    settled(page)
    page.locator("tbody tr").filter(has_text="GET:/orders").last.get_by_role("button").last.click()
    page.locator(".effective li").first.wait_for()
    named(page)
    shot(page, "effective")


def test_a_machine_shows_what_it_has_loaded(open_page, console, shot):
    page = open_page(PAGES["machines"])
    settled(page)
    page.locator(".mark-button").filter(has_text="≠").first.click() if console.is_mock else page.locator(".mark-button").first.click()
    page.locator(".raw").wait_for()
    if console.is_mock:
        assert page.locator(".diff li").count() > 0
    named(page)
    shot(page, "drift")


def test_history_shows_a_difference_and_rolls_back(open_page, console, shot, say):
    if not console.is_mock:
        pytest.skip("needs changes that the mock has")
    page = open_page(PAGES["history"])
    settled(page)
    rows = page.locator("tbody tr")
    before = rows.count()
    rows.nth(1).locator("button").first.click()
    page.locator(".diff li.changed").wait_for()
    named(page)
    shot(page, "difference")
    page.get_by_role("dialog").get_by_role("button", name=say("rollback")).click()
    page.locator(".el-message-box").get_by_role("button", name=say("rollback")).click()
    page.wait_for_function(f"() => document.querySelectorAll('tbody tr').length === {before + 1}")


def test_rules_are_exported_and_imported(open_page, say, tmp_path):
    page = open_page(PAGES["history"])
    settled(page)
    with page.expect_download() as started:
        page.locator(".page-actions button").first.click()
    document = json.loads(started.value.path().read_text())
    assert document["app"] == APP and document["rules"]["flow"]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(document))
    page.locator(".page-actions button").nth(1).click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files(file)
    dialog.get_by_role("status").wait_for()
    named(page)
    dialog.locator("button[type=submit]").click()
    dialog.wait_for(state="hidden")


def test_a_user_is_made_changed_and_removed(open_page, shot, say):
    page = open_page(PAGES["users"], expected=("400",))
    settled(page)
    page.locator(".page-actions button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(say("user")).fill("test.person")
    dialog.get_by_label(say("password")).fill("short")
    dialog.get_by_role("button", name=say("save")).click()
    dialog.locator(".field-fault").wait_for()
    dialog.get_by_label(say("password")).fill("long-enough-now")
    named(page)
    shot(page, "user")
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    row = page.locator("tbody tr").filter(has_text="test.person")
    row.wait_for()
    row.get_by_role("button").last.click()
    page.locator(".el-message-box").get_by_role("button", name=say("delete")).click()
    row.wait_for(state="hidden")


def test_a_password_that_was_given_must_be_changed(open_page, console, shot):
    console.mock(do="reset")
    page = open_page("/apps", user="fresh", password="fairlead-fresh")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    page.keyboard.press("Escape")
    for at, text in enumerate(["fairlead-fresh", "my-own-password", "my-own-password"]):
        dialog.locator("input").nth(at).fill(text)
    named(page)
    shot(page, "password")
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")


def test_a_viewer_sees_everything_and_changes_nothing(open_page, console):
    console.mock(do="reset")
    page = open_page(PAGES["flow"], user="guest", password="fairlead-guest")
    settled(page)
    assert page.locator("tbody tr").count() > 0
    assert page.locator(".page-actions button").count() == 0 and page.locator("tbody .el-switch:not(.is-disabled)").count() == 0
    page.goto(console.url + "/audit")
    page.wait_for_url("**/apps")


def test_trouble_of_the_store_is_a_banner(open_page, console, shot):
    page = open_page("/apps")
    settled(page)
    page.locator(".live.on").wait_for()
    console.mock(do="store", reachable=False, writable=False, detail="zk-1:2181: connection refused")
    page.locator(".banner").wait_for()
    named(page)
    shot(page, "store")


def test_metrics_of_one_resource_have_an_address(open_page, shot):
    page = open_page(PAGES["metrics"] + "?range=1h")
    settled(page)
    row = page.locator("tbody tr").first
    name = row.locator("button").inner_text()
    row.locator("button").click()
    page.wait_for_url("**resource=**")
    page.reload()
    settled(page)
    assert page.locator("tr.current").inner_text().startswith(name)
    page.locator(".tools .el-radio-button").nth(1).click()
    page.wait_for_selector(".chart-grid canvas")
    shot(page, "metrics-charts", full_page=True)


def test_an_unknown_address_says_so(open_page):
    page = open_page("/nothing/here")
    settled(page)
    assert page.locator(".empty a").count() == 1
