"""Persons that no renderer was trained on, with a portrait, motion to play, and what is true.

Real clips of the test persons: the frame that is nearest to a neutral face is the portrait, the
clip's own tracked motion moves it, the clip's frames are the truth. Synthetic same-person pairs
(shared/tools/synthetic_faces.py --edit): one picture is the portrait, another with open mouth or a
smile the truth, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from visavis.data.people import TEST_PERSONS
from visavis.errors import InputError
from visavis.faces.framing import Region, cut, head_and_shoulders
from visavis.faces.measure import eye_opening, head_rotation, mouth_opening
from visavis.faces.portrait import make_portrait
from visavis.media.image import read_image
from visavis.media.read import VideoReader
from visavis.render.mesh_warp import MeshWarpRenderer, resized
from visavis.render.rig import PortraitRig, fit_portrait, load_rig, solve
from visavis.render.solve import Pose, angles
from visavis.tracking.fit import fit
from visavis.train.teacher import FaceTeacher
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion, Portrait

TRUE, NEXT = "true", "next true"
"""References: the true frame itself, and the one after it judged as if it were made."""
REFERENCES = (TRUE, NEXT)
LONGEST = 110
"""Frames of a clip that are looked at."""
WINDOW = 3
"""Neighbouring frames that are true at once, for what flickers: the middle one is compared."""
PRESENT = 0.5
"""Presence from which the teacher has found a face."""
NEAR = 6
"""Frames from the portrait's own within which nothing is compared."""
TURNED_DEG = 25.0
"""Heads turned farther from the portrait's are beyond what a renderer is to do."""
PAIRS = ((("jaw", "0"), ("jaw", "3")), (("jaw", "0"), ("jaw", "4.5")), (("jaw", "3"), ("jaw", "0")),
         (("smile", "0"), ("smile", "1.3")))  # fmt: skip
"""Portrait and truth of synthetic persons: kind of edit and its amount."""
_LIDS = [ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight")]


@dataclass(frozen=True)
class Truth:
    """``frames``: one or three neighbouring true pictures; ``motion`` of as many frames.

    ``points`` (n, 478, 3) are tracked in ``frames``. ``name`` is for people.
    """

    name: str
    frames: tuple[ImageArray, ...]
    points: FloatArray
    motion: Motion

    @property
    def middle(self) -> int:
        """Return which frame is compared."""
        return len(self.frames) // 2


@dataclass(frozen=True)
class Case:
    """One portrait, of a person of one ``material``: clips or pairs; all at the final size."""

    person: str
    material: str
    portrait: Portrait
    truths: tuple[Truth, ...]


class Tracker:
    """Finds landmarks (478, 3), by the teacher."""

    def __init__(self, shared: Path) -> None:
        """Load the teacher in ``shared``/data/models."""
        self._teacher = FaceTeacher(shared / "data/models")

    def follow(self, image: ImageArray, last: FloatArray | None) -> FloatArray | None:
        """Return the face's landmarks in the next frame of a video, or None."""
        if last is not None:
            points, presence = self._teacher.from_points(image, last)
            if presence >= PRESENT:
                return points
        points, presence = self._teacher.locate(image)
        return points if presence >= PRESENT else None

    def near(self, image: ImageArray, near: FloatArray) -> FloatArray:
        """Return the landmarks of the face that lies about at ``near``, or those if it is gone."""
        points, presence = self._teacher.from_points(image, near)
        if presence < PRESENT:
            return near
        again, presence = self._teacher.from_points(image, points)
        return again if presence >= PRESENT else points


def clip_cases(shared: Path, tracker: Tracker, size: int, count: int) -> Iterator[Case]:
    """Yield a case for each clip of a test person, each with ``count`` frames spread over speech.

    Frames are chosen by how open the mouth is, evenly over the order, and the most shut eyes.
    """
    talking = shared / "data/talking"
    paths = [p for p in sorted(talking.rglob("*")) if _person(p, talking) in TEST_PERSONS]
    for path in paths:
        if "mead" in str(path) and not path.stem.endswith(
            ("happy_level3_001", "neutral_level1_001")
        ):
            continue  # one person, eight times
        points, fps = _tracked(path, tracker)
        if len(points) < 3 * NEAR:
            raise InputError(f"{path} shows a face in {len(points)} frames at its start only.")
        rest = _most_neutral(points)
        (first,) = _frames(path, [rest])
        portrait = make_portrait(first)
        region = head_and_shoulders(portrait)
        portrait = resized(cut(portrait, region), (size, size))
        factor = size / region.width
        moved = (points - np.array([region.left, region.top, 0], np.float32)) * np.float32(factor)
        motion = driven(portrait, moved, fps, moved[rest])
        chosen = _spread(moved, motion, rest, count)
        wanted = [t + k for t in chosen for k in range(-(WINDOW // 2), WINDOW // 2 + 1)]
        frames = _framed(_frames(path, wanted), region, size)
        truths = tuple(
            _window(f"frame {t}", frames[WINDOW * i : WINDOW * (i + 1)], moved, motion, t)
            for i, t in enumerate(chosen)
        )
        yield Case(_person(path, talking), "clips", portrait, truths)


def _person(path: Path, talking: Path) -> str:
    """Return the person of the clip at ``path``, as data/people.py names them."""
    folder = path.parent.name
    names = [p for p in TEST_PERSONS if p.startswith(f"{folder}/")]
    stem = path.stem
    known = (p for p in names if stem == p.split("/")[1] or stem.startswith(p.split("/")[1] + "_")
             or stem.startswith(p.split("/")[1] + "+"))  # fmt: skip
    return next(known, f"{folder}/{stem}")


def _tracked(path: Path, tracker: Tracker) -> tuple[FloatArray, float]:
    """Return landmarks (t, 478, 3) of the frames from the first until the face is lost; and fps."""
    found, points = None, []
    with VideoReader(path) as reader:
        for index, (image, _) in enumerate(reader):
            found = tracker.follow(image, found) if index < LONGEST else None
            if found is None:
                break
            points.append(found)
        return np.stack(points), float(reader.fps)


def _frames(path: Path, wanted: Sequence[int]) -> list[ImageArray]:
    """Return the frames ``wanted`` of the video, in their order."""
    kept: dict[int, ImageArray] = {}
    with VideoReader(path) as reader:
        for index, (image, _) in enumerate(reader):
            if index in wanted:
                kept[index] = image
            if index >= max(wanted):
                break
    return [kept[i] for i in wanted]


def _framed(images: Sequence[ImageArray], region: Region, size: int) -> list[ImageArray]:
    """Return each image's part in ``region`` at ``size`` px, as the portrait was cut."""
    how = cv2.INTER_AREA if size < region.width else cv2.INTER_CUBIC
    return [
        np.asarray(cv2.resize(i[region.slices], (size, size), interpolation=how), np.uint8)
        for i in images
    ]


def _most_neutral(points: FloatArray) -> int:
    """Return the frame with closed lips, open eyes and a head on the camera, as far as there is."""
    lips = np.array([mouth_opening(p) for p in points])
    lids = np.array([min(eye_opening(p)) for p in points])
    turned = np.array([np.hypot(*head_rotation(p)[:2]) for p in points])
    shut = np.clip(1 - lids / np.median(lids), 0, None)
    score = lips / 0.05 + 4 * shut + (turned - turned.min()) / 10
    inside = slice(1, len(points) - 1)
    return int(np.argmin(score[inside])) + 1


def _spread(points: FloatArray, motion: Motion, rest: int, count: int) -> list[int]:
    """Return ``count`` frames: evenly from closed to open mouth, the last with the most shut eyes.

    None is near another one, the portrait or an end.
    """
    free = np.zeros(len(points), bool)
    free[2 : len(points) - 2] = True
    free &= np.abs(motion.rotation).max(1) < TURNED_DEG
    _block(free, rest)
    lids = motion.coefficients[:, _LIDS].min(1)
    if not free.any():
        return []
    chosen: list[int] = [int(np.argmax(np.where(free, lids, -1)))]
    _block(free, chosen[0])
    opening = np.array([mouth_opening(p) for p in points])
    for share in np.linspace(1, 0, count - 1):
        if not free.any():
            break
        aim = np.quantile(opening, share)
        chosen.append(int(np.argmin(np.where(free, np.abs(opening - aim), np.inf))))
        _block(free, chosen[-1])
    return chosen


def _block(free: np.ndarray, frame: int) -> None:
    free[max(0, frame - NEAR) : frame + NEAR + 1] = False


def _window(
    name: str, frames: Sequence[ImageArray], points: FloatArray, motion: Motion, middle: int
) -> Truth:
    around = slice(middle - WINDOW // 2, middle + WINDOW // 2 + 1)
    return Truth(name, tuple(frames), points[around], motion[around])


def driven(portrait: Portrait, points: FloatArray, fps: float, own: FloatArray) -> Motion:
    """Return the motion that makes ``portrait`` look as ``points`` (t, 478, 3) px of its picture.

    ``own`` (478, 3) was found in the portrait by what found ``points``. The expression is fitted
    over all frames at once (tracking/fit.py), the head relative to the portrait's.
    """
    face = fit_portrait(load_rig(), own)
    found = fit(load_rig(), points, fps, rest=face)
    about = _turning_point(portrait)
    heads = _smoothed(np.stack([_head(about, face, pose) for pose in found.poses]))
    return _as_motion(found.motion.coefficients, heads, round(fps))


def _as_motion(coefficients: FloatArray, heads: FloatArray, fps: int) -> Motion:
    heads = heads.astype(np.float32)
    values = np.asarray(coefficients, np.float32)
    return Motion(values, heads[:, :3], heads[:, 3:5], heads[:, 5], fps)


def _smoothed(heads: FloatArray) -> FloatArray:
    """Return head poses (t, 6) as the mean of three frames: landmarks jitter."""
    padded = np.pad(heads, ((1, 1), (0, 0)), mode="edge")
    smooth: FloatArray = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return smooth


def _head(about: tuple[FloatArray, float], face: PortraitRig, pose: Pose) -> FloatArray:
    """Return pitch, yaw, roll, shift right and down, and scale of ``pose`` (6,), as in Motion."""
    pivot, unit = about
    shift = (pose.project(face.pose.unproject(pivot)) - pivot)[0, :2] / unit
    turned = angles(pose.rotation @ face.pose.rotation.T)
    return np.array([*turned, *shift, pose.scale / face.pose.scale])


def _turning_point(portrait: Portrait) -> tuple[FloatArray, float]:
    """Return where the renderer turns the head (1, 3) px, and the distance of the pupils."""
    height, width = portrait.image.shape[:2]
    head = MeshWarpRenderer().prepare(portrait, (width, height)).head
    return head.pivot[None], head.unit


def pair_cases(folder: Path, tracker: Tracker, size: int, count: int) -> Iterator[Case]:
    """Yield cases of ``count`` held-out persons of each kind of edit (every tenth seed)."""
    for (kind, before), (_, after) in PAIRS:
        found = sorted((folder / kind).glob(f"*_a{after}.webp"))
        held = [p for p in found if int(p.stem.split("_")[0]) % 10 == 0]
        for path in held[:: max(1, len(held) // count)][:count]:
            source = path.with_name(path.name.replace(f"_a{after}", f"_a{before}"))
            if source.exists():
                yield _pair(source, path, tracker, size)


def _pair(before: Path, after: Path, tracker: Tracker, size: int) -> Case:
    """Return the case of two pictures of one synthetic person."""
    portrait = make_portrait(read_image(before))
    region = head_and_shoulders(portrait)
    portrait = resized(cut(portrait, region), (size, size))
    (frame,) = _framed([read_image(after)], region, size)
    own = tracker.near(portrait.image, portrait.landmarks)
    points = tracker.near(frame, own)
    face = fit_portrait(load_rig(), own)
    coefficients, _, pose = solve(face, points)
    motion = _as_motion(coefficients[None], _head(_turning_point(portrait), face, pose)[None], 25)
    change = f"{before.stem.split('_')[1]}>{after.stem.split('_')[1]}"
    person = f"{before.parent.name}/{before.stem.split('_')[0]}"
    return Case(
        person, f"pairs {change}", portrait, (Truth(change, (frame,), points[None], motion),)
    )
