"""The controls that are exact: what is held, scaled, shifted, and where the eyes aim.

They work on finished motion of any model. A model that was told of them already (the denoiser hears
of energy, gaze and head, and goes with what is held) has only the rest to be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.motion.conditions import EYE_RANGE_DEG, energy_wish, gaze_of, group
from visavis.motion.controls import REGIONS, Controls, Timeline
from visavis.motion.layout import (
    COEFFICIENTS,
    INDEX,
    ROTATION,
    SCALE,
    SIZE,
    TRANSLATION,
    pack,
    unpack,
)
from visavis.types import FloatArray, Motion

_LOOKING = 1.0
"""Degrees by which eyes that aim at something still wander about it, at most."""

_LIMITS = ((ROTATION, 14.0, 24.0), (TRANSLATION, 0.3, 0.6))
"""Head values that are free, and those never reached: degrees, distances of the pupils."""


@cache
def rest() -> FloatArray:
    """Return the motion values (58,) of a relaxed face in the portrait's own pose."""
    values = np.zeros(SIZE, np.float32)
    values[SCALE] = 1.0
    return values


def limited(values: FloatArray) -> FloatArray:
    """Return ``values`` (t, 58) as a face can do them: coefficients in 0..1, the head gently
    stopped on its way to the limits.
    """
    out = np.array(values, np.float32)
    out[:, COEFFICIENTS] = np.clip(out[:, COEFFICIENTS], 0.0, 1.0)
    for part, free, most in _LIMITS:
        out[:, part] = _stopped(out[:, part], free, most)
    out[:, SCALE] = 1.0 + _stopped(out[:, SCALE] - 1.0, 0.12, 0.25)
    return out


def _stopped(x: FloatArray, free: float, most: float) -> FloatArray:
    """Return ``x`` unchanged up to ``free``, then ever slower towards ``most``."""
    over = np.maximum(np.abs(x) - free, 0.0) / (most - free)
    return np.where(over > 0.0, np.sign(x) * (free + (most - free) * np.tanh(over)), x)


def held(controls: Sequence[Controls]) -> FloatArray:
    """Return the values (t, 58) that ``controls`` hold or freeze; NaN where the motion is free."""
    out = np.full((len(controls), SIZE), np.nan, np.float32)
    for row, wish in zip(out, controls, strict=True):
        for region in wish.freeze:
            columns = _columns(region)
            row[columns] = rest()[columns]
        for name, value in wish.hold.items():
            row[INDEX[name]] = value
    return out


@cache
def _columns(region: str) -> list[int]:
    """Return the columns of a region of controls.REGIONS."""
    return [i for name in REGIONS[region] for i in group(name)]


def directed(motion: Motion, timeline: Timeline) -> Motion:
    """Return recorded ``motion`` as ``timeline`` asks; default controls change no bit.

    Raises:
        InputError: it asks for what only a motion model can do.
    """
    controls = [timeline.at(i / motion.fps) for i in range(len(motion))]
    for wish in controls:
        if wish.emotion != "neutral" or wish.blink_rate is not None:
            raise InputError(
                "A motion file has its own emotion and blinks; leave emotion and blink rate out, "
                "or give a recording instead of the motion."
            )
    done = np.zeros((len(motion), 3), np.float32)
    return unpack(shaped(turned(pack(motion), controls), controls, done), motion.fps)


def shaped(values: FloatArray, controls: Sequence[Controls], done: FloatArray) -> FloatArray:
    """Return ``values`` (t, 58) as ``controls`` (t) ask; default controls change no bit.

    ``done`` (t, 3) is the part of the energies of mouth, face and head, logarithm to the base 2,
    that the model has already been asked for.
    """
    fixed = held(controls)
    out = np.where(np.isnan(fixed), values, fixed)
    for wish, frames in groupby(range(len(controls)), key=controls.__getitem__):
        index = list(frames)
        out[index] = _shaped(out[index], wish, done[index])
    out = np.where(np.isnan(fixed), out, fixed) + 0.0  # -0, which sums make or not, becomes 0
    return out.astype(np.float32)


def _shaped(values: FloatArray, wish: Controls, done: FloatArray) -> FloatArray:
    """Return ``values`` (t, 58) as one ``wish`` asks for all of them."""
    size = np.exp2(energy_wish(wish) - done).astype(np.float32)
    is_scaled = bool((size != 1.0).any())
    if not (is_scaled or wish.gaze or wish.gain or wish.offset):
        return values
    out = _livelier(values, wish, size) if is_scaled else values.copy()
    if wish.gaze is not None:
        off = gaze_of(values) - np.array(wish.gaze, np.float32)
        out = aimed(out, wish.gaze + _LOOKING * np.tanh(off / _LOOKING))
    elif is_scaled:
        out = aimed(out, gaze_of(values))
    for name, factor in wish.gain.items():
        base = rest()[INDEX[name]]
        out[:, INDEX[name]] = base + factor * (out[:, INDEX[name]] - base)
    for name, shift in wish.offset.items():
        out[:, INDEX[name]] += shift
    changed = [INDEX[name] for name in {*wish.gain, *wish.offset}]
    out[:, changed] = limited(out)[:, changed]  # the rest has been limited before
    return out


def _livelier(values: FloatArray, wish: Controls, size: FloatArray) -> FloatArray:
    """Scale mouth, brows and head by ``size`` (t, 3), the head about where it tends to."""
    out, centre = values.copy(), rest().copy()
    if wish.head is not None:
        centre[ROTATION] = wish.head
    for k, names in enumerate((("jaw", "lips"), ("brows",), ("head",))):
        columns = [i for name in names for i in group(name)]
        part = centre[columns]
        out[:, columns] = part + size[:, k : k + 1] * (out[:, columns] - part)
    return limited(out)


def turned(values: FloatArray, controls: Sequence[Controls]) -> FloatArray:
    """Return ``values`` (t, 58) with the head moved to tend to where ``controls`` (t) ask; the eyes
    look where they looked. For models that know of no such wish.
    """
    asked = [wish.head or (0.0, 0.0, 0.0) for wish in controls]
    if not any(map(any, asked)):
        return values
    out = values.copy()
    out[:, ROTATION] += np.array(asked, np.float32)
    return aimed(out, gaze_of(values))


def aimed(values: FloatArray, gaze: NDArray[np.floating]) -> FloatArray:
    """Return ``values`` (t, 58) with eyes turned to aim at ``gaze`` (t, 2), degrees for the viewer.

    Both eyes turn by the same angle, and the lids follow eyes that look down.
    """
    out = np.array(values, np.float32)
    turn = (np.asarray(gaze, np.float32) - gaze_of(values)) / EYE_RANGE_DEG
    for side, right, left in (("Left", "Out", "In"), ("Right", "In", "Out")):
        _shift(out, f"eyeLook{right}{side}", f"eyeLook{left}{side}", turn[:, 0])
        before = out[:, INDEX["eyeLookDown" + side]].copy()
        _shift(out, f"eyeLookUp{side}", f"eyeLookDown{side}", turn[:, 1])
        lowered = 0.6 * (out[:, INDEX["eyeLookDown" + side]] - before)
        lid = out[:, INDEX["eyeBlink" + side]]
        out[:, INDEX["eyeBlink" + side]] = np.clip(lid + lowered * (1.0 - lid), 0.0, 1.0)
    return out


def _shift(out: FloatArray, plus: str, minus: str, amount: FloatArray) -> None:
    """Move the difference of two opposed coefficients by ``amount`` (t,), in place."""
    signed = np.clip(out[:, INDEX[plus]] - out[:, INDEX[minus]] + amount, -1.0, 1.0)
    out[:, INDEX[plus]] = np.maximum(signed, 0.0)
    out[:, INDEX[minus]] = np.maximum(-signed, 0.0)
