"""Where the driven mouth of a clip goes: one person's rig, each frame's pose, and nothing else.

A head that turns moves the landmarks in ways that one rigid rig does not have (perspective, the
habits of the network). This drift is learnt from the clip: a regression of what is left over on the
angles of the head, beside the shape of the lips, so that a mouth that opens whenever the head nods
is not taken for a drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.faces.film import Film
from visavis.faces.topology import LIPS_INNER, LIPS_OUTER
from visavis.render.geometry import smoothstep
from visavis.render.rig import PortraitRig, Rig, express
from visavis.render.solve import Pose, align_all, angles
from visavis.types import ARKIT_NAMES, FloatArray

DRIVEN = np.array([n.startswith(("jaw", "mouth", "tongue")) for n in ARKIT_NAMES], np.float32)
"""The coefficients that are driven; the others are the clip's own."""
EXPRESSION = np.array([n.startswith(("brow", "cheek", "nose")) for n in ARKIT_NAMES], np.float32)
"""Those that are added to the clip's own expression if the whole face is asked for."""
MOVED_CM = (0.3, 1.2)
"""Points that driven shapes move less than this are the clip's own; more, the rig's; between, in
part."""
_TURN_DEG = 10.0  # scale of the angles in the regression
_RIDGE = 0.02  # of the frames: cost of a drift of 1 cm over 10 degrees
_SHAPES = 5  # principal shapes of the lips
_QUIET = 0.2  # share of the frames, with lips nearest, whose shape is no shape


@dataclass(frozen=True)
class Clip:
    """Frames of one person: ``rig`` in the pose of the key, ``poses`` (t) in the picture, ``turns``
    (t, 3) their angles from the key's in degrees, ``drift`` (t, 478, 3) in head space, ``share``
    (478, 1) how far each point is driven.
    """

    rig: PortraitRig
    poses: tuple[Pose, ...]
    turns: FloatArray
    drift: FloatArray
    share: FloatArray

    @property
    def driven(self) -> NDArray[np.bool_]:
        """Tell which points (478,) are driven."""
        return self.share[:, 0] > 0

    def target(self, index: int, own: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return the landmarks (478, 2) px of frame ``index`` under ``coefficients`` (52,).

        ``own`` (478, 3) are those that the frame has.
        """
        head = express(self.rig, coefficients) + self.drift[index]
        goal = self.poses[index].project(head)[:, :2]
        return own[:, :2] + self.share * (goal - own[:, :2])

    def expressed(self, index: int, coefficients: FloatArray) -> FloatArray:
        """Return by how much (478, 2) px brows, cheeks and nose move under ``coefficients``."""
        basis = self.rig.basis.reshape(len(ARKIT_NAMES), -1)
        head = (np.clip(coefficients * EXPRESSION, 0, 1) @ basis).reshape(-1, 3)
        pose = self.poses[index]
        return np.asarray(pose.scale * head @ pose.rotation.T, np.float32)[:, :2]


def make_clip(film: Film, rig: PortraitRig, mood: FloatArray) -> Clip:
    """Return the poses of all frames of ``film``; ``mood`` (52,) is the person's usual face."""
    still = express(rig, mood)
    models = np.broadcast_to(still, film.points.shape)
    seen = film.strength > 0
    poses = align_all(
        models, np.where(seen[:, None, None], film.points, still), rig.rig.prior.rigid
    )
    head = np.stack([pose.unproject(p) for pose, p in zip(poses, film.points, strict=True)])
    turns = np.array([angles(p.rotation @ rig.pose.rotation.T) for p in poses])
    drift = np.zeros_like(head)
    drift[seen] = _drift(head[seen] - still, turns[seen] / _TURN_DEG)
    lips = rig.rig.contacts[0]
    for each in drift[seen]:
        each += lips.shift(lips.gap(each))
    return Clip(rig, tuple(poses), turns, drift, _share(rig.rig))


def _share(rig: Rig) -> FloatArray:
    """Return (478, 1): 0 where no driven shape moves the face, 1 where one does by far."""
    moved = np.linalg.norm(rig.basis[DRIVEN > 0], axis=2).max(0)
    return smoothstep(moved, *MOVED_CM)[:, None]


def _drift(off: FloatArray, turns: FloatArray) -> FloatArray:
    """Return the part of ``off`` (t, 478, 3) that goes with ``turns`` (t, 3), lips left aside."""
    shapes = _lip_shapes(off)
    pitch, yaw, roll = turns.T
    bent = np.stack([pitch, yaw, roll, pitch**2, yaw**2, pitch * yaw], axis=1)
    flat = off.reshape(len(off), -1).astype(np.float64)
    known = np.concatenate([np.ones((len(off), 1)), bent, shapes], axis=1)
    cost = np.full(known.shape[1], _RIDGE * len(off))
    cost[0] = 1e-3
    gram = known.T @ known + np.diag(cost)
    weights = np.linalg.solve(gram, known.T @ flat)
    pose_part = known[:, : 1 + bent.shape[1]] @ weights[: 1 + bent.shape[1]]
    return pose_part.reshape(off.shape).astype(np.float32)


def _lip_shapes(off: FloatArray) -> NDArray[np.float64]:
    """Return the lips' principal shapes (t, k), zero in frames with closed lips."""
    ring = [*LIPS_OUTER, *LIPS_INNER]
    lips = off[:, ring] - off[:, ring].mean(1, keepdims=True)
    flat = lips.reshape(len(off), -1).astype(np.float64)
    gap = off[:, 14, 1] - off[:, 13, 1]
    quiet = np.argsort(gap)[: max(3, round(_QUIET * len(gap)))]
    flat = flat - np.median(flat[quiet], axis=0)
    _, _, axes = np.linalg.svd(flat, full_matrices=False)
    scores = flat @ axes[:_SHAPES].T
    return np.asarray(scores / max(float(np.sqrt((scores**2).mean(0).max())), 1e-6))
