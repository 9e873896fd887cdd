"""The motion model that has learnt from people: a diffusion transformer asked once per chunk.

Motion comes in chunks (motion/chunks.py). For each the denoiser sees a window: some past frames
(entries of the low noise level that training gave them, which keeps it from drifting), the frames
wanted, and a few more whose motion is thrown away. What is held by the controls is there as clean
entries, and the rest of the face goes with it (inpainting). The noise of a frame is a function of
the seed and the frame's number: however the sound is cut, the motion is the same bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import HOP_SAMPLES
from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import sample_consistency, sample_ddim, spaced_times
from visavis.diffusion.schedule import CosineSchedule
from visavis.errors import InputError
from visavis.motion import blinks, conditions, contact, seams, steady
from visavis.motion.chunks import ChunkPlan
from visavis.motion.coarticulation import silence
from visavis.motion.conditions import ROWS_PER_FRAME
from visavis.motion.controls import Controls, Timeline
from visavis.motion.diffused_state import DiffusedState, LastChunk, forgetting
from visavis.motion.layout import SIZE, unpack
from visavis.motion.noise import white
from visavis.motion.shaping import held, limited, shaped
from visavis.nn.session import packaged
from visavis.types import MOTION_FPS, Features, FloatArray, Motion

NETWORK = "motion.onnx"

FEW = 4
"""Up to so many steps the network is taken for a consistency student, beyond for a teacher."""
STEPS = (1, 2, 4, 10, 50)

_NEW, _PAST = 2000, 2900
"""Channels of the noise: of the calls (from _NEW on), and of the context."""

_CONTROLS = {
    "phase": conditions.PHASE,
    "emotion": conditions.EMOTION,
    "gaze": slice(conditions.GAZE.start, conditions.HAS_GAZE + 1),
    "blink": slice(conditions.BLINK, conditions.HAS_BLINK + 1),
    "head": slice(conditions.HEAD.start, conditions.HAS_HEAD + 1),
    "energy": slice(conditions.ENERGY.start, conditions.HAS_ENERGY + 1),
    "speech": slice(conditions.HAS_SPEECH, conditions.HAS_SPEECH + 1),
}
GUIDED = (*_CONTROLS, "other")
"""The conditions that guidance knows."""

Inputs = dict[str, FloatArray]


class MotionNetwork(Protocol):
    """What the denoiser looks like: nn.session.Network, or anything with its call.

    Inputs ``motion``, ``level`` (b, n, 58), ``speech`` (b, n, 196), ``other`` (b, n, 12) and
    ``controls`` (b, n, 25), float32; one output, clean motion (b, n, 58). Motion is (value - mean)
    / std; ``metadata`` has ``mean`` and ``std``, JSON lists of 58 numbers.
    """

    @property
    def metadata(self) -> dict[str, str]:
        """The named texts that came with the network."""
        ...

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the network."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How motion is drawn from noise.

    ``steps`` calls of the network: up to FEW by consistency sampling (Song et al. 2023), more by
    DDIM (Song, Meng and Ermon 2021), which needs the teacher. ``guidance`` weighs conditions
    (GUIDED) by name, 1 being none (Ho and Salimans 2021); a distilled network has it in itself.
    ``context_level`` is the noise level at which past frames are shown.

    Raises:
        InputError: the steps are none of STEPS, or a condition is unknown.
    """

    steps: int = 1
    guidance: Mapping[str, float] = field(default_factory=dict)
    context_level: float = 0.03

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.steps not in STEPS:
            raise InputError(f"{self.steps} steps are not possible; use one of {STEPS}.")
        unknown = [name for name in self.guidance if name not in GUIDED]
        if unknown:
            raise InputError(f"No condition is called {unknown[0]!r}; use {', '.join(GUIDED)}.")


class DiffusedMotion:
    """Motion by a learnt denoiser. Seeded: equal input and seed give equal motion.

    A frame waits for the sound of its whole chunk and ``plan.ahead`` frames more. The first chunk
    needs ``plan.first + plan.ahead`` frames of sound; ``look_ahead_samples`` tells the longest wait
    of all, that of the first frame of the longest chunk.
    """

    fps = MOTION_FPS
    hears_others = True

    def __init__(
        self,
        network: MotionNetwork | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        plan: ChunkPlan = ChunkPlan(),  # noqa: B008 - frozen
    ) -> None:
        """Use ``network`` or the packaged one."""
        self._network = network or packaged(NETWORK)
        facts = self._network.metadata
        self._mean = np.array(json.loads(facts["mean"]), np.float32)
        self._std = np.array(json.loads(facts["std"]), np.float32)
        self._sampling = sampling
        self._plan = plan
        self._schedule = CosineSchedule()

    @property
    def look_ahead_samples(self) -> int:
        """Samples from a frame's instant to the last row that it may wait for."""
        return (self._plan.longest_wait * ROWS_PER_FRAME - 1) * HOP_SAMPLES

    def start(self, seed: int, appearance: Any = None) -> DiffusedState:
        """Return the state of a fresh session; it moves every face alike."""
        return DiffusedState(seed, blinks.start(seed))

    def step(
        self,
        state: DiffusedState,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[DiffusedState, Motion]:
        """Take the next rows; return the frames of all chunks now known."""
        assert features.values.shape[1:] == state.rows.shape[1:], features.values.shape
        heard = silence(len(features)) if other is None else other.values
        assert heard.shape == features.values.shape, heard.shape
        state = replace(
            state,
            rows=np.concatenate([state.rows, features.values]),
            other=np.concatenate([state.other, heard]),
            received=state.received + len(features),
        )
        end = -(-state.received // ROWS_PER_FRAME)
        parts, first = [np.zeros((0, SIZE), np.float32)], state.frame
        while self._is_due(state, end, final):
            state, values = self._chunk(state, timeline, self._plan.length(state.chunk))
            parts.append(values)
        return state, unpack(np.concatenate(parts)[: end - first], self.fps)

    def extend(
        self,
        state: DiffusedState,
        features: Features | None,
        timeline: Timeline,
        frames: int,
        other: Features | None = None,
    ) -> tuple[DiffusedState, Motion]:
        """Make the next ``frames`` frames now, as one chunk, of what is known at this moment.

        ``features`` (and ``other``) are the rows from the first of these frames on, those given
        before included; what they lack of the chunk and of ``plan.ahead`` frames more is silence.
        """
        state = forgetting(state)
        needed = frames + self._plan.ahead
        own, heard = (
            _filled(silence(0) if x is None else x.values, needed) for x in (features, other)
        )
        state = replace(
            state,
            rows=np.concatenate([state.rows, own]),
            other=np.concatenate([state.other, heard]),
        )
        state, values = self._chunk(state, timeline, frames)
        return forgetting(state), unpack(values, self.fps)

    def cut(self, state: DiffusedState, frame: int) -> DiffusedState:
        """Return ``state`` as if its last chunk had ended before ``frame``, and nothing had been
        heard beyond.

        Raises:
            InputError: ``frame`` is not of the last chunk, nor its end.
        """
        if frame == state.frame:
            return forgetting(state)
        last = state.last
        if last is None or not last.before.frame < frame < state.frame:
            raise InputError(f"Motion cannot go back to frame {frame}, not of its last chunk.")
        length = frame - last.before.frame
        cut = self._after(last, length)[0]
        return forgetting(replace(cut, foreseen=last.made[length : length + 1]))

    def _is_due(self, state: DiffusedState, end: int, final: bool) -> bool:
        if final:
            return state.frame < end
        window = len(state.context) + self._plan.length(state.chunk) + self._plan.ahead
        return len(state.rows) >= ROWS_PER_FRAME * window

    def _chunk(
        self, state: DiffusedState, timeline: Timeline, length: int
    ) -> tuple[DiffusedState, FloatArray]:
        """Return the state after the next chunk, and its motion (length, 58).

        What a window lacks at the end of the sound is silence.
        """
        past = len(state.context)
        new = slice(past, past + length)
        window = new.stop + self._plan.ahead
        asked = tuple(timeline.at((state.frame + i) / self.fps) for i in range(window - past))
        clocks, flags = _lids(state, asked)
        rows = np.concatenate([state.controls, conditions.control_rows(asked, flags)])
        spoken = _spoken(_filled(state.rows, window), rows)
        inputs = {
            "speech": conditions.speech_rows(spoken),
            "other": conditions.other_rows(_filled(state.other, window)),
            "controls": rows,
        }
        fixed = held(asked)
        sampled = self._sampled(state, inputs, fixed)[past:] * self._std + self._mean
        made = limited(seams.joined(sampled[:length], state.foreseen))
        made = steady.blinking(contact.made(made, spoken, new), rows, new)
        fixed = fixed[:length]
        made = np.where(np.isnan(fixed), made, fixed)
        last = LastChunk(
            replace(state, last=None), made, asked[:length], rows[new], clocks[:length]
        )
        after, motion = self._after(last, length)
        return replace(after, foreseen=sampled[length : length + 1]), motion

    def _after(self, last: LastChunk, length: int) -> tuple[DiffusedState, FloatArray]:
        """Return the state after the first ``length`` frames of a chunk, and their motion."""
        state, made = last.before, last.made[:length]
        head, motion = steady.carried(state.head, made)
        motion = shaped(motion, last.asked[:length], last.controls[:length, conditions.ENERGY])
        context = np.concatenate([state.context, made])
        controls = np.concatenate([state.controls, last.controls[:length]])
        gone = max(0, len(context) - self._plan.context)
        after = replace(
            state,
            blinks=last.clocks[length - 1],
            rows=state.rows[ROWS_PER_FRAME * gone :],
            other=state.other[ROWS_PER_FRAME * gone :],
            context=context[gone:],
            controls=controls[gone:],
            head=head,
            frame=state.frame + length,
            chunk=state.chunk + 1,
            last=last,
        )
        return after, motion

    def _sampled(self, state: DiffusedState, inputs: Inputs, fixed: FloatArray) -> FloatArray:
        """Return clean normalised motion of the window (n, 58); ``fixed`` holds for its end."""
        known = _Known.of(
            np.concatenate([state.context, fixed]), len(state.context), self._mean, self._std
        )
        level = known.level * np.float32(self._sampling.context_level)
        remembered = _noise(state, _PAST, len(level), is_past=True)
        shown = self._schedule.add_noise(known.clean, remembered, level).astype(np.float32)

        def denoise(x: FloatArray, t: float) -> FloatArray:
            motion = np.where(known.is_known, shown, x)
            levels = np.where(known.is_known, level, np.float32(t))
            clean = self._guided({"motion": motion, "level": levels, **inputs})
            return np.where(known.is_known, known.clean, clean)

        times = spaced_times(self._sampling.steps)
        if self._sampling.steps <= FEW:
            channels = range(_NEW, _NEW + self._sampling.steps)
            noises = [_noise(state, channel, len(level)) for channel in channels]
            return sample_consistency(denoise, noises, times, self._schedule)
        return sample_ddim(denoise, _noise(state, _NEW, len(level)), times, self._schedule)

    def _guided(self, inputs: Inputs) -> FloatArray:
        """Return the network's guess (n, 58), pushed along the conditions that are guided.

        All versions of the inputs, from none of these conditions to all of them, run as one batch.
        """
        names = list(self._sampling.guidance)
        versions = [_without(inputs, names[k:]) for k in range(len(names) + 1)]
        batch = {k: np.stack([v[k] for v in versions]).astype(np.float32) for k in inputs}
        guesses = self._network(batch)[0]
        return guide(guesses[0], list(guesses[1:]), list(self._sampling.guidance.values()))


@dataclass(frozen=True)
class _Known:
    """What is known of a window (n, 58): where, its ``clean`` normalised values (0 elsewhere), and
    ``level``: 1 for what is only remembered (shown with a little noise), 0 for what is held.
    """

    is_known: NDArray[np.bool_]
    clean: FloatArray
    level: FloatArray

    @staticmethod
    def of(values: FloatArray, past: int, mean: FloatArray, std: FloatArray) -> _Known:
        """Read ``values`` (n, 58), NaN where unknown; the first ``past`` frames are context.

        What is held in the first frame to come was held, or is taken as such, in the past too.
        """
        is_known = ~np.isnan(values)
        clean = np.where(is_known, (values - mean) / std, 0.0).astype(np.float32)
        level = np.zeros_like(clean)
        level[:past] = 1.0 - is_known[past]
        return _Known(is_known, clean, level)


def _noise(state: DiffusedState, channel: int, window: int, is_past: bool = False) -> FloatArray:
    """Return the noise of a window (n, 58): of the context if ``is_past``, else of what follows."""
    past = len(state.context)
    out = np.zeros((window, SIZE), np.float32)
    if is_past:
        out[:past] = white(state.seed, channel, state.frame - past, past, SIZE)
    else:
        out[past:] = white(state.seed, channel, state.frame, window - past, SIZE)
    return out


def _lids(
    state: DiffusedState, asked: tuple[Controls, ...]
) -> tuple[tuple[blinks.BlinkClock, ...], NDArray[np.bool_]]:
    """Return the clock after each frame asked, and whether the lids meet in it."""
    clock, clocks, flags = state.blinks, [], []
    for wish in asked:
        clock, is_shut = blinks.tick(clock, state.seed, wish, MOTION_FPS)
        clocks.append(clock)
        flags.append(is_shut)
    return tuple(clocks), np.array(flags)


def _spoken(rows: FloatArray, controls: FloatArray) -> FloatArray:
    """Return evidence ``rows`` (4n, 45) with silence wherever ``controls`` (n, 25) ask for a face
    that listens or idles: it does not mouth what is heard.
    """
    is_speaking = controls[:, conditions.PHASE.start] > 0
    return np.where(np.repeat(is_speaking, ROWS_PER_FRAME)[:, None], rows, silence(1))


def _filled(rows: FloatArray, frames: int) -> FloatArray:
    """Return the first ``frames`` frames of evidence, filled up with silence at the end."""
    needed = ROWS_PER_FRAME * frames
    return np.concatenate([rows[:needed], silence(max(0, needed - len(rows)))])


def _without(inputs: Inputs, names: list[str]) -> Inputs:
    """Return ``inputs`` as if the conditions ``names`` were not known: zero."""
    out = inputs | {"controls": inputs["controls"].copy()}
    for name in names:
        if name in _CONTROLS:
            out["controls"][:, _CONTROLS[name]] = 0.0
        if name in inputs:
            out[name] = np.zeros_like(inputs[name])
    return out
