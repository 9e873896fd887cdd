"""Figures of several systems side by side, with margins of error that count persons, not frames.

The margin is 1.96 standard deviations of a figure over random halves of the persons (the
delete-half jackknife, Shao and Wu 1989). It holds for means as for distances of sets, and it is
also taken of differences between systems: what they share, easy and hard persons, drops out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.types import FloatArray

HALVES = 200
"""Random halves that are looked at."""
FEWEST = 4
"""Persons below whom there is no margin (NaN)."""
_SURE = 1.96

Value = tuple[float, float]
"""A figure and its margin."""
Distance = Callable[[FloatArray, FloatArray, NDArray[np.int64]], float]
"""Distance of two sets of vectors (n, d) and (m, d), told whose the first are (n,)."""


@dataclass(frozen=True)
class Row:
    """One figure: ``values`` by system, ``apart`` from the first system by system.

    ``is_more`` tells whether more is better; ``references`` are systems that are no candidates.
    """

    values: Mapping[str, Value]
    apart: Mapping[str, Value]
    is_more: bool = False
    references: tuple[str, ...] = ()

    def verdict(self, system: str) -> str:
        """Return better, worse or same than the first system, same when that is not sure; or ""."""
        if system not in self.apart or system in self.references:
            return ""
        change, margin = self.apart[system]
        if not abs(change) > margin:
            return "same"
        return "better" if (change > 0) == self.is_more else "worse"

    @property
    def best(self) -> str:
        """Return the best candidate if it is surely better than the first system, else ""."""
        sign = 1 if self.is_more else -1
        ours = [s for s in self.values if s not in self.references]
        found = max(ours, key=lambda s: sign * self.values[s][0], default="")
        return found if found and self.verdict(found) == "better" else ""

    def line(self, name: str) -> str:
        """Return the row for people; the winner has a star."""
        cells = [
            f"{system} {value:8.4f} ±{margin:7.4f}{'*' if system == self.best else ' '} "
            f"{self.verdict(system):6}"
            for system, (value, margin) in self.values.items()
        ]
        return f"{name:28} " + " | ".join(cells)

    def plain(self) -> dict[str, dict[str, float | str]]:
        """Return the same for JSON."""
        out: dict[str, dict[str, float | str]] = {}
        for system, (value, margin) in self.values.items():
            out[system] = {"value": value, "margin": margin}
            if self.verdict(system):
                change, unsure = self.apart[system]
                out[system] |= {"change": change, "change_margin": unsure}
                out[system]["verdict"] = self.verdict(system)
        return out


class Gathered:
    """Numbers of many pictures by figure, system and person."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )

    def add(self, figure: str, system: str, person: str, value: float) -> None:
        """Note ``value``; systems come in the order in which they are first seen."""
        self._values[figure][system][person].append(value)

    def rows(self, more: frozenset[str] = frozenset(), references: tuple[str, ...] = ()) -> dict[
        str, Row
    ]:  # fmt: skip
        """Return the mean of each figure; of those in ``more``, more is better."""
        return {
            figure: means(values, figure in more, references)
            for figure, values in self._values.items()
        }


def means(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    is_more: bool = False,
    references: tuple[str, ...] = (),
) -> Row:
    """Return the means of ``values[system][person]``.

    A person counts once, however many numbers there are; all systems must have the same persons.
    """
    systems = tuple(values)
    persons = list(values[systems[0]])
    grid = np.array([[np.mean(values[s][p]) for p in persons] for s in systems])
    return _row(systems, lambda pick: grid[:, pick].mean(1), len(persons), HALVES, is_more,
                references)  # fmt: skip


def of_sets(
    distance: Distance,
    made: Mapping[str, Sequence[FloatArray]],
    true: Sequence[FloatArray],
    draws: int = HALVES,
) -> Row:
    """Return the ``distance`` of each system's vectors from the true ones.

    ``made[system]`` and ``true`` hold vectors (n, d) for each person, in one order.
    """
    systems = tuple(made)

    def figure(pick: NDArray[np.int64]) -> FloatArray:
        real = np.concatenate([true[i] for i in pick])
        found = []
        for system in systems:
            parts = [made[system][i] for i in pick]
            who = np.repeat(pick, [len(p) for p in parts])
            found.append(distance(np.concatenate(parts), real, who))
        return np.array(found)

    return _row(systems, figure, len(true), draws)


def halves(count: int, draws: int = HALVES) -> list[NDArray[np.int64]]:
    """Return random halves of ``count`` persons, the same every time."""
    rng = np.random.default_rng(7)
    return [rng.permutation(count)[: max(1, count // 2)] for _ in range(draws)]


def _row(
    systems: tuple[str, ...],
    figure: Callable[[NDArray[np.int64]], FloatArray],
    count: int,
    draws: int,
    is_more: bool = False,
    references: tuple[str, ...] = (),
) -> Row:
    """Return the row of ``figure``, which gives a value for each system from some persons."""
    whole = figure(np.arange(count))
    some = np.array([figure(pick) for pick in halves(count, draws)])
    change, changes = whole - whole[0], some - some[:, :1]
    values = {s: (float(whole[i]), _margin(some[:, i], count)) for i, s in enumerate(systems)}
    apart = {
        s: (float(change[i]), _margin(changes[:, i], count)) for i, s in enumerate(systems) if i
    }
    return Row(values, apart, is_more, references)


def _margin(values: FloatArray, count: int) -> float:
    """Return the margin of a figure whose ``values`` are from halves of ``count`` persons."""
    if count < FEWEST:
        return float("nan")
    kept = count // 2
    return float(_SURE * np.std(values) * np.sqrt(kept / (count - kept)))
