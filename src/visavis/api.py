"""The calls of the README: ``animate`` in one line, and the same by hand.

``animate`` plays a recording through ``Animator.step`` piece by piece, as a live session does, and
writes each frame as it comes: offline is live played fast, in bounded memory.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visavis.animator import MotionAnimator
from visavis.audio.features import FeatureExtractor
from visavis.audio.phones import PhoneRecognizer
from visavis.errors import InputError, check_whole
from visavis.faces.film import FilmPortrait, asked, check_words, framed
from visavis.faces.framing import Region, cut, fitted, head_and_shoulders
from visavis.faces.inspect import Report, inspect_picture
from visavis.faces.portrait import make_portrait
from visavis.faces.watch import read_film
from visavis.hub import ASSETS
from visavis.media.given import Sound, seconds_of, sound_file
from visavis.media.image import read_image, write_image
from visavis.media.kinds import is_video
from visavis.media.place import refuse_sources, whole_file
from visavis.media.read import Trim
from visavis.media.write import FrameWriter, check_alpha, open_writer
from visavis.motion.base import MotionModel
from visavis.motion.controls import Controls, Timeline, as_timeline
from visavis.motion.files import check_motion_name, write_motion
from visavis.motion.models import motion_by
from visavis.playing import Play, Scene, open_scene
from visavis.provenance.badge import Badge, make_badge
from visavis.provenance.policy import Policy, read_policy
from visavis.provenance.sign import Facts, open_seal, tags
from visavis.render.background import Background, is_photo, is_transparent
from visavis.render.base import Renderer
from visavis.render.quality import DEFAULT_QUALITY
from visavis.render.renderers import clip_refused, renderer_by
from visavis.timing import Stopwatch
from visavis.types import (
    MOTION_FPS,
    Frame,
    ImageArray,
    Motion,
    Portrait,
)
from visavis.voice.speech import voice_by
from visavis.voice.text import spoken

DEMO_PORTRAIT = ASSETS / "demo_portrait.webp"
DEMO_SPEECH = ASSETS / "demo_speech.flac"

CROP_SIZE = 512
"""Side in pixels of a head-and-shoulders picture unless ``size`` says otherwise."""
LONGEST = 1920
"""Longest side of a whole photograph unless ``size`` says otherwise."""

Picture = str | Path | ImageArray | Portrait


@dataclass(frozen=True)
class Tick:
    """How far ``animate`` is: ``frames`` of ``total`` (None: not known), and how fast it goes."""

    frames: int
    total: int | None
    realtime_factor: float


@dataclass(frozen=True)
class Result:
    """What ``animate`` made: ``frames`` pictures of ``size`` (width, height) in ``path``.

    ``elapsed_s`` counts everything from opening the portrait to closing the file;
    ``realtime_factor`` is seconds of video made per second. ``warnings`` are for people to read.
    """

    path: str
    frames: int
    fps: int
    size: tuple[int, int]
    elapsed_s: float
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.frames / self.fps

    @property
    def realtime_factor(self) -> float:
        """Seconds of video made per second; above 1 is faster than real time."""
        return self.seconds / self.elapsed_s


def load(
    *,
    fps: int = MOTION_FPS,
    motion_model: str | None = None,
    steps: int = 1,
    live: bool = False,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
) -> MotionAnimator:
    """Return the packaged animator: phones from sound, motion, mesh warp.

    It holds weights only: one serves any number of portraits and sessions. ``motion_model``,
    ``steps``, ``background`` and ``quality`` as in ``animate``. ``live`` is for sound that comes as
    it is spoken: motion then comes four frames at a time; without it chunks grow to a second, which
    costs less and waits longer.

    Raises:
        InputError: ``fps`` is not a whole number from 1 to 240, or there is no such motion
            model, background or quality.
    """
    check_whole("fps", fps, 1, 240)
    return MotionAnimator(*parts(motion_model, steps, live, background, quality), fps)


def parts(
    motion_model: str | None = None,
    steps: int = 1,
    live: bool = False,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
) -> tuple[FeatureExtractor, MotionModel, Renderer]:
    """Return the packaged parts of the animator: what hears, what moves, what draws."""
    motion = motion_by(motion_model, steps, live)
    return PhoneRecognizer(), motion, renderer_by(background, quality)


def open_portrait(
    picture: Picture,
    face: int | None = None,
    loop: str | None = None,
    redrive: str | None = None,
    needed_s: float | None = None,
) -> Portrait:
    """Return the checked portrait in ``picture``: a path, an (h, w, 3) RGB uint8 array.

    A video becomes a portrait that keeps its own head motion, eyes and background and is given new
    words. ``face`` chooses one of several, counted from 1, left to right; by default the best.
    ``loop`` is what a clip does when it is over: "pingpong", "repeat" or "hold"; ``redrive`` what
    of it is moved anew: the "mouth" or the "face", brows and cheeks too (by default the first of
    these, and what a clip already opened was opened with); ``needed_s`` how many seconds will be
    shown, so that a long clip is not read to its end.

    Raises:
        UnreadableMedia: not a picture or video.
        NoFaceFound: it shows no face that can be animated.
        InputError: there is no such ``loop`` or ``redrive``, or no face with that number.
    """
    check_words(loop, redrive)
    if isinstance(picture, FilmPortrait):
        return asked(picture, loop, redrive)
    if isinstance(picture, Portrait):
        return picture
    if not isinstance(picture, np.ndarray):
        if is_video(picture):
            return asked(read_film(picture, face, needed_s), loop, redrive)
        return make_portrait(read_image(picture), face)
    if picture.dtype != np.uint8 or picture.shape[2:] != (3,) or not picture.size:
        raise InputError(
            f"The portrait is an array of {picture.dtype} with shape {picture.shape}. "
            "Give (height, width, 3) RGB uint8."
        )
    return make_portrait(picture, face)


def _opened(
    picture: Picture,
    face: int | None,
    loop: str | None,
    redrive: str | None,
    background: Background,
    shown: tuple[Sound | None, Trim | None] = (None, None),
) -> Portrait:
    """Return ``open_portrait``, and refuse another ``background`` for a clip.

    ``shown`` is the sound that decides how much of a clip is shown.
    """
    is_path = isinstance(picture, (str, Path))
    is_clip = isinstance(picture, FilmPortrait) or (is_path and is_video(str(picture)))
    if is_clip and not is_photo(background):
        raise clip_refused()
    needed_s = seconds_of(*shown) if is_clip else None
    return open_portrait(picture, face, loop, redrive, needed_s)


def frames(  # noqa: PLR0913 - as animate
    portrait: Picture,
    audio: Sound,
    *,
    size: int | None = None,
    fps: int = MOTION_FPS,
    seed: int = 0,
    crop: bool | None = None,
    other: Sound | None = None,
    controls: Controls | Timeline | None = None,
    motion_model: str | None = None,
    steps: int = 1,
    loop: str | None = None,
    redrive: str | None = None,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
) -> Iterator[Frame]:
    """Yield the frames of ``portrait`` speaking ``audio`` one by one; arguments as ``animate``."""
    check_whole("seed", seed, 0, 2**63 - 1)
    animator = load(
        fps=fps, motion_model=motion_model, steps=steps, background=background, quality=quality
    )
    opened = _opened(portrait, None, loop, redrive, background, (audio, None))
    prepared = animator.prepare(*_framed(opened, size, crop))
    play = Play(animator, prepared, seed, as_timeline(controls))
    with (
        sound_file(audio) as sound,
        sound_file(other) as heard,
        open_scene(play, sound, heard) as scene,
    ):
        yield from scene.frames


def animate(  # noqa: PLR0913 - reads as the command line does
    portrait: Picture,
    audio: Sound | None,
    out: str | Path,
    *,
    size: int | None = None,
    fps: int = MOTION_FPS,
    seed: int = 0,
    crop: bool | None = None,
    trim: Trim | None = None,
    face: int | None = None,
    motion: str | Path | None = None,
    motion_out: str | Path | None = None,
    other: Sound | None = None,
    controls: Controls | Timeline | None = None,
    motion_model: str | None = None,
    steps: int = 1,
    loop: str | None = None,
    redrive: str | None = None,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
    text: str | None = None,
    voice: str = "local",
    badge: bool = False,
    provenance: Policy | None = None,
    progress: Callable[[Tick], None] | None = None,
) -> Result:
    """Write a video of ``portrait`` speaking ``audio`` to ``out``.

    Args:
        portrait: a photograph or a clip to be given new words: a path, an (h, w, 3) RGB uint8
            array, or a ``Portrait``.
        audio: a recording, a video with sound, or (samples, rate) with samples (n,) or
            (n, channels) float in [-1, 1]; None if ``motion`` or ``other`` is given.
        out: .mp4, .mov, .mkv, .webm, .gif, a folder for PNGs, ``-`` for raw frames.
        size: side of the square in pixels (512), or the longest side without ``crop`` (the
            photograph's own, at most 1920). Even.
        fps: frames per second.
        seed: equal seeds give equal videos.
        crop: a square of head and shoulders (photographs), or the whole picture (clips).
        trim: start and end in seconds of the part of ``audio`` (and ``motion``) to use; end None:
            to the end.
        face: which face, counted from 1, left to right; by default the best.
        motion: a motion file (.csv, .json, .npz) to play; the sound then only accompanies it.
        motion_out: where to write the motion as well.
        other: what another person says meanwhile, to be listened to; without ``audio`` it is also
            the sound of the video.
        controls: what the face is asked to do, all the time or over time.
        motion_model: "diffused" (learnt) or "rules"; by default the best that is packaged.
        steps: calls of the learnt model for each stretch of motion: 1, 2 or 4.
        loop: what a clip does when it is over: "pingpong" (default), "repeat" or "hold".
        redrive: what of a clip is moved anew: its "mouth" (default), or the "face", brows and
            cheeks too. A clip that was opened before keeps what it was opened with.
        background: what stands behind the person: "photo" (its own), "blur", "green",
            "transparent" (.webm, .mov, .gif, PNGs), "#RRGGBB", a picture's path, or an (h, w, 3)
            RGB uint8 array.
        quality: "draft" (the photograph warped), "standard" (mouth and eyes painted by a network)
            or "high" (the same, finer).
        text: what to say, instead of ``audio``.
        voice: who says it: "local", or "openai:MODEL[:VOICE]@URL" of a server (voice/speech.py).
        badge: whether every frame says that it is AI-generated.
        provenance: how origin is declared; by default as this user's settings say.
        progress: called after each frame.

    Raises:
        InputError: an argument cannot be used; NoFaceFound and UnreadableMedia are among these.
        OutputError: ``out`` or ``motion_out`` cannot be written.
    """
    watch = Stopwatch()
    check_whole("seed", seed, 0, 2**63 - 1)
    policy = read_policy() if provenance is None else provenance
    _check_targets(out, motion_out, portrait, audio, motion, other)
    if is_transparent(background):
        check_alpha(out, badge)
    audio = _sound_of(audio, text, voice)
    animator = load(
        fps=fps, motion_model=motion_model, steps=steps, background=background, quality=quality
    )
    opened = _opened(portrait, face, loop, redrive, background, (None if motion else audio, trim))
    prepared = animator.prepare(*_framed(opened, size, crop))
    with sound_file(audio) as sound, sound_file(other) as heard, ExitStack() as stack:
        curves = None if motion_out is None else stack.enter_context(whole_file(motion_out))
        play = Play(animator, prepared, seed, as_timeline(controls))
        scene = stack.enter_context(open_scene(play, sound, heard, trim, motion))
        alpha = is_transparent(background)
        source = Path(portrait) if isinstance(portrait, (str, Path)) else None
        seal = stack.enter_context(open_seal(out, Facts(source), policy))
        writer = stack.enter_context(
            open_writer(out, prepared.size, fps, sound or heard, trim, has_alpha=alpha, seal=seal)
        )
        if policy.signing != "off":
            writer.tag(tags(policy, secrets.token_hex(8)))
        drawn = make_badge(prepared.size, policy) if badge else None
        played = _written(scene, writer, watch, progress, curves is not None, drawn)
        if curves is not None and played:
            write_motion(curves, Motion.concatenate(played))
    warnings = (*opened.warnings, *scene.warnings, *seal.warnings)
    return Result(str(out), writer.frames, fps, writer.size, watch.elapsed_s(), warnings)


def _check_targets(out: str | Path, motion_out: str | Path | None, *sources: object) -> None:
    """Refuse to write over what is read, and motion under a name that no format has."""
    if motion_out is not None:
        check_motion_name(motion_out)
    for target in (out, motion_out):
        if target is not None:
            refuse_sources(target, *sources)


def _written(
    scene: Scene,
    writer: FrameWriter,
    watch: Stopwatch,
    progress: Callable[[Tick], None] | None,
    keep: bool,
    badge: Badge | None = None,
) -> list[Motion]:
    """Write all frames of ``scene``, with ``badge``; return their motion if it is to be kept."""
    played = []
    for frame in scene.frames:
        writer.write(frame.image if badge is None else badge.draw(frame.image, frame.index))
        if keep:
            played.append(frame.motion)
        if progress is not None:
            factor = writer.frames / scene.fps / watch.elapsed_s()
            progress(Tick(writer.frames, scene.total, factor))
    return played


def _sound_of(audio: Sound | None, text: str | None, voice: str) -> Sound | None:
    """Return ``audio``, or ``text`` spoken by ``voice``."""
    if text is None:
        return audio
    if audio is not None:
        raise InputError("Give a recording or text to speak, not both.")
    return spoken(text, voice_by(voice))


def _framed(
    portrait: Portrait, size: int | None, crop: bool | None
) -> tuple[Portrait, tuple[int, int]]:
    """Return the part of ``portrait`` to show and its (width, height) in pixels."""
    if size is not None:
        check_size(size)
    film = portrait if isinstance(portrait, FilmPortrait) else None
    height, width = portrait.image.shape[:2]
    region, shape = Region(0, 0, width, height), fitted(width, height, size or LONGEST)
    if crop or (crop is None and film is None):
        region, shape = head_and_shoulders(portrait), (size or CROP_SIZE, size or CROP_SIZE)
    return cut(portrait, region) if film is None else framed(film, region, shape), shape


def check_size(size: int) -> None:
    """Refuse anything but an even number from 64 to 4096."""
    check_whole("size", size, 64, 4096)
    if size % 2:
        raise InputError(f"size {size} is odd; video needs even sides. Use {size + 1}.")


def inspect(picture: str | Path, out: str | Path, face: int | None = None) -> Report:
    """Draw what is found in ``picture`` to ``out`` (.png, .jpg or .webp) and return it in words.

    Raises:
        UnreadableMedia: not a picture.
        InputError: there is no face with that number.
        OutputError: ``out`` cannot be written.
    """
    refuse_sources(out, picture)
    report = inspect_picture(read_image(picture), face)
    write_image(out, report.picture)
    return report
