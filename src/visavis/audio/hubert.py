"""HuBERT and wav2vec 2.0 as feature extractors, for users with a GPU and the published weights.

The stream is cut as Ditto cuts it (papers.md 3.3: chunk of 3, 5 and 2 frames): each call hears
6480 samples, 10 frames of 40 ms and 80 samples more, gives 20 tokens at 50 Hz, and the ten tokens
of the middle five frames are kept and averaged in pairs: 25 rows a second, row ``i`` for the sound
at ``i / 25`` s. Every call has this one shape, so any cutting of the sound gives the same bits on
one device. The first row of five waits for 285 ms of sound after its instant, the last for 125 ms.

A motion model for these rows takes one of them per frame (``rate`` over 25), as those for
``PhoneRecognizer`` take four of 45 values; it has to be trained on them, with the same weights and
the same chunks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from visavis.errors import MissingExtra, ModelError, WeightsMismatch
from visavis.nn.session import Network
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio, Features, FloatArray

FRAME_SAMPLES = SAMPLE_RATE // MOTION_FPS
"""Samples from one row to the next (40 ms)."""
PAST, NEW, AHEAD = 3, 5, 2
"""Frames of one call: heard before, kept from it, heard after."""
WINDOW_SAMPLES = (PAST + NEW + AHEAD) * FRAME_SAMPLES + 80
TOKENS = 2 * (PAST + NEW + AHEAD)

Encoder = Callable[[FloatArray], FloatArray]
"""Samples (WINDOW_SAMPLES,) to tokens (TOKENS, d), float32."""


@dataclass(frozen=True)
class HubertState:
    """``tail`` the samples still needed; counts of calls and of samples so far."""

    tail: FloatArray
    calls: int
    samples: int


class HubertFeatures:
    """Feature extractor round a HuBERT-class encoder. Holds weights, never a conversation."""

    rate = MOTION_FPS
    look_ahead_samples = (NEW + AHEAD) * FRAME_SAMPLES + 80

    def __init__(self, encoder: Encoder, normalize: bool = True) -> None:
        """Use ``encoder``; ``normalize`` brings each window to mean 0 and variance 1 first.

        Raises:
            ModelError: it gives another number of tokens than HuBERT and wav2vec 2.0 do.
        """
        self._encoder = encoder
        self._normalize = normalize
        shape = np.shape(self._tokens(np.zeros(WINDOW_SAMPLES, np.float32)))
        if len(shape) != 2 or shape[0] != TOKENS:
            raise ModelError(
                f"The encoder makes {shape} of {WINDOW_SAMPLES} samples; ({TOKENS}, d) is needed: "
                "HuBERT, wav2vec 2.0 or another of 50 tokens a second."
            )
        self._size = shape[1]

    @property
    def size(self) -> int:
        """Values per row: the width of the encoder."""
        return self._size

    def start(self) -> HubertState:
        """Return the state of a fresh stream: silence before the first sample."""
        return HubertState(np.zeros(PAST * FRAME_SAMPLES, np.float32), 0, 0)

    def step(
        self, state: HubertState, audio: Audio, final: bool = False
    ) -> tuple[HubertState, Features]:
        """Take the next samples; return the rows now known, ``Features.values`` (t, size).

        After the last samples (``final``) ``ceil(samples / FRAME_SAMPLES)`` rows have come out.
        """
        buffer = np.concatenate([state.tail, np.asarray(audio.samples, np.float32)])
        samples = state.samples + len(audio)
        first, hop = state.calls * NEW, NEW * FRAME_SAMPLES
        total = -(-samples // FRAME_SAMPLES)
        calls = max(0, (len(buffer) - WINDOW_SAMPLES) // hop + 1)
        if final:
            calls = max(0, -(-(total - first) // NEW))
            missing = (calls - 1) * hop + WINDOW_SAMPLES - len(buffer)
            buffer = np.concatenate([buffer, np.zeros(max(0, missing), np.float32)])
        rows = [np.zeros((0, self._size), np.float32)]
        rows += [self._rows(buffer[i * hop : i * hop + WINDOW_SAMPLES]) for i in range(calls)]
        values = np.concatenate(rows)[: total - first]
        after = HubertState(buffer[calls * hop :], state.calls + calls, samples)
        return after, Features(values, self.rate, first)

    def silence(self) -> FloatArray:
        """Return the rows (NEW, size) of as many frames of silence within silence."""
        return self._rows(np.zeros(WINDOW_SAMPLES, np.float32))

    def _rows(self, window: FloatArray) -> FloatArray:
        """Return the rows (NEW, size) of one call."""
        kept = self._tokens(window)[2 * PAST : 2 * (PAST + NEW)]
        return kept.reshape(NEW, 2, -1).mean(axis=1, dtype=np.float32)

    def _tokens(self, window: FloatArray) -> FloatArray:
        """Return the tokens (TOKENS, d) of ``window`` (WINDOW_SAMPLES,)."""
        if self._normalize:
            window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        return self._encoder(window.astype(np.float32))


def load_hubert(weights: str | Path, device: str = "cpu", normalize: bool = True) -> HubertFeatures:
    """Return the features of a HuBERT-class model: its last hidden layer.

    Args:
        weights: a name or a folder that ``transformers`` knows (facebook/hubert-large-ls960-ft),
            or an .onnx file from ``input_values`` (1, 6480) to tokens, as Ditto publishes one.
        device: where ``torch`` computes: cpu, cuda, cuda:1, mps. ONNX files run on the CPU.
        normalize: as the model was trained: True for most; False for Ditto's file.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: there are no such weights, or no such device.
        WeightsMismatch: the .onnx file is damaged, or no speech encoder.
    """
    if str(weights).lower().endswith(".onnx"):
        return HubertFeatures(_onnx_encoder(Path(weights)), normalize)
    return HubertFeatures(_torch_encoder(str(weights), device), normalize)


def _onnx_encoder(path: Path) -> Encoder:
    if not path.is_file():
        raise ModelError(f"There is no file {path}; give an .onnx file or a name for transformers.")
    network = Network(str(path))
    if network.inputs != ("input_values",):
        raise WeightsMismatch(
            f"{path} takes {', '.join(network.inputs)}; a speech encoder takes input_values. "
            "Give Ditto's, hubert_streaming_fix_kv.onnx: visavis models fetch ditto"
        )

    def encode(window: FloatArray) -> FloatArray:
        tokens = network({"input_values": window[None]})[0]
        return tokens.reshape(-1, tokens.shape[-1])

    return encode


def _torch_encoder(weights: str, device: str) -> Encoder:
    torch, transformers = _needed("torch"), _needed("transformers")
    try:
        model: Any = transformers.AutoModel.from_pretrained(weights).eval().to(device)
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"No speech encoder {weights!r} could be put on {device!r} ({reason}). "
            "Give a folder with config.json and weights, or a name that transformers can fetch."
        ) from error

    def encode(window: FloatArray) -> FloatArray:
        with torch.inference_mode():
            hidden = model(torch.from_numpy(window)[None].to(device)).last_hidden_state
        tokens: FloatArray = hidden[0].float().cpu().numpy()
        return tokens

    return encode


def _needed(name: str) -> ModuleType:
    """Import an optional package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"HuBERT features need {name}: pip install torch transformers"
        ) from error
