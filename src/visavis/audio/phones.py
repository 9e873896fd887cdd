"""Phone evidence from sound: a small causal network with 112 ms of look-ahead.

The network (train/tasks/phones.py) is a temporal convolution network (Bai et al. 2018, causal, at
50 steps a second) over log-mel rows; its caches are arguments, so a block of four rows is one call
of fixed shape and any cutting of the sound gives the same bits. A row of features holds

====== ========== ======================================================================
slice  name       meaning
====== ========== ======================================================================
0:40   PHONES     posteriors of the ARPAbet phones and silence, sum 1
40     CLOSED     probability that the lips are shut (p, b, m)
41     LABIAL     probability that the lower lip is at the teeth (f, v)
42     LEVEL      loudness relative to the running level of this speaker, dB, about -40..10
43     PITCH      pitch in octaves around the speaker's running median, 0 when unvoiced
44     VOICING    0..1
====== ========== ======================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.audio.features import BLOCK_ROWS, HOP_SAMPLES, ROWS_PER_SECOND, row_count
from visavis.audio.mel import BLOCK_SAMPLES, WINDOW_SAMPLES, block_log_mel
from visavis.audio.prosody import PITCH_SAMPLES, loudness, pitch
from visavis.nn.session import Network, packaged
from visavis.types import Audio, Features, FloatArray

PHONES: tuple[str, ...] = (
    "SIL", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G",
    "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH",
    "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The 39 phones of ARPAbet without stress, after silence."""

CLOSED = len(PHONES)
LABIAL = CLOSED + 1
LEVEL = CLOSED + 2
PITCH = CLOSED + 3
VOICING = CLOSED + 4
SIZE = CLOSED + 5

NETWORK = "phones.onnx"
LOOK_AHEAD_ROWS = 7
"""Rows of sound after its own that the network has heard when it speaks of a row."""

_UNHEARD_POWER = 1e-8
_HALF = WINDOW_SAMPLES // 2
_MARGIN = (PITCH_SAMPLES - BLOCK_SAMPLES) // 2
_BEHIND = LOOK_AHEAD_ROWS * HOP_SAMPLES + HOP_SAMPLES // 2 + _MARGIN
_NEEDED = BLOCK_SAMPLES - HOP_SAMPLES + _HALF


@dataclass(frozen=True)
class SpeakerLevel:
    """Running loudness (dB) and pitch (octaves above 100 Hz) of the speaker; rows heard of each."""

    level: float = -26.0
    pitch: float = 0.5
    spoken: int = 0
    voiced: int = 0

    def hear(self, level: float, octaves: float, is_speech: bool, is_voiced: bool) -> SpeakerLevel:
        """Return the level after a block: fast at first, then over some ten seconds of speech.

        Blocks 10 dB below it hardly count (the gate of ITU-R BS.1770), so that closures and fading
        ends do not.
        """
        rate = max(1.0 / (1.0 + self.spoken), 0.004) if is_speech else 0.0
        rate *= 1.0 if level > self.level - 10.0 else 0.1
        turn = max(1.0 / (1.0 + self.voiced), 0.006) if is_voiced else 0.0
        return SpeakerLevel(
            self.level + rate * (level - self.level),
            self.pitch + turn * (octaves - self.pitch),
            self.spoken + int(is_speech),
            self.voiced + int(is_voiced),
        )


@dataclass(frozen=True)
class PhoneState:
    """``tail`` the samples still needed, ``cache`` of the network, ``speaker``; counts."""

    tail: FloatArray
    cache: FloatArray
    speaker: SpeakerLevel
    blocks: int
    samples: int


class PhoneRecognizer:
    """The feature extractor of the first motion model. Holds weights, never a conversation."""

    rate = ROWS_PER_SECOND
    size = SIZE
    look_ahead_samples = (LOOK_AHEAD_ROWS + BLOCK_ROWS - 1) * HOP_SAMPLES + _HALF

    def __init__(self, network: Network | None = None) -> None:
        """Use ``network``, or the packaged one."""
        self._network = network or packaged(NETWORK)

    def start(self) -> PhoneState:
        """Return the state of a fresh stream: silence before the first sample."""
        silence = np.zeros(_BEHIND, np.float32)
        cache = np.zeros(self._network.shape("cache"), np.float32)
        return PhoneState(silence, cache, SpeakerLevel(), 0, 0)

    def step(
        self, state: PhoneState, audio: Audio, final: bool = False
    ) -> tuple[PhoneState, Features]:
        """Take the next samples; return the rows now known, ``Features.values`` (t, SIZE)."""
        buffer = np.concatenate([state.tail, np.asarray(audio.samples, np.float32)])
        samples = state.samples + len(audio)
        if final:
            padding = (LOOK_AHEAD_ROWS + 2 * BLOCK_ROWS) * HOP_SAMPLES + _HALF
            buffer = np.concatenate([buffer, np.zeros(padding, np.float32)])
        first = max(0, state.blocks * BLOCK_ROWS - LOOK_AHEAD_ROWS)
        cache, speaker, rows = state.cache, state.speaker, [np.zeros((0, SIZE), np.float32)]
        blocks = max(0, (len(buffer) - _BEHIND - _NEEDED) // BLOCK_SAMPLES + 1)
        for i in range(blocks):
            piece = buffer[i * BLOCK_SAMPLES : i * BLOCK_SAMPLES + _BEHIND + _NEEDED]
            cache, speaker, values = self._block(cache, speaker, piece)
            late = LOOK_AHEAD_ROWS - (state.blocks + i) * BLOCK_ROWS
            rows.append(values[min(max(0, late), BLOCK_ROWS) :])
        values = np.concatenate(rows)
        if final:
            values = values[: max(0, row_count(samples) - first)]
        tail = buffer[blocks * BLOCK_SAMPLES :]
        after = PhoneState(tail, cache, speaker, state.blocks + blocks, samples)
        return after, Features(values, self.rate, first)

    def _block(
        self, cache: FloatArray, speaker: SpeakerLevel, piece: FloatArray
    ) -> tuple[FloatArray, SpeakerLevel, FloatArray]:
        """Return cache, speaker and rows (BLOCK_ROWS, SIZE) after one block of sound."""
        mel = block_log_mel(piece[_BEHIND - _HALF :])
        phones, lips, cache = self._network({"mel": mel[None], "cache": cache})
        if float(np.square(piece).mean()) < _UNHEARD_POWER:
            phones = np.eye(1, len(PHONES), dtype=np.float32)[None].repeat(BLOCK_ROWS, axis=1)
            lips = np.zeros((1, BLOCK_ROWS, 2), np.float32)
        levels = loudness(piece[_MARGIN : _MARGIN + BLOCK_SAMPLES], BLOCK_ROWS)
        hertz, voicing = pitch(piece[:PITCH_SAMPLES])
        octaves = float(np.log2(hertz / 100.0)) if hertz > 0 else 0.0
        is_speech = float(phones[0, :, 0].mean()) < 0.5
        is_voiced = is_speech and voicing > 0.4 and float(levels.max()) > speaker.level - 12.0
        speaker = speaker.hear(float(levels.max()), octaves, is_speech, is_voiced)
        prosody = np.zeros((BLOCK_ROWS, 3), np.float32)
        prosody[:, 0] = np.clip(levels - speaker.level, -50.0, 12.0)
        prosody[:, 1] = np.clip(octaves - speaker.pitch, -1.0, 1.0) if is_voiced else 0.0
        prosody[:, 2] = voicing if is_speech else 0.0
        return cache, speaker, np.concatenate([phones[0], lips[0], prosody], axis=1)
