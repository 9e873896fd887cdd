"""The ways from sound to motion that the benchmarks compare, and how they are played."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from visavis.audio.phones import PhoneRecognizer
from visavis.hub import asset
from visavis.motion.base import MotionModel
from visavis.motion.chunks import ChunkPlan
from visavis.motion.controls import Controls, Timeline
from visavis.motion.diffused import FEW, NETWORK, DiffusedMotion, Sampling
from visavis.motion.layout import pack
from visavis.motion.models import motion_by
from visavis.nn.session import Network
from visavis.train.speech_data import is_held_out, read_sound
from visavis.types import SAMPLE_RATE, Audio, Features, FloatArray


class ThreadedNetwork(Network):
    """An ONNX file run by any number of threads; the package itself uses one."""

    def __init__(self, path: str, threads: int) -> None:
        """Load the file at ``path`` for ``threads`` threads of the CPU."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )


def diffused(
    path: Path | None = None,
    steps: int = 1,
    plan: ChunkPlan | None = None,
    guidance: Mapping[str, float] | None = None,
    threads: int = 1,
) -> DiffusedMotion:
    """Return the denoiser in the ONNX file ``path`` (None: packaged), called ``steps`` times.

    Without any other wish it is the very model that the package uses.
    """
    if path is None and threads == 1 and plan is None and not guidance and steps <= FEW:
        model = motion_by("diffused", steps)
        assert isinstance(model, DiffusedMotion)
        return model
    network = ThreadedNetwork(str(path or asset(NETWORK)), threads)
    return DiffusedMotion(network, Sampling(steps, guidance or {}), plan or ChunkPlan())


def hear(samples: FloatArray) -> Features:
    """Return the evidence in a whole recording (n,)."""
    recognizer = PhoneRecognizer()
    return recognizer.step(recognizer.start(), Audio(samples), final=True)[1]


def play(
    model: MotionModel,
    own: Features,
    seed: int = 0,
    asked: Timeline | Controls | None = None,
    other: Features | None = None,
) -> FloatArray:
    """Return the motion (t, 58) of ``model`` for a whole recording."""
    timeline = asked if isinstance(asked, Timeline) else Timeline.steady(asked or Controls())
    return pack(model.step(model.start(seed), own, timeline, final=True, other=other)[1])


def long_speech(shared: Path, seconds: float, seed: int = 0) -> FloatArray:
    """Return ``seconds`` of people reading, one after the other, with pauses of 0.3 to 2 s.

    The clips of shared/data/speech/librispeech whose readers no training hears, in random order,
    again from the start (in another order) when all have been heard.
    """
    rng = np.random.default_rng(seed)
    every = sorted((shared / "data/speech/librispeech").glob("*.opus"))
    paths = [path for i, path in enumerate(every) if is_held_out(path.stem, i)]
    parts: list[FloatArray] = []
    missing = round(seconds * SAMPLE_RATE)
    order: list[int] = []
    while missing > 0:
        order = order or rng.permutation(len(paths)).tolist()
        pause = np.zeros(int(rng.uniform(0.3, 2.0) * SAMPLE_RATE), np.float32)
        parts += [read_sound(paths[order.pop()]), pause]
        missing -= len(parts[-1]) + len(parts[-2])
    return np.concatenate(parts)[: round(seconds * SAMPLE_RATE)]
