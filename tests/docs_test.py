"""The pages in English and in Chinese show the same commands, and the commands they show exist."""
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAIRS = [("README.md", "README.zh-CN.md"), ("docs/tutorial.md", "docs/tutorial.zh-CN.md")]


def blocks(name):
    return re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S)


def commands(name):
    return [body for language, body in blocks(name) if language == "sh"]


@pytest.mark.parametrize("english,chinese", PAIRS)
def test_commands_are_equal(english, chinese):
    assert commands(english), f"{english} shows no command"
    assert commands(english) == commands(chinese)


@pytest.mark.parametrize("english,chinese", PAIRS)
def test_headings_and_tables_have_the_same_shape(english, chinese):
    def shape(name):
        text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(), flags=re.M | re.S)
        return [("#" * len(m.group(1)) if m.group(1) else "|") for m in re.finditer(r"^(#+) |^\|", text, re.M)]
    assert shape(english) == shape(chinese)


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_files_and_targets_exist(name):
    text = "\n".join(commands(name))
    for path in re.findall(r"(?<![\w/])(?:samples|tools|docs|tests)/[\w./-]+", text):
        assert (ROOT / path).exists(), f"{name}: {path}"
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"^make ([a-z]+)", text, re.M):
        assert target in targets, f"{name}: make {target}"


@pytest.mark.parametrize("name", [str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/*/README.md")]])
def test_links_lead_somewhere(name):
    page = ROOT / name
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name}: {target}"


def test_samples_are_what_their_readers_expect():
    yaml = pytest.importorskip("yaml")
    for file in ROOT.glob("samples/**/*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            assert {"apiVersion", "kind", "metadata"} <= set(document), file
    bookinfo = list(yaml.safe_load_all((ROOT / "samples/bookinfo/platform/kube/bookinfo.yaml").read_text()))
    kinds = [document["kind"] for document in bookinfo]
    assert (kinds.count("Service"), kinds.count("ServiceAccount"), kinds.count("Deployment")) == (4, 4, 6)


def test_what_there_is_of_envoy_is_what_the_proxy_goes_by():
    made = subprocess.run([sys.executable, ROOT / "tools/envoy-fields"], capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs/envoy.md").read_text(), "tools/envoy-fields > docs/envoy.md"
