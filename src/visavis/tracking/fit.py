"""One person's landmarks over time -> motion: the rig's coefficients and the head's pose.

A non-linear fit over the whole stretch, not a guess per frame. First the person: what the quiet
frames (mouth closed, eyes open) share, seen from the head's usual pose, is the portrait that the
rig is fitted to. Then, alternating, each frame's pose and all frames' coefficients: bounded least
squares on points and on the gaps of lips and lids, with the cost of ``render/solve.py`` on rare
shapes and one on acceleration, which decides what a single frame leaves open. Gaze is read off the
irises. What the rig cannot reach in any frame belongs to the person and moves into the neutral.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from visavis.faces.topology import CHIN, LEFT_IRIS, RIGHT_IRIS
from visavis.motion.conditions import EYE_RANGE_DEG
from visavis.motion.layout import SIZE
from visavis.render.rig import Contact, PortraitRig, Rig, express, fit_portrait
from visavis.render.solve import (
    Pose,
    align_all,
    angles,
    bounded_smooth_least_squares,
    turn,
    whittaker,
)
from visavis.types import ARKIT_NAMES, FloatArray, Motion

UNSEEN = ("tongueOut", "cheekPuff", "jawForward")
"""Shapes that landmarks do not show: a fit says nothing about them."""
ROUNDS = 3
QUIET = 0.2
"""Share of the frames, those with the mouth least open, that tell what the person looks like."""
SHUT_LIDS = (0.2, 0.4)
"""Lids that landmarks see open by the first part of their usual opening are shut (MediaPipe's 478
points on real blinks: 0.03 to 0.2); up to the second if they are never seen more shut (ours)."""
MOST_SHUT_LIPS = 0.14
"""Gap in cm that closed lips have in some landmarks; what this person's have shows in the clip."""
POSE_STIFFNESS = 1.0
"""Head pose: half of a swing of 4 Hz is kept at 25 frames a second."""
STIFFNESS = {"eyeBlink": 0.001, "mouth": 0.02, "jaw": 0.02, "brow": 0.3}
STIFFNESS_ELSE = 0.1
"""Cost of acceleration by name prefix, in units of what the points say about the shape."""
PIVOT_BELOW_CHIN, PIVOT_DEPTH = -0.18, 0.55
"""Where the head turns, in face heights below the chin and behind the nose: render/head.py."""
_LOOKS = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
_LIDS = {"Right": 1, "Left": 2}


@dataclass(frozen=True)
class Fit:
    """``motion`` as the person's, ``face`` their rig in the usual pose, ``poses`` per frame.

    ``residual`` (t,) is the mean distance of the 468 skin points from the rig's, in outer eye
    corner distances; ``gaps`` (t, 2) the middle lip gap of landmarks and rig in the same unit.
    """

    motion: Motion
    face: PortraitRig
    poses: tuple[Pose, ...]
    residual: FloatArray
    gaps: FloatArray

    @property
    def yaw_deg(self) -> float:
        """Return how far the head is usually turned from the camera."""
        return float(angles(self.face.pose.rotation)[1])


def fit(rig: Rig, points: FloatArray, fps: float, rest: PortraitRig | None = None) -> Fit:
    """Return the motion that explains ``points`` (t, 478, 3) px, taken ``fps`` times a second.

    ``rest`` is the person's rig from elsewhere (a neutral recording); without it the stretch itself
    tells. The motion's rate is ``fps`` rounded; its head is relative to the median pose.
    """
    face = usual_face(rig, points) if rest is None else _in_usual_pose(rest, points)
    stiffness = _stiffness(fps)
    values = np.zeros((len(points), len(ARKIT_NAMES)), np.float32)
    poses = _poses(face, points, values)
    for index in range(ROUNDS):
        off = _offsets(face, points, poses)
        values = _coefficients(face, off, values, stiffness)
        if index == 0 and rest is None:
            face = _own_shape(face, off, values)
        poses = _poses(face, points, values)
    motion = _motion(face, values, poses, fps)
    residual, gaps = _checked(face, points, values, poses)
    return Fit(motion, face, tuple(poses), residual, gaps)


def usual_face(rig: Rig, points: FloatArray) -> PortraitRig:
    """Return the rig fitted to what the quiet frames of ``points`` (t, 478, 3) share."""
    still = np.broadcast_to(rig.neutral, points.shape)
    generic = align_all(still, points, rig.prior.rigid)
    head = np.stack([pose.unproject(p) for pose, p in zip(generic, points, strict=True)])
    lips, lids = rig.contacts[0], rig.contacts[1:]
    opening = np.sum([_opening(c, head) for c in lids], axis=0)
    is_awake = opening >= 0.85 * np.median(opening)
    gap = np.where(is_awake, _opening(lips, head), np.inf)
    count = min(int(is_awake.sum()), max(5, round(QUIET * len(points))))
    typical = np.median(head[np.argsort(gap)[:count]], axis=0)
    irises = [*RIGHT_IRIS, *LEFT_IRIS]
    typical[irises] = np.median(head[is_awake][:, irises], axis=0)
    return fit_portrait(rig, _median_pose(generic).project(typical))


def _in_usual_pose(face: PortraitRig, points: FloatArray) -> PortraitRig:
    """Return ``face`` with the median pose of ``points`` (t, 478, 3) as its own."""
    still = np.broadcast_to(face.neutral, points.shape)
    return replace(face, pose=_median_pose(align_all(still, points, face.rig.prior.rigid)))


def _opening(contact: Contact, head: FloatArray) -> FloatArray:
    """Return the mean vertical gap (t,) of ``contact`` on points (t, 478, 3) in head space."""
    gap: FloatArray = (head[:, contact.lower, 1] - head[:, contact.upper, 1]).mean(1)
    return gap


def _median_pose(poses: list[Pose]) -> Pose:
    turns = np.median([angles(p.rotation) for p in poses], axis=0)
    scale = float(np.median([p.scale for p in poses]))
    shift = np.median([p.shift for p in poses], axis=0).astype(np.float32)
    return Pose(turn(*(float(a) for a in turns)), scale, shift)


def _stiffness(fps: float) -> FloatArray:
    """Return the cost of acceleration (52,) at ``fps``: the same in time at every rate."""
    per_shape = [
        next((v for prefix, v in STIFFNESS.items() if name.startswith(prefix)), STIFFNESS_ELSE)
        for name in ARKIT_NAMES
    ]
    return np.array(per_shape, np.float32) * np.float32((fps / 25.0) ** 4)


def _poses(face: PortraitRig, points: FloatArray, values: FloatArray) -> list[Pose]:
    """Return each frame's pose given its expression."""
    moved = (values @ face.basis.reshape(len(ARKIT_NAMES), -1)).reshape(points.shape)
    return align_all(face.neutral + moved, points, face.rig.prior.rigid)


def _offsets(face: PortraitRig, points: FloatArray, poses: list[Pose]) -> FloatArray:
    """Return the points in head space less the neutral (t, 478, 3), drawn shut what is shut."""
    head = np.stack([pose.unproject(p) for pose, p in zip(poses, points, strict=True)])
    for k, contact in enumerate(face.rig.contacts):
        opening = (head[:, contact.lower, 1] - head[:, contact.upper, 1])[:, 1:-1].mean(1)
        if k == 0:
            floor = float(np.clip(np.percentile(opening, 2), 0.01, MOST_SHUT_LIPS))
            usual = 4 * floor
        else:
            usual = float(contact.gap(face.neutral)[1:-1, 1].mean())
            floor = usual * _shut_lids(opening / usual)
        wanted = usual * np.clip(opening - floor, 0, None) / (usual - floor)
        kept = np.where(opening < usual, wanted / np.maximum(opening, 1e-3), 1.0)
        gap = head[:, contact.lower] - head[:, contact.upper]
        gap[..., 1] *= 1 - np.clip(kept, 0, 1)[:, None]
        gap[..., [0, 2]] = 0
        head += np.einsum("pq,tqk->tpk", contact.follow, _shares(contact, gap))
    return head - face.neutral


def _shut_lids(share: FloatArray) -> float:
    """Return how far open, in shares of the usual opening, these lids look when they are shut.

    ``share`` (t,) is how far they were seen open; some landmarks never see a blink to its end.
    """
    least = float(share.min())
    return max(least, SHUT_LIDS[0]) if least < SHUT_LIDS[1] else SHUT_LIDS[0]


def _shares(contact: Contact, gap: FloatArray) -> FloatArray:
    """Return the displacements (t, 2n, 3) of both chains that take ``gap`` (t, n, 3) out."""
    share = contact.upper_share
    return np.concatenate([share * gap, (share - 1) * gap], axis=1)


def _coefficients(
    face: PortraitRig, off: FloatArray, start: FloatArray, stiffness: FloatArray
) -> FloatArray:
    """Return all frames' coefficients (t, 52) given their points in head space."""
    prior = face.rig.prior
    flat = off.reshape(len(off), -1)
    aim = flat @ face.track_gain.T - prior.track_cost[:, 1]
    low, high = np.zeros_like(start), np.ones_like(start)
    low[:, _LOOKS] = high[:, _LOOKS] = _looks(face, off)
    unseen = [ARKIT_NAMES.index(name) for name in UNSEEN]
    high[:, unseen] = 0
    return bounded_smooth_least_squares(
        face.track_gram, aim, stiffness, (low, high), np.clip(start, low, high)
    )


def _looks(face: PortraitRig, off: FloatArray) -> FloatArray:
    """Return the eyeLook coefficients (t, 8) that the irises show; shut eyes look as before.

    Both eyes look the same way: their mean is what is read.
    """
    turned, is_open = [], np.ones(len(off), bool)
    for side, k in _LIDS.items():
        contact = face.rig.contacts[k]
        iris = face.rig.contours[f"iris_{side.lower()}"]
        corners = contact.upper[[0, -1]]
        turned.append(off[:, iris, :2].mean(1) - off[:, corners, :2].mean(1))
        usual = contact.gap(face.neutral)[1:-1, 1].mean()
        is_open &= _opening(contact, off) > -0.55 * usual
    shift = np.mean(turned, axis=0) / face.rig.eyeball_radius
    if is_open.any():
        at = np.arange(len(off))
        shift = np.stack([np.interp(at, at[is_open], s[is_open]) for s in shift.T], axis=1)
    look = np.degrees(np.arcsin(np.clip(shift, -1, 1))) / EYE_RANGE_DEG
    right, down = look[:, 0], look[:, 1]
    signs = {
        "InRight": right, "OutRight": -right, "InLeft": -right, "OutLeft": right,
        "DownRight": down, "DownLeft": down, "UpRight": -down, "UpLeft": -down,
    }  # fmt: skip
    names = [ARKIT_NAMES[i].removeprefix("eyeLook") for i in _LOOKS]
    return np.clip(np.stack([signs[name] for name in names], axis=1), 0, 1).astype(np.float32)


def _own_shape(face: PortraitRig, off: FloatArray, values: FloatArray) -> PortraitRig:
    """Return ``face`` with what no expression explains in most frames taken into its neutral.

    Gaps of lips and lids stay as they are: they are expression alone.
    """
    flat = face.basis.reshape(len(ARKIT_NAMES), -1)
    rest = np.median(off - (values @ flat).reshape(off.shape), axis=0).astype(np.float32)
    for contact in face.rig.contacts:
        rest += contact.shift(contact.gap(rest))
    for iris in (face.rig.contours["iris_right"], face.rig.contours["iris_left"]):
        rest[iris] = 0
    return replace(face, neutral=face.neutral + rest)


def _motion(face: PortraitRig, values: FloatArray, poses: list[Pose], fps: float) -> Motion:
    """Return coefficients and head as Motion; the head without the jitter of the landmarks."""
    base = face.pose
    portrait = base.project(face.neutral)
    chin_up = portrait[CHIN, :2] - portrait[10, :2]
    height = float(np.linalg.norm(chin_up))
    xy = portrait[CHIN, :2] + PIVOT_BELOW_CHIN * chin_up
    pivot = np.array([[*xy, portrait[:, 2].min() + PIVOT_DEPTH * height]], np.float32)
    unit = float(np.linalg.norm(portrait[468, :2] - portrait[473, :2]))
    inside = base.unproject(pivot)
    head: FloatArray = np.zeros((len(poses), 6))
    for row, pose in zip(head, poses, strict=True):
        row[:3] = angles(pose.rotation @ base.rotation.T)
        row[3:5] = (pose.project(inside)[0, :2] - pivot[0, :2]) / unit
        row[5] = pose.scale / base.scale
    head[:, :3] = np.unwrap(head[:, :3], axis=0, period=360.0)
    head = whittaker(head, POSE_STIFFNESS * (fps / 25.0) ** 4)
    clear = np.zeros((len(poses), SIZE), np.float32)
    clear[:, :52], clear[:, 52:] = values, head
    return Motion(clear[:, :52], clear[:, 52:55], clear[:, 55:57], clear[:, 57], round(fps))


def _checked(
    face: PortraitRig, points: FloatArray, values: FloatArray, poses: list[Pose]
) -> tuple[FloatArray, FloatArray]:
    """Return residual (t,) and lip gaps (t, 2) of the solved faces as they are drawn."""
    lips = face.rig.contacts[0]
    middle = slice(3, -3)
    residual, gaps = [], []
    for p, c, pose in zip(points, values, poses, strict=True):
        drawn = pose.project(express(face, c))
        unit = float(np.linalg.norm(p[33] - p[263]))
        residual.append(np.linalg.norm((drawn - p)[:468, :2], axis=1).mean() / unit)
        both = [np.linalg.norm(lips.gap(x)[middle, :2], axis=1).mean() / unit for x in (p, drawn)]
        gaps.append(both)
    return np.array(residual, np.float32), np.array(gaps, np.float32)
