"""A user's own videos -> clips for training, with a word on each that was left out.

Every video is followed (``follow``), fitted (``fit``), set in step with its sound (``sync``),
judged, cut to clips of at most 20 s and written. What is finished is on record in ``report.json``;
a second run goes on where the first was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from visavis.api import Tick
from visavis.data import sync
from visavis.data.clip import Clip, write_clip
from visavis.data.people import split_of
from visavis.data.report import Report, Verdict, read_report, write_report
from visavis.data.sources import TAKES, Source, find_sources
from visavis.data.takes import read_take
from visavis.errors import InputError, OutputError, VisavisError
from visavis.faces.landmarks import track
from visavis.faces.measure import interocular
from visavis.media.kinds import shown
from visavis.media.place import output_error
from visavis.media.read import VideoReader, open_audio
from visavis.motion.layout import INDEX, SIZE, pack
from visavis.render.rig import PortraitRig, load_rig
from visavis.timing import Stopwatch
from visavis.tracking.acted import sampled
from visavis.tracking.fit import Fit, fit
from visavis.tracking.follow import Follow, Stretch, stretches
from visavis.types import MOTION_FPS, SAMPLE_RATE, FloatArray

CLIP_S, SHORTEST_S = 20.0, 2.0
SLOWEST_FPS = 15.0
"""Pictures a second below which lips cannot be followed: a closure lasts 60 ms and more."""
SMALLEST_PX = 40.0
"""Distance of the outer eye corners below which lips cannot be read."""
WORST_RESIDUAL = 0.03
"""Mean distance of rig and landmarks, in that distance, above which they were no face."""
MOST_MISSING = 0.1
PROFILE_DEG = 45.0
IN_STEP_MS = 30.0
"""Offsets up to this are within what the estimate errs by, and stay."""
NOTHING = np.zeros(0, np.float32)
Progress = Callable[[Tick], None]


@dataclass(frozen=True)
class _Job:
    """What is the same for all clips of one run."""

    out: Path
    follow: Follow
    seen: Callable[[int], None]
    rest: Callable[[Path], PortraitRig]


def prepare(
    videos: list[str | Path],
    out: str | Path,
    labels: str | Path | None = None,
    follow: Follow = track,
    progress: Progress | None = None,
) -> Report:
    """Make clips of ``videos`` (files or folders; ARKit takes too) in the folder ``out``.

    Args:
        videos: see ``sources.find_sources``.
        out: made if it does not exist; holds the clips and ``report.json``.
        labels: persons, emotions and more by file name, see ``sources.find_sources``; what is
            finished is not done again when they change.
        follow: finds the face in the next frame.
        progress: told after every frame.

    Raises:
        InputError: there is no video, or ``labels`` cannot be used. A single video that cannot be
            read does not stop the run; the report says why.
        OutputError: ``out`` cannot be written to.
    """
    sources = find_sources(videos, labels, Path(out))
    folder = _folder(out)
    report = read_report(folder)
    waiting = [s for s in sources if not report.holds(s.path, folder)]
    _check_names(waiting, report, folder)
    job = _Job(folder, follow, _counter(waiting, progress), _resting(follow))
    for source in waiting:
        for clip in report.clips(source.path, folder):  # of the video as it was
            clip.unlink(missing_ok=True)
        verdicts = tuple(_verdicts(source, job))
        report = report.having(source.path, verdicts)
        write_report(folder, report)
    return report


def _folder(out: str | Path) -> Path:
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(out, error) from error
    return Path(out)


def _check_names(waiting: list[Source], report: Report, folder: Path) -> None:
    """Refuse sources whose clips would take the place of another video's."""
    owners = {
        clip.stem.rpartition("_")[0]: video
        for video in report.videos
        for clip in report.clips(Path(video), folder)
    }
    for source in waiting:
        owner = owners.get(source.name, str(source.path))
        if owner != str(source.path):
            raise InputError(
                f"{shown(folder)} holds clips called {source.name} of {shown(owner)}. Rename "
                f"{shown(source.path)}, give its folder, or choose another folder with -o."
            )


def _counter(sources: list[Source], progress: Progress | None) -> Callable[[int], None]:
    """Return what is called with the frames seen of each video in turn."""
    watch, counts = Stopwatch(), [0, 0]  # frames of finished videos, of the present one
    total = sum(_frames(s.path) for s in sources if not s.skip) if progress is not None else 0

    def seen(frames: int) -> None:
        if progress is None:
            return
        if frames < counts[1]:
            counts[0] += counts[1]
        counts[1] = frames
        done = sum(counts)
        progress(Tick(done, max(total, done), done / MOTION_FPS / max(watch.elapsed_s(), 1e-3)))

    return seen


def _frames(path: Path) -> int:
    """Return how many frames ``path`` says it has; 0 for what says nothing or is no video."""
    if path.suffix.lower() in TAKES:
        return 0
    try:
        with VideoReader(path) as reader:
            return reader.frames or 0
    except VisavisError:
        return 0


def _resting(follow: Follow) -> Callable[[Path], PortraitRig]:
    """Return what gives the rig of the person in a neutral video, each video once."""
    known: dict[Path, PortraitRig] = {}

    def rest(path: Path) -> PortraitRig:
        if path not in known:
            first = next(stretches(path, follow), None)
            if first is None:
                raise InputError(f"{path} shows no face to take as the neutral one.")
            known[path] = fit(load_rig(), first.points, first.fps).face
        return known[path]

    return rest


def _verdicts(source: Source, job: _Job) -> Iterator[Verdict]:
    """Write the clips of ``source``; yield a verdict on each piece of it."""
    nothing = Verdict(source.name, source.person, split_of(source.person))
    if source.skip:
        yield replace(nothing, reason=source.skip)
        return
    work = _take if source.path.suffix.lower() in TAKES else _video
    count = 0
    try:
        for verdict in work(source, job):
            count += 1
            yield verdict
    except OutputError:
        raise
    except VisavisError as error:
        yield replace(nothing, reason=str(error))
        return
    if count == 0:
        yield replace(nothing, reason="no face was found")


def _take(source: Source, job: _Job) -> Iterator[Verdict]:
    """Write an ARKit take as clips."""
    values, known = read_take(source.path)
    count = max(1, -(-len(values) // round(CLIP_S * MOTION_FPS)))
    for number, part in enumerate(np.array_split(values, count)):
        name = f"{source.name}_{number:02d}"
        _write(job.out, Clip(
            name, source.person, "take", part, known, NOTHING, NOTHING, is_heard=False,
            emotion=source.emotion, intensity=source.intensity,
        ))  # fmt: skip
        yield Verdict(
            name, source.person, split_of(source.person), is_accepted=True,
            seconds=len(part) / MOTION_FPS, blinks=_blinks(part),
        )  # fmt: skip


def _video(source: Source, job: _Job) -> Iterator[Verdict]:
    """Write the good stretches of a video as clips."""
    sound = _sound(source)
    rest = None if source.rest is None else job.rest(source.rest)
    number = 0
    for stretch in stretches(source.path, job.follow, job.seen):
        for verdict in _stretch(source, job, stretch, sound, rest):
            name = f"{source.name}_{number:02d}"
            number += 1
            yield verdict(name)


def _sound(source: Source) -> FloatArray:
    """Return the whole sound of a video (n,), empty when it has none or another's."""
    if not source.is_heard:
        return NOTHING
    try:
        with open_audio(source.path) as reader:
            pieces = [np.round(32_767 * p).astype(np.int16) for p in reader.chunks()]
    except InputError:
        return NOTHING
    return np.concatenate([np.zeros(0, np.int16), *pieces])


def _stretch(
    source: Source, job: _Job, stretch: Stretch, sound: FloatArray, rest: PortraitRig | None
) -> Iterator[Callable[[str], Verdict]]:
    """Yield, for each piece of ``stretch``, what writes it under a name and tells of it."""
    start, end = stretch.seconds[0], stretch.seconds[-1] + 1 / stretch.fps
    base = Verdict(
        "", source.person, split_of(source.person), start_s=float(start),
        seconds=float(end - start), missing=stretch.missing,
        face_px=float(np.median([interocular(p) for p in stretch.points])),
    )  # fmt: skip
    reason = _unfit(base, stretch.fps)
    if reason:
        yield partial(_refused, base, reason)
        return
    fitted = fit(load_rig(), stretch.points, stretch.fps, rest)
    base = _measured(base, fitted)
    base, own = _in_step(base, fitted, stretch, _between(sound, start, end))
    reason = _doubtful(base)
    if reason:
        yield partial(_refused, base, reason)
        return
    late = base.late_ms / 1000
    low, high = max(start, start - late), min(end, end - late)
    edges = np.linspace(low, high, max(1, int(np.ceil((high - low) / CLIP_S))) + 1)
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        at = round(a * MOTION_FPS) / MOTION_FPS if a > low else a
        frames = int(round((b - at) * MOTION_FPS, 3))
        motion = sampled(pack(fitted.motion), stretch.seconds, at, late, frames)
        samples = _between(sound, at, at + frames / MOTION_FPS) if own else NOTHING
        yield partial(_accepted, source, job, base, motion, samples)


def _refused(base: Verdict, reason: str, name: str) -> Verdict:
    return replace(base, name=name, reason=reason)


def _accepted(
    source: Source, job: _Job, base: Verdict, motion: FloatArray, samples: FloatArray, name: str
) -> Verdict:
    """Write one clip and return the verdict on it."""
    _write(job.out, Clip(
        name, source.person, "talking", motion, np.ones(SIZE, bool), samples, NOTHING,
        is_heard=bool(len(samples)), emotion=source.emotion, intensity=source.intensity,
    ))  # fmt: skip
    seconds = len(motion) / MOTION_FPS
    return replace(base, name=name, is_accepted=True, seconds=seconds, blinks=_blinks(motion))


def _write(folder: Path, clip: Clip) -> None:
    try:
        write_clip(folder, clip)
    except OSError as error:
        raise output_error(folder, error) from error


def _unfit(v: Verdict, fps: float) -> str:
    """Return why a stretch is not worth fitting, or ""."""
    if v.seconds < SHORTEST_S:
        return f"{v.seconds:.1f} s between cuts; {SHORTEST_S:.0f} s are needed"
    if fps < SLOWEST_FPS:
        return f"{fps:.3g} pictures a second; {SLOWEST_FPS:.0f} are needed"
    if v.face_px < SMALLEST_PX:
        least = f"{SMALLEST_PX:.0f} are needed"
        return f"{v.face_px:.0f} px between the eyes' outer corners; {least}"
    if v.missing > MOST_MISSING:
        return f"no face in {v.missing:.0%} of the frames"
    return ""


def _measured(base: Verdict, fitted: Fit) -> Verdict:
    """Return ``base`` with what the fit says of itself."""
    a, b = fitted.gaps.T.astype(np.float64)
    moves = min(a.std(), b.std()) > 1e-6
    return replace(
        base,
        residual=float(fitted.residual.mean()),
        gap_correlation=float(np.corrcoef(a, b)[0, 1]) if moves else 1.0,
        yaw_deg=fitted.yaw_deg,
    )


def _in_step(
    base: Verdict, fitted: Fit, stretch: Stretch, samples: FloatArray
) -> tuple[Verdict, bool]:
    """Return ``base`` with the lateness of the picture, and whether the sound is the person's."""
    if not len(samples):
        return replace(base, note="no sound"), False
    gap = fitted.gaps[:, 0]
    found = sync.compare(gap, stretch.seconds, samples, float(stretch.seconds[0]))
    late = found.ms if found.is_sure and abs(found.ms) > IN_STEP_MS else 0.0
    is_own = found.is_sure or found.speech_s < sync.LEAST_SPEECH_S
    note = "" if is_own else "the sound does not go with the mouth: kept without it"
    ms, correlation = found.ms, found.correlation
    after = replace(base, av_ms=ms, av_correlation=correlation, late_ms=late, note=note)
    return after, is_own


def _doubtful(v: Verdict) -> str:
    """Return why a fitted stretch is left out, or ""."""
    if v.residual > WORST_RESIDUAL:
        most = f"{WORST_RESIDUAL:.0%} is the limit"
        return f"the face model is {v.residual:.1%} of the eye distance off; {most}"
    if abs(v.yaw_deg) > PROFILE_DEG:
        return f"seen from the side ({v.yaw_deg:.0f} degrees)"
    return ""


def _between(sound: FloatArray, start_s: float, end_s: float) -> FloatArray:
    """Return the sound from ``start_s`` to ``end_s`` as float32, silence where there is none."""
    if not len(sound):
        return NOTHING
    start, count = round(start_s * SAMPLE_RATE), round((end_s - start_s) * SAMPLE_RATE)
    piece = sound[max(0, start) : max(0, start + count)].astype(np.float32) / 32_767
    before = min(max(0, -start), count)
    return np.pad(piece[: count - before], (before, count - before))[:count]


def _blinks(values: FloatArray) -> int:
    """Return how often both lids shut in motion ``values`` (t, 58)."""
    lids = values[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].min(1)
    return int(((lids[1:] > 0.5) & (lids[:-1] <= 0.5)).sum())
