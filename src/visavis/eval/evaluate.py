"""A talking-head video -> its figures: one pass over the pictures, one over the sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visavis.errors import MissingExtra, NoFaceFound, UnreadableMedia
from visavis.eval import fidelity, identity, lips, motion
from visavis.eval.alignment import Heard, fitted, hear, read_phones
from visavis.eval.track import Curves, Sight, Track, on_grid, see
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.faces.portrait import make_portrait
from visavis.media.image import read_image
from visavis.media.kinds import shown
from visavis.media.read import VideoReader
from visavis.types import FloatArray, ImageArray, Portrait

Follow = Callable[[ImageArray, "FaceLandmarks | None"], "FaceLandmarks | None"]

IDENTITY_EVERY_S = 0.5
"""The person is compared in one frame of each half second."""
MOST_IDENTITIES = 40


@dataclass(frozen=True)
class Evaluation:
    """What was measured: ``figures`` by name (None: cannot be told), and what the report draws."""

    figures: dict[str, Any]
    notes: tuple[str, ...]
    curves: Curves
    heard: Heard
    closures: tuple[lips.Visit, ...]
    openings: tuple[lips.Visit, ...]
    blinks: tuple[motion.Blink, ...]
    track: Track


@dataclass(frozen=True)
class _Seen:
    """What the pass over the pictures leaves."""

    track: Track
    looks: list[fidelity.Looks]
    descriptors: list[FloatArray]
    fps: float


def evaluate(
    video: str | Path,
    audio: str | Path | None = None,
    portrait: str | Path | None = None,
    phones: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    follow: Follow = track,
) -> Evaluation:
    """Measure ``video``, any video of one talking head.

    Args:
        video: the video.
        audio: its sound, if it is not in the video.
        portrait: the photograph it was made from, for ``identity_distance`` and ``sharpness``.
        phones: what is said (``alignment.read_phones``); otherwise our recogniser listens.
        progress: called with the number of frames seen.
        follow: finds the face in the next frame, as ``faces.landmarks.track`` does; another
            judge may take its place.

    Raises:
        UnreadableMedia: a file cannot be decoded, or there is no sound.
        NoFaceFound: the video or the portrait shows no face.
        InputError: the video is too short, or a face is seen too rarely.
    """
    heard = _sound(video, audio, phones)
    net, missing = _identity_net() if portrait is not None else (None, None)
    source = None if portrait is None else make_portrait(read_image(portrait))
    seen = _watch(video, net, progress, follow)
    curves = on_grid(seen.track)
    heard = fitted(heard, len(curves))
    notes = tuple(n for n in (missing, _portrait_note(portrait)) if n)
    return _judged(seen, curves, heard, source, net, notes, is_given=phones is not None)


def _sound(video: str | Path, audio: str | Path | None, phones: str | Path | None) -> Heard:
    """Return what is said; the error of a silent video names the remedy."""
    given = None if phones is None else read_phones(phones)
    if audio is not None:
        return hear(audio, given)
    with VideoReader(video):
        pass  # what is no video at all is told so
    try:
        return hear(video, given)
    except UnreadableMedia as error:
        raise UnreadableMedia(f"{error} Or give the sound apart with --audio.") from error


def _identity_net() -> tuple[identity.IdentityNet | None, str | None]:
    """Return the network, or a note that it is not installed."""
    try:
        return identity.IdentityNet(), None
    except MissingExtra as error:
        return None, str(error)


def _portrait_note(portrait: str | Path | None) -> str | None:
    if portrait is not None:
        return None
    return "No portrait given (--portrait): identity_distance and sharpness are left out."


def _watch(
    video: str | Path,
    net: identity.IdentityNet | None,
    progress: Callable[[int], None] | None,
    follow: Follow,
) -> _Seen:
    """Follow the face through all pictures of ``video``."""
    seconds: list[float] = []
    sights: list[Sight | None] = []
    looks: list[fidelity.Looks] = []
    descriptors: list[FloatArray] = []
    found: FaceLandmarks | None = None
    last: fidelity.LastSeen | None = None
    with VideoReader(video) as reader:
        every = max(1, round(IDENTITY_EVERY_S * float(reader.fps)))
        for index, (image, stamp) in enumerate(reader):
            found = follow(image, found)
            sight = None if found is None else see(image, found.points)
            seconds.append(float(stamp * reader.time_base))
            sights.append(sight)
            if progress is not None:
                progress(index + 1)
            if sight is None or found is None:
                continue
            look, last = fidelity.look(image, sight, last)
            looks.append(look)
            if net is not None and index % every == 0 and len(descriptors) < MOST_IDENTITIES:
                descriptors.append(net.describe(image, found.points))
        fps = float(reader.fps)
    if not looks:
        raise NoFaceFound(
            f"No face found in the {len(sights)} pictures of {shown(video)}. "
            "Give a video of one person seen from the front."
        )
    return _Seen(Track(np.array(seconds), tuple(sights), reader.size), looks, descriptors, fps)


def _judged(
    seen: _Seen,
    curves: Curves,
    heard: Heard,
    source: Portrait | None,
    net: identity.IdentityNet | None,
    notes: tuple[str, ...],
    *,
    is_given: bool,
) -> Evaluation:
    """Return all figures."""
    spans = heard.spans()
    closed, opened = lips.closures(curves, spans), lips.openings(curves, spans)
    blinked = motion.blinks(curves)
    shift = lips.offset(curves, heard)
    rests = motion.rest_after_silence_ms(curves, heard)
    minutes = float(curves.seen.sum()) / 6000.0
    figures: dict[str, Any] = {
        "closure_recall": lips.recall(closed),
        "closures": len(closed),
        "false_closures": lips.false_closures(curves, spans),
        "opening_recall": lips.recall(opened),
        "openings": len(opened),
        "av_offset_ms": shift.ms if shift.correlation >= lips.SURE else None,
        "av_correlation": shift.correlation,
        "mouth_speed_in_silence": motion.mouth_speed_in_silence(curves, heard),
        "rest_after_silence_ms": _median(rests),
        "head_jitter": motion.head_jitter(curves),
        "blinks_per_min": len(blinked) / minutes,
        "blink_ms": _median([10.0 * (b.end - b.start) for b in blinked]),
        "blink_depth": _median([b.depth for b in blinked]),
        "head_range_deg": motion.head_range_deg(curves),
        **_fidelity(seen, source, net),
        "face_seen": float(seen.track.seen.mean()),
        "seconds": len(curves) / 100,
        "fps": seen.fps,
        "size": list(seen.track.size),
        "phones": "given" if is_given else "heard",
    }
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    every = (*notes, *_doubts(rounded))
    return Evaluation(
        rounded, every, curves, heard, tuple(closed), tuple(opened), tuple(blinked), seen.track
    )


def _median(values: list[float]) -> float | None:
    """Return the median, or None of nothing."""
    return float(np.median(values)) if values else None


def _fidelity(
    seen: _Seen, source: Portrait | None, net: identity.IdentityNet | None
) -> dict[str, float | None]:
    """Return what the picture itself does; None for what needs a portrait that is not there."""
    steadiness = {
        "flicker": fidelity.steady([one.flicker for one in seen.looks]),
        "background_change": fidelity.steady([one.background for one in seen.looks]),
    }
    if source is None:
        return {"identity_distance": None, "sharpness": None, **steadiness}
    sides = [s.crop.size for s in seen.track.sights if s is not None]
    size = min(fidelity.LARGEST, int(np.median(sides)))
    own = fidelity.detail(source.image, see(source.image, source.landmarks).crop, size)
    same = None
    if net is not None and seen.descriptors:
        same = identity.distance(seen.descriptors, net.describe(source.image, source.landmarks))
    return {
        "identity_distance": same,
        "sharpness": fidelity.sharpness(seen.looks, own),
        **steadiness,
    }


def _doubts(figures: dict[str, Any]) -> list[str]:
    """Return why a figure is None or rests on little."""
    out = []
    if figures["closures"] == 0:
        out.append("No p, b or m is heard: closure_recall cannot be told.")
    elif figures["closures"] < 8:
        out.append(f"closure_recall rests on {figures['closures']} sounds only.")
    if figures["av_offset_ms"] is None:
        out.append("Mouth and sound hardly correlate: the A/V offset cannot be told.")
    if figures["mouth_speed_in_silence"] is None:
        out.append("There is no silence of 500 ms: stillness cannot be told.")
    if figures["seconds"] < 20:
        out.append("Under 20 s, blinks per minute and head range are rough.")
    return out
