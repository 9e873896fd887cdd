"""Figures with margins of error: every other person left out at random, many times.

The margin is 1.96 standard deviations of a figure over random halves of the persons (the
delete-half jackknife, Shao and Wu 1989): it holds for means as for distances of distributions, and
it counts persons, not frames, of which those of one person are much alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from visavis.types import FloatArray

HALVES = 200
SURE = 1.96
TRUE, NEXT = "true", "next true"
"""References: figures of the true frame itself, and of the one after it taken for a made one."""
REFERENCES = (TRUE, NEXT)


@dataclass
class Table:
    """Figures of systems: ``rows[figure][system]`` is (value, margin).

    ``apart[figure][system]`` is the difference from the first system and its margin.
    ``higher`` are the figures of which more is better; of the others less is.
    """

    rows: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    apart: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    higher: frozenset[str] = frozenset()

    def verdict(self, figure: str, system: str) -> str:
        """Return better, worse or same (not sure) than the first system, or nothing."""
        if system not in self.apart.get(figure, {}) or system in REFERENCES:
            return ""
        change, margin = self.apart[figure][system]
        if not np.isfinite(margin) or abs(change) <= margin:
            return "same"
        return "better" if (change > 0) == (figure in self.higher) else "worse"

    def lines(self) -> list[str]:
        """Return the table for people; the best system of a figure, when sure, has a star."""
        out = []
        for figure, values in self.rows.items():
            sign = 1 if figure in self.higher else -1
            ours = [s for s in values if s not in REFERENCES]
            best = max(ours, key=lambda s: sign * values[s][0])
            cells = []
            for system, (value, margin) in values.items():
                verdict = self.verdict(figure, system)
                star = "*" if system == best and verdict == "better" else " "
                cells.append(f"{system} {value:8.4f} ±{margin:7.4f}{star} {verdict:6}")
            out.append(f"{figure:28} " + " | ".join(cells))
        return out

    def plain(self) -> dict[str, dict[str, dict[str, float | str]]]:
        """Return the same for JSON."""
        return {
            figure: {
                system: {
                    "value": value, "margin": margin,
                    "change": self.apart.get(figure, {}).get(system, (0.0, 0.0))[0],
                    "change_margin": self.apart.get(figure, {}).get(system, (0.0, 0.0))[1],
                    "verdict": self.verdict(figure, system),
                }
                for system, (value, margin) in values.items()
            }
            for figure, values in self.rows.items()
        }  # fmt: skip


def halves(count: int, draws: int = HALVES) -> list[np.ndarray]:
    """Return random halves of ``count`` persons, the same every time."""
    rng = np.random.default_rng(7)
    return [rng.permutation(count)[: max(1, count // 2)] for _ in range(draws)]


def spread(values: Sequence[float], count: int) -> float:
    """Return the margin of a figure whose ``values`` are from halves of ``count`` persons."""
    if count < 4:
        return float("nan")
    kept = count // 2
    return float(SURE * np.std(values) * np.sqrt(kept / (count - kept)))


def means(values: dict[str, dict[str, list[float]]]) -> Table:
    """Return the table of the mean of one figure: ``values[system][person]``, called "mean".

    A person counts once, however many pictures there are of them.
    """
    systems = list(values)
    persons = list(values[systems[0]])
    grid = np.array([[np.mean(values[s][p]) for p in persons] for s in systems])
    return _table("mean", systems, lambda pick: grid[:, pick].mean(1), len(persons), HALVES)


def of_sets(
    name: str,
    distance: Callable[[FloatArray, FloatArray, FloatArray], float],
    sets: dict[str, list[FloatArray]],
    draws: int = HALVES,
) -> Table:
    """Return the table of a ``distance`` of sets from the true one, ``sets[TRUE]``.

    ``sets[system]`` holds, for each person, vectors (n, d); ``distance`` is also told whose they
    are (n,).
    """
    systems, true = [s for s in sets if s != TRUE], sets[TRUE]

    def figure(pick: np.ndarray) -> FloatArray:
        real = np.concatenate([true[i] for i in pick])
        who = np.concatenate([np.full(len(true[i]), i) for i in pick])
        return np.array(
            [distance(np.concatenate([sets[s][i] for i in pick]), real, who) for s in systems]
        )

    return _table(name, systems, figure, len(true), draws)


def _table(
    name: str,
    systems: list[str],
    figure: Callable[[np.ndarray], FloatArray],
    count: int,
    draws: int,
) -> Table:
    whole = figure(np.arange(count))
    some = np.array([figure(pick) for pick in halves(count, draws)])
    rows = {s: (float(whole[i]), spread(some[:, i], count)) for i, s in enumerate(systems)}
    apart = {
        s: (float(whole[i] - whole[0]), spread(some[:, i] - some[:, 0], count))
        for i, s in enumerate(systems)
        if i
    }
    return Table({name: rows}, {name: apart})


def joined(tables: dict[str, Table], higher: frozenset[str]) -> Table:
    """Return one table of single-figure ``tables``, each under its new name."""
    out = Table(higher=higher)
    for name, table in tables.items():
        ((figure, row),) = table.rows.items()
        out.rows[name], out.apart[name] = row, table.apart[figure]
    return out


class Gathered:
    """Numbers of many pictures by figure, system and person."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )

    def add(self, figure: str, system: str, person: str, value: float) -> None:
        """Note ``value``."""
        self.values[figure][system][person].append(value)

    def tables(self) -> dict[str, Table]:
        """Return the mean of each figure."""
        return {figure: means(dict(v)) for figure, v in self.values.items()}
