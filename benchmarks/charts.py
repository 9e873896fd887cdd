"""Grids of panels with curves as one PNG; needs matplotlib, which the package itself does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COLOURS = {
    "real": "black", "real, other persons": "grey", "rules": "tab:orange", "1 step": "tab:blue",
    "2 steps": "tab:cyan", "4 steps": "tab:purple", "teacher, 10 steps": "tab:olive",
    "teacher, 50 steps": "tab:red", "chance": "tab:brown",
}  # fmt: skip
"""One colour for each system in every figure; others as they come."""


@dataclass(frozen=True)
class Curve:
    """``y`` over ``x`` under ``name``; ``style`` is matplotlib's, ``band`` around it or none."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: str = "-"
    band: Sequence[float] | np.ndarray | None = None


@dataclass(frozen=True)
class Panel:
    """One set of axes. ``log`` is "", "x", "y" or "xy"."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log: str = ""
    ticks: tuple[str, ...] = ()


def draw(path: Path, panels: Sequence[Panel], across: int = 2, heading: str = "") -> None:
    """Write the panels, ``across`` side by side, as the PNG ``path``."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    down = -(-len(panels) // across)
    size = (5.6 * across, 3.1 * down)
    figure, axes = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for axis, panel in zip(axes.ravel(), panels, strict=False):
        _fill(axis, panel)
    for axis in axes.ravel()[len(panels) :]:
        axis.set_visible(False)
    if heading:
        figure.suptitle(heading, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _fill(axis, panel: Panel) -> None:
    """Draw ``panel`` on matplotlib's ``axis``."""
    for curve in panel.curves:
        colour = COLOURS.get(curve.name)
        (line,) = axis.plot(
            curve.x, curve.y, curve.style, label=curve.name, color=colour, lw=1.4, ms=4
        )
        if curve.band is not None:
            y, band = np.asarray(curve.y), np.asarray(curve.band)
            axis.fill_between(curve.x, y - band, y + band, color=line.get_color(), alpha=0.15)
    if "x" in panel.log:
        axis.set_xscale("log")
    if "y" in panel.log:
        axis.set_yscale("log")
    if panel.ticks:
        axis.set_xticks(range(len(panel.ticks)), panel.ticks, fontsize=8)
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel(panel.x_label, fontsize=8)
    axis.set_ylabel(panel.y_label, fontsize=8)
    axis.grid(alpha=0.3)
    if any(c.name for c in panel.curves):
        axis.legend(fontsize=7)
