"""What moves a face, made into frames: speech, one's own or another's, or known motion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from visavis.animator import MotionAnimator, Prepared, frame_count, spoken
from visavis.errors import InputError
from visavis.media.given import paired
from visavis.media.read import Trim, VideoReader, check_trim, open_audio
from visavis.motion.controls import Timeline
from visavis.motion.files import read_motion
from visavis.motion.filters import resample
from visavis.motion.shaping import directed
from visavis.render.liveportrait.transfer import DrivingOptions
from visavis.tracking.acted import acted, check_options, directed_by
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
class Drive:
    """A ``video`` of somebody to follow, and how: ``options`` (render/liveportrait/transfer.py)."""

    video: Path
    options: DrivingOptions = field(default_factory=DrivingOptions)

    @staticmethod
    def of(given: str | Path | Drive | None) -> Drive | None:
        """Return what ``animate`` was given."""
        return Drive(Path(given)) if isinstance(given, (str, Path)) else given


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
    motion: str | Path | None = None,
    drive: Drive | None = None,
) -> Iterator[Scene]:
    """Open what moves the face: a motion file, a video, or else speech, own or heard."""
    animator, prepared, fps = play.animator, play.prepared, play.animator.fps
    if drive is not None and motion is not None:
        raise InputError("Give a motion file or a driving video, not both.")
    if drive is not None and animator.follows:
        if play.timeline != Timeline():
            raise InputError(
                "Published networks follow a driving video as it is. Leave the controls (emotion, "
                "gaze, head …) out, or leave the model out."
            )
        with VideoReader(drive.video) as reader:
            followed = animator.follow(prepared, reader.pictures(fps, trim), drive.options)
            yield Scene(followed, None, fps, reader.warnings)
        return
    if drive is not None or motion is not None:
        script = directed(_script(play, motion, drive, trim), play.timeline)
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
            # Closed before the recordings are: a thread may be reading them.
            drawn = stack.enter_context(
                closing(spoken(animator, prepared, pieces, play.seed, play.timeline))
            )
            yield Scene(drawn, total, fps, main.warnings)
    else:
        raise InputError(
            "There is no sound to speak. Give a recording, a motion file, or a driving video."
        )


def _script(
    play: Play, motion: str | Path | None, drive: Drive | None, trim: Trim | None
) -> Motion:
    """Return motion that is known before it is drawn, trimmed, at the frame rate of ``play``."""
    if drive is not None:
        check_options(drive.options)  # before minutes of following
        given, name = directed_by(acted(drive.video), drive.options), drive.video
    else:
        assert motion is not None
        given, name = read_motion(motion), Path(motion)
    (start, end), fps = check_trim(trim), play.animator.fps
    script = resample(given, fps)
    script = script[round(start * fps) : None if end is None else round(end * fps)]
    if not len(script):
        raise InputError(f"{name} ends before the trim begins, at {start} s.")
    return script
