"""An evaluation -> one self-contained HTML page: figures, curves, and the frames worth a look."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visavis.audio.phones import PHONES
from visavis.eval import lips, motion
from visavis.eval.evaluate import Evaluation
from visavis.eval.plot import Band, Line, Mark, Panel, figure, wave
from visavis.eval.track import Sight, speed
from visavis.faces.crop import Crop, sample
from visavis.media.place import output_error, whole_file
from visavis.media.read import VideoReader
from visavis.types import FloatArray, ImageArray

GOOD, FAIR, BAD = "#2a8a4a", "#c08a10", "#c03030"
GRADES = {GOOD: "good", FAIR: "fair", BAD: "BAD"}
FRAMES, BLINKS, CLOSURES, JUMPS = 12, 12, 30, 5
THUMB_PX, PART_PX = 200, 132
PARTS = {"mouth": (0.24, 0.46), "eyes": (-0.14, 0.62)}
"""How far below the face's middle, and how wide, in sides of the face's square."""


@dataclass(frozen=True)
class Sheet:
    """A sheet of pictures: its ``title``, and which ``part`` of the frames it shows."""

    title: str
    part: str = "all"


SHEETS: dict[str, Sheet] = {
    "frames": Sheet("Frames"),
    "closures": Sheet("Closures, worst first: each p b m where the lips are nearest", "mouth"),
    "blinks": Sheet("Blinks, where the lids are nearest", "eyes"),
    "jumps": Sheet("Largest jumps: the frame before, the frame, the frame after"),
}


@dataclass(frozen=True)
class Verdict:
    """How a figure is read: ``good`` and ``fair`` are its ranges, ``meaning`` is for people."""

    good: tuple[float, float]
    fair: tuple[float, float]
    meaning: str


VERDICTS: dict[str, Verdict] = {
    "closure_recall": Verdict((0.9, 1), (0.75, 1), "p b m on which the lips close"),
    "false_closures": Verdict((0, 0.2), (0, 0.35), "other phones on which the lips close"),
    "opening_recall": Verdict((0.9, 1), (0.75, 1), "open vowels on which the lips part"),
    "av_offset_ms": Verdict((-40, 40), (-80, 80), "positive: the picture is late"),
    "av_correlation": Verdict((0.5, 1), (0.35, 1), "mouth seen and mouth expected"),
    "mouth_speed_in_silence": Verdict((0, 0.1), (0, 0.2), "inter-ocular distances per second"),
    "rest_after_silence_ms": Verdict((0, 200), (0, 400), "until the mouth rests, median"),
    "head_jitter": Verdict((0, 1), (0, 2), "degrees per (40 ms)²; real people 0.3 to 1.3"),
    "blinks_per_min": Verdict((8, 35), (4, 50), "blinks a minute"),
    "blink_ms": Verdict((100, 400), (60, 500), "length of a blink, median"),
    "blink_depth": Verdict((0.35, 1), (0.2, 1), "how far lids close; shut ones read 0.35 to 0.8"),
    "identity_distance": Verdict((0, 0.35), (0, 0.6), "dlib; above 0.6 another person"),
    "sharpness": Verdict((0.85, 1.2), (0.7, 1.4), "1 is as sharp as the portrait"),
    "flicker": Verdict((0, 0.8), (0, 1.6), "grey levels of the forehead per frame"),
    "background_change": Verdict((0, 1), (0, 2), "grey levels of the background per frame"),
    "face_seen": Verdict((0.98, 1), (0.9, 1), "frames in which a face is found"),
}
"""Ranges of real people where they have one (benchmarks/talk.py), of the eye's judgement else."""

STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:24px;color:#223;background:#fff}
h1{font-size:20px}h2{font-size:16px;margin-top:28px}table{border-collapse:collapse}
td{padding:3px 14px 3px 0;border-bottom:1px solid #e4e8ec}td.n{text-align:right;font-weight:600}
.scroll{overflow-x:auto}.sheet{display:flex;flex-wrap:wrap;gap:8px}
figure{margin:0;font-size:11px;text-align:center}figure img{display:block;border-radius:3px}
.panel{fill:#f6f8fa}.tick{stroke:#0001}.level{stroke:#8896;stroke-dasharray:2 3}
.curve{fill:none;stroke-width:1.4}.axis,.unit,.left{font-size:11px;fill:#667}
.left{text-anchor:end}.title{font-size:12px;font-weight:600;fill:#223}
.word{font-size:9px;text-anchor:middle;fill:#334}.note{color:#667}
"""


def write_report(place: str | Path, video: str | Path, result: Evaluation) -> Path:
    """Write the page to ``place``: a name ending in .html, or a folder that gets report.html.

    The pictures come from a second pass over ``video``. The page appears whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    path = Path(place)
    if path.suffix.lower() not in (".html", ".htm"):
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise output_error(path, error) from error
        path = path / "report.html"
    page = _page(Path(video).name, result, _pictures(video, result))
    with whole_file(path) as hidden:
        hidden.write_text(page, "utf-8")
    return path


def _page(name: str, result: Evaluation, sheets: str) -> str:
    """Return the whole page."""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in result.notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}</title>'
        f"<style>{STYLE}</style><h1>{escape(name)}</h1><table>{_table(result.figures)}</table>"
        f'{notes}<h2>Curves</h2><div class="scroll">{_curves(result)}</div>{sheets}</html>\n'
    )


def table(figures: dict[str, Any]) -> str:
    """Return the figures for a terminal, a line each, with what is good and what is not."""
    lines = []
    for name, value in figures.items():
        verdict, words = VERDICTS.get(name), ""
        if verdict is not None and value is not None:
            words = f"{GRADES[_colour(verdict, value)]:5} {verdict.meaning}"
        lines.append(f"{name:24} {'-' if value is None else _shown(value):>12}  {words}".rstrip())
    return "\n".join(lines)


def _table(figures: dict[str, Any]) -> str:
    """Return the rows of the table of figures."""
    rows = []
    for name, value in figures.items():
        verdict = VERDICTS.get(name)
        colour = "inherit" if verdict is None or value is None else _colour(verdict, value)
        meaning = "" if verdict is None else f"{verdict.meaning}; good: {_range(verdict.good)}"
        shown = "-" if value is None else _shown(value)
        rows.append(
            f'<tr><td>{name}</td><td class="n" style="color:{colour}">{escape(shown)}</td>'
            f"<td>{escape(meaning)}</td></tr>"
        )
    return "".join(rows)


def _shown(value: Any) -> str:  # noqa: ANN401 - a figure of any kind
    if isinstance(value, dict):
        return ", ".join(f"{k} {v:.1f}" for k, v in value.items())
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"


def _colour(verdict: Verdict, value: float) -> str:
    """Return green, amber or red."""
    if verdict.good[0] <= value <= verdict.good[1]:
        return GOOD
    return FAIR if verdict.fair[0] <= value <= verdict.fair[1] else BAD


def _curves(result: Evaluation) -> str:
    """Return the figure: sound and phones, mouth, its speed, eyes, head."""
    return figure([_sound(result), _mouth(result), _speed(result), _eyes(result), _head(result)],
                  len(result.curves))  # fmt: skip


def _sound(result: Evaluation) -> Panel:
    """Return the waveform with the phones over it."""
    colours = dict.fromkeys(lips.BILABIALS, "#4a7bd055") | dict.fromkeys(
        lips.OPEN_VOWELS, "#e0a03040"
    )
    bands = [
        Band(s.start, s.end, colours.get(s.name, "#0000"), s.name)
        for s in result.heard.spans()
        if s.name != "SIL"
    ]
    return Panel("sound and phones", "blue: p b m, amber: open vowels", -1, 1, 100,
                 wave(result.heard.peaks), tuple(bands))  # fmt: skip


def _mouth(result: Evaluation) -> Panel:
    """Return the opening of the mouth, what the phones ask for, and the closures."""
    table = np.array([lips.OPENNESS[p] for p in PHONES], np.float32)
    top = max(0.15, float(np.percentile(lips.parting(result.curves), 99)) * 1.1)
    asked = table[result.heard.phones] * top * 0.7
    marks = [
        Mark(v.row, v.parting, GOOD if v.is_met else BAD,
             f"{v.span.name} at {v.span.start / 100:.2f} s: parted {v.parting:.3f}")
        for v in result.closures
    ]  # fmt: skip
    low = [
        Band(v.span.start, v.span.end, "#c0303030", "shut") for v in result.openings if not v.is_met
    ]
    lines = (
        Line(asked, "#b8c4d0", "asked by the phones", is_dashed=True),
        Line(result.curves.gap, "#90b0e0", "gap of the lips"),
        Line(lips.parting(result.curves), "#204080", "gap and teeth"),
    )
    return Panel("mouth opening", "inter-ocular distances", 0, top, 170, lines, tuple(low),
                 tuple(marks), ((lips.CLOSED, "closed"),))  # fmt: skip


def _speed(result: Evaluation) -> Panel:
    """Return the speed of the lips; the stretches that must be still are shaded."""
    quiet = motion.silences(result.heard, len(result.curves))
    bands = tuple(Band(a, b, "#2a8a4a1c", "silence") for a, b in quiet)
    line = Line(speed(result.curves.lips), "#705090", "")
    return Panel("mouth speed", "inter-ocular distances / s", 0, 1, 80, (line,), bands, (),
                 ((motion.STILL_SPEED, "still"),))  # fmt: skip


def _eyes(result: Evaluation) -> Panel:
    """Return the opening of the eyes; blinks are shaded."""
    bands = tuple(Band(b.start, b.end, "#30a0a040", "blink") for b in result.blinks)
    top = float(np.percentile(result.curves.eyes, 99)) * 1.15
    line = Line(result.curves.eyes, "#108080", "")
    return Panel("eye opening", "height / width", 0, top, 80, (line,), bands)


def _head(result: Evaluation) -> Panel:
    """Return pitch, yaw and roll about their medians."""
    turns = result.curves.rotation - np.median(result.curves.rotation, axis=0)
    reach = max(5.0, float(np.abs(turns).max()) * 1.05)
    names = (
        ("pitch, + up", "#b04030"),
        ("yaw, + right", "#3060b0"),
        ("roll, + clockwise", "#508030"),
    )
    lines = tuple(Line(turns[:, i], c, name) for i, (name, c) in enumerate(names))
    return Panel("head", "degrees about the median", -reach, reach, 130, lines, (), (),
                 ((0.0, "0"),))  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """A picture for the page: which frame, what part, and the words under it."""

    frame: int
    sheet: str
    text: str
    colour: str = "#0000"


def _wanted(result: Evaluation) -> list[Wanted]:
    """Return the pictures worth looking at, in the order of the page."""
    curves = result.curves
    out = [
        Wanted(int(curves.frames[row]), "frames", f"{row / 100:.2f} s")
        for row in np.linspace(0, len(curves) - 1, FRAMES).astype(int)
    ]
    for blink in result.blinks[:BLINKS]:
        row = blink.start + int(curves.eyes[blink.start : blink.end].argmin())
        out.append(
            Wanted(int(curves.frames[row]), "blinks", f"{row / 100:.2f} s, {blink.depth:.0%}")
        )
    worst = sorted(result.closures, key=lambda v: (v.is_met, -v.parting))[:CLOSURES]
    for visit in worst:
        text = f"{visit.span.name} {visit.row / 100:.2f} s, parted {visit.parting:.3f}"
        colour = GOOD if visit.is_met else BAD
        out.append(Wanted(int(curves.frames[visit.row]), "closures", text, colour))
    turn = np.linalg.norm(_bend(curves.rotation), axis=1)
    lip = np.linalg.norm(_bend(curves.lips.reshape(len(curves), -1)), axis=1)
    for values, what, unit in ((turn, "head", "°"), (lip, "mouth", "")):
        for row in _peaks(values * curves.seen):
            frame = int(curves.frames[row])
            text = f"{what} {row / 100:.2f} s, bend {values[row]:.2f}{unit}"
            out += [Wanted(f, "jumps", text) for f in (frame - 1, frame, frame + 1)]
    return [w for w in out if 0 <= w.frame < len(result.track.sights)]


def _bend(values: FloatArray) -> FloatArray:
    """Return the second difference of ``values`` (n, k) over 40 ms steps, zero at the ends."""
    out = np.zeros_like(values)
    if len(values) > 8:
        out[4:-4] = values[8:] - 2 * values[4:-4] + values[:-8]
    return out


def _peaks(values: FloatArray) -> list[int]:
    """Return the rows of the largest ``values``, none nearer than 0.4 s to a larger one."""
    found: list[int] = []
    for row in np.argsort(-values)[:4000]:
        if len(found) == JUMPS:
            break
        if all(abs(int(row) - other) > 40 for other in found):
            found.append(int(row))
    return found


def _pictures(video: str | Path, result: Evaluation) -> str:
    """Return the sheets of frames, eyes and mouths."""
    wanted = _wanted(result)
    needed = {(w.frame, SHEETS[w.sheet].part) for w in wanted}
    last = max(frame for frame, _ in needed)
    drawn: dict[tuple[int, str], str] = {}
    with VideoReader(video) as reader:
        for index, (image, _) in enumerate(reader):
            for part in (part for frame, part in needed if frame == index):
                drawn[index, part] = _jpeg(_view(image, result.track.sights[index], part))
            if index >= last:
                break
    return "".join(
        f'<h2>{sheet.title}</h2><div class="sheet">{_sheet(name, wanted, drawn)}</div>'
        for name, sheet in SHEETS.items()
    )


def _sheet(name: str, wanted: list[Wanted], drawn: dict[tuple[int, str], str]) -> str:
    """Return the pictures of one sheet."""
    out = []
    for w in wanted:
        data = drawn.get((w.frame, SHEETS[w.sheet].part))
        if w.sheet == name and data is not None:
            out.append(
                f'<figure><img src="data:image/jpeg;base64,{data}" alt="" '
                f'style="border:3px solid {w.colour}">{escape(w.text)}</figure>'
            )
    return "".join(out) or '<p class="note">none</p>'


def _view(image: ImageArray, sight: Sight | None, part: str) -> ImageArray:
    """Return the whole of ``image`` made small, or the upright ``part`` of its face."""
    if sight is None or part == "all":
        share = THUMB_PX / max(image.shape[:2])
        small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)
    crop, (below, side) = sight.crop, PARTS[part]
    turn, down = np.deg2rad(crop.roll), below * crop.side
    x, y = crop.centre[0] - np.sin(turn) * down, crop.centre[1] + np.cos(turn) * down
    view = Crop((float(x), float(y)), side * crop.side, crop.roll, PART_PX)
    return np.asarray(sample(image, view, cv2.INTER_LINEAR), np.uint8)


def _jpeg(image: ImageArray) -> str:
    """Return ``image`` as base64 of a JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [1, 86])
    return base64.b64encode(data.tobytes()).decode()
