"""What a stranger meets first: an import that costs nothing, and only the names we promise."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires

import pytest

import visavis

PROBE = """
import sys, time
begin = time.perf_counter()
import visavis
print(time.perf_counter() - begin)
print(sorted({"torch", "cv2", "av", "onnxruntime", "numpy", "typer"} & set(sys.modules)))
"""


def test_the_promised_names_are_sorted_few_and_all_there() -> None:
    assert visavis.__all__ == sorted(visavis.__all__)
    assert len(visavis.__all__) <= 15
    assert all(getattr(visavis, name).__name__ for name in visavis.__all__)
    assert set(visavis.__all__) <= set(dir(visavis))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="anymate"):
        visavis.anymate  # noqa: B018


def test_importing_costs_less_than_300_ms_and_loads_nothing_heavy() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, heavy = runs[0].stdout.splitlines()
    assert heavy == "[]"
    assert min(float(run.stdout.splitlines()[0]) for run in runs) < 0.3, seconds


def test_using_everything_in_the_plain_install_needs_no_torch() -> None:
    probe = "import sys, visavis.api, visavis.cli, visavis.bench, visavis.doctor\n"
    probe += "print(sorted({'torch', 'scipy', 'matplotlib', 'mediapipe'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_plain_and_the_live_install_do_not_ask_for_torch() -> None:
    wanted = [line for line in requires("visavis") or [] if "torch" in line]
    optional = ("train", "neural", "hubert", "dev")
    assert all(any(f"'{extra}'" in line for extra in optional) for line in wanted), wanted
