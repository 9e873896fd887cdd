"""How fast this machine is: the whole path, sound in to encoded frame out.

What is counted:

- *throughput*: a WAV file is decoded, heard, moved, drawn, encoded (H.264 + AAC) and closed, as
  ``visavis animate`` does; ``open_portrait_ms`` and ``prepare_ms`` are stated apart, and
  ``remembered_ms`` for both when the portrait is known from before (media/cache.py). ``stages_ms``
  is milliseconds per frame spent inside each stage by the calling thread; the encoder's own threads
  work beside it, and a latent model's clips are made by a second thread.
- *first frame*: speech is pushed live, 40 ms at a time, into a fresh session. The clock runs from
  the arrival of the last sample that the first frame needs to that frame's encoded packet (H.264,
  no delay). The samples themselves take ``first_frame_sound_ms`` to arrive: that is not computing
  time. ``look_ahead_ms`` is the longest any frame waits for sound after its instant.
"""

from __future__ import annotations

import wave
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from visavis.animator import MotionAnimator, Prepared, spoken
from visavis.api import load, parts
from visavis.audio.features import FeatureExtractor
from visavis.errors import ModelError, check_whole
from visavis.faces.framing import cut, head_and_shoulders
from visavis.machine import cpu_name, cpu_threads, peak_mb, resident_mb
from visavis.media.cache import kept_in
from visavis.media.encode import to_bt709
from visavis.media.read import open_audio
from visavis.media.write import open_writer
from visavis.motion.base import MotionModel
from visavis.motion.controls import Timeline
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH, check_size, open_portrait
from visavis.playing import PIECE
from visavis.render.base import Renderer
from visavis.render.quality import DEFAULT_QUALITY
from visavis.timing import Stopwatch, percentile
from visavis.types import (
    SAMPLE_RATE,
    Audio,
    Features,
    FloatArray,
    ImageArray,
    Motion,
    Portrait,
)

LIVE_PIECE = SAMPLE_RATE // 25
"""Samples pushed at a time by a live source: 40 ms."""


class TimedFeatures:
    """A feature extractor whose steps are counted as stage ``features``."""

    def __init__(self, inner: FeatureExtractor, watch: Stopwatch) -> None:
        """Time ``inner`` with ``watch``."""
        self._inner = inner
        self._watch = watch
        self.rate = inner.rate
        self.size = inner.size
        self.look_ahead_samples = inner.look_ahead_samples

    def start(self) -> Any:
        """Return the inner state of a fresh stream."""
        return self._inner.start()

    def step(self, state: Any, audio: Audio, final: bool = False) -> tuple[Any, Features]:
        """Step the inner extractor."""
        with self._watch.stage("features"):
            return self._inner.step(state, audio, final)


class TimedMotion:
    """A motion model whose steps are counted as stage ``motion``."""

    def __init__(self, inner: MotionModel, watch: Stopwatch) -> None:
        """Time ``inner`` with ``watch``."""
        self._inner = inner
        self._watch = watch
        self.fps = inner.fps
        self.look_ahead_samples = inner.look_ahead_samples
        self.hears_others = inner.hears_others
        self.works_ahead = getattr(inner, "works_ahead", False)

    def start(self, seed: int, appearance: Any = None) -> Any:
        """Return the inner state of a fresh session."""
        return self._inner.start(seed, appearance)

    def step(
        self,
        state: Any,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[Any, Motion]:
        """Step the inner model."""
        with self._watch.stage("motion"):
            return self._inner.step(state, features, timeline, final, other)


class TimedRenderer:
    """A renderer whose pictures are counted as stage ``render``."""

    def __init__(self, inner: Renderer, watch: Stopwatch) -> None:
        """Time ``inner`` with ``watch``."""
        self._inner = inner
        self._watch = watch

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Any:
        """Return the inner appearance."""
        return self._inner.prepare(portrait, size)

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Draw with the inner renderer."""
        with self._watch.stage("render"):
            return self._inner.draw(appearance, motion)

    def rough(self, appearance: Any) -> Any:
        """Return the inner appearance drawn with the least work."""
        return self._inner.rough(appearance)


def _timed(watch: Stopwatch, fps: int, quality: str, model: str | None) -> MotionAnimator:
    """Return the packaged animator with every part timed by ``watch``."""
    features, motion, renderer = parts(quality=quality, model=model)
    return MotionAnimator(
        TimedFeatures(features, watch),
        TimedMotion(motion, watch),
        TimedRenderer(renderer, watch),
        fps,
    )


def _speech() -> FloatArray:
    """Return the embedded voice (n,) at ``SAMPLE_RATE``."""
    with open_audio(DEMO_SPEECH) as reader:
        return np.concatenate(list(reader.chunks()))


def _record(path: Path, seconds: int) -> None:
    """Write ``seconds`` seconds of the embedded voice, over and over, to the WAV ``path``."""
    levels = (_speech() * 32_767).astype("<i2")
    levels = np.pad(levels, (0, -len(levels) % SAMPLE_RATE)).reshape(-1, SAMPLE_RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for second in islice(cycle(levels), seconds):
            file.writeframes(second.tobytes())


@dataclass(frozen=True)
class _Run:
    """``frames`` made in ``elapsed_s``; ``resident_mb`` every ten seconds of video."""

    frames: int
    elapsed_s: float
    resident_mb: list[float]


def _throughput(animator: MotionAnimator, watch: Stopwatch, size: int, seconds: int) -> _Run:
    """Make a video of ``seconds`` seconds of speech with ``animator``, timed by ``watch``."""
    prepared = animator.prepare(_demo(), (size, size))
    with TemporaryDirectory(prefix="visavis-") as folder, ExitStack() as stack:
        sound, out = Path(folder) / "speech.wav", Path(folder) / "speech.mp4"
        _record(sound, seconds)
        begin_s = watch.elapsed_s()
        reader = stack.enter_context(open_audio(sound))
        writer = stack.enter_context(open_writer(out, (size, size), animator.fps, sound))
        resident = []
        pieces = ((piece, None) for piece in reader.chunks(PIECE))
        for frame in spoken(animator, prepared, pieces, seed=0):
            with watch.stage("encode"):
                writer.write(frame.image)
            resident += [resident_mb()] if writer.frames % (10 * animator.fps) == 0 else []
        stack.close()  # the file's end is part of the work
        return _Run(writer.frames, watch.elapsed_s() - begin_s, resident)


def _first_frames(
    animator: MotionAnimator, size: int, starts: int
) -> tuple[list[float], list[float]]:
    """Return ms of computing and of sound before the first encoded frame, for ``starts`` starts."""
    prepared = animator.prepare(_demo(), (size, size))
    speech = _speech()
    delays = []
    for seed in range(starts + 1):  # the first one warms the caches and is not counted
        begin = (seed * 7919) % (len(speech) // 2)
        delays.append(_first_frame_ms(animator, prepared, speech[begin:], seed))
    computed, heard = zip(*delays[1:], strict=True)
    return list(computed), list(heard)


def _first_frame_ms(
    animator: MotionAnimator, prepared: Prepared, speech: FloatArray, seed: int
) -> tuple[float, float]:
    """Push ``speech`` live; return the ms from the decisive 40 ms to the first encoded packet, and
    the ms of sound pushed until then.
    """
    encoder = _live_encoder(prepared.size, animator.fps)
    state, colours = animator.start(prepared, seed), VideoReformatter()
    for begin in range(0, len(speech), LIVE_PIECE):
        watch = Stopwatch()
        piece = Audio(speech[begin : begin + LIVE_PIECE])
        state, frames = animator.step(state, piece)
        for frame in frames[:1]:
            picture = to_bt709(colours, frame.image)
            picture.pts = 0
            if encoder.encode(picture):
                return watch.elapsed_s() * 1000, (begin + len(piece)) * 1000 / SAMPLE_RATE
    raise ModelError("The animator gave no frame for several seconds of sound.")


def _live_encoder(size: tuple[int, int], fps: int) -> VideoCodecContext:
    """Return an H.264 encoder that holds no frame back."""
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, fps)
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}
    encoder.open()
    return encoder


def _demo() -> Portrait:
    """Return the embedded portrait, framed as ``animate`` does."""
    portrait = open_portrait(DEMO_PORTRAIT)
    return cut(portrait, head_and_shoulders(portrait))


def measure(
    *,
    size: int = 512,
    quality: str = DEFAULT_QUALITY,
    model: str | None = None,
    fps: int = 25,
    seconds: int = 20,
    starts: int = 20,
    soak_minutes: int = 0,
) -> dict[str, Any]:
    """Return all figures, ready for JSON; ``soak_minutes`` adds a long run that watches memory.

    ``size`` is the side of the picture in pixels, ``quality`` and ``model`` as in ``animate``.

    Raises:
        InputError: a figure asked for is out of range.
    """
    check_size(size)
    check_whole("seconds", seconds, 1, 3600)
    check_whole("starts", starts, 1, 1000)
    animator = load(fps=fps, live=True, quality=quality, model=model)
    registration = _registration(animator, size)
    delays, heard = _first_frames(animator, size, starts)
    watch = Stopwatch()
    run = _throughput(_timed(watch, fps, quality, model), watch, size, seconds)
    stages = {name: round(ms, 2) for name, ms in watch.stages_ms(run.frames).items()}
    figures: dict[str, Any] = {
        "frames_per_s": round(run.frames / run.elapsed_s, 1),
        "realtime_factor": round(run.frames / fps / run.elapsed_s, 2),
        "first_frame_ms_p50": round(percentile(delays, 50), 1),
        "first_frame_ms_p95": round(percentile(delays, 95), 1),
        "first_frame_sound_ms": round(percentile(heard, 50)),
        "look_ahead_ms": animator.window * 1000 / SAMPLE_RATE,
        "peak_rss_mb": round(peak_mb()),
        "stages_ms": stages,
        "size": size,
        "model": model or "packaged",
        "quality": quality,
        "fps": fps,
        "frames": run.frames,
        "starts": starts,
        **registration,
        "cpu_threads": cpu_threads(),
        "cpu": cpu_name(),
    }
    if not soak_minutes:
        return figures
    watch = Stopwatch()
    run = _throughput(_timed(watch, fps, quality, model), watch, size, soak_minutes * 60)
    return figures | _soak(run, fps, soak_minutes)


def _registration(animator: MotionAnimator, size: int) -> dict[str, int]:
    """Return ms to open the embedded portrait and to make it ready, and of both remembered."""
    with kept_in("off"):
        _demo()  # networks are loaded once per process, not once per portrait
        watch = Stopwatch()
        portrait = _demo()
        open_ms = watch.elapsed_s() * 1000
        animator.prepare(portrait, (size, size))
        both_ms = watch.elapsed_s() * 1000
    with TemporaryDirectory(prefix="visavis-") as folder, kept_in(folder):
        animator.prepare(_demo(), (size, size))
        watch = Stopwatch()
        animator.prepare(_demo(), (size, size))
        again_ms = watch.elapsed_s() * 1000
    times = {"open_portrait": open_ms, "prepare": both_ms - open_ms, "remembered": again_ms}
    return {f"{name}_ms": round(ms) for name, ms in times.items()}


def _soak(run: _Run, fps: int, minutes: int) -> dict[str, Any]:
    """Return memory after 10 s of video and at the end of ``run``, of ``minutes`` minutes."""
    return {
        "soak_minutes": minutes,
        "soak_rss_start_mb": round(run.resident_mb[0], 1),
        "soak_rss_end_mb": round(run.resident_mb[-1], 1),
        "soak_rss_peak_mb": round(max(run.resident_mb), 1),
        "soak_realtime_factor": round(run.frames / fps / run.elapsed_s, 2),
    }


def table(figures: dict[str, Any]) -> str:
    """Return ``figures`` for people."""
    f = figures
    lines = [
        f"{f['cpu']}, {f['cpu_threads']} threads",
        f"{f['model']}, {f['size']}x{f['size']} at {f['fps']} fps, {f['quality']}, "
        f"{f['frames']} frames, sound in to file closed",
        f"speed       {f['frames_per_s']:8.1f} frames/s, {f['realtime_factor']:.2f} x real time",
        *(f"  {name:<10}{ms:8.2f} ms a frame" for name, ms in f["stages_ms"].items()),
        f"first frame {f['first_frame_ms_p50']:8.1f} ms p50, {f['first_frame_ms_p95']:.1f} ms p95, "
        f"{f['starts']} starts, after {f['first_frame_sound_ms']} ms of sound",
        f"look-ahead  {f['look_ahead_ms']:8.0f} ms of sound that a later frame waits for at most",
        f"portrait    {f['open_portrait_ms']:8.0f} ms to open and check, "
        f"{f['prepare_ms']} ms to make ready; the next time {f['remembered_ms']} ms for both",
        f"memory      {f['peak_rss_mb']:8.0f} MB at most",
    ]
    if "soak_minutes" in f:
        lines.append(
            f"soak        {f['soak_minutes']} min of sound: {f['soak_rss_start_mb']:.0f} MB "
            f"after 10 s, {f['soak_rss_end_mb']:.0f} MB at the end"
        )
    return "\n".join(lines)
