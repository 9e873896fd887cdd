"""The whole way, judged from outside: held-out speech -> `visavis.animate` -> video -> `evaluate`.

``python benchmarks/talk.py --shared ../shared`` animates a synthetic portrait with the aligned
clips that no training saw (those of benchmarks/lips.py) and a second of silence, measures the
rendered 512 x 512 videos against the given phones, and prints one line per clip, the missed
closures, real talkers by the same measure as a reference, and JSON last.

``--judge teacher`` looks with MediaPipe's landmarks (needs ai-edge-litert) instead of our own
network, so that judge and product share nothing. ``--keep FOLDER`` keeps videos and report pages.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from lips_sets import english

import visavis
from visavis.eval import lips, motion
from visavis.eval.alignment import Span
from visavis.eval.evaluate import Evaluation, Follow, evaluate
from visavis.eval.report import write_report
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.types import SAMPLE_RATE, ImageArray

SILENCE_S = 1.0
REAL = ("grid", "hdtf", "voxceleb", "video-retalking")
"""Folders of real talkers with their own sound."""


def teacher(shared: Path) -> Follow:
    """Return a tracker that looks with MediaPipe's networks."""
    from visavis.train.teacher import FaceTeacher

    net = FaceTeacher(shared / "data/models")

    def follow(image: ImageArray, last: FaceLandmarks | None) -> FaceLandmarks | None:
        found = (None, 0.0) if last is None else net.from_points(image, last.points)
        if found[1] < 0.5:
            found = net.locate(image)
        return None if found[0] is None or found[1] < 0.5 else FaceLandmarks(*found)

    return follow


@contextmanager
def place(keep: Path | None) -> Iterator[Path]:
    """Give the folder to work in."""
    if keep is not None:
        keep.mkdir(exist_ok=True, parents=True)
        yield keep
        return
    with TemporaryDirectory(prefix="visavis-talk-") as folder:
        yield Path(folder)


def talk(
    args: argparse.Namespace, portrait: Path, folder: Path, follow: Follow
) -> list[Evaluation]:
    """Animate and judge each held-out clip."""
    out = []
    for clip in english(args.shared)[:: args.every]:
        name, samples, phones = clip.name, clip.samples, clip.phones
        video, spoken = folder / f"{name}.mp4", folder / f"{name}.json"
        silence = np.zeros(round(SILENCE_S * SAMPLE_RATE), np.float32)
        sound = (np.concatenate([samples, silence]), SAMPLE_RATE)
        motion_out = folder / f"{name}.npz"
        visavis.animate(
            str(portrait), sound, video, size=args.size, seed=args.seed, motion_out=motion_out
        )
        spoken.write_text(json.dumps(phones), "utf-8")
        result = evaluate(video, portrait=portrait, phones=spoken, follow=follow)
        print(row(name, result), flush=True)
        for visit in result.closures:
            if not visit.is_met:
                print("   missed", context(result, visit))
        if args.keep is not None:
            write_report(folder / f"{name}.html", video, result)
        out.append(result)
    return out


def real(args: argparse.Namespace, folder: Path, follow: Follow) -> list[Evaluation]:
    """Judge real talkers.

    GRID's words are known and aligned (pocketsphinx); of the others, only those bilabials count
    that our recogniser and pocketsphinx both heard, so that people do not pay for a wrong ear.
    """
    known = json.loads((Path(__file__).parent / "real_phones.json").read_text("utf-8"))
    out = []
    for source in REAL:
        for video in sorted((args.shared / "data/talking" / source).iterdir()):
            spoken = folder / f"{video.stem}.json"
            aligned = known["aligned"].get(video.stem)
            spoken.write_text(json.dumps(aligned), "utf-8")
            result = evaluate(video, phones=spoken if aligned else None, follow=follow)
            if not aligned:
                rows = known["sure_bilabials"].get(video.stem, [])
                spans = [Span(round(100 * a), round(100 * b), name) for a, b, name in rows]
                result = replace(result, closures=tuple(lips.closures(result.curves, spans)))
            print(row(f"{source}/{video.stem}", result), flush=True)
            out.append(result)
    return out


def context(result: Evaluation, visit: lips.Visit) -> str:
    """Return a missed closure in words: the phones around it, when, and how far apart."""
    names = [s.name for s in result.heard.spans()]
    at = [s.start for s in result.heard.spans()].index(visit.span.start)
    around = " ".join(names[max(0, at - 2) : at] + [f"[{names[at]}]"] + names[at + 1 : at + 3])
    length_ms = 10 * (visit.span.end - visit.span.start)
    when = f"at {visit.span.start / 100:6.2f} s, {length_ms:3} ms"
    return f"{around:24} {when}, parted {visit.parting:.3f}"


def row(name: str, result: Evaluation) -> str:
    """Return one clip as a line."""
    f = result.figures
    met = sum(v.is_met for v in result.closures)

    def number(key: str, digits: int) -> str:
        return "-" if f[key] is None else f"{f[key]:.{digits}f}"

    return (
        f"{name[:30]:30} closed {met:2}/{len(result.closures):2}  "
        f"open {sum(v.is_met for v in result.openings):2}/{len(result.openings):2}  "
        f"offset {number('av_offset_ms', 0):>4} ms ({number('av_correlation', 2)})  "
        f"rest {number('rest_after_silence_ms', 0):>4} ms  "
        f"in silence {number('mouth_speed_in_silence', 3):>5}  jitter {number('head_jitter', 2)}  "
        f"blinks {len(result.blinks)}  id {number('identity_distance', 2)}  "
        f"sharp {number('sharpness', 2)}"
    )


def pooled(results: list[Evaluation]) -> dict[str, float | int | None]:
    """Return the figures over all clips: closures and rests pooled, the others averaged."""
    closed = [v for r in results for v in r.closures]
    opened = [v for r in results for v in r.openings]
    offsets = [r.figures["av_offset_ms"] for r in results if r.figures["av_offset_ms"] is not None]
    rests = [t for r in results for t in motion.rest_after_silence_ms(r.curves, r.heard)]
    minutes = sum(r.figures["seconds"] for r in results) / 60
    by_phone = {
        f"closure_recall_{p}": lips.recall([v for v in closed if v.span.name == p])
        for p in lips.BILABIALS
    }
    figures: dict[str, float | int | None] = {
        "clips": len(results),
        "minutes": minutes,
        "closures": len(closed),
        "closure_recall": lips.recall(closed),
        **by_phone,
        "opening_recall": lips.recall(opened),
        "av_offset_ms": mean(offsets),
        "av_offset_ms_abs_max": max((abs(x) for x in offsets), default=None),
        "av_correlation": mean([r.figures["av_correlation"] for r in results]),
        "rest_after_silence_ms": mean(rests),
        "rest_after_silence_ms_p95": float(np.percentile(rests, 95)) if rests else None,
        "rest_within_200_ms": mean([float(t <= 200) for t in rests]),
        "blink_depth": mean([b.depth for r in results for b in r.blinks]),
        "blinks_per_min": sum(len(r.blinks) for r in results) / minutes,
    }
    for key in ("false_closures", "mouth_speed_in_silence", "head_jitter", "identity_distance",
                "sharpness", "flicker", "background_change"):  # fmt: skip
        figures[key] = mean([r.figures[key] for r in results if r.figures[key] is not None])
    for axis in ("pitch", "yaw", "roll"):
        figures[f"head_range_deg_{axis}"] = mean(
            [r.figures["head_range_deg"][axis] for r in results]
        )
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}


def mean(values: list[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return float(np.mean(values)) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--portrait", type=int, default=8, help="number in portraits/neutral")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take every N-th clip")
    parser.add_argument("--judge", choices=["own", "teacher"], default="own")
    parser.add_argument("--keep", type=Path, help="keep videos and reports in this folder")
    parser.add_argument("--no-real", action="store_true", help="leave the real talkers out")
    args = parser.parse_args()
    follow = teacher(args.shared) if args.judge == "teacher" else track
    portrait = args.shared / f"data/portraits/neutral/{args.portrait:05d}.webp"
    with place(args.keep) as folder:
        ours = pooled(talk(args, portrait, folder, follow))
        people = None if args.no_real else pooled(real(args, folder, follow))
    for key, value in ours.items():
        beside = "" if people is None else f"   real people {people[key]}"
        print(f"{key:28} {value}{beside}")
    print(json.dumps({**ours, "judge": args.judge, "size": args.size, "real": people}))


if __name__ == "__main__":
    main()
