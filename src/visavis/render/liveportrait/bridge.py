"""ARKit coefficients as movements of LivePortrait's 21 points, and back.

LivePortrait's expression space has no names. So M is shown what our own mesh warp draws of a
portrait under known coefficients, and a ridge regression tells which of its 63 numbers each
coefficient moves. Any ARKit motion can then drive the neural renderer, and what moves the points
(Ditto, a driving video) can be read as ARKit coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from visavis.errors import WeightsMismatch
from visavis.faces.implicit import POINTS, IntArray, head_rotations
from visavis.render.liveportrait.crop import cut_out, face_square, network_input
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.looks import Looks
from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.render.quality import DEFAULT_QUALITY, touch_for
from visavis.render.solve import bounded_least_squares
from visavis.types import ARKIT_NAMES, FloatArray, Motion, Portrait

COUNT = len(ARKIT_NAMES)
RIDGE = 0.02
"""Cost of a large answer, in pictures that show the coefficient fully."""
MIXED = 96
"""Pictures with several coefficients at once, besides those with each alone, full and half."""
_TOGETHER = 5  # coefficients in such a picture, about
_INSIDE = [ARKIT_NAMES.index(name) for name in ("mouthClose", "tongueOut")]
_PARTED = 0.6  # jawOpen beside these, which a shut mouth does not show
_WIDTH = 640
_BATCH = 8


@dataclass(frozen=True, eq=False)
class Bridge:
    """``matrix`` (52, 63): what each coefficient at 1 adds to the expression.

    ``explained`` is the share of the expression's variance that it told of pictures it was not
    fitted to, 1 for all: near 0, and the networks are not trained ones.
    """

    matrix: FloatArray
    explained: float = 1.0

    def expression(self, coefficients: FloatArray) -> FloatArray:
        """Return what ``coefficients`` (t, 52) add to the expression (t, 21, 3)."""
        return (coefficients @ self.matrix).reshape(-1, POINTS, 3).astype(np.float32)

    def coefficients(self, expression: FloatArray) -> FloatArray:
        """Return the coefficients (t, 52) in 0..1 that best explain ``expression`` (t, 21, 3).

        ``expression`` is relative to a relaxed face; a shift of all points across the picture is
        left aside, for that is the head's. Where several coefficients tell the same story it is
        shared among them.
        """
        flat = _without_shift(expression).reshape(-1, 3 * POINTS)
        matrix = _without_shift(self.matrix.reshape(-1, POINTS, 3)).reshape(COUNT, -1)
        gram = matrix @ matrix.T
        gram += RIDGE * float(np.diag(gram).mean()) * np.eye(COUNT)
        start = np.zeros(COUNT)
        return np.array([bounded_least_squares(gram, matrix @ row, start) for row in flat])

    def named(self, looks: Looks, motion: Motion) -> Motion:
        """Return ``motion`` of the person with ``looks``, its keypoints read as coefficients.

        The first frame of ``motion`` is that of the result; head and size are as it says.
        """
        if motion.keypoints is None:
            return motion
        own = looks.source[looks.rows(0, len(motion), motion.fps)]
        turned = own.rotation @ head_rotations(motion.rotation)
        scale = own.scale * motion.scale[:, None]
        expression = motion.keypoints / scale[..., None] - own.kp @ turned
        return replace(motion, coefficients=self.coefficients(expression - looks.rest))


def _without_shift(points: FloatArray) -> FloatArray:
    """Return ``points`` (t, 21, 3) about their middle across the picture, float64."""
    out = points.astype(np.float64)
    out[..., :2] -= out[..., :2].mean(1, keepdims=True)
    return out


def fit_bridge(
    engine: Engine,
    portraits: Sequence[Portrait],
    quality: str = DEFAULT_QUALITY,
    mixed: int = MIXED,
    seed: int = 0,
) -> Bridge:
    """Return the bridge that fits ``engine``'s networks on drawings of ``portraits``.

    ``quality`` is that of the drawings (render.quality); ``mixed`` as ``MIXED``. It takes a run of
    M and a drawing for each of 1 + 104 + ``mixed`` pictures of every portrait.
    """
    renderer = MeshWarpRenderer(mood=0.0, touch=touch_for(quality))
    rng = np.random.default_rng(seed)
    asked = [_asked(rng, mixed) for _ in portraits]
    seen = [_read_drawn(engine, renderer, *pair) for pair in zip(portraits, asked, strict=True)]
    person = np.repeat(np.arange(len(asked)), [len(part) for part in asked])
    return solved(np.concatenate(asked), np.concatenate(seen), person)


def solved(asked: FloatArray, seen: FloatArray, person: IntArray) -> Bridge:
    """Return the bridge from coefficients ``asked`` (n, 52) and expressions ``seen`` (n, 63).

    ``person`` (n,) counts whom each is of: everybody's relaxed face is his own. How much is
    explained is judged on every fifth picture by a fit to the others.
    """
    held = np.arange(len(asked)) % 5 == 4
    trial, rest = _ridge(asked[~held], seen[~held], person[~held])
    found = asked[held] @ trial + rest[person[held]]
    left = ((seen[held] - found) ** 2).sum()
    whole = ((seen[held] - rest[person[held]]) ** 2).sum()
    matrix, _ = _ridge(asked, seen, person)
    return Bridge(matrix.astype(np.float32), float(1 - left / max(float(whole), 1e-12)))


def _ridge(asked: FloatArray, seen: FloatArray, person: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the matrix (52, 63) and what is seen of each person's relaxed face (p, 63)."""
    people = int(person.max()) + 1
    known = np.concatenate([asked, np.eye(people)[person]], axis=1).astype(np.float64)
    cost = np.concatenate([np.full(COUNT, RIDGE), np.full(people, 1e-9)])
    gram = known.T @ known
    answer = np.linalg.solve(gram + np.diag(cost), known.T @ seen)
    return answer[:COUNT], answer[COUNT:]


def _asked(rng: np.random.Generator, mixed: int) -> FloatArray:
    """Return the coefficients (n, 52) to be drawn, the relaxed face first."""
    fully = np.eye(COUNT)
    fully[_INSIDE, ARKIT_NAMES.index("jawOpen")] = _PARTED
    alone = np.concatenate([fully, 0.5 * fully])
    chosen = rng.random((mixed, COUNT)) < _TOGETHER / COUNT
    mixture = chosen * rng.random((mixed, COUNT))
    return np.concatenate([np.zeros((1, COUNT)), alone, mixture]).astype(np.float32)


def _read_drawn(
    engine: Engine, renderer: MeshWarpRenderer, portrait: Portrait, asked: FloatArray
) -> FloatArray:
    """Return the expressions (n, 63) M reads off ``portrait`` drawn with ``asked`` (n, 52)."""
    height, width = portrait.image.shape[:2]
    size = (min(width, _WIDTH), round(height * min(width, _WIDTH) / width))
    appearance = renderer.prepare(portrait, size)
    factor = size[0] / width
    square = face_square(portrait.landmarks * factor)
    rest = Motion.rest(len(asked))
    motion = Motion(asked, rest.rotation, rest.translation, rest.scale)

    def input_of(i: int) -> FloatArray:
        return network_input(cut_out(renderer.draw(appearance, motion[i : i + 1]), square))

    parts = [
        engine.read(np.stack([input_of(i) for i in range(len(asked))[first : first + _BATCH]])).exp
        for first in range(0, len(asked), _BATCH)
    ]
    return np.concatenate(parts).reshape(len(asked), -1)


def write_bridge(path: str | Path, bridge: Bridge) -> None:
    """Write ``bridge`` to ``path``, an .npz file."""
    np.savez(
        path, matrix=bridge.matrix, explained=bridge.explained, names=np.array(ARKIT_NAMES, "U32")
    )


def read_bridge(path: str | Path) -> Bridge:
    """Return the bridge in ``path``.

    Raises:
        WeightsMismatch: it holds something else, or other coefficients.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            matrix, names = file["matrix"], tuple(file["names"].tolist())
            explained = float(file["explained"])
    except (OSError, EOFError, ValueError, KeyError) as reason:
        raise WeightsMismatch(
            f"{path} is damaged or no bridge. Delete it; it is fitted again."
        ) from reason
    if matrix.shape != (COUNT, 3 * POINTS) or names != ARKIT_NAMES:
        raise WeightsMismatch(
            f"{path} holds a bridge of shape {matrix.shape} for {len(names)} coefficients, not of "
            f"{(COUNT, 3 * POINTS)} for ARKit's. Delete it; it is fitted again."
        )
    return Bridge(np.asarray(matrix, np.float32), explained)
