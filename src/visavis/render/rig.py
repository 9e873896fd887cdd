"""The rig: 52 ARKit shapes on the 478-point mesh, fitted to one portrait and posed by a motion.

Head space: x to the viewer's right, y down, z away from the viewer, unit about 1 cm (eye centres
6.36 apart). The asset is made by ``recipes/make_rig.py`` from ICT-FaceKit (Li et al. 2020, MIT).

Use: ``rig = load_rig()``, ``face = fit_portrait(rig, landmarks)``, then per frame
``pose_points(face, motion)``, or in two steps ``express`` (head space) and ``place`` (pixels), the
second also for geometry of your own such as teeth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.hub import asset
from visavis.render.solve import Pose, align, angles, bounded_least_squares, turn
from visavis.types import ARKIT_NAMES, FloatArray, Motion

IntArray = NDArray[np.int32]

_K = {name: i for i, name in enumerate(ARKIT_NAMES)}
_CONTACTS = (
    ("lip_upper", "lip_lower", "lips_upper_inner", "lips_lower_inner"),
    ("eye_right_upper", "eye_right_lower", "eye_right_upper", "eye_right_lower"),
    ("eye_left_upper", "eye_left_lower", "eye_left_upper", "eye_left_lower"),
)
_CHAINS = (
    "lips_upper_outer", "lips_lower_outer", "lips_upper_inner", "lips_lower_inner", "lips_upper",
    "lips_lower", "eye_right_upper", "eye_right_lower", "eye_left_upper", "eye_left_lower",
    "iris_right", "iris_left", "brow_right", "brow_left", "face_oval",
)  # fmt: skip
_PIVOT = (0.0, 4.5, 8.0)
_YAW, _PITCH = np.radians(30.0), np.radians(25.0)
_REST_OPENING = 0.15
_UPPER_SHARE = (0.5, 0.9, 0.9)
_MERGE = 0.12


@dataclass(frozen=True)
class Contact:
    """Two chains of points that may touch but never cross: lips, or one eye's lids.

    ``upper`` and ``lower`` (n,) are mesh points from the viewer's left to right, paired, with shared
    ends. ``follow`` (478, 2n) is how far each mesh point goes with each chain point (upper first).
    ``upper_share`` is the part of a correction that the upper chain makes.
    """

    upper: IntArray
    lower: IntArray
    follow: FloatArray
    upper_share: float

    def shift(self, gap: FloatArray) -> FloatArray:
        """Return (478, 3) displacements that take the vectors ``gap`` (n, 3) out, lower - upper."""
        share = self.upper_share
        return self.follow @ np.concatenate([share * gap, (share - 1) * gap])


@dataclass(frozen=True)
class Prior:
    """What is known before looking: which expressions photographs show, how faces differ.

    With ``off`` (1434,) the deviation from the generic neutral, expression coefficients minimise
    ``c @ gram @ c / 2 - (gain @ off - cost) @ c``; ``identity`` (1434, 1434 low rank, kept as two
    factors) maps what is left to the likely identity. ``rigid`` (478,): weight of each point in
    the head pose. ``precision`` (1434,): inverse variance of a coordinate. ``track_cost`` (52,).
    """

    gram: FloatArray
    gain: FloatArray
    cost: FloatArray
    modes: FloatArray
    mode_gain: FloatArray
    rigid: FloatArray
    precision: FloatArray
    track_cost: FloatArray


@dataclass(frozen=True)
class Rig:
    """The generic face.

    ``neutral`` (478, 3), ``basis`` (52, 478, 3) displacements at 1.0, ``identity`` (k, 478, 3) one
    standard deviation each. ``triangles`` (m, 3) cover the skin; ``mouth_triangles`` and
    ``eye_triangles`` fill the openings between the inner lips and between the lids. ``mirror``
    (478,) is each point's twin. ``contours``: index lists, each from the viewer's left to right
    (``face_oval`` clockwise from the top). ``eyeballs`` (2, 3) centres, the person's right eye
    first. ``jaw_weight`` (478,): 1 on the mandible, 0 on the skull; ``jaw_hinge`` (3,) on the
    horizontal axis through both joints. ``contacts``: lips, right lids, left lids.
    """

    neutral: FloatArray
    basis: FloatArray
    identity: FloatArray
    triangles: IntArray
    mouth_triangles: IntArray
    eye_triangles: IntArray
    mirror: IntArray
    contours: Mapping[str, IntArray]
    eyeballs: FloatArray
    eyeball_radius: float
    jaw_weight: FloatArray
    jaw_hinge: FloatArray
    contacts: tuple[Contact, ...]
    prior: Prior


@dataclass(frozen=True)
class PortraitRig:
    """The rig of one person, in head space.

    ``neutral`` (478, 3) is the relaxed face: lips closed, eyes open, gaze as in the portrait's pose
    towards the camera. ``basis`` (52, 478, 3) fits this face. ``source_coefficients`` (52,) is the
    expression found in the photograph; ``source`` (478, 3) the photographed points in head space.
    ``pose`` is the portrait's own; ``eyeballs`` (2, 3); ``pivot`` (3,) where the head turns;
    ``interocular`` pixels between the iris centres seen from the front.
    """

    rig: Rig
    neutral: FloatArray
    basis: FloatArray
    source_coefficients: FloatArray
    source: FloatArray
    pose: Pose
    eyeballs: FloatArray
    pivot: FloatArray
    interocular: float


@cache
def load_rig() -> Rig:
    """Return the packaged rig."""
    with np.load(asset("rig.npz")) as data:
        contours = {name: data[name] for name in _CHAINS}
        contacts = tuple(
            Contact(
                contours[a],
                contours[b],
                np.concatenate([data[f"follow_{upper}"], data[f"follow_{lower}"]], 1),
                share,
            )
            for (upper, lower, a, b), share in zip(_CONTACTS, _UPPER_SHARE, strict=True)
        )
        basis = data["basis"].astype(np.float32)
        identity = data["identity"].astype(np.float32)
        return Rig(
            neutral=data["neutral"],
            basis=basis,
            identity=identity,
            triangles=data["triangles"],
            mouth_triangles=data["mouth_triangles"],
            eye_triangles=data["eye_triangles"],
            mirror=data["mirror"],
            contours=contours,
            eyeballs=data["eyeballs"],
            eyeball_radius=float(data["eyeball_radius"]),
            jaw_weight=data["jaw_weight"],
            jaw_hinge=data["jaw_hinge"],
            contacts=contacts,
            prior=_prior(basis, identity, contacts[0]),
        )


# Cost of an expression in a photograph: (square, linear). Shapes not named stay at zero: they are
# rare there, or cannot be told from identity or from a named shape.
_COMMON = {
    "jawOpen": (2, 0), "mouthSmile": (2, 0), "mouthUpperUp": (4, 1), "mouthLowerDown": (4, 1),
    "mouthStretch": (20, 4), "mouthFrown": (20, 4), "mouthPucker": (20, 4), "mouthFunnel": (20, 4),
    "mouthDimple": (20, 4), "eyeSquint": (20, 4), "cheekSquint": (20, 4), "mouthPress": (40, 8),
    "browInnerUp": (60, 10), "browOuterUp": (60, 10), "browDown": (60, 10), "eyeWide": (60, 10),
    "noseSneer": (60, 10),
}  # fmt: skip
_NOISE = np.array([0.5, 0.5, 1.5])
_GAP_NOISE = 0.05


def _prior(basis: FloatArray, identity: FloatArray, lips: Contact) -> Prior:
    """Return the prior of the generic face; the identity is marginalised (Woodbury)."""
    plain = [name.removesuffix("Left").removesuffix("Right") for name in ARKIT_NAMES]
    square, linear = np.array([_COMMON.get(name, (1e5, 1e3)) for name in plain], np.float64).T
    precision = np.tile(_NOISE**-2.0, basis.shape[1])
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    modes = identity.reshape(len(identity), -1).astype(np.float64)
    gaps = np.zeros((len(lips.upper), flat.shape[1]))
    rows = np.arange(len(lips.upper))
    gaps[rows, 3 * lips.lower + 1] += 1 / _GAP_NOISE
    gaps[rows, 3 * lips.upper + 1] -= 1 / _GAP_NOISE

    def weigh(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x * precision + (x @ gaps.T) @ gaps

    inner = np.linalg.inv(weigh(modes) @ modes.T + np.eye(len(modes)))
    mode_gain = inner @ weigh(modes)
    gain = weigh(flat) - (weigh(flat) @ modes.T) @ mode_gain
    moving = np.sqrt((basis[:, :, :2] ** 2).sum(2)).max(0)
    rigid = np.exp(-((moving / 0.5) ** 2))
    rigid[468:] = 0
    arrays = (gain @ flat.T + np.diag(square), gain, linear, modes, mode_gain, rigid, precision)
    return Prior(*(a.astype(np.float32) for a in arrays), np.full(len(flat), 0.05, np.float32))


def express(face: PortraitRig, coefficients: FloatArray) -> FloatArray:
    """Return the head-space points (478, 3) of the face under ``coefficients`` (52,).

    Lips and lids touch and never cross; the irises turn about their eyeballs.
    """
    c = np.clip(coefficients, 0, 1)
    points = face.neutral + (c @ face.basis.reshape(len(c), -1)).reshape(-1, 3)
    _turn_irises(face, c, points)
    for contact in face.rig.contacts:
        points += _separate(contact, points)
    return points


def place(face: PortraitRig, points: FloatArray, motion: Motion) -> FloatArray:
    """Return head-space ``points`` (n, 3) in pixels (n, 3) under the head pose of one frame."""
    head = turn(*motion.rotation[0]) @ face.pose.rotation
    moved = (points - face.pivot) @ (face.pose.scale * float(motion.scale[0]) * head).T
    moved += face.pose.project(face.pivot[None])
    moved[:, :2] += motion.translation[0] * face.interocular
    return moved.astype(np.float32)


def pose_points(face: PortraitRig, motion: Motion) -> FloatArray:
    """Return the mesh (478, 3) in pixels of the portrait for the single frame in ``motion``."""
    return place(face, express(face, motion.coefficients[0]), motion)


def _separate(contact: Contact, points: FloatArray) -> FloatArray:
    gap = points[contact.lower] - points[contact.upper]
    merge = np.clip(1 - gap[:, 1:2] / _MERGE, 0, 1)
    gap[:, 1:2] = np.minimum(gap[:, 1:2], 0)
    gap[:, ::2] *= merge * merge * (3 - 2 * merge)
    return contact.shift(gap)


def _turn_irises(face: PortraitRig, c: FloatArray, points: FloatArray) -> None:
    for k, side in enumerate(("Right", "Left")):
        inward = c[_K[f"eyeLookIn{side}"]] - c[_K[f"eyeLookOut{side}"]]
        down = c[_K[f"eyeLookDown{side}"]] - c[_K[f"eyeLookUp{side}"]]
        iris = face.rig.contours[f"iris_{side.lower()}"]
        rotation = turn(-np.degrees(_PITCH) * down, np.degrees(_YAW) * inward * (1 - 2 * k), 0)
        points[iris] = (face.neutral[iris] - face.eyeballs[k]) @ rotation.T + face.eyeballs[k]


def fit_portrait(rig: Rig, points: FloatArray) -> PortraitRig:
    """Return the rig of the person whose landmarks are ``points`` (478, 3) pixels.

    The expression is the most likely one under the identity model (bounded least squares with a
    Gaussian identity prior); what is left of the photograph after taking it out is the neutral.
    """
    prior = rig.prior
    c = np.zeros(len(ARKIT_NAMES), np.float32)
    likely = rig.neutral
    for _ in range(3):
        model = likely + np.tensordot(c, rig.basis, 1)
        pose = align(model, points, prior.rigid)
        source = pose.unproject(points)
        off = (source - rig.neutral).ravel()
        c = bounded_least_squares(prior.gram, prior.gain @ off - prior.cost, c)
        rest = off - c @ rig.basis.reshape(len(c), -1)
        likely = rig.neutral + (prior.mode_gain @ rest @ prior.modes).reshape(-1, 3)
    return _personal(rig, points, pose, source, c)


def _personal(
    rig: Rig, points: FloatArray, pose: Pose, source: FloatArray, c: FloatArray
) -> PortraitRig:
    """Return the portrait's rig from its pose, head-space points and expression."""
    neutral = source - np.tensordot(c, rig.basis, 1)
    neutral += rig.contacts[0].shift(_gap(rig.contacts[0], neutral))
    c = c.copy()
    for side, contact in (("Right", rig.contacts[1]), ("Left", rig.contacts[2])):
        c[_K[f"eyeBlink{side}"]] = _open_lids(contact, neutral)
    basis = _fitted_basis(rig, neutral)
    eyeballs = np.stack(
        [
            rig.eyeballs[k] + neutral[rig.contours[name][0]] - rig.neutral[rig.contours[name][0]]
            for k, name in enumerate(("iris_right", "iris_left"))
        ]
    )
    between = neutral[rig.contours["iris_right"][0]] - neutral[rig.contours["iris_left"][0]]
    return PortraitRig(
        rig=rig,
        neutral=neutral,
        basis=basis,
        source_coefficients=c,
        source=source,
        pose=pose,
        eyeballs=eyeballs.astype(np.float32),
        pivot=np.array(_PIVOT, np.float32),
        interocular=float(np.linalg.norm(between)) * pose.scale,
    )


def _gap(contact: Contact, points: FloatArray) -> FloatArray:
    return points[contact.lower] - points[contact.upper]


def _open_lids(contact: Contact, neutral: FloatArray) -> float:
    """Open closed lids of ``neutral`` in place to a relaxed width; return the blink they showed."""
    gap = _gap(contact, neutral)
    width = np.linalg.norm(neutral[contact.upper[-1]] - neutral[contact.upper[0]])
    middle = gap[len(gap) // 2, 1] / width
    if middle >= _REST_OPENING:
        return 0.0
    bow = np.sin(np.linspace(0, np.pi, len(gap)))[:, None]
    missing = (_REST_OPENING - middle) * width * bow * np.array([0, 1, 0])
    neutral += contact.shift(-missing.astype(np.float32))
    return float(np.clip(1 - middle / _REST_OPENING, 0, 1))


def _fitted_basis(rig: Rig, neutral: FloatArray) -> FloatArray:
    """Return the generic shapes scaled to this mouth and these eyes, contact made exact again."""
    basis = rig.basis.copy()
    corners = rig.contours["lips_upper_outer"][[0, -1]]
    wide = np.linalg.norm(np.diff(neutral[corners], axis=0))
    usual = np.linalg.norm(np.diff(rig.neutral[corners], axis=0))
    mouth = [k for name, k in _K.items() if name.startswith("mouth") and name != "mouthClose"]
    basis[mouth] *= np.float32(np.clip(wide / usual, 0.8, 1.2))
    closing = neutral + basis[_K["jawOpen"]] + basis[_K["mouthClose"]]
    basis[_K["mouthClose"]] += rig.contacts[0].shift(_gap(rig.contacts[0], closing))
    for side, contact in (("Right", rig.contacts[1]), ("Left", rig.contacts[2])):
        ratio = _gap(contact, neutral)[:, 1].max() / _gap(contact, rig.neutral)[:, 1].max()
        lids = [_K[f"{name}{side}"] for name in ("eyeBlink", "eyeSquint", "eyeWide")]
        basis[lids] *= np.float32(np.clip(ratio, 0.3, 1.6))
        blink = _K[f"eyeBlink{side}"]
        basis[blink] += contact.shift(_gap(contact, neutral + basis[blink]))
    return basis


def solve(face: PortraitRig, points: FloatArray) -> tuple[FloatArray, FloatArray, Pose]:
    """Return coefficients (52,), rotation (3,) and pose of a tracked frame (478, 3) in pixels.

    The rotation is in degrees relative to the portrait, as in ``Motion``.
    """
    prior = face.rig.prior
    flat = face.basis.reshape(len(ARKIT_NAMES), -1)
    weighted = flat * prior.precision
    gram = weighted @ flat.T + np.diag(prior.track_cost)
    c = np.zeros(len(flat), np.float32)
    for _ in range(3):
        pose = align(face.neutral + (c @ flat).reshape(-1, 3), points, prior.rigid)
        off = (pose.unproject(points) - face.neutral).ravel()
        c = bounded_least_squares(gram, weighted @ off, c)
    return c, angles(pose.rotation @ face.pose.rotation.T), pose
