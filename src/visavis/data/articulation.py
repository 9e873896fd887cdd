"""Mouths for recordings whose phones are known: the articulatory model on exact evidence.

The rules of motion/visemes.py and motion/coarticulation.py (dominance functions, Cohen and Massaro
1993; lips meet on p, b, m; the lower lip reaches the teeth on f, v) normally hear uncertain
posteriors. Here they hear the truth, and so make targets that a network then learns to reach from
whatever a microphone gives.
"""

from __future__ import annotations

import numpy as np

from visavis.audio.phones import CLOSED, LABIAL, LEVEL, PHONES, PITCH, VOICING, PhoneRecognizer
from visavis.data.clip import Phones
from visavis.motion.controls import Timeline
from visavis.motion.layout import pack
from visavis.motion.rules import RuleMotion
from visavis.types import Audio, Features, FloatArray

_ROWS = 100
SHUT_SHARE = {"P": 0.65, "B": 0.85, "M": 1.0}
"""Share of each bilabial during which the lips are shut; the rest is burst and breath."""
_BLUR = np.array([0.25, 0.5, 0.25], np.float32)


def heard(samples: FloatArray, recognizer: PhoneRecognizer) -> FloatArray:
    """Return the rows of evidence (r, 45) of a whole recording."""
    return recognizer.step(recognizer.start(), Audio(samples), final=True)[1].values


def exact(rows: FloatArray, phones: Phones) -> FloatArray:
    """Return ``rows`` (r, 45) with the posteriors replaced by ``phones``, prosody as heard."""
    out = rows.copy()
    out[:, : LABIAL + 1] = 0.0
    out[:, 0] = 1.0
    for start_s, end_s, name in phones:
        a, b = round(start_s * _ROWS), round(end_s * _ROWS)
        if name not in PHONES or b <= a:
            continue
        out[a:b, : len(PHONES)] = 0.0
        out[a:b, PHONES.index(name)] = 1.0
        out[a:b, LABIAL] = float(name in ("F", "V"))
        if name in SHUT_SHARE:
            out[a : a + max(3, round((b - a) * SHUT_SHARE[name])), CLOSED] = 1.0
    quiet = out[:, 0] > 0.5
    out[quiet, LEVEL] = np.minimum(out[quiet, LEVEL], -30.0)
    out[quiet, PITCH : VOICING + 1] = 0.0
    for column in range(len(PHONES)):
        out[:, column] = np.convolve(np.pad(out[:, column], 1, "edge"), _BLUR, "valid")
    return out


def spoken(rows: FloatArray, seed: int) -> FloatArray:
    """Return the motion (t, 58) that the rules make of ``rows``, ambient face included."""
    model = RuleMotion()
    evidence = Features(rows, _ROWS)
    return pack(model.step(model.start(seed), evidence, Timeline(), final=True)[1])
