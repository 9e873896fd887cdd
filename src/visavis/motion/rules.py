"""The first motion model: mouth shapes from phone evidence by rule, the rest of the face ambient.

It has no weights of its own and follows any row layout of audio.phones. A learnt model replaces it
behind the same protocol (motion/base.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from visavis.audio.features import HOP_SAMPLES, ROWS_PER_SECOND
from visavis.audio.phones import LEVEL, PITCH, SIZE, VOICING
from visavis.motion import ambient
from visavis.motion.coarticulation import ROWS_AHEAD, ROWS_BEHIND, WINDOW_ROWS, mouth, silence
from visavis.motion.controls import Controls, Timeline
from visavis.motion.layout import pack, unpack
from visavis.motion.noise import curve, normal
from visavis.motion.shaping import shaped, turned
from visavis.motion.visemes import SHAPES, spreading
from visavis.types import ARKIT_NAMES, MOTION_FPS, Features, FloatArray, Motion

_ROWS_PER_FRAME = ROWS_PER_SECOND // MOTION_FPS
_SIDES = np.array([n.endswith("Left") * 1.0 - n.endswith("Right") for n in ARKIT_NAMES], np.float32)


@dataclass(frozen=True)
class RuleState:
    """``rows`` of evidence still needed, the first of them at row ``ROWS_PER_FRAME * frame``
    minus ROWS_BEHIND; ``received`` rows in all; the frame to come; the ambient state.
    """

    seed: int
    ambient: ambient.AmbientState
    rows: FloatArray = field(default_factory=lambda: silence(ROWS_BEHIND))
    received: int = 0
    frame: int = 0


class RuleMotion:
    """Motion from phone evidence. Seeded: equal input and seed give equal motion."""

    fps = MOTION_FPS
    hears_others = False
    look_ahead_samples = ROWS_AHEAD * HOP_SAMPLES

    def start(self, seed: int, appearance: Any = None) -> RuleState:
        """Return the state of a fresh session; it moves every face alike."""
        return RuleState(seed, ambient.start(seed, self.fps))

    def step(
        self,
        state: RuleState,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[RuleState, Motion]:
        """Take the next rows; return the frames now known.

        ``other`` is not listened to, and of the controls emotion and blink rate are not known here.
        """
        assert features.values.shape[1:] == (SIZE,), features.values.shape
        rows = np.concatenate([state.rows, features.values])
        received = state.received + len(features)
        if final:
            rows = np.concatenate([rows, silence(ROWS_AHEAD + _ROWS_PER_FRAME)])
        frames = max(0, (len(rows) - WINDOW_ROWS) // _ROWS_PER_FRAME + 1)
        if final:
            frames = -(-received // _ROWS_PER_FRAME) - state.frame
        now, coefficients, rotations, translations = state.ambient, [], [], []
        asked: list[Controls] = []
        for i in range(frames):
            window = rows[i * _ROWS_PER_FRAME : i * _ROWS_PER_FRAME + WINDOW_ROWS]
            frame = state.frame + i
            asked.append(timeline.at(frame / self.fps))
            now, face, rotation, translation = ambient.step(
                now, state.seed, frame, prosody(window), asked[-1].phase, self.fps
            )
            coefficients.append(_join(face, mouth(window), state.seed, frame / self.fps))
            rotations.append(rotation)
            translations.append(translation)
        kept = rows[frames * _ROWS_PER_FRAME :]
        after = replace(
            state, rows=kept, received=received, frame=state.frame + frames, ambient=now
        )
        return after, _asked(_motion(coefficients, rotations, translations, self.fps), asked)


def _asked(motion: Motion, controls: list[Controls]) -> Motion:
    """Return ``motion`` with the exact controls applied."""
    values = turned(pack(motion), controls)
    done = np.zeros((len(controls), 3), np.float32)
    return unpack(shaped(values, controls, done), motion.fps)


def prosody(rows: FloatArray) -> ambient.Prosody:
    """Return the prosody around the frame of ``rows`` (WINDOW_ROWS, SIZE).

    Stress is high where the voice is both louder and higher than this speaker's usual.
    """
    near = rows[ROWS_BEHIND - 8 : ROWS_BEHIND + 9]
    speech = float(1.0 - near[:, 0].mean())
    voiced = near[:, VOICING] * (np.abs(near[:, PITCH]) < 0.6)  # beyond it the tracker slipped
    weight = float(voiced.sum()) + 1e-6
    louder = float((near[:, LEVEL] * voiced).sum()) / weight
    higher = float((near[:, PITCH] * voiced).sum()) / weight
    drive = 0.09 * (louder - 2.0) + 1.6 * higher
    return ambient.Prosody(speech, float(np.clip(drive, 0.0, 1.0)) * min(1.0, weight / 6.0))


def _join(face: FloatArray, shapes: FloatArray, seed: int, seconds: float) -> FloatArray:
    """Return one frame of coefficients: the ambient face plus the mouth, slightly uneven sides."""
    assert shapes.shape == (len(SHAPES),), shapes.shape
    lean = 0.03 * normal(seed, 900, 0) + 0.03 * curve(seed, 901, seconds, 0.3)
    speech = (shapes @ spreading()) * (1.0 + float(np.clip(lean, -0.1, 0.1)) * _SIDES)
    return np.clip(face + speech, 0.0, 1.0).astype(np.float32)


def _motion(
    coefficients: list[FloatArray],
    rotation: list[FloatArray],
    translation: list[FloatArray],
    fps: int,
) -> Motion:
    """Return the frames as Motion; no frames give an empty Motion."""
    if not coefficients:
        return Motion.rest(0, fps)
    scale = np.ones(len(coefficients), np.float32)
    return Motion(np.stack(coefficients), np.stack(rotation), np.stack(translation), scale, fps)
