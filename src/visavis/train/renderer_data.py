"""Patches to learn painting from: what the warp makes of one picture of a person, and the truth.

``python -m visavis.train.renderer_data --shared ../shared --pairs DIR --out OUT`` takes same-person
pictures (``recipes/make_face_pairs.py``) and the frames of the shared clips, lays each picture over
each other one of the person (skull over skull), draws the one with the other's expression by the
renderer's own code (render/patch.py), and writes ``PERSON.npz`` with, for mouths (``mouth_``) and
eyes (``eye_``), left eyes mirrored:

- ``warp`` (n, h, w, 3), ``target`` (n, h, w, 3), ``cover`` (n, h, w) uint8, ``shift``
  (n, h, w, 2) int8 in quarter mm;
- ``rest`` (s, h, w, 3) the pictures that were warped; mouths: ``memory`` (s, 3, h, w, 4) up to
  three other pictures of the same mouth, the most open, with what of them is not skin;
- ``index``, JSON: of each row the number of its picture (``rest``), the person (``group``), how far
  eyes are open and were (``eye``, ``from_eye``, mm), how much has moved, and for mouths two of the
  memories and how far the jaw has gone since (``jaw``, px).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from visavis.media.image import read_image
from visavis.render.mesh_warp import Moment, Skin, make_skin
from visavis.render.patch import Sketch, View, make_sketch
from visavis.render.refiner import opening
from visavis.render.rig import express, fit_portrait, load_rig
from visavis.render.topology import JAW, density_of
from visavis.train.face_data import label
from visavis.train.laying import Laid, Shot, laid_over, patch_of, scaled
from visavis.train.renderer_rows import split_of
from visavis.train.teacher import FaceTeacher
from visavis.types import FloatArray, ImageArray

log = logging.getLogger(__name__)

LEAST_SHARE = 0.38
"""Of the density of the patches; smaller faces have nothing to teach."""
MEMORIES, LEAST_MEMORY_MM = 3, 2.0
"""Most pictures of one mouth that are remembered, and how far it must be open in them."""
STRIDE, MOST_FRAMES = 2, 90
SOURCES, TARGETS = 5, 44
"""Of a clip: pictures that are animated, and what each is animated to."""


@dataclass(frozen=True)
class Group:
    """Pictures of one person; ``pairs`` (source, target) among them."""

    name: str
    is_real: bool
    shots: list[Shot]
    pairs: list[tuple[int, int]]


def synthetic(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield name and pictures of each made person, one expression a picture."""
    people: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*.webp")):
        people.setdefault(path.stem.split("_")[0], []).append(path)
    yield from people.items()


def made_group(name: str, paths: list[Path], teacher: FaceTeacher) -> Group | None:
    """Return the pictures of one made person, every one to every other."""
    rng = np.random.default_rng(int(name))
    shots = []
    for path in paths:
        image = read_image(path)
        points = label(teacher, image, rng)
        if points is not None:
            shots.append(Shot(image, points))
    pairs = [(i, j) for i in range(len(shots)) for j in range(len(shots)) if i != j]
    return Group(name, False, shots, pairs) if len(shots) > 1 else None


def clip_group(path: Path, name: str, teacher: FaceTeacher, density: float) -> Group | None:
    """Return frames of a clip: the most closed, the most open and any, to others that differ."""
    rng = np.random.default_rng(len(name))
    shots: list[Shot] = []
    with av.open(str(path)) as clip:
        for frame in islice(clip.decode(video=0), 0, STRIDE * MOST_FRAMES, STRIDE):
            image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            points = label(teacher, image, rng)
            if points is not None and density_of(points) >= LEAST_SHARE * density:
                shots.append(_cropped(image, points))
    if len(shots) < 8:
        return None
    mouths = np.array([s.mouth_gap for s in shots])
    eyes = np.array([s.eye_gap for s in shots])
    first = [int(np.argmin(mouths)), int(np.argmax(eyes)), int(np.argmax(mouths))]
    sources = {*first, *rng.choice(len(shots), SOURCES - 2).tolist()}
    pairs = []
    for i in sources:
        differ = 0.3 + np.abs(mouths - mouths[i]) / 6 + np.abs(eyes - eyes[i]) / 5
        differ[i] = 0
        count = min(TARGETS, int((differ > 0).sum()))
        chosen = rng.choice(len(shots), count, replace=False, p=differ / differ.sum())
        pairs += [(i, int(j)) for j in chosen]
    return Group(name, True, shots, pairs)


def _cropped(image: ImageArray, points: FloatArray) -> Shot:
    """Return the face with some air, for a frame may be large."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    reach = 0.6 * (high - low).max()
    x0, y0 = np.maximum(np.floor(low - reach), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + reach), image.shape[1::-1]).astype(int)
    return Shot(
        np.ascontiguousarray(image[y0:y1, x0:x1]), points - np.array([x0, y0, 0], np.float32)
    )


@dataclass
class Rows:
    """What one group gives, per kind of patch: arrays by name, and the index."""

    arrays: dict[str, dict[str, list[Any]]]
    index: dict[str, list[dict[str, Any]]]

    def append(self, kind: str, arrays: dict[str, Any], facts: dict[str, Any] | None) -> None:
        """Add ``arrays`` of one row, and its ``facts`` if it is one to learn from."""
        for name, value in arrays.items():
            self.arrays[kind].setdefault(name, []).append(value)
        if facts is not None:
            self.index[kind].append(facts)


@dataclass(frozen=True)
class Source:
    """Picture ``number`` of ``group``, ready to be animated: ``laid`` are all pictures laid over
    it, ``memories`` the numbers of those with the mouth most open.
    """

    group: Group
    number: int
    sketch: Sketch
    skin: Skin
    laid: dict[int, Laid | None]
    memories: list[int]


def group_rows(group: Group, density: float) -> Rows:
    """Return all patches of ``group``."""
    rows = Rows({"mouth": {}, "eye": {}}, {"mouth": [], "eye": []})
    for i in sorted({i for i, _ in group.pairs}):
        source = make_source(group, i, density)
        made = [_add(source, j, rows) for s, j in group.pairs if s == i]
        if any(made):
            _remember(source, rows)
    return rows


def make_source(group: Group, number: int, density: float) -> Source:
    """Return picture ``number`` of ``group`` at the scale of the patches, as if it had come so."""
    shot = scaled(group.shots[number], density / density_of(group.shots[number].points))
    rig = fit_portrait(load_rig(), shot.points)
    rest = rig.pose.project(express(rig, np.zeros(52, np.float32)))[:, :2]
    laid = {j: laid_over(other, shot.points) for j, other in enumerate(group.shots)}
    gaps = {j: group.shots[j].mouth_gap for j, found in laid.items() if found}
    order = sorted(gaps, key=lambda j: -gaps[j])[:MEMORIES]
    return Source(
        group, number, make_sketch(shot.image, shot.points, rest, density),
        make_skin(shot.points, shot.image.shape[1::-1]), laid,
        [j for j in order if gaps[j] > LEAST_MEMORY_MM],
    )  # fmt: skip


def _add(source: Source, j: int, rows: Rows) -> bool:
    """Add the patches of ``source`` animated to picture ``j``, if the truth is to be seen there."""
    sketch, target, found = source.sketch, source.group.shots[j], source.laid[j]
    if found is None:
        return False
    truth = [patch_of(target.image, found[0], view) for view in sketch.views]
    if _is_blurred(truth[0], sketch.rest[0]):
        return False
    moment = Moment(found[1], 0.0, source.skin.field(found[1]), np.zeros((1, 1, 2), np.float32))
    for k, drawn in enumerate(sketch.draw(source.skin, moment)):
        kind = sketch.views[k].kind.name
        arrays = {
            "warp": drawn.picture, "target": truth[k],
            "cover": np.round(drawn.cover * 255).astype(np.uint8),
            "shift": np.clip(np.round(drawn.shift * 4), -127, 127).astype(np.int8),
        }  # fmt: skip
        facts = _facts(source, j) | {
            "rest": len(rows.arrays[kind].get("rest", [])) + max(0, k - 1),
            "moved": round(float(np.abs(drawn.shift).mean()), 3),
        }
        rows.append(kind, arrays, facts)
    return True


def _facts(source: Source, j: int) -> dict[str, Any]:
    """Return what is to be known of the row of ``source`` and picture ``j``."""
    group, view = source.group, source.sketch.views[0]
    then = [source.laid[m] for m in source.memories]
    others = [n for n, m in enumerate(source.memories) if m != j][:2]
    return {
        "group": group.name, "real": group.is_real,
        "eye": round(group.shots[j].eye_gap, 2),
        "from_eye": round(group.shots[source.number].eye_gap, 2),
        "memory": others,
        "jaw": [_jaw(then[n], source.laid[j], view) for n in others],
    }  # fmt: skip


def _remember(source: Source, rows: Rows) -> None:
    """Add the animated picture's own patches and its memories."""
    sketch = source.sketch
    w, h = sketch.views[0].size
    memory = np.zeros((MEMORIES, h, w, 4), np.uint8)
    for n, m in enumerate(source.memories):
        onto, points = source.laid[m] or (np.eye(2, 3), np.zeros((478, 2), np.float32))
        memory[n, ..., :3] = patch_of(source.group.shots[m].image, onto, sketch.views[0])
        memory[n, ..., 3] = opening(sketch.views[0].into(points), (w, h))
    rows.append("mouth", {"memory": memory}, None)
    for view, rest in zip(sketch.views, sketch.rest, strict=True):
        rows.append(view.kind.name, {"rest": rest}, None)


def _jaw(then: Laid | None, now: Laid | None, view: View) -> list[float]:
    """Return how far (x, y) px the jaw has gone from ``then`` to ``now``, in the patch."""
    ends = [view.into(found[1][list(JAW)]).mean(0) for found in (then, now) if found]
    return [round(float(v), 2) for v in ends[-1] - ends[0]]


def _is_blurred(truth: ImageArray, rest: ImageArray) -> bool:
    """Tell whether the target has much less detail than the picture it is to be made from."""
    detail = [
        cv2.Laplacian(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[20:].std()
        for p in (truth, rest)
    ]
    return bool(detail[0] < 0.55 * detail[1])


def thinned(group: Group, most: int) -> Group:
    """Return ``group`` with at most ``most`` of its pairs."""
    rng = np.random.default_rng(len(group.pairs))
    kept = sorted(rng.permutation(len(group.pairs))[:most].tolist())
    return replace(group, pairs=[group.pairs[k] for k in kept])


@dataclass(frozen=True)
class Job:
    """One person: a clip, or pictures; the pairs to make of them and where they go."""

    name: str
    source: Path | list[Path]
    shared: Path
    density: float
    most: int
    out: Path


class Jobs(Dataset[str]):
    """Does a job when it is asked for, in whatever process."""

    def __init__(self, jobs: list[Job]) -> None:
        """Take all ``jobs``."""
        self._jobs = jobs

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._jobs)

    def __getitem__(self, number: int) -> str:
        """Do job ``number``; return what came of it."""
        return _work(self._jobs[number])


def _work(job: Job) -> str:
    """Make the rows of one person and write them as one file."""
    name, source, density, out = job.name, job.source, job.density, job.out
    path = out / f"{name.replace('/', '__')}.npz"
    if path.exists():
        return name
    cv2.setNumThreads(1)
    teacher = FaceTeacher(job.shared / "data/models")
    if isinstance(source, Path):
        group = clip_group(source, name, teacher, density)
    else:
        group = made_group(name, source, teacher)
    rows = None if group is None else group_rows(thinned(group, job.most), density)
    if rows is None or not rows.index["mouth"]:
        return f"{name}: nothing"
    arrays: dict[str, Any] = {
        f"{k}_{n}": np.stack(v) for k, a in rows.arrays.items() for n, v in a.items()
    }
    arrays["index"] = np.array(json.dumps(rows.index))
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(path)
    return f"{name}: {len(rows.index['mouth'])}"


def people(shared: Path, pairs: Path) -> list[tuple[str, Path | list[Path]]]:
    """Return name and source of all persons; those kept for tests are left out."""
    folder = shared / "data/talking"
    found: list[tuple[str, Path | list[Path]]] = [
        (str(path.relative_to(folder).with_suffix("")), path)
        for path in sorted(folder.glob("*/*.m*"))
    ]
    found += synthetic(pairs)
    return [
        (name, source)
        for name, source in found
        if split_of(name, isinstance(source, Path)) != "test"
    ]


def main() -> None:
    """Make the patches from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--density", type=float, default=2.0)
    parser.add_argument("--most", type=int, default=1000, help="pairs of one person")
    parser.add_argument("--workers", type=int, default=0, help="processes beside this one")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    todo = [
        Job(name, source, args.shared, args.density, args.most, args.out)
        for name, source in people(args.shared, args.pairs)
    ]
    for done in DataLoader(Jobs(todo), batch_size=None, num_workers=args.workers):
        log.info("%s", done)


if __name__ == "__main__":
    main()
