"""What moves a face, made into frames: speech, one's own or another's, or known motion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from visavis.animator import MotionAnimator, Prepared, frame_count, spoken
from visavis.errors import InputError
from visavis.media.given import paired
from visavis.media.read import Trim, check_trim, open_audio
from visavis.motion.controls import Timeline
from visavis.motion.filters import resample
from visavis.motion.shaping import directed
from visavis.types import SAMPLE_RATE, Frame, Motion

PIECE = SAMPLE_RATE // 5
"""Samples handed to the animator at a time; any number gives the same frames."""


@dataclass(frozen=True)
class Play:
    """Who plays: ``animator`` with a ``prepared`` portrait, from ``seed``, as ``timeline`` asks."""

    animator: MotionAnimator
    prepared: Prepared
    seed: int
    timeline: Timeline


@dataclass(frozen=True)
class Scene:
    """Frames to come, how many (None: not known), and warnings that may grow meanwhile."""

    frames: Iterator[Frame]
    total: int | None
    fps: int
    warnings: list[str]


@contextmanager
def open_scene(
    play: Play,
    sound: Path | None,
    other: Path | None,
    trim: Trim | None = None,
    script: Motion | None = None,
) -> Iterator[Scene]:
    """Open what moves the face: motion that is known, or else speech, own or heard."""
    animator, prepared, fps = play.animator, play.prepared, play.animator.fps
    if script is not None:
        start, end = check_trim(trim)
        script = resample(script, fps)
        script = script[round(start * fps) : None if end is None else round(end * fps)]
        if not len(script):
            raise InputError(f"The motion ends before the trim begins, at {start} s.")
        script = directed(script, play.timeline)
        moments = (script[i : i + 1] for i in range(len(script)))
        played = (animator.draw(prepared, m, i)[0] for i, m in enumerate(moments))
        yield Scene(played, len(script), fps, [])
    elif sound is not None or other is not None:
        with ExitStack() as stack:
            own, heard = (
                None if path is None else stack.enter_context(open_audio(path, trim))
                for path in (sound, other)
            )
            main = own or heard
            assert main is not None
            samples = main.duration_samples
            total = None if samples is None else frame_count(samples, fps)
            pieces = paired(*(None if r is None else r.chunks(PIECE) for r in (own, heard)))
            drawn = spoken(animator, prepared, pieces, play.seed, play.timeline)
            yield Scene(drawn, total, fps, main.warnings)
    else:
        raise InputError(
            "There is no sound to speak. Give a recording, a motion file, or a driving video."
        )
