"""The one hue of a black-and-white, sepia or otherwise tinted photograph.

What is painted into such a photograph (mouth, eyes) must take on its hue: in it, each level of grey
has one colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.types import ImageArray

_PIXELS = 40_000  # of a photograph are looked at
_DEGREE = 3  # of the curve from grey to a hue
_OFF = 8.0  # levels by which 19 of 20 pixels may be off the hue
_SLACK = 1.5  # times what the photograph's own pixels are off: more is painted


@dataclass(frozen=True)
class Tone:
    """``colours`` (256, 3) uint8 of the levels of grey; ``slack`` how far pixels are off these."""

    colours: ImageArray
    slack: float

    def apply(self, frame: ImageArray) -> None:
        """Give what is off the hue in ``frame`` (h, w, 3) the hue, in place."""
        right = self._right(frame)
        red, green, blue = cv2.split(cv2.absdiff(frame, right))
        is_off = cv2.max(cv2.max(red, green), blue) > self.slack
        cv2.copyTo(right, is_off.astype(np.uint8), frame)

    def _right(self, frame: ImageArray) -> ImageArray:
        """Return ``frame`` (h, w, 3) in the hue."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.LUT(cv2.merge([grey] * 3), self.colours[:, None]), np.uint8)


def tone_of(image: ImageArray) -> Tone | None:
    """Return the hue of the photograph ``image`` (h, w, 3); None: it is in colour."""
    step = max(1, round((image.shape[0] * image.shape[1] / _PIXELS) ** 0.5))
    sample = np.ascontiguousarray(image[::step, ::step])
    grey = cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY).ravel()
    level = np.arange(256) / 255
    pixels = sample.reshape(-1, 3).astype(np.float64)
    curve = np.polynomial.polynomial.polyfit(grey / 255, pixels, _DEGREE)
    fitted = np.polynomial.polynomial.polyval(level, curve).T
    colours = np.clip(np.round(fitted), 0, 255).astype(np.uint8)
    off = np.abs(sample.reshape(-1, 3).astype(np.int16) - colours[grey]).max(1)
    usual = float(np.percentile(off, 95))
    return Tone(colours, max(2.0, _SLACK * float(off.max()))) if usual <= _OFF else None
