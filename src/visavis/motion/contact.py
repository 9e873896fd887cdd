"""Lips that meet: what the ear is sure of holds, whatever was sampled.

A learnt mouth is right on the whole and a little open where it should be shut; an eye sees that gap
before anything else. Where the evidence says p, b, m the lips meet, where it says f, v the lower
lip reaches the teeth (motion/coarticulation.py), in any expression of the rest of the face.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from visavis.hub import asset
from visavis.motion.coarticulation import contacts, silences, smoothstep, windows_of
from visavis.motion.layout import COEFFICIENTS, INDEX
from visavis.types import FloatArray

_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]
_PARTING = [INDEX[n] for n in ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
                               "mouthUpperUpRight", "tongueOut")]  # fmt: skip
_AJAR_CM = (0.10, 0.25)
"""Gaps that a silent mouth closes altogether, and those it keeps."""
_FIRM = {"mouthPress": 0.16, "mouthRollLower": 0.12, "mouthRollUpper": 0.08}


@cache
def gap_rows() -> FloatArray:
    """Return the cm (points, 52) by which each coefficient parts each pair of inner-lip points."""
    with np.load(asset("rig.npz")) as rig:
        lower, upper = rig["lips_lower_inner"], rig["lips_upper_inner"]
        return np.asarray((rig["basis"][:, lower, 1] - rig["basis"][:, upper, 1]).T, np.float32)


@cache
def gap_weights() -> FloatArray:
    """Return the cm (52,) by which each coefficient parts the middles of the inner lips."""
    rows = gap_rows()
    return rows[len(rows) // 2].copy()


def lip_gap(values: FloatArray) -> FloatArray:
    """Return the gap of the lips in cm (t,) of motion ``values`` (t, 58); below 0: pressed."""
    return values[:, COEFFICIENTS] @ gap_weights()


def made(values: FloatArray, rows: FloatArray, frames: slice) -> FloatArray:
    """Return motion ``values`` (t, 58) with the contacts heard; they are ``frames`` of ``rows``.

    In silence lips that are all but shut are shut: a resting mouth does not tremble.
    """
    windows = windows_of(rows)
    shut, tuck = (_lasting(x)[frames] for x in contacts(windows))
    out = _shut(_tucked(values, tuck), shut)
    ajar = lip_gap(out)
    at_rest = silences(windows[frames]) * (1 - smoothstep(ajar, *_AJAR_CM))
    return _closed(out, at_rest * np.maximum(ajar, 0))


def _lasting(evidence: FloatArray) -> FloatArray:
    """Return ``evidence`` (n,) without what lasts a single frame: a contact takes two at least."""
    padded = np.pad(evidence, 1)
    return np.minimum(evidence, 3 * np.maximum(padded[:-2], padded[2:]))


def _tucked(values: FloatArray, tuck: FloatArray) -> FloatArray:
    """Bring the lower lip to the upper teeth, ``tuck`` (t,) 0..1."""
    out = values.copy()
    out[:, _JAW] += tuck * (np.minimum(out[:, _JAW], 0.05) - out[:, _JAW])
    for side in ("Left", "Right"):
        out[:, INDEX["mouthLowerDown" + side]] *= 1 - tuck
        up = INDEX["mouthUpperUp" + side]
        out[:, up] = np.maximum(out[:, up], 0.18 * tuck)
    roll = INDEX["mouthRollLower"]
    out[:, roll] = np.maximum(out[:, roll], 0.38 * tuck)
    return out


def _shut(values: FloatArray, shut: FloatArray) -> FloatArray:
    """Bring the lips together, ``shut`` (t,) 0..1; what gap is left, mouthClose takes."""
    out = values.copy()
    out[:, _JAW] += 0.6 * shut * (np.minimum(out[:, _JAW], 0.10) - out[:, _JAW])
    out[:, _PARTING] *= 1 - shut[:, None]
    out[:, INDEX["mouthFunnel"]] *= 1 - 0.9 * shut
    for name, amount in _FIRM.items():
        for full in (name,) if name in INDEX else (name + "Left", name + "Right"):
            out[:, INDEX[full]] = np.maximum(out[:, INDEX[full]], amount * shut)
    return _closed(out, shut * np.maximum(lip_gap(out), 0))


def _closed(values: FloatArray, gap: FloatArray) -> FloatArray:
    """Return ``values`` with ``gap`` (t,) cm less between the lips."""
    out = values.copy()
    out[:, _CLOSE] = np.clip(out[:, _CLOSE] - gap / gap_weights()[_CLOSE], 0, 1)
    return out
