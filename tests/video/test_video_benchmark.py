"""The program that measures latent models runs, part by part, on a model of next to no weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from product import ROOT  # noqa: E402
from visavis.media.image import read_image  # noqa: E402
from visavis.opening import DEMO_PORTRAIT  # noqa: E402
from visavis.train.shards import ShardWriter  # noqa: E402
from visavis.train.video_data import VideoClip, to_fields  # noqa: E402

FRAMES = 33


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A held-out clip of the embedded portrait, hardly moving."""
    folder = tmp_path_factory.mktemp("shards")
    face = np.asarray(cv2.resize(read_image(DEMO_PORTRAIT), (256, 256)), np.uint8)
    rng = np.random.default_rng(0)
    frames = np.stack([np.roll(face, k % 3, 1) for k in range(FRAMES)])
    rows = rng.dirichlet(np.ones(45), (FRAMES, 4)).astype(np.float32)
    clip = VideoClip(
        "clip", "neutral-00000", "animated", frames, face, rows, np.full(FRAMES, 2),
        np.full(FRAMES, 8), np.zeros((FRAMES, 3, 4), np.float32),
    )  # fmt: skip
    with ShardWriter(folder) as writer:
        writer.write(clip.name, to_fields(clip))
    return folder


def run(*given: str) -> dict[str, dict]:
    """Run the program and return what each part prints."""
    done = subprocess.run(
        [sys.executable, "benchmarks/video.py", *given],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["part"]: line[line["part"]] for line in lines}


def test_clips_of_known_frames(latent_model: Path, shards: Path, tmp_path: Path) -> None:
    found = run(
        f"--model=one={latent_model}", f"--model=two={latent_model},steps=2,context=0.1",
        "--parts", "steps", "lengths", f"--shards={shards}", f"--out={tmp_path}",
        "--clips=1", "--speeches=0", "--lengths", "16", "--quick", "--sources", "animated",
    )  # fmt: skip
    steps = found["steps"]
    assert {"one", "two", "codec alone", "still", "true"} <= set(steps)
    assert steps["still"]["change"] == 0
    assert steps["two"]["latents_ms"] > steps["one"]["latents_ms"]
    assert set(found["lengths"]) == {"16"}
    assert found["lengths"]["16"]["sound_ms"] == 680
    assert (tmp_path / "lengths.png").is_file()
    assert json.loads((tmp_path / "steps.json").read_text())["steps"] == steps


@pytest.mark.shared
def test_parts_on_shared_voices(latent_model: Path, tmp_path: Path) -> None:
    found = run(
        f"--model=one={latent_model}", f"--model=held={latent_model},anchor_every=2",
        "--parts", "switch", "long", "speed", "compare", f"--out={tmp_path}",
        "--minutes=0.34", "--seconds=2", "--sizes", "64", "--speeches=1",
    )  # fmt: skip
    assert found["switch"]["one"]["ratio"] > 0
    assert len(found["switch"]["one"]["largest"]) == 4
    assert found["long"]["one"]["mean"] != found["long"]["held"]["mean"]
    assert found["speed"]["one"]["64 px"]["ahead"] > 0
    assert {"one", "held", "motion space"} == set(found["compare"])
    for name in ("switch.png", "long.png", "compare_0.png"):
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize(
    ("entry", "text"), [("nowhere", "there is no latent.json"), (",speed=9", "has no speed")]
)
def test_a_wrong_model_is_told(latent_model: Path, entry: str, text: str) -> None:
    given = entry if not entry.startswith(",") else f"{latent_model}{entry}"
    done = subprocess.run(
        [sys.executable, "benchmarks/video.py", f"--model={given}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert text in done.stderr
