"""Emotions as shapes laid over speech, for training with more of them than anyone has recorded.

The shapes are prototypes of EMFACS (Ekman and Friesen 1983) in ARKit names: happy 6 + 12, sad
1 + 4 + 15, angry 4 + 5 + 7 + 9 + 24, surprised 1 + 2 + 5 + 26, fear 1 + 2 + 4 + 5 + 20, disgusted
9 + 10 + 15, contempt 14 on one side. Speech keeps its contacts: what parts the lips fades where
they are shut.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from visavis.motion.controls import EMOTIONS
from visavis.motion.layout import COEFFICIENTS, INDEX, SIZE
from visavis.types import FloatArray

SHAPES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"mouthSmile": 0.62, "cheekSquint": 0.50, "eyeSquint": 0.28, "mouthDimple": 0.12,
              "mouthUpperUp": 0.10, "browOuterUp": 0.10},
    "sad": {"browInnerUp": 0.75, "browDown": 0.15, "mouthFrown": 0.60, "mouthShrugLower": 0.28,
            "eyeBlink": 0.14, "eyeSquint": 0.10, "headPitch": -4.0, "mouthPucker": 0.05},
    "angry": {"browDown": 0.90, "eyeSquint": 0.45, "noseSneer": 0.40, "mouthPress": 0.25,
              "mouthFrown": 0.22, "mouthStretch": 0.10, "jawForward": 0.10, "headPitch": -2.0},
    "surprised": {"browInnerUp": 0.85, "browOuterUp": 0.85, "eyeWide": 0.80, "jawOpen": 0.12,
                  "mouthFunnel": 0.08, "headPitch": 1.5},
    "fear": {"browInnerUp": 0.85, "browOuterUp": 0.35, "browDown": 0.30, "eyeWide": 0.75,
             "mouthStretch": 0.50, "mouthFrown": 0.15, "headPitch": 1.0},
    "disgusted": {"noseSneer": 0.85, "mouthUpperUp": 0.35, "browDown": 0.55, "cheekSquint": 0.40,
                  "eyeSquint": 0.40, "mouthFrown": 0.30, "mouthShrugUpper": 0.12},
    "contempt": {"mouthDimpleLeft": 0.60, "mouthSmileLeft": 0.35, "eyeSquint": 0.18,
                 "browOuterUpRight": 0.25, "browDownLeft": 0.12, "headPitch": 3.0, "headYaw": 3.0},
}  # fmt: skip
_PARTING = ("mouthUpperUpLeft", "mouthUpperUpRight", "jawOpen", "mouthFunnel",
            "mouthStretchLeft", "mouthStretchRight")  # fmt: skip


@cache
def shape(emotion: str) -> FloatArray:
    """Return what full ``emotion`` adds to a face, (58,)."""
    out = np.zeros(SIZE, np.float32)
    for name, value in SHAPES[emotion].items():
        for full in (name,) if name in INDEX else (name + "Left", name + "Right"):
            out[INDEX[full]] = value
    return out


def shutness(values: FloatArray) -> FloatArray:
    """Return how surely the lips are shut, 0..1 (t,), in motion ``values`` (t, 58)."""
    apart = values[:, INDEX["jawOpen"]] - values[:, INDEX["mouthClose"]]
    for name in ("mouthLowerDownLeft", "mouthUpperUpLeft"):
        apart = apart + 0.5 * values[:, INDEX[name]]
    return np.clip(1.5 - apart / 0.03, 0.0, 1.0).astype(np.float32)


def felt(values: FloatArray, emotion: str, intensity: FloatArray) -> FloatArray:
    """Return motion ``values`` (t, 58) spoken with ``emotion`` of ``intensity`` 0..1 (t,)."""
    assert emotion in EMOTIONS, emotion
    added = intensity[:, None] * shape(emotion)
    shut = shutness(values)
    for name in _PARTING:
        added[:, INDEX[name]] *= 1 - shut
    rounded = values[:, INDEX["mouthPucker"]] + values[:, INDEX["mouthFunnel"]]
    for side in ("Left", "Right"):
        added[:, INDEX["mouthSmile" + side]] *= 1 - 0.6 * np.clip(rounded, 0, 1)
    blink = np.maximum(values[:, INDEX["eyeBlinkLeft"]], values[:, INDEX["eyeBlinkRight"]])
    for side in ("Left", "Right"):
        added[:, INDEX["eyeWide" + side]] *= 1 - blink
    out = values + added
    out[:, COEFFICIENTS] = np.clip(out[:, COEFFICIENTS], 0, 1)
    opposed = (("browDown", "browOuterUp"), ("mouthFrown", "mouthSmile"))
    for strong, weak in opposed:  # an emotion overrules its opposite
        for side in ("Left", "Right"):
            if shape(emotion)[INDEX[strong + side]] > shape(emotion)[INDEX[weak + side]]:
                out[:, INDEX[weak + side]] *= 1 - 0.8 * intensity
            elif shape(emotion)[INDEX[weak + side]] > 0:
                out[:, INDEX[strong + side]] *= 1 - 0.8 * intensity
    return out.astype(np.float32)
