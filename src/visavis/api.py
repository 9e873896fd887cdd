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
from typing import Any

from visavis.animator import MotionAnimator
from visavis.audio.features import FeatureExtractor
from visavis.audio.phones import PhoneRecognizer
from visavis.errors import InputError, check_whole
from visavis.faces.inspect import Report, inspect_picture
from visavis.media.given import Sound, sound_file
from visavis.media.image import read_image, write_image
from visavis.media.place import refuse_sources, whole_file
from visavis.media.read import Trim, has_sound
from visavis.media.write import FrameWriter, check_alpha, open_writer
from visavis.motion.base import MotionModel
from visavis.motion.controls import Controls, Timeline, as_timeline
from visavis.motion.files import check_motion_name, write_motion
from visavis.motion.models import MOTION_MODELS, motion_by
from visavis.opening import Picture, framed_to, opened
from visavis.playing import Drive, Play, Scene, open_scene
from visavis.provenance.badge import Badge, make_badge
from visavis.provenance.policy import Policy, read_policy
from visavis.provenance.sign import Facts, open_seal, tags
from visavis.render.background import Background, is_photo, is_transparent
from visavis.render.base import Renderer
from visavis.render.quality import DEFAULT_QUALITY
from visavis.render.renderers import renderer_by
from visavis.timing import Stopwatch
from visavis.types import (
    MOTION_FPS,
    Frame,
    Motion,
)
from visavis.voice.speech import voice_by
from visavis.voice.text import spoken


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
    steps: int | None = None,
    live: bool = False,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
    model: str | Path | None = None,
) -> MotionAnimator:
    """Return an animator: the packaged one (phones from sound, motion, mesh warp), or ``model``.

    It holds weights only: one serves any number of portraits and sessions. ``motion_model``,
    ``steps``, ``background``, ``quality`` and ``model`` as in ``animate``. ``live`` is for sound
    that comes as it is spoken: motion then comes a few frames at a time; without it chunks grow to
    a second, which costs less and waits longer.

    Raises:
        InputError: ``fps`` is not a whole number from 1 to 240, or there is no such motion
            model, background or quality.
        ModelError: there is no such ``model``, or its files are not here or not right.
        MissingExtra: ``model`` needs a package that is not installed.
    """
    return _animator(fps, motion_model, steps, live, background, quality, model)


def _animator(fps: int, *given: Any) -> MotionAnimator:
    """Return what ``load`` does."""
    check_whole("fps", fps, 1, 240)
    return MotionAnimator(*parts(*given), fps)


def parts(
    motion_model: str | None = None,
    steps: int | None = None,
    live: bool = False,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
    model: str | Path | None = None,
    is_driven: bool = False,
) -> tuple[FeatureExtractor, MotionModel, Renderer]:
    """Return the parts of the animator: what hears, what moves, what draws.

    ``is_driven`` is for a driving video, which published networks follow without a bridge.
    """
    if model is None:
        motion = motion_by(motion_model, 1 if steps is None else steps, live)
        return PhoneRecognizer(), motion, renderer_by(background, quality)
    if not is_photo(background) or quality != DEFAULT_QUALITY:
        raise InputError(
            f"The model {model} paints faces in its own way, before the photograph's background. "
            "Leave background and quality out, or leave the model out."
        )
    from visavis.neural import open_neural
    from visavis.video.opening import open_latent

    how: Any = {"live": live, "steps": steps, "motion_model": motion_model, "is_driven": is_driven}
    return open_latent(model, **how) if _is_latent(model) else open_neural(model, **how)


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
    model: str | Path | None = None,
    motion_model: str | None = None,
    steps: int | None = None,
    loop: str | None = None,
    redrive: str | None = None,
    background: Background = "photo",
    quality: str = DEFAULT_QUALITY,
) -> Iterator[Frame]:
    """Yield the frames of ``portrait`` speaking ``audio`` one by one; arguments as ``animate``."""
    check_whole("seed", seed, 0, 2**63 - 1)
    animator = _animator(fps, motion_model, steps, False, background, quality, model)
    sitter = opened(portrait, None, loop, redrive, background, (audio, None))
    prepared = animator.prepare(*framed_to(sitter, size, crop))
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
    drive: str | Path | Drive | None = None,
    motion_out: str | Path | None = None,
    other: Sound | None = None,
    controls: Controls | Timeline | None = None,
    model: str | Path | None = None,
    motion_model: str | None = None,
    steps: int | None = None,
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
            (n, channels) float in [-1, 1]; None if something else moves the face.
        out: .mp4, .mov, .mkv, .webm, .gif, a folder for PNGs, ``-`` for raw frames.
        size: side of the square in pixels (512), or the longest side without ``crop`` (the
            photograph's own, at most 1920). Even.
        fps: frames per second.
        seed: equal seeds give equal videos.
        crop: a square of head and shoulders (photographs), or the whole picture (clips).
        trim: start and end (None: its end) in seconds of what is used of ``audio``, ``motion``.
        face: which face, counted from 1, left to right; by default the best.
        motion: a motion file (.csv, .json, .npz) to play; the sound then only accompanies it.
        drive: a video of somebody to follow, with its sound unless ``audio`` is given.
        motion_out: where to write the motion as well.
        other: what another person says meanwhile, to be listened to; without ``audio`` it is also
            the sound of the video.
        controls: what the face is asked to do, all the time or over time.
        model: other networks: "latent-tiny", which makes the pictures themselves, the published
            "ditto" and "liveportrait" (``visavis models``), or a folder of any of these.
        motion_model: "diffused" (learnt) or "rules"; with Ditto's networks also "ditto".
        steps: calls of the learnt model for each stretch of motion: 1, 2 or 4 (Ditto: to 50).
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
    watch, policy = Stopwatch(), provenance or read_policy()
    check_whole("seed", seed, 0, 2**63 - 1)
    drive = Drive.of(drive)
    _check_targets(out, motion_out, model, portrait, audio, motion, drive and drive.video, other)
    if alpha := is_transparent(background):
        check_alpha(out, badge)
    audio = _sound_of(audio, text, voice, drive)
    motion_model = motion_model or _for_file(model, motion)
    made = (motion_model, steps, False, background, quality, model, drive is not None)
    animator = _animator(fps, *made)
    sitter = opened(portrait, face, loop, redrive, background, _span(audio, trim, motion, drive))
    prepared = animator.prepare(*framed_to(sitter, size, crop))
    with sound_file(audio) as sound, sound_file(other) as heard, ExitStack() as stack:
        curves = None if motion_out is None else stack.enter_context(whole_file(motion_out))
        play = Play(animator, prepared, seed, as_timeline(controls))
        scene = stack.enter_context(open_scene(play, sound, heard, trim, motion, drive))
        seal = stack.enter_context(open_seal(out, _facts(portrait), policy))
        writer = stack.enter_context(
            open_writer(out, prepared.size, fps, sound or heard, trim, has_alpha=alpha, seal=seal)
        )
        writer.tag(_tags(policy))
        drawn = make_badge(prepared.size, policy) if badge else None
        played = _written(scene, writer, watch, progress, curves is not None, drawn)
        if curves is not None and played:
            write_motion(curves, Motion.concatenate(played))
    lost = _lost(motion_out, played, model, play.timeline)
    notes = (*sitter.warnings, *scene.warnings, *seal.warnings, *lost)
    return Result(str(out), writer.frames, fps, writer.size, watch.elapsed_s(), notes)


def _span(
    audio: Sound | None, trim: Trim | None, motion: str | Path | None, drive: Drive | None
) -> tuple[Sound | None, Trim | None]:
    """Return ``audio``, if it decides how long the result is, and ``trim``."""
    is_asked = motion is None and (drive is None or audio is drive.video)
    return audio if is_asked else None, trim


def _lost(
    motion_out: str | Path | None,
    played: list[Motion],
    model: str | Path | None,
    timeline: Timeline,
) -> list[str]:
    """Return warnings if ``played`` are implicit keypoints, which motion files cannot hold, or a
    latent ``model`` cannot do what ``timeline`` asks for.
    """
    if played and played[0].keypoints is not None:
        return [
            f"{motion_out} holds the head alone: these networks move keypoints, and not the 52 "
            "ARKit values that motion files hold."
        ]
    if not _is_latent(model):
        return []
    from visavis.video.motion import unheeded

    names = ", ".join(name.replace("_", "-") for name in unheeded(timeline))
    told = f"The model {model} knows phase, emotion and intensity; it does not heed {names}."
    return [told] if names else []


def _is_latent(model: str | Path | None) -> bool:
    """Return whether ``model`` makes the pictures themselves."""
    from visavis.video.opening import is_latent

    return model is not None and is_latent(model)


def _for_file(model: str | Path | None, motion: str | Path | None) -> str | None:
    """Return the motion model for a motion file: with published networks one that has a bridge."""
    return None if model is None or motion is None else MOTION_MODELS[0]


def _facts(portrait: Picture) -> Facts:
    """Return what a signature says of where a video comes from."""
    return Facts(Path(portrait) if isinstance(portrait, (str, Path)) else None)


def _tags(policy: Policy) -> dict[str, str]:
    """Return what a video's own metadata says of its origin."""
    return {} if policy.signing == "off" else dict(tags(policy, secrets.token_hex(8)))


def _check_targets(
    out: str | Path, motion_out: str | Path | None, model: str | Path | None, *sources: object
) -> None:
    """Refuse to write over what is read, and motion that is not there or has no known format."""
    if motion_out is not None:
        check_motion_name(motion_out)
        if _is_latent(model):
            raise InputError(
                f"The model {model} makes pictures, and no motion that could be written to "
                f"{motion_out}. Leave --motion-out out, or leave the model out."
            )
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


def _sound_of(
    audio: Sound | None, text: str | None, voice: str, drive: Drive | None
) -> Sound | None:
    """Return ``audio``, ``text`` spoken by ``voice``, or the sound of ``drive`` if it has any."""
    if text is None:
        return drive.video if audio is None and drive and has_sound(drive.video) else audio
    if audio is not None:
        raise InputError("Give a recording or text to speak, not both.")
    return spoken(text, voice_by(voice))


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
