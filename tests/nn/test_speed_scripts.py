"""The programs that measure the neural path run, end in JSON, and go on where they stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("onnx")

from product import ROOT  # noqa: E402


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cpu_benchmark():
    ways = ("fast", "products, ONNX Runtime")
    out = run("benchmarks/neural.py", "--tiny", "--frames=1", "--threads=1", "--only", *ways)
    report = json.loads(out.splitlines()[-1])
    assert set(report["ways"]) == {"plain", *ways}
    for way in ways:
        assert max(report["ways"][way]["error"].values()) <= 1e-4


def test_the_gpu_recipe_goes_on_where_it_stopped(tmp_path):
    out = tmp_path / "steps.jsonl"
    command = ("recipes/gpu_neural.py", "--tiny", "--device=cpu", f"--out={out}", "--only")
    first = json.loads(run(*command, "fast float32").splitlines()[-1])
    assert [step["step"] for step in first] == ["fast float32"]
    assert max(first[0]["W error"], first[0]["G error"]) <= 1e-4
    both = run(*command, "fast float32", "tensorrt").splitlines()
    assert len(both) == 2  # one step was left to do
    assert json.loads(both[-1])[0] == first[0]
    assert len(out.read_text().splitlines()) == 2
