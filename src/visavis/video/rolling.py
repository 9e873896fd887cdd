"""Clips that follow one another: what each sees of the past, begins from, and is held within.

Training, measuring and the runtime all draw clips by the functions of this file, so that a model
meets in use what it was trained on. Arrays are NumPy's or torch's; torch is not imported. What is
rolled are *changes* (b, c, t, h, w) from the portrait's latents: zero is the portrait, as it is.

A clip begins from noise, or, once few steps have been trained for it (EFT of OSA-LCM: "generation
as an editing task"), from the frame before it or from the portrait, made noisy. Which of both the
paper means is not public; of a portrait there is nothing to see in changes but that the noise is
weaker. Past frames are shown with a little noise, so that the network does not trust them too far.
The noise of a frame is a function of seed and frame alone, whatever clip it comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import (
    cosine_times,
    sample_consistency,
    sample_multistep,
    spaced_times,
)
from visavis.diffusion.schedule import Array, CosineSchedule
from visavis.errors import InputError
from visavis.motion.noise import white
from visavis.types import FloatArray

Denoise = Callable[[Array, Array], Array]
"""Noisy frames (b, c, t, h, w), past ones first, and their times (b, t) to clean ones."""

SCHEDULE = CosineSchedule()
STARTS = ("noise", "previous", "reference")
FEW = 4
"""Up to so many steps the network is taken for a consistency student, beyond for a base model."""
RATE, PULL = 0.02, 0.05
"""Per frame: how far slow statistics follow, and how far what is beyond a limit is pulled back."""
FADE = 0.6
"""What is left from frame to frame of the step that is eased over where clips meet."""
_NEW, _PAST = 4000, 4900
"""Channels of the noise: of the calls (from _NEW on), and of the past."""
_BEFORE = 64
"""Frames are numbered from here on for the noise; those a session begins with come before."""


@dataclass(frozen=True)
class Rolling:
    """How clips are drawn and follow one another.

    ``steps`` calls of the network: up to FEW by consistency sampling (Song et al. 2023), more by
    DPM-Solver++(2M), which needs a base model and its guidance. ``start`` is one of STARTS and
    ``strength`` the time, up to 1, of the noise that it is given; from "noise" always 1.
    ``context`` is the time of the noise on past frames. ``ease`` is the share of the step from the
    past to a clip's first frame that fades over its next ones instead.

    For hours, each off at 0: after every ``anchor_every`` clips the next one is shown a past that
    is ``anchor_share`` of the way back to the portrait; slow means of a channel of the changes are
    held within ``mean_limit``, their slow root mean squares below ``power_limit``.

    Raises:
        InputError: a number or the start is not possible.
    """

    steps: int = 1
    start: str = "noise"
    strength: float = 1.0
    context: float = 0.05
    ease: float = 0.0
    anchor_every: int = 0
    anchor_share: float = 0.5
    mean_limit: float = 0.0
    power_limit: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.start not in STARTS:
            raise InputError(f"A clip cannot start from {self.start!r}; use {', '.join(STARTS)}.")
        if self.start == "noise" and self.strength != 1.0:
            raise InputError(f"A start from noise has strength 1, not {self.strength}.")
        for name in ("strength", "context", "ease", "anchor_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name} {getattr(self, name)} is not in 0.0 to 1.0.")
        if self.steps < 1 or self.strength == 0.0:
            raise InputError(
                f"{self.steps} steps at strength {self.strength} draw nothing; give 1 step or "
                "more and a strength above 0."
            )
        if min(self.anchor_every, self.mean_limit, self.power_limit) < 0:
            raise InputError("anchor_every, mean_limit and power_limit must not be below 0.")


@dataclass(frozen=True)
class Roll:
    """Where b sessions are: ``past`` (b, c, p, h, w) clean changes of the last frames, ``frame``
    the number of the next one, ``clip`` of clips so far; ``mean`` and ``power`` (b, c) slow mean
    and mean square of the changes, where they are held.
    """

    past: Array
    mean: Array
    power: Array
    frame: int = 0
    clip: int = 0


def opened(past: Array) -> Roll:
    """Return the beginning of sessions that have the ``past`` (b, c, p, h, w).

    At the start of a session that is the portrait p times: zeros.
    """
    calm = 0.0 * past.mean((2, 3, 4))
    return Roll(past, calm, calm)


def drawn(denoise: Denoise, state: Roll, seeds: Sequence[int], frames: int, how: Rolling) -> Array:
    """Return the next clip (b, c, ``frames``, h, w) of sessions with ``seeds`` (b).

    ``denoise`` knows what is told of the past frames and of these.
    """
    past, shape = anchored(state, how), (state.past.shape[1], *state.past.shape[3:])
    calls = how.steps if how.steps <= FEW else 1
    noises = [
        _like(noise_of(seeds, _NEW + i, state.frame, frames, shape), past) for i in range(calls)
    ]
    count = past.shape[2]
    memory = _like(noise_of(seeds, _PAST, state.frame - count, count, shape), past)
    return sampled(denoise, past, memory, noises, how)


def after(state: Roll, made: Array, how: Rolling) -> tuple[Roll, Array]:
    """Return ``state`` after the frames ``made`` (b, c, t, h, w) of a clip, and these as shown.

    What becomes of a frame depends on nothing after it, so that a clip may be cut anywhere: give
    what is left of it and the state before it.
    """
    shown, mean, power = _held(state, _eased(state.past, made, how.ease), how)
    past = joined(state.past, shown)[:, :, -state.past.shape[2] :]
    state = replace(
        state, past=past, mean=mean, power=power,
        frame=state.frame + made.shape[2], clip=state.clip + 1,
    )  # fmt: skip
    return state, shown


def anchored(state: Roll, how: Rolling) -> Array:
    """Return the past (b, c, p, h, w) that the next clip is to see."""
    is_due = how.anchor_every > 0 and state.clip > 0 and state.clip % how.anchor_every == 0
    return (1.0 - how.anchor_share) * state.past if is_due else state.past


def sampled(
    denoise: Denoise, past: Array, memory: Array, noises: Sequence[Array], how: Rolling
) -> Array:
    """Return new frames (b, c, t, h, w) that go on from ``past`` (b, c, p, h, w).

    ``memory`` is the noise on the past; ``noises`` one (b, c, t, h, w) for each step if they are
    few, else one.
    """
    shown = SCHEDULE.add_noise(past, memory, how.context)

    def guess(new: Array, time: float) -> Array:
        return continued(denoise, shown, new, (how.context, time))

    first = started(past, noises[0], how)
    if how.steps <= FEW:
        times = [how.strength * t for t in spaced_times(how.steps)]
        return sample_consistency(guess, [first, *noises[1:]], times, SCHEDULE)
    times = [how.strength * t for t in cosine_times(how.steps)]
    return sample_multistep(guess, first, times, SCHEDULE)


def started(past: Array, noise: Array, how: Rolling) -> Array:
    """Return what new frames begin as (b, c, t, h, w), the shape of ``noise``."""
    if how.start == "noise":
        return noise
    source = past[:, :, -1:] if how.start == "previous" else 0.0 * past[:, :, -1:]
    return SCHEDULE.add_noise(source, noise, how.strength)


def continued(denoise: Denoise, shown: Array, new: Array, times: tuple[float, float]) -> Array:
    """Return what ``new`` frames (b, c, t, h, w) are without noise, seen after those ``shown``.

    ``times`` of the noise on both.
    """
    past = shown.shape[2]
    levels = [_times(x, t) for x, t in zip((shown, new), times, strict=True)]
    return denoise(joined(shown, new), joined(*levels, axis=1))[:, :, past:]


def guided(networks: Any, conditions: Any, wishes: float = 1.0, speech: float = 1.0) -> Denoise:
    """Return ``networks`` (``VideoNetworks``) told ``conditions``, labels and sound exaggerated.

    A weight of 1 is none, of 0 leaves the condition out; every weight that is not 1 costs a call
    (Ho and Salimans 2021). The portrait and the place of the face are always known.
    """
    versions = [
        conditions.without("phase", "emotion", "speech"), conditions.without("speech"), conditions
    ]  # fmt: skip
    weights = (wishes, speech)
    first = next((i for i, weight in enumerate(weights) if weight != 1.0), len(weights))

    def denoise(frames: Array, time: Array) -> Array:
        before, *more = (networks(frames, time, told) for told in versions[first:])
        return guide(before, more, weights[first:])

    return denoise


def noise_of(
    seeds: Sequence[int], channel: int, first: int, frames: int, shape: tuple[int, ...]
) -> FloatArray:
    """Return standard normal numbers (b, c, ``frames``, h, w) for the frames from ``first`` on.

    ``shape`` (c, h, w). Frames before 0 are those that a session begins with.
    """
    size = int(np.prod(shape))
    rows = [white(seed, channel, first + _BEFORE, frames, size) for seed in seeds]
    return np.stack(rows).reshape(len(rows), frames, *shape).swapaxes(1, 2)


def joined(*parts: Array, axis: int = 2) -> Array:
    """Return ``parts`` one after the other along ``axis``."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis)
    import torch

    return torch.cat(parts, axis)


def _eased(past: Array, made: Array, share: float) -> Array:
    """Return ``made`` (b, c, t, h, w) with ``share`` of the step from ``past`` fading over it."""
    if share == 0:
        return made
    step = past[:, :, -1:] - made[:, :, :1]
    frames = range(made.shape[2])
    return made + joined(*(share * FADE**i * step for i in frames))


def _held(state: Roll, made: Array, how: Rolling) -> tuple[Array, Array, Array]:
    """Return ``made`` (b, c, t, h, w) with slow statistics held, and these after it.

    The correction grows from frame to frame and begins anew with each clip, which sees a past that
    has been corrected: so nothing jumps.
    """
    mean, power = state.mean, state.power
    if how.mean_limit == 0 and how.power_limit == 0:
        return made, mean, power
    gain, offset = 0.0 * mean + 1.0, 0.0 * mean
    shown = []
    for i in range(made.shape[2]):
        frame = made[:, :, i] * _wide(gain) + _wide(offset)
        mean = mean + RATE * (frame.mean((2, 3)) - mean)
        power = power + RATE * ((frame**2).mean((2, 3)) - power)
        if how.mean_limit > 0:
            offset = offset - PULL * (mean - mean.clip(-how.mean_limit, how.mean_limit))
        if how.power_limit > 0:
            over = (power**0.5 / how.power_limit).clip(1.0, None)
            gain = gain * (1.0 - PULL * (1.0 - 1.0 / over))
        shown.append(frame[:, :, None])
    return joined(*shown), mean, power


def _wide(rows: Array) -> Array:
    """Return ``rows`` (b, c) as (b, c, 1, 1)."""
    return rows[:, :, None, None]


def _times(frames: Array, time: float) -> Array:
    """Return the times (b, t) of ``frames`` (b, c, t, h, w), all the same."""
    shape = (frames.shape[0], frames.shape[2])
    if isinstance(frames, np.ndarray):
        return np.full(shape, time, frames.dtype)
    return frames.new_full(shape, time)


def _like(values: FloatArray, like: Array) -> Array:
    """Return ``values`` as the kind of array that ``like`` is."""
    return values if isinstance(like, np.ndarray) else like.new_tensor(values)
