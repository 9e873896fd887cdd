"""The page's files, read without a browser: whole, plain, and nobody else's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import visavis.serve

PAGE = Path(visavis.serve.__file__).parent / "page"
MARKUP = (PAGE / "index.html").read_text()
IDS = set(re.findall(r'\bid="([^"]+)"', MARKUP))
SCRIPTS = sorted(PAGE.glob("*.js"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_module_says_what_it_is_and_stays_short(script: Path) -> None:
    text = script.read_text()
    assert text.startswith("/* ")
    assert len(text.splitlines()) <= 300
    assert not re.search(r"\beval\(|innerHTML|document\.write|TODO|debugger", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_import_and_element_is_there(script: Path) -> None:
    text = script.read_text()
    for name in re.findall(r'(?:from |import\(|new URL\()"\./([\w-]+\.js)"', text):
        assert (PAGE / name).is_file(), name
    named = re.findall(r'(?:getElementById\(|\bat\()"([\w-]+)"', text)
    assert set(named) <= IDS, set(named) - IDS


def test_every_icon_and_label_is_there() -> None:
    used = set(re.findall(r'href="#([\w-]+)"', MARKUP))
    assert used <= IDS, used - IDS
    assert set(re.findall(r'\b(?:for|aria-labelledby)="([\w-]+)"', MARKUP)) <= IDS
    assert len(IDS) == len(re.findall(r'\bid="', MARKUP)), "an id stands twice"


def test_nothing_is_asked_of_other_hosts_and_nothing_is_inline() -> None:
    for path in PAGE.iterdir():
        others = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text())
        assert [o for o in others if "www.w3.org" not in o] == [], path.name
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", MARKUP)
    assert re.findall(r"<script[^>]*>", MARKUP) == ['<script type="module" src="main.js">']
