"""How the motion of one face becomes that of another: LivePortrait's maths of driving.

Guo et al. (2024), sections 3.2 to 3.4; ditto-spec 4, "LivePortrait variant". Upstream's
"expression-friendly" is not here: it multiplies by a ratio of volumes, that of the source's points
over that of the first driven ones; relative motion begins at the source, so the ratio is 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from visavis.errors import InputError
from visavis.faces.implicit import POINTS, IntArray, Posed
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.retarget import (
    EYES,
    LIPS,
    SHUT_LIPS,
    Openness,
    exp_mask,
    eyes_moved,
    lips_moved,
)
from visavis.types import FloatArray

REGIONS = ("all", "exp", "pose", "lip", "eyes")
"""What of the driving face is taken over."""
LONGEST_MEAN = 51


@dataclass(frozen=True)
class DrivingOptions:
    """How a driving video is followed.

    ``relative`` adds how it moves away from its first face to the portrait; else the portrait takes
    over its pose and expression. ``region`` is one of ``REGIONS``. ``multiplier`` exaggerates or
    calms what comes out. ``stitching`` fits shoulders and borders to the portrait. ``eyes`` and
    ``lips`` follow only how far those of the video are open. ``close_lips`` shuts the portrait's
    lips first, for portraits that show teeth. ``smoothing`` is over how many frames, an odd number,
    the video's motion is averaged; 1 leaves it as it is.
    """

    relative: bool = True
    region: str = "all"
    multiplier: float = 1.0
    stitching: bool = True
    eyes: bool = False
    lips: bool = False
    close_lips: bool = False
    smoothing: int = 1

    def __post_init__(self) -> None:
        """Refuse what is not known.

        Raises:
            InputError: another region, or a number out of range.
        """
        if self.region not in REGIONS:
            raise InputError(
                f"There is no region {self.region!r}. Give one of: {', '.join(REGIONS)}."
            )
        if not 1 <= self.smoothing <= LONGEST_MEAN or self.smoothing % 2 == 0:
            raise InputError(
                f"smoothing {self.smoothing!r} is not an odd number of frames from 1 to "
                f"{LONGEST_MEAN}."
            )
        if not 0 <= self.multiplier <= 3:
            raise InputError(f"multiplier {self.multiplier!r} is not from 0 to 3.")


@dataclass(frozen=True)
class Pictured:
    """What ``t`` pictures of a face say: its ``pose``, and ``openness`` of eyes and lips."""

    pose: Posed
    openness: Openness

    def __getitem__(self, index: slice | IntArray) -> Pictured:
        """Return the pictures in ``index``."""
        eyes, lips = self.openness.eyes[index], self.openness.lips[index]
        return Pictured(self.pose[index], Openness(eyes, lips))


def drive(
    engine: Engine,
    source: Pictured,
    driven: Pictured,
    first: Pictured,
    options: DrivingOptions,
    is_clip: bool = False,
) -> tuple[FloatArray, Posed]:
    """Return where the points of ``source`` go (t, 21, 3), and the pose they have before stitching.

    ``source`` has one row or one for each of ``driven`` (t), ``first`` is where relative motion
    begins. Of a source that moves (``is_clip``) place and size of the head stay its own.
    """
    if len(source.pose) == 1:
        source = source[np.zeros(len(driven.pose), np.int64)]
    moved = _moved(source.pose, driven.pose, first.pose, options, is_clip)
    start, points = source.pose.points, moved.points
    if options.eyes or options.lips:
        base = start if options.relative else points
        points = base + _retargeted(engine, start, source.openness, driven.openness, options)
    if options.stitching:
        points = engine.stitch(start, points)
    if options.close_lips and not (options.eyes or options.lips):
        points = points + _closing(engine, start, source.openness)
    return (start + (points - start) * options.multiplier).astype(np.float32), moved


def _moved(
    source: Posed, driven: Posed, first: Posed, options: DrivingOptions, is_clip: bool
) -> Posed:
    """Return the pose (t) of ``source`` that follows ``driven``."""
    turns, has_all = options.region in ("all", "pose"), options.region == "all"
    mask = _EXP_MASKS[options.region, options.relative]
    if not options.relative:
        return replace(
            source,
            rotation=driven.rotation if turns else source.rotation,
            exp=source.exp + mask * (driven.exp - source.exp),
            t=driven.t if turns else source.t,
        )
    rotation = driven.rotation @ np.swapaxes(first.rotation, 1, 2) @ source.rotation
    goes, grows = turns and not is_clip, has_all and not is_clip
    return replace(
        source,
        rotation=rotation if turns else source.rotation,
        exp=source.exp + mask * (driven.exp - first.exp),
        t=source.t + (driven.t - first.t) if goes else source.t,
        scale=source.scale * (driven.scale / first.scale) if grows else source.scale,
    )


def _absolute_mask() -> FloatArray:
    """Return (21, 3): 1 for what tells an expression and little of who the driving person is."""
    mask = exp_mask((1, 2), LIPS, EYES).repeat(3, axis=1)
    mask[3:5, 1] = mask[5, 2] = mask[8, 2] = mask[9, 1:] = 1
    return mask


def _exp_masks() -> dict[tuple[str, bool], FloatArray]:
    """Return what is driven of the expression for each region, relative (True) and absolute."""
    none, whole = exp_mask(), np.ones((POINTS, 1), np.float32)
    masks = {(region, True): whole for region in ("all", "exp")}
    masks |= {(region, False): _absolute_mask() for region in ("all", "exp")}
    for is_relative in (True, False):
        masks["pose", is_relative] = none
        masks["lip", is_relative], masks["eyes", is_relative] = exp_mask(LIPS), exp_mask(EYES)
    return masks


_EXP_MASKS = _exp_masks()


def _retargeted(
    engine: Engine, start: FloatArray, own: Openness, asked: Openness, options: DrivingOptions
) -> FloatArray:
    """Return what (t, 21, 3) opens eyes and lips at ``start`` as far as ``asked``."""
    added = np.zeros_like(start)
    if options.eyes:
        added = added + eyes_moved(engine, start, own.eyes, asked.eyes)
    if options.lips:
        added = added + lips_moved(engine, start, own.lips, asked.lips)
    return added


def _closing(engine: Engine, start: FloatArray, own: Openness) -> FloatArray:
    """Return what (t, 21, 3) shuts the lips at ``start``, nothing where they are shut."""
    shut = lips_moved(engine, start, own.lips, np.zeros_like(own.lips))
    return shut * (own.lips >= SHUT_LIPS)[..., None]
