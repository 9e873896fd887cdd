"""The pages for people agree with the tree: every path they name exists, every layer is listed."""

from __future__ import annotations

import re

import pytest

from product import ROOT, SHARED

PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "TRAINING.md", "CHANGELOG.md")

LISTED_ELSEWHERE = (
    *("train/", "eval/", "data/", "diffusion/", "cli/"),
    *("serve/", "integrations/", "dialogue/", "voice/", "provenance/"),
    *("hub/", "neural/", "nn/", "render/liveportrait/", "motion/ditto/", "video/"),
)
"""Folders of which the README's tree gives one line."""


def test_every_path_in_the_where_table_exists() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = page.split("## Where do I change")[1].split("\n## ")[0]
    paths = re.findall(r"`((?:src|tests)/[\w/.]+|\w+\.md)`", table)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_file_in_the_readme_tree_exists_and_none_is_forgotten() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    tree = next(block for block in page.split("```") if "src/visavis/" in block and "├──" in block)
    named, folder = set(), ""
    for line in tree.splitlines():
        match = re.match(r"[│├└─ ]*([\w./]+)", line)
        if not match:
            continue
        if line[0] not in "│├└":
            assert (ROOT / match[1]).is_dir()
            continue
        name, is_inside = match[1], line.startswith(("│   ", "    "))
        folder = folder if is_inside else name if name.endswith("/") else ""
        named.add(folder if folder == name else folder + name)
    missing = [name for name in named if not (ROOT / "src/visavis" / name).exists()]
    assert missing == []
    root = ROOT / "src/visavis"
    files = {str(path.relative_to(root)) for path in root.rglob("*.py") if path.name[:2] != "__"}
    forgotten = {name for name in files - named if not name.startswith(LISTED_ELSEWHERE)}
    assert forgotten == set()


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!http|#)([^)#]+)\)", (ROOT / page).read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.shared
def test_the_structure_keeps_its_measures() -> None:
    import subprocess
    import sys

    limits = (  # the longest function is the documented list of what `animate` takes
        "file_max<=400 func_max<=100 over_50<=1 nest_max<=3 cc_max<=20 module_doc_pct>=100 "
        "public_doc_pct>=95 ann_args_pct>=100 ann_ret_pct>=100 exported<=15 cycles_with_lazy<=0 "
        "late_attrs<=0 bare_except<=0 broad_except<=5 swallowed<=0 star_imports<=0 clock_files<=1 "
        "thread_files<=4"
    )
    tool, package = str(SHARED / "tools/measure.py"), str(ROOT / "src/visavis")
    command = [sys.executable, tool, package, "--limit", *limits.split()]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
