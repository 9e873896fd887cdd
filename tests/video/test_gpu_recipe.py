"""The program that measures the full-size model on a GPU runs on a CPU, and goes on."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from product import ROOT  # noqa: E402


@pytest.fixture(scope="module")
def parts():
    sys.path.insert(0, str(ROOT / "recipes"))
    try:
        yield importlib.import_module("gpu_video_parts")
    finally:
        sys.path.remove(str(ROOT / "recipes"))


def run(*command: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "recipes/gpu_video.py", "--tiny", "--device=cpu", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_it_goes_on_where_it_stopped(tmp_path):
    out = tmp_path / "steps.jsonl"
    names = ("U-Net 32 px, 8 frames, half, eager", "decoder tiny 32 px", "first pictures 32 px")
    steps = json.loads(run(f"--out={out}", "--only", *names)[-1])
    assert [step["step"] for step in steps] == list(names)
    assert not any("failed" in step for step in steps)
    assert 0 < steps[0]["error"] < 0.05
    again = run(f"--out={out}", "--only", *names, "chain 32 px, 8 frames, half, graph")
    assert len(again) == 2  # one step was left to do
    chain = json.loads(again[-1])[-1]
    assert chain["fps"] > 0
    assert chain["piped fps"] > 0


@pytest.mark.parametrize("numbers", ["int8", "float8"])
@pytest.mark.parametrize("rows", [1, 100])
def test_products_in_bytes_are_near_those_in_floats(parts, numbers, rows):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Linear(32, 5))
    x = torch.randn(2, rows, 64)
    with torch.no_grad():
        expected = net(x)
        parts.in_bytes(net, numbers, torch.float32, 16)
        found = net(x)
    assert isinstance(net[0], parts.EightBits)
    assert isinstance(net[1], torch.nn.Linear)  # too narrow
    limit = 0.02 if numbers == "int8" else 0.08
    assert (found - expected).square().mean() <= limit**2 * expected.square().mean()


def test_the_stand_in_decoder_has_the_layers_of_taesd(parts):
    net = parts.tiny_decoder(4)
    assert sum(p.numel() for p in net.parameters()) == 1_222_531
    assert net(torch.zeros(1, 4, 4, 6)).shape == (1, 3, 32, 48)
