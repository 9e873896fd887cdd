"""What flickers: what changes from picture to picture though nothing moves, or moves smoothly."""

from __future__ import annotations

import cv2
import numpy as np
from renderer_people import REFERENCES, Case, Truth
from renderer_systems import Player

from visavis.eval import regions
from visavis.eval.flicker import jumps, unexplained
from visavis.eval.margins import Gathered, Row
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion

REGIONS = (regions.MOUTH, regions.EYES)
GLIDE = 14
"""Frames of the smooth motion."""
_GLIDES = {"jawOpen": (0.10, 0.30), "mouthLowerDownLeft": (0.05, 0.15),
           "mouthLowerDownRight": (0.05, 0.15), "mouthUpperUpLeft": (0.05, 0.1),
           "mouthUpperUpRight": (0.05, 0.1), "eyeBlinkLeft": (0.0, 0.4),
           "eyeBlinkRight": (0.0, 0.4)}  # fmt: skip
_YAW_DEG = (0.0, 1.5)


def glide() -> Motion:
    """Return a motion in which everything changes at a constant rate, slowly."""
    motion = Motion.rest(GLIDE)
    for name, ends in _GLIDES.items():
        motion.coefficients[:, ARKIT_NAMES.index(name)] = np.linspace(*ends, GLIDE)
    motion.rotation[:, 1] = np.linspace(*_YAW_DEG, GLIDE)
    return motion


class Flicker:
    """Gathers what flickers of each system."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.gathered = Gathered()
        self.still: dict[str, int] = {}

    def smooth(self, case: Case, system: str, player: Player) -> None:
        """Note how pictures of smooth motion jump, and whether pictures of no motion change."""
        motion = glide()
        again = player.draw(Motion.concatenate([motion[5:6], motion[9:10], motion[5:6]]))
        changed = int(np.abs(again[0].astype(int) - again[2].astype(int)).max())
        self.still[system] = max(self.still.get(system, 0), changed)
        jump = jumps(np.stack(player.draw(motion)))
        for region in REGIONS:
            where = regions.place(region, case.portrait.landmarks)
            part = np.stack([_part(j, where, region.size) for j in jump])
            self.gathered.add(f"{region.name} glide jump", system, case.person, float(part.mean()))
            worst = float(np.percentile(part, 99.5))
            self.gathered.add(f"{region.name} glide worst", system, case.person, worst)

    def spoken(
        self,
        case: Case,
        system: str,
        frames: tuple[ImageArray, ...] | list[ImageArray],
        truth: Truth,
    ) -> None:
        """Note what optical flow leaves of three neighbouring ``frames`` of a clip's own motion."""
        for region in REGIONS:
            where = regions.place(region, truth.points[truth.middle])
            crops = [regions.cut_out(f, where, region.size) for f in frames]
            value = unexplained(crops[0], crops[1], crops[2])
            self.gathered.add(f"{region.name} speech flicker", system, case.person, value)

    def rows(self) -> dict[str, Row]:
        """Return the rows of everything noted."""
        return self.gathered.rows(references=REFERENCES)


def _part(values: FloatArray, where: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return ``values`` (h, w) at the place ``where``, without smoothing."""
    how = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    out: FloatArray = cv2.warpAffine(values.astype(np.float32), where, size, flags=how)
    return out
