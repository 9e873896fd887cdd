"""What a person does in a video, as motion for anybody: the driving video of ``--drive``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, NoFaceFound
from visavis.faces.landmarks import track
from visavis.motion.layout import COEFFICIENTS, NAMES, SIZE, pack, unpack
from visavis.render.liveportrait.transfer import DrivingOptions
from visavis.render.rig import PortraitRig, load_rig
from visavis.tracking.fit import fit
from visavis.tracking.follow import Follow, Stretch, stretches
from visavis.types import MOTION_FPS, FloatArray, Motion

SHORTEST_S = 0.4
"""A stretch that shows the face for less is taken for a loss: too little to know the person by."""
EASE_S = 0.4
"""How long a face takes to rest when it is lost, and to come back; and for a step of the head."""


_FACE = ("brow", "cheek", "eye", "jaw", "mouth", "nose", "tongue")
_PARTS: dict[str, tuple[str, ...]] = {
    "all": (*_FACE, "head"),
    "exp": _FACE,
    "pose": ("head",),
    "lip": ("jaw", "mouth", "tongue"),
    "eyes": ("eye",),
}
"""What names of motion values begin with, by the region that moves."""


def acted(video: str | Path, follow: Follow = track) -> Motion:
    """Return what the person in ``video`` does, from its first picture to its last, at 25 fps.

    The neutral face is that of the first stretch in which the face is in sight; the head is
    relative to where it usually is. Where no face is seen the motion goes to rest.

    Raises:
        UnreadableMedia: it cannot be decoded.
        NoFaceFound: there is no face in it that can be followed.
    """
    end_s, rest = 0.0, None
    parts: list[tuple[int, FloatArray]] = []

    for stretch in stretches(video, follow):
        end_s = float(stretch.seconds[-1]) + 1 / stretch.fps
        if end_s - stretch.seconds[0] >= SHORTEST_S:
            rest, part = _part(stretch, rest)
            parts.append(part)
    if not parts:
        raise NoFaceFound(
            f"{video} shows no face for {SHORTEST_S:g} s or more. Give a video of one person, "
            "the face in sight and at least 60 pixels wide."
        )
    return unpack(joined(parts, round(end_s * MOTION_FPS)))


def _part(stretch: Stretch, rest: PortraitRig | None) -> tuple[PortraitRig, tuple[int, FloatArray]]:
    """Return the person's rig, and the first frame and values (t, 58) of a stretch."""
    fitted = fit(load_rig(), stretch.points, stretch.fps, rest)
    start = int(np.ceil(round(float(stretch.seconds[0]) * MOTION_FPS, 3)))
    frames = int(round(float(stretch.seconds[-1]) * MOTION_FPS, 3)) + 1 - start
    values = sampled(pack(fitted.motion), stretch.seconds, start / MOTION_FPS, 0.0, frames)
    return rest or fitted.face, (start, values)


def joined(parts: list[tuple[int, FloatArray]], frames: int) -> FloatArray:
    """Return motion (frames, 58) of stretches that begin at the frames given, eased in between.

    A loss is eased to rest and back; where one stretch follows another without one (a cut, or a
    stretch that grew too long) the head starts where it was.
    """
    ease = round(EASE_S * MOTION_FPS)
    frames = max(frames, *(first + len(values) for first, values in parts))
    out = np.tile(pack(Motion.rest(1)), (frames, 1))
    known = np.zeros(frames, bool)
    for first, values in parts:
        known[first : first + len(values)] = True
        step = np.zeros(SIZE, np.float32)
        if first and known[first - 1]:
            step[COEFFICIENTS.stop :] = (out[first - 1] - values[0])[COEFFICIENTS.stop :]
        fade = _near(np.arange(1, len(values) + 1), ease)
        out[first : first + len(values)] = values + step * fade
    at = np.flatnonzero(known)
    for a, b in zip([-1, *at], [*at, frames], strict=True):
        if b - a > 1:
            out[a + 1 : b] = _lost(out, a, b, ease)
    return out.astype(np.float32)


def _lost(values: FloatArray, a: int, b: int, ease: int) -> FloatArray:
    """Return what is between frames ``a`` and ``b`` (-1 or the end: nothing is known there)."""
    rest = pack(Motion.rest(1))
    at = np.arange(a + 1, b)
    left, right = _near(at - a, ease) * (a >= 0), _near(b - at, ease) * (b < len(values))
    pulled = left * (values[a] - rest) + right * (values[b % len(values)] - rest)
    return rest + pulled / np.maximum(1.0, left + right)


def _near(frames: NDArray[Any], ease: int) -> FloatArray:
    """Return (t, 1) how much of a face is left so many ``frames`` (t,) from where it was seen."""
    left = np.clip(1 - frames / ease, 0, 1)[:, None]
    return left**2 * (3 - 2 * left)


def check_options(options: DrivingOptions) -> None:
    """Refuse ``options`` that only LivePortrait's networks know: all but region and multiplier.

    Raises:
        InputError: one of them is not at its default.
    """
    plain = DrivingOptions(region=options.region, multiplier=options.multiplier)
    if options != plain:
        raise InputError(
            "The packaged renderer follows a video by region and multiplier alone. Leave the other "
            "options out, or give a model (visavis models)."
        )


def directed_by(motion: Motion, options: DrivingOptions) -> Motion:
    """Return of ``motion`` what ``options`` want: a region of the face, more or less of it.

    Raises:
        InputError: they want what only LivePortrait's networks know.
    """
    check_options(options)
    wanted = [name.startswith(_PARTS[options.region]) for name in NAMES]
    rest = pack(Motion.rest(1))
    values = rest + np.where(wanted, options.multiplier * (pack(motion) - rest), 0)
    values[:, COEFFICIENTS] = values[:, COEFFICIENTS].clip(0, 1)
    return unpack(values, motion.fps)


def sampled(
    values: FloatArray, seconds: FloatArray, start_s: float, late_s: float, frames: int
) -> FloatArray:
    """Return motion ``values`` (t, 58), shown at ``seconds`` (t,), at 25 fps (frames, 58).

    Frame ``i`` is what is shown at ``start_s + late_s + i / 25`` s, a cubic through four frames
    (Catmull and Rom 1974): a straight line would halve a blink.
    """
    at = start_s + late_s + np.arange(frames) / MOTION_FPS
    place = np.interp(at, seconds, np.arange(len(seconds)))
    left = np.minimum(place.astype(int), len(seconds) - 1)
    u = (place - left)[:, None]
    p = [values[np.clip(left + k, 0, len(values) - 1)] for k in (-1, 0, 1, 2)]
    bend = 2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]
    rest = 3 * (p[1] - p[2]) + p[3] - p[0]
    out = p[1] + 0.5 * u * (p[2] - p[0] + u * (bend + u * rest))
    out[:, :52] = np.clip(out[:, :52], 0, 1)
    return out.astype(np.float32)
