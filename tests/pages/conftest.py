"""Chromium before the console's pages. Without FAIRLEAD_CONSOLE the pages are built and served with the mock of web/mock; with it (a base
URL, and FAIRLEAD_CONSOLE_USER and _PASSWORD of an admin) a real console is driven, and what only the mock can play is skipped."""
import importlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WEB = ROOT / "web"
BUILD = ROOT / "build" / "console-tests"
PLAYWRIGHT = "1.65.2"


def playwright():
    """Playwright's client with the system's browser; its own browsers are never fetched."""
    folder = BUILD / f"playwright-{PLAYWRIGHT}"
    if not (folder / "playwright").is_dir():
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action=ignore", "--target", folder, f"playwright=={PLAYWRIGHT}"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip("playwright can't be installed: " + done.stderr[-300:])
    sys.path.insert(0, str(folder))
    return importlib.import_module("playwright.sync_api")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Console:
    def __init__(self, url, user, password, is_mock):
        self.url, self.user, self.password, self.is_mock = url, user, password, is_mock

    def mock(self, **order):
        if not self.is_mock:
            pytest.skip("only the mock can play this")
        request = urllib.request.Request(self.url + "/mock", json.dumps(order).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).read()


@pytest.fixture(scope="module")
def console():
    real = os.environ.get("FAIRLEAD_CONSOLE")
    if real:
        yield Console(real.rstrip("/"), os.environ["FAIRLEAD_CONSOLE_USER"], os.environ["FAIRLEAD_CONSOLE_PASSWORD"], False)
        return
    if not shutil.which("npm"):
        pytest.skip("no npm: tools/setup build")
    if not (WEB / "node_modules" / "vite").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=WEB, check=True, capture_output=True)
    vite = ["node", "node_modules/vite/bin/vite.js"]
    dist = str(BUILD / "dist")
    subprocess.run([*vite, "build", "--outDir", dist, "--emptyOutDir", "--logLevel", "warn"], cwd=WEB, check=True)
    port = free_port()
    server = subprocess.Popen([*vite, "preview", "--outDir", dist, "--port", str(port), "--strictPort", "--host", "127.0.0.1"], cwd=WEB,
                              env={k: v for k, v in os.environ.items() if k != "FAIRLEAD_CONSOLE"}, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(url + "/api/about", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("the mock does not answer")
        yield Console(url, "admin", "fairlead-admin", True)
    finally:
        server.terminate()
        server.wait()


# Not for the session: as long as Playwright lives, this thread has a running event loop, and no other test could run one.
@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium: tools/setup test")
    with playwright().sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(params=["en", "zh"])
def language(request):
    return request.param


@pytest.fixture
def open_page(console, browser, language):
    """open_page(path) -> a signed-in page in the test's language. Errors of its console fail the test."""
    contexts, complaints = [], []

    def open_(path, sign_in=True, user=None, password=None, width=1360, height=860, dark=False, expected=()):
        context = browser.new_context(locale="zh-CN" if language == "zh" else "en-GB", viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light",
                                      reduced_motion="reduce")
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        # Chromium writes a line for every answer of 4xx or 5xx; those that a test provokes are named by it.
        page.on("console", lambda m: m.type in ("error", "warning") and not any(text in m.text for text in expected) and complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        if sign_in:
            answer = context.request.post(console.url + "/api/session", data={"username": user or console.user, "password": password or console.password}, headers={"Origin": console.url})
            assert answer.ok, answer.text()
        page.goto(console.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints, complaints


@pytest.fixture
def shot(language):
    folder = BUILD / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return lambda page, name, **more: page.screenshot(path=folder / f"{name}-{language}.png", **more)


@pytest.fixture(autouse=True)
def fresh(console):
    if console.is_mock:
        console.mock(do="reset")
