#!/usr/bin/env python3
"""Replaces one part of docs/figures.md, so that each script keeps its own. usage: section.py NAME < text"""
import pathlib
import sys

FIGURES = pathlib.Path(__file__).resolve().parent.parent / "docs/figures.md"


def write(name, text):
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = FIGURES.read_text() if FIGURES.exists() else "# Figures\n"
    section = f"{begin}\n{text.rstrip()}\n{end}"
    if begin in page and end in page:
        page = page[:page.index(begin)] + section + page[page.index(end) + len(end):]
    else:
        page = page.rstrip() + "\n\n" + section + "\n"
    FIGURES.write_text(page)


if __name__ == "__main__":
    write(sys.argv[1], sys.stdin.read())
