"""Mouth shapes: for each phone, the ARKit coefficients its articulation aims at.

Each line of ``TABLE`` is one phone: how strongly it insists on its own shape against its
neighbours (dominance, Cohen & Massaro 1993: high for lips that must round or touch, low for sounds
made inside the mouth), then the targets. Shapes that Left and Right share are written once. The
amplitudes give the lip gaps measured on real talking clips (median 0.75 cm, 90th percentile 1.25 cm
of an average face); in Live Link Face takes the jaw of a speaker passes 0.5 only in shouting.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from visavis.audio.phones import PHONES
from visavis.types import ARKIT_NAMES, FloatArray

SHAPES: tuple[str, ...] = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLowerDown", "mouthUpperUp",
    "mouthStretch", "mouthSmile", "mouthRollLower", "mouthRollUpper", "mouthPress",
    "mouthShrugLower", "mouthShrugUpper", "jawForward", "tongueOut", "cheekPuff",
)  # fmt: skip
"""The shapes that speech uses; those with a Left and a Right stand for both."""

INDEX: dict[str, int] = {name: i for i, name in enumerate(SHAPES)}

OPENING = [INDEX[n] for n in ("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel")]
"""Shapes that part the lips."""

# phone: (dominance, jaw, funnel, pucker, lower down, upper up, stretch, smile, others)
TABLE: dict[
    str, tuple[float, float, float, float, float, float, float, float, dict[str, float]]
] = {
    "SIL": (0.80, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, {}),
    "AA": (1.00, 0.40, 0.06, 0.00, 0.26, 0.12, 0.04, 0.00, {}),
    "AE": (1.00, 0.35, 0.00, 0.00, 0.31, 0.18, 0.16, 0.10, {}),
    "AH": (0.70, 0.26, 0.04, 0.00, 0.19, 0.10, 0.04, 0.00, {}),
    "AO": (1.00, 0.35, 0.22, 0.25, 0.17, 0.08, 0.00, 0.00, {}),
    "AW": (1.00, 0.35, 0.18, 0.25, 0.19, 0.10, 0.00, 0.00, {}),
    "AY": (1.00, 0.35, 0.00, 0.00, 0.27, 0.15, 0.12, 0.08, {}),
    "B": (1.00, 0.05, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, {}),
    "CH": (1.10, 0.09, 0.34, 0.34, 0.20, 0.16, 0.00, 0.00, {"jawForward": 0.08}),
    "D": (0.45, 0.09, 0.02, 0.00, 0.14, 0.08, 0.06, 0.02, {}),
    "DH": (0.60, 0.12, 0.00, 0.00, 0.16, 0.08, 0.05, 0.00, {"tongueOut": 0.10}),
    "EH": (0.90, 0.29, 0.00, 0.00, 0.27, 0.15, 0.14, 0.08, {}),
    "ER": (0.90, 0.18, 0.18, 0.28, 0.19, 0.12, 0.00, 0.00, {}),
    "EY": (0.95, 0.23, 0.00, 0.00, 0.27, 0.15, 0.20, 0.14, {}),
    "F": (1.50, 0.06, 0.00, 0.00, 0.00, 0.20, 0.04, 0.02, {"mouthRollLower": 0.34}),
    "G": (0.45, 0.14, 0.00, 0.00, 0.14, 0.08, 0.05, 0.02, {}),
    "HH": (0.25, 0.17, 0.00, 0.00, 0.14, 0.08, 0.04, 0.00, {}),
    "IH": (0.75, 0.17, 0.00, 0.00, 0.22, 0.12, 0.14, 0.08, {}),
    "IY": (1.00, 0.12, 0.00, 0.00, 0.24, 0.13, 0.26, 0.18, {}),
    "JH": (1.10, 0.09, 0.34, 0.34, 0.20, 0.16, 0.00, 0.00, {"jawForward": 0.08}),
    "K": (0.45, 0.14, 0.00, 0.00, 0.14, 0.08, 0.05, 0.02, {}),
    "L": (0.55, 0.16, 0.00, 0.00, 0.16, 0.10, 0.05, 0.02, {"tongueOut": 0.03}),
    "M": (1.00, 0.05, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, {}),
    "N": (0.45, 0.11, 0.00, 0.00, 0.14, 0.08, 0.06, 0.02, {}),
    "NG": (0.45, 0.14, 0.00, 0.00, 0.14, 0.08, 0.06, 0.02, {}),
    "OW": (1.20, 0.25, 0.22, 0.52, 0.12, 0.05, 0.00, 0.00, {}),
    "OY": (1.10, 0.29, 0.20, 0.28, 0.17, 0.08, 0.04, 0.04, {}),
    "P": (1.00, 0.05, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, {}),
    "R": (0.90, 0.12, 0.20, 0.36, 0.13, 0.08, 0.00, 0.00, {}),
    "S": (0.85, 0.05, 0.03, 0.00, 0.22, 0.11, 0.14, 0.06, {}),
    "SH": (1.20, 0.07, 0.34, 0.34, 0.20, 0.16, 0.00, 0.00, {"jawForward": 0.08}),
    "T": (0.45, 0.08, 0.02, 0.00, 0.14, 0.08, 0.06, 0.02, {}),
    "TH": (0.70, 0.12, 0.00, 0.00, 0.16, 0.10, 0.05, 0.00, {"tongueOut": 0.12}),
    "UH": (0.90, 0.16, 0.18, 0.38, 0.12, 0.06, 0.00, 0.00, {}),
    "UW": (1.30, 0.10, 0.14, 0.80, 0.06, 0.02, 0.00, 0.00, {}),
    "V": (1.40, 0.07, 0.00, 0.00, 0.00, 0.18, 0.04, 0.02, {"mouthRollLower": 0.30}),
    "W": (1.50, 0.06, 0.10, 0.85, 0.02, 0.00, 0.00, 0.00, {}),
    "Y": (0.80, 0.09, 0.00, 0.00, 0.17, 0.09, 0.20, 0.12, {}),
    "Z": (0.85, 0.06, 0.03, 0.00, 0.22, 0.11, 0.14, 0.06, {}),
    "ZH": (1.20, 0.07, 0.34, 0.34, 0.20, 0.16, 0.00, 0.00, {"jawForward": 0.08}),
}

_COLUMNS = (
    "jawOpen", "mouthFunnel", "mouthPucker", "mouthLowerDown", "mouthUpperUp", "mouthStretch",
    "mouthSmile",
)  # fmt: skip

_SPREAD_S = {"jawOpen": 0.050, "mouthFunnel": 0.052, "mouthPucker": 0.052, "mouthSmile": 0.070}
_SPREAD_OTHER_S = 0.036
_LEAD_S = {"mouthFunnel": 0.035, "mouthPucker": 0.035, "jawOpen": 0.018}


@cache
def targets() -> FloatArray:
    """Return the target of each shape for each phone (40, shapes)."""
    values = np.zeros((len(PHONES), len(SHAPES)), np.float32)
    for i, phone in enumerate(PHONES):
        _, *main, others = TABLE[phone]
        for name, value in [*zip(_COLUMNS, main, strict=True), *others.items()]:
            values[i, INDEX[name]] = value
    return values


@cache
def dominances() -> FloatArray:
    """Return how strongly each phone holds each shape (40, shapes)."""
    strength = np.array([TABLE[p][0] for p in PHONES], np.float32)
    out = np.repeat(strength[:, None], len(SHAPES), axis=1)
    # Lips that meet or tuck leave the corners and the rounding to the neighbouring vowels.
    for phone in ("P", "B", "M", "F", "V"):
        for shape in ("mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile"):
            out[PHONES.index(phone), INDEX[shape]] = 0.25
    for phone in ("T", "D", "N", "K", "G", "NG", "L", "S", "Z", "HH", "DH", "TH"):
        for shape in ("mouthFunnel", "mouthPucker"):
            out[PHONES.index(phone), INDEX[shape]] = 0.20
    return out


def kernel(shape: str, offsets_s: FloatArray) -> FloatArray:
    """Return how much the sound ``offsets_s`` (n,) seconds from a frame shapes it.

    A Gaussian: wide for the slow jaw, wide and early for rounding, narrow for lips and lids.
    """
    spread = _SPREAD_S.get(shape, _SPREAD_OTHER_S)
    lead = _LEAD_S.get(shape, 0.014)
    weights: FloatArray = np.exp(-0.5 * ((offsets_s - lead) / spread) ** 2).astype(np.float32)
    return weights


@cache
def spreading() -> FloatArray:
    """Return the matrix (shapes, 52) that writes shapes to ARKit's coefficients."""
    matrix = np.zeros((len(SHAPES), len(ARKIT_NAMES)), np.float32)
    for i, shape in enumerate(SHAPES):
        for name in (shape, shape + "Left", shape + "Right"):
            if name in ARKIT_NAMES:
                matrix[i, ARKIT_NAMES.index(name)] = 1.0
    return matrix
