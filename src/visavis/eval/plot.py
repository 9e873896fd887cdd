"""Curves under one time axis as hand-made SVG: no plotting library in the plain install."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from visavis.audio.features import ROWS_PER_SECOND
from visavis.types import FloatArray

LEFT_PX, RIGHT_PX, TOP_PX = 200, 16, 20
NARROWEST_PX, WIDEST_PX, PX_PER_S = 1100, 24_000, 110.0
EVERY = 2
"""Rows per point of a line."""


@dataclass(frozen=True)
class Line:
    """One curve ``values`` (n,) on rows of 10 ms, drawn in ``colour``."""

    values: FloatArray
    colour: str
    name: str
    is_dashed: bool = False


@dataclass(frozen=True)
class Band:
    """A stretch of rows [start, end) that is shaded, perhaps with a word."""

    start: int
    end: int
    colour: str
    text: str = ""


@dataclass(frozen=True)
class Mark:
    """A dot at ``row`` and ``value``."""

    row: int
    value: float
    colour: str
    text: str


@dataclass(frozen=True)
class Panel:
    """One strip of the figure: its curves between ``low`` and ``high``, bands, dots and levels."""

    title: str
    unit: str
    low: float
    high: float
    height_px: int = 110
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    marks: tuple[Mark, ...] = ()
    levels: tuple[tuple[float, str], ...] = ()


def figure(panels: Sequence[Panel], rows: int) -> str:
    """Return the panels one under the other as one SVG over ``rows`` rows of 10 ms."""
    width = int(np.clip(rows / ROWS_PER_SECOND * PX_PER_S, NARROWEST_PX, WIDEST_PX))
    step = width / max(rows, 1)
    parts, top = [], TOP_PX
    for panel in panels:
        parts.append(f'<g transform="translate({LEFT_PX},{top})">{_panel(panel, width, step)}</g>')
        top += panel.height_px + 12
    parts.append(_seconds(rows, step, top))
    size = f'width="{width + LEFT_PX + RIGHT_PX}" height="{top + 24}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _seconds(rows: int, step: float, bottom: int) -> str:
    """Return the axis: a tick each second, or fewer where they would touch."""
    every = max(1, int(np.ceil(40.0 / (step * ROWS_PER_SECOND))))
    out = []
    for second in range(0, rows // ROWS_PER_SECOND + 1, every):
        x = LEFT_PX + second * ROWS_PER_SECOND * step
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP_PX}" y2="{bottom}" class="tick"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 14}" class="axis">{second} s</text>')
    return "".join(out)


def _panel(panel: Panel, width: int, step: float) -> str:
    """Return one panel, its origin at its own top left."""

    def y(value: float) -> float:
        share = (value - panel.low) / (panel.high - panel.low)
        return panel.height_px * (1.0 - float(np.clip(share, 0, 1)))

    height = panel.height_px
    out = [f'<rect width="{width}" height="{height}" class="panel"/>']
    for band in panel.bands:
        x, wide = band.start * step, (band.end - band.start) * step
        out.append(_rect(x, wide, height, band.colour))
        if band.text and wide > 7:
            out.append(
                f'<text x="{x + wide / 2:.1f}" y="10" class="word">{escape(band.text)}</text>'
            )
    for level, name in panel.levels:
        at = f"{y(level):.1f}"
        out.append(f'<line x2="{width}" y1="{at}" y2="{at}" class="level"/>')
        out.append(f'<text x="-6" y="{y(level) + 4:.1f}" class="left">{escape(name)}</text>')
    for line in panel.lines:
        values = np.clip((line.values - panel.low) / (panel.high - panel.low), 0, 1)
        out.append(_polyline((1 - values) * height, step, line))
    for mark in panel.marks:
        place = f'cx="{mark.row * step:.1f}" cy="{y(mark.value):.1f}" r="4"'
        words = f"<title>{escape(mark.text)}</title>"
        out.append(f'<circle {place} fill="{mark.colour}">{words}</circle>')
    return "".join([*out, _names(panel)])


def _names(panel: Panel) -> str:
    """Return the title of the panel and the names of its curves, left of it."""
    x = 8 - LEFT_PX
    words = [f'<text x="{x}" y="14" class="title">{escape(panel.title)}</text>']
    words.append(f'<text x="{x}" y="28" class="unit">{escape(panel.unit)}</text>')
    for i, line in enumerate(panel.lines):
        if line.name:
            words.append(
                f'<text x="{x}" y="{44 + 14 * i}" class="unit" style="fill:{line.colour}">'
                f"{escape(line.name)}</text>"
            )
    return "".join(words)


def _rect(x: float, width: float, height: int, colour: str) -> str:
    return f'<rect x="{x:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _polyline(y: FloatArray, step: float, line: Line) -> str:
    """Return a curve; it breaks where values are NaN."""
    x = np.arange(0, len(y), EVERY) * step
    pairs = [f"{a:.1f},{b:.1f}" for a, b in zip(x, y[::EVERY], strict=True) if np.isfinite(b)]
    dash = ' stroke-dasharray="4 3"' if line.is_dashed else ""
    return f'<polyline points="{" ".join(pairs)}" stroke="{line.colour}" class="curve"{dash}/>'


def wave(peaks: FloatArray) -> tuple[Line, Line]:
    """Return the outline of the sound, ``peaks`` (n,) in 0..1, as two lines between -1 and 1."""
    loudest = max(float(peaks.max(initial=0.0)), 1e-6)
    shape = peaks / loudest
    return Line(shape, "#456", ""), Line(-shape, "#456", "")
