"""The figures of benchmarks/motion.py: spectra, time between blinks, motion over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from charts import Curve, Panel, draw

from visavis.eval import dynamics
from visavis.motion.layout import INDEX
from visavis.types import MOTION_FPS, FloatArray

OTHERS = "real, other persons"
SHOWN = {
    "head pitch": "headPitch", "head yaw": "headYaw", "head roll": "headRoll",
    "inner brow": "browInnerUp", "outer brow": "browOuterUpLeft", "jaw": "jawOpen",
}  # fmt: skip
"""What spectra are taken of."""
TRACES = (
    "jawOpen", "mouthClose", "mouthPucker", "mouthSmileLeft", "browInnerUp", "eyeBlinkLeft",
    "headPitch", "headYaw",
)  # fmt: skip
_EDGES_S = np.arange(0, 12.5, 0.75)


def spectra(out: Path, motions: Mapping[str, Sequence[FloatArray]]) -> None:
    """Draw the power spectra of each system's ``motions``."""
    panels = []
    for title, name in SHOWN.items():
        curves = []
        for label, clips in motions.items():
            hertz, density = dynamics.spectrum(clips, np.array([INDEX[name]]))
            curves.append(Curve(label, hertz[1:], density[1:], "-" if "real" in label else "--"))
        unit = "deg²/Hz" if "head" in title else "1/Hz"
        panels.append(Panel(title, "Hz", unit, tuple(curves), "xy"))
    draw(out / "spectra.png", panels, heading="Power spectra on held-out sounds")


def blinks(out: Path, motions: Mapping[str, Sequence[FloatArray]]) -> None:
    """Draw how long eyes stay open between blinks."""
    curves, counts = [], []
    for name, clips in motions.items():
        waits = dynamics.blink_intervals_s(clips)
        share = np.histogram(waits, _EDGES_S)[0] / max(1, len(waits))
        curves.append(Curve(name, _EDGES_S[:-1], share, "o-"))
        counts.append(f"{name} {len(waits)}")
    panel = Panel("Time between blinks", "s", "share", tuple(curves))
    draw(out / "blinks.png", [panel], across=1, heading=", ".join(counts))


def traces(out: Path, clip: str, motions: Mapping[str, FloatArray]) -> None:
    """Draw some values of each system's motion for one clip over time."""
    panels = []
    for name in TRACES:
        curves = [
            Curve(label, np.arange(len(m)) / MOTION_FPS, m[:, INDEX[name]])
            for label, m in motions.items()
        ]
        panels.append(Panel(name, "s", "deg" if "head" in name else "", tuple(curves)))
    draw(out / f"traces_{clip}.png", panels, heading=f"Held-out clip {clip}")
