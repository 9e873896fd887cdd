"""How faces look that feel something: ARKit weights that edit a portrait before it is looked up.

LLIA steers the expression by editing the reference portrait. Which muscles make which expression
is Ekman and Friesen's (EMFACS, 1983); the weights are strong but possible faces. Mouths stay shut:
what they say is not the portrait's to tell.
"""

from __future__ import annotations

import numpy as np

from visavis.motion.controls import EMOTIONS
from visavis.types import ARKIT_NAMES, FloatArray

_BOTH = {
    "neutral": {},
    "angry": {"browDown": 0.8, "eyeSquint": 0.4, "noseSneer": 0.3, "mouthPress": 0.3},
    "contempt": {"eyeSquint": 0.2},
    "disgusted": {"browDown": 0.4, "noseSneer": 0.8, "mouthUpperUp": 0.2, "eyeSquint": 0.4},
    "fear": {"browOuterUp": 0.4, "eyeWide": 0.7, "mouthStretch": 0.4},
    "happy": {"mouthSmile": 0.7, "cheekSquint": 0.6, "eyeSquint": 0.2, "mouthDimple": 0.2},
    "sad": {"browDown": 0.2, "mouthFrown": 0.6, "eyeSquint": 0.2},
    "surprised": {"browOuterUp": 0.8, "eyeWide": 0.7},
}
"""Weights of both sides of the face."""
_SINGLE = {
    "contempt": {"mouthSmileLeft": 0.5, "mouthDimpleLeft": 0.6},
    "fear": {"browInnerUp": 0.8},
    "sad": {"browInnerUp": 0.8, "mouthShrugLower": 0.3},
    "surprised": {"browInnerUp": 0.8},
}
"""Weights of what has no sides, or moves on one."""
LEVELS = 4
"""How many strengths a portrait is edited in."""


def expression(emotion: str) -> FloatArray:
    """Return the ARKit weights (52,) of a face that feels ``emotion`` (one of EMOTIONS) fully."""
    weights = {f"{k}{side}": v for k, v in _BOTH[emotion].items() for side in ("Left", "Right")}
    weights |= _SINGLE.get(emotion, {})
    return np.array([weights.get(name, 0.0) for name in ARKIT_NAMES], np.float32)


def level(emotion: str, intensity: float) -> int:
    """Return how strongly a portrait is edited for ``emotion``, 0..LEVELS."""
    return 0 if emotion == EMOTIONS[0] else round(intensity * LEVELS)
