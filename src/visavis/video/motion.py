"""Latent video as a motion model: clips of latents, each going on from the frames before it.

A clip is drawn as a whole (rolling.py) from the sound of its frames and one frame more, so a first
clip of few frames comes soon, and longer ones cost less a frame (LLIA's variable length). A clip
ends where the phase or the emotion changes, and the one after it is short again: a listener begins
to speak without a cut. A frame's noise is a function of the seed and of its number: however the
sound is cut, the frames are the same bit for bit.

How ``motion.controls.Controls`` reach a network that knows of few of them:

| control | here |
|---|---|
| phase | the label; listening and idle faces hear silence |
| emotion, intensity | the label, and the portrait edited by our own renderer (studio.py) |
| all others | nothing: what moves cannot be told apart in latents (``unheeded`` tells) |
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import HOP_SAMPLES, ROWS_PER_SECOND
from visavis.audio.phones import SIZE
from visavis.errors import InputError
from visavis.motion.coarticulation import silence
from visavis.motion.controls import Controls, Timeline
from visavis.types import MOTION_FPS, Features, FloatArray, Motion, Phase
from visavis.video.expressions import level
from visavis.video.inputs import AFTER, BEFORE, labels, speech_tokens
from visavis.video.rolling import Roll, after, drawn, opened
from visavis.video.settings import LatentSettings
from visavis.video.sizes import SPEECH_ROWS
from visavis.video.studio import LatentLooks, Net, Reference

_HEEDED = ("phase", "emotion", "intensity")
"""The controls that make a difference."""


class Refers(Protocol):
    """Edits portraits: studio.Studio."""

    def reference(self, looks: LatentLooks, emotion: str, level: int) -> Reference:
        """Return the portrait edited to show ``emotion`` as strongly as ``level``."""
        ...


@dataclass(frozen=True)
class LastClip:
    """What it takes to have stopped earlier: the state ``before`` the clip, the ``rows`` of sound
    (4 l, 45) and ``labels`` (2, l) of its frames, what was ``made`` of them (1, c, l, h, w).
    """

    before: LatentState
    rows: FloatArray
    labels: NDArray[np.int64]
    made: FloatArray


@dataclass(frozen=True)
class LatentState:
    """One session with the person of ``looks``, looked up as ``reference``.

    ``roll`` is the p past frames' changes and the number of the frame to come; ``labels`` (2, p)
    their phases and emotions, none at the start; ``heard`` (r, 45) the evidence that they and their
    neighbours were told; ``rows`` (r, 45) that waits; ``received`` rows in all; the ``clip`` to
    come; the ``last`` clip, of which ``cut`` takes frames back. Bounded, and free to be copied and
    pickled.
    """

    seed: int
    looks: LatentLooks
    reference: Reference
    roll: Roll
    labels: NDArray[np.int64]
    heard: FloatArray
    rows: FloatArray = field(default_factory=lambda: silence(0))
    received: int = 0
    clip: int = 0
    last: LastClip | None = None

    @property
    def frame(self) -> int:
        """The number of the frame to come."""
        return self.roll.frame


class LatentMotion:
    """Clips of latents by a denoiser; MotionModel and LiveMotion.

    Seeded: equal input and seed give equal frames, however the sound is cut. Motion comes with
    ``latents`` alone: the rest of it is at rest.
    """

    fps = MOTION_FPS
    hears_others = False
    works_ahead = True
    """A clip costs enough to be made on another core while the one before it is drawn."""

    def __init__(
        self, denoiser: Net, studio: Refers, settings: LatentSettings, is_live: bool = False
    ) -> None:
        """Ask ``denoiser`` as ``settings`` say; ``is_live``: sound comes as it is spoken."""
        self._denoiser = denoiser
        self._studio = studio
        self._rolling = settings.rolling
        self._past = settings.past
        self._plan = settings.plan(is_live)

    @property
    def look_ahead_samples(self) -> int:
        """Samples from a frame's instant to the last row that it may wait for."""
        return (self._plan.longest_wait * SPEECH_ROWS - 1) * HOP_SAMPLES

    def start(self, seed: int, appearance: Any = None) -> LatentState:
        """Return the state of a fresh session with the person of ``appearance``.

        Raises:
            InputError: another renderer prepared it.
        """
        if not isinstance(appearance, LatentLooks):
            raise InputError(
                "Latent video moves what its own renderer prepared; use both parts of one model."
            )
        own = appearance.reference
        channels, *sides = own.shift.shape
        past = opened(np.zeros((1, channels, self._past, *sides), np.float32))
        heard = silence(SPEECH_ROWS * (self._past + BEFORE))
        return LatentState(seed, appearance, own, past, np.zeros((2, 0), np.int64), heard)

    def step(
        self,
        state: LatentState,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[LatentState, Motion]:
        """Take the next rows; return the frames of all clips now known."""
        state = replace(
            state,
            rows=np.concatenate([state.rows, _fitting(features)]),
            received=state.received + len(features),
        )
        end = -(-state.received // SPEECH_ROWS)
        parts = [_shown(state.roll.past, 0)]
        while not final or state.frame < end:
            clip, length = self._next(state, timeline)
            if not final and len(state.rows) < SPEECH_ROWS * (length + AFTER):
                break
            length = min(length, end - state.frame)
            state, motion = self._drawn(replace(state, clip=clip), timeline, length)
            parts.append(motion)
        return state, Motion.concatenate(parts)

    def extend(
        self,
        state: LatentState,
        features: Features | None,
        timeline: Timeline,
        frames: int,
        other: Features | None = None,
    ) -> tuple[LatentState, Motion]:
        """Make the next ``frames`` frames now, as one clip, of what is known at this moment.

        ``features`` are the rows from the first of these frames on, those given before included;
        what they lack is silence.
        """
        rows = silence(0) if features is None else _fitting(features)
        state, motion = self._drawn(replace(state, rows=rows), timeline, frames)
        return replace(state, rows=silence(0)), motion

    def cut(self, state: LatentState, frame: int) -> LatentState:
        """Return ``state`` as if its last clip had ended before ``frame``, and nothing had been
        heard beyond.

        Raises:
            InputError: ``frame`` is not of the last clip, nor its end.
        """
        last = state.last
        if frame != state.frame:
            if last is None or not last.before.frame < frame < state.frame:
                raise InputError(f"Motion cannot go back to frame {frame}, not of its last chunk.")
            state, _ = self._after(last, frame - last.before.frame)
        return replace(state, rows=silence(0))

    def _next(self, state: LatentState, timeline: Timeline) -> tuple[int, int]:
        """Return the place of the next clip in the plan, and its frames: up to a change of labels,
        after which the plan begins anew. One frame that would be left before a change goes with it.
        """
        told = labels([_wish(timeline, state.frame)])
        has_changed = bool(state.labels.size) and (state.labels[:, -1:] != np.stack(told)).any()
        clip = 0 if has_changed else state.clip
        length = self._plan.length(clip)
        asked = np.stack(labels([_wish(timeline, state.frame + i) for i in range(length + 2)]))
        turns = np.flatnonzero((asked[:, 1:] != asked[:, :-1]).any(0)) + 1
        return clip, int(turns[0]) if len(turns) else length

    def _drawn(
        self, state: LatentState, timeline: Timeline, length: int
    ) -> tuple[LatentState, Motion]:
        """Return the state after a clip of ``length`` frames, and these."""
        asked = [_wish(timeline, state.frame + i) for i in range(length + AFTER)]
        state = replace(state, reference=self._reference(state, asked[0]))
        rows, told = _spoken(state.rows, asked), np.stack(labels(asked[:length]))
        before = state.labels if state.labels.size else told[:, :1]
        before = np.pad(before, ((0, 0), (self._past - before.shape[1], 0)), mode="edge")
        tokens = speech_tokens(np.concatenate([state.heard, rows]))
        phase, emotion = np.concatenate([before, told], 1)[:, None]
        inputs = {
            "speech": tokens[None, BEFORE : BEFORE + self._past + length],
            "phase": phase,
            "emotion": emotion,
            "face": state.looks.face,
            **state.reference.known,
        }

        def denoise(frames: FloatArray, time: FloatArray) -> FloatArray:
            return self._denoiser({"latents": frames, "time": time, **inputs})[0]

        shift = state.reference.shift[None, :, None]
        roll = replace(state.roll, past=state.roll.past - shift)
        made = drawn(denoise, roll, [state.seed], length, self._rolling) + shift
        last = LastClip(replace(state, last=None), rows[: SPEECH_ROWS * length], told, made)
        return self._after(last, length)

    def _reference(self, state: LatentState, wish: Controls) -> Reference:
        """Return the portrait to look up for frames that are to do as ``wish`` says."""
        strength, now = level(wish.emotion, wish.intensity), state.reference
        if strength == now.level and (strength == 0 or wish.emotion == now.emotion):
            return now
        return self._studio.reference(state.looks, wish.emotion, strength)

    def _after(self, last: LastClip, length: int) -> tuple[LatentState, Motion]:
        """Return the state after the first ``length`` frames of a clip, and these."""
        state, heard = last.before, last.rows[: SPEECH_ROWS * length]
        roll, made = after(state.roll, last.made[:, :, :length], self._rolling)
        told = np.concatenate([state.labels, last.labels[:, :length]], 1)
        ended = replace(
            state,
            roll=roll,
            labels=told[:, -self._past :],
            heard=np.concatenate([state.heard, heard])[-len(state.heard) :],
            rows=state.rows[SPEECH_ROWS * length :],
            clip=state.clip + 1,
            last=last,
        )
        return ended, _shown(np.concatenate([state.roll.past[:, :, -1:], made], 2), length)


def unheeded(timeline: Timeline) -> list[str]:
    """Return the names of the controls that ``timeline`` asks for and latent models do not heed."""
    names = [f.name for f in fields(Controls) if f.name not in _HEEDED]
    usual = Controls()
    return [
        name
        for name in names
        if any(getattr(wish, name) != getattr(usual, name) for _, wish in timeline.keys)
    ]


def _shown(changes: FloatArray, length: int) -> Motion:
    """Return the last ``length`` frames of ``changes`` (1, c, t, h, w) for a renderer."""
    rows = np.moveaxis(changes[0], 1, 0)[-length - 1 :]
    return replace(Motion.rest(length), latents=np.stack([rows[1:], rows[:-1]], 1))


def _wish(timeline: Timeline, frame: int) -> Controls:
    """Return what ``frame`` is to do."""
    return timeline.at(frame / MOTION_FPS)


def _spoken(rows: FloatArray, asked: list[Controls]) -> FloatArray:
    """Return ``rows`` (r, 45) of the frames ``asked``, filled up with silence at the end, and
    silence wherever a face listens or idles: it does not mouth what is heard.
    """
    needed = SPEECH_ROWS * len(asked)
    filled = np.concatenate([rows[:needed], silence(max(0, needed - len(rows)))])
    is_speaking = np.array([wish.phase is Phase.SPEAKING for wish in asked])
    return np.where(np.repeat(is_speaking, SPEECH_ROWS)[:, None], filled, silence(1))


def _fitting(features: Features) -> FloatArray:
    """Return the rows (t, 45) of ``features``.

    Raises:
        InputError: the networks know other features.
    """
    if features.values.shape[1:] != (SIZE,) or features.rate != ROWS_PER_SECOND:
        raise InputError(
            f"The sound comes as rows of {features.values.shape[-1]} values at {features.rate} Hz; "
            f"latent models need {SIZE} at {ROWS_PER_SECOND}, of audio/phones.py."
        )
    return features.values
