"""The rig: 52 ARKit shapes on the 478-point mesh, fitted to one portrait.

Head space: x to the viewer's right, y down, z away from the viewer, unit about 1 cm (eye centres
6.36 apart). The asset is made by ``recipes/make_rig.py`` from ICT-FaceKit (Li et al. 2020, MIT).

Use: ``rig = load_rig()``, ``face = fit_portrait(rig, landmarks)``, then per frame
``face.pose.project(express(face, coefficients))``. Turning the head is render/head.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.hub import asset
from visavis.render.solve import (
    Pose,
    Prior,
    align,
    angles,
    bounded_least_squares,
    gap_rows,
    make_prior,
    turn,
)
from visavis.types import ARKIT_NAMES, FloatArray

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
_LOOK = (35.0, 35.0)  # degrees of an eye at coefficient 1, sideways and up or down (Live Link)
_REST_OPENING = 0.15  # eyes narrower than this part of their width are taken for closing
_UPPER_SHARE = (0.5, 0.9, 0.9)
_SURE, _UNSURE = 6.0, 0.3  # trust in points of lips and lids, and of the outline, against others
_WIDTH_NOISE = 0.08  # cm, of the distance of the mouth's corners
_WIDEST = (3.8, 1.5, 1.5)  # cm, however many shapes add up
_MERGE = 0.12  # cm of gap under which the two sides' paired points run together
_AT_CAMERA = (-0.655, 0.36)  # iris offset in cm per sine of yaw and pitch of eyes on the camera
_GAZE_SLACK, _GAZE_MOST = 0.13, 0.35  # cm of iris offset: nothing wrong below, noise above


@dataclass(frozen=True)
class Contact:
    """Two chains of points that may touch but never cross: lips, or one eye's lids.

    ``upper`` and ``lower`` (n,) are mesh points from the viewer's left to right, paired, with
    shared ends. ``follow`` (478, 2n) is how far each mesh point goes with each chain point.
    ``upper_share`` is the part of a correction that the upper chain makes, ``widest`` the largest
    gap in cm.
    """

    upper: IntArray
    lower: IntArray
    follow: FloatArray
    upper_share: float
    widest: float

    def gap(self, points: FloatArray) -> FloatArray:
        """Return the vectors (n, 3) from the upper to the lower chain on ``points`` (478, 3)."""
        return points[self.lower] - points[self.upper]

    def shift(self, gap: FloatArray) -> FloatArray:
        """Return (478, 3) displacements that take the vectors ``gap`` (n, 3) out, lower - upper."""
        share = self.upper_share
        return self.follow @ np.concatenate([share * gap, (share - 1) * gap])


@dataclass(frozen=True)
class Rig:
    """The generic face.

    ``neutral`` (478, 3), ``basis`` (52, 478, 3) displacements at 1.0, ``photo_basis`` the same as
    photographs show them (used to take an expression out), ``identity`` (k, 478, 3) differences
    between people, one standard deviation each. ``triangles`` (m, 3) cover the skin;
    ``mouth_triangles`` and ``eye_triangles`` fill the openings between the inner lips and between
    the lids. ``mirror`` (478,) is each point's twin. ``contours``: index lists, each from the
    viewer's left to right (``face_oval`` clockwise from the top). ``eyeballs`` (2, 3) centres, the
    person's right eye first. ``contacts``: lips, right lids, left lids.
    """

    neutral: FloatArray
    basis: FloatArray
    photo_basis: FloatArray
    identity: FloatArray
    triangles: IntArray
    mouth_triangles: IntArray
    eye_triangles: IntArray
    mirror: IntArray
    contours: Mapping[str, IntArray]
    eyeballs: FloatArray
    eyeball_radius: float
    contacts: tuple[Contact, ...]
    prior: Prior


@dataclass(frozen=True)
class PortraitRig:
    """The rig of one person, in head space.

    ``neutral`` (478, 3) is the relaxed face: lips closed, eyes open and on the camera that took the
    portrait. ``basis`` (52, 478, 3) fits this face, ``track_gain`` (52, 1434) and
    ``track_gram`` (52, 52) are its least squares for ``solve``.
    ``source_coefficients`` (52,) is the expression found in the photograph, ``source`` (478, 3) the
    photographed points in head space. ``pose`` is the portrait's own; ``eyeballs`` (2, 3).
    """

    rig: Rig
    neutral: FloatArray
    basis: FloatArray
    track_gain: FloatArray
    track_gram: FloatArray
    source_coefficients: FloatArray
    source: FloatArray
    pose: Pose
    eyeballs: FloatArray


@cache
def load_rig() -> Rig:
    """Return the packaged rig."""
    return read_rig(asset("rig.npz"))


def read_rig(path: Path) -> Rig:
    """Return the rig in the file ``path``, as written by ``recipes/make_rig.py``."""
    with np.load(path) as data:
        contours = {name: data[name] for name in _CHAINS}
        contacts = tuple(
            Contact(
                contours[a],
                contours[b],
                np.concatenate([data[f"follow_{upper}"], data[f"follow_{lower}"]], 1),
                share,
                widest,
            )
            for (upper, lower, a, b), share, widest in zip(
                _CONTACTS, _UPPER_SHARE, _WIDEST, strict=True
            )
        )
        basis = data["basis"].astype(np.float32)
        photo = basis.copy()
        photo[data["photo_shapes"]] += data["photo"]
        identity = data["identity"].astype(np.float32)
        return Rig(
            neutral=data["neutral"],
            basis=basis,
            photo_basis=photo,
            identity=identity,
            triangles=data["triangles"],
            mouth_triangles=data["mouth_triangles"],
            eye_triangles=data["eye_triangles"],
            mirror=data["mirror"],
            contours=contours,
            eyeballs=data["eyeballs"],
            eyeball_radius=float(data["eyeball_radius"]),
            contacts=contacts,
            prior=make_prior(photo, identity, contacts[0].upper, contacts[0].lower),
        )


def express(face: PortraitRig, coefficients: FloatArray) -> FloatArray:
    """Return the head-space points (478, 3) of the face under ``coefficients`` (52,).

    Lips and lids touch and never cross; the irises turn about their eyeballs. ``mouthClose`` counts
    up to ``jawOpen``, which it undoes at the lips (ARKit's convention).
    """
    c = np.clip(coefficients, 0, 1)
    c[_K["mouthClose"]] = min(c[_K["mouthClose"]], c[_K["jawOpen"]])
    points = face.neutral + (c @ face.basis.reshape(len(c), -1)).reshape(-1, 3)
    _turn_irises(face, c, points)
    for contact in face.rig.contacts:
        points += _separate(contact, points)
    return points


def _separate(contact: Contact, points: FloatArray) -> FloatArray:
    """Return the displacement that undoes crossing and gaping, and joins what touches."""
    gap = contact.gap(points)
    merge = np.clip(1 - gap[:, 1:2] / _MERGE, 0, 1)
    gap[:, 1] -= np.clip(gap[:, 1], 0, contact.widest)
    gap[:, ::2] *= merge * merge * (3 - 2 * merge)
    return contact.shift(gap)


def _turn_irises(face: PortraitRig, c: FloatArray, points: FloatArray) -> None:
    for k, side in enumerate(("Right", "Left")):
        inward = c[_K[f"eyeLookIn{side}"]] - c[_K[f"eyeLookOut{side}"]]
        down = c[_K[f"eyeLookDown{side}"]] - c[_K[f"eyeLookUp{side}"]]
        iris = face.rig.contours[f"iris_{side.lower()}"]
        rotation = turn(-_LOOK[1] * down, _LOOK[0] * inward * (1 - 2 * k), 0)
        points[iris] = (face.neutral[iris] - face.eyeballs[k]) @ rotation.T + face.eyeballs[k]


def fit_portrait(rig: Rig, points: FloatArray) -> PortraitRig:
    """Return the rig of the person whose landmarks are ``points`` (478, 3) pixels.

    The expression is the most likely one under the identity model (bounded least squares with a
    Gaussian identity prior); what is left of the photograph after taking it out is the neutral.
    """
    prior = rig.prior
    c = np.zeros(len(ARKIT_NAMES), np.float32)
    shapes = rig.photo_basis.reshape(len(c), -1)
    likely = rig.neutral
    for _ in range(3):
        pose = align(likely + (c @ shapes).reshape(-1, 3), points, prior.rigid)
        source = pose.unproject(points)
        off = (source - rig.neutral).ravel()
        c = bounded_least_squares(prior.gram, prior.gain @ off - prior.cost, c)
        likely = rig.neutral + prior.likely_identity(off - c @ shapes)
    neutral = source - (c @ shapes).reshape(-1, 3)
    neutral += rig.contacts[0].shift(rig.contacts[0].gap(neutral))
    for side, contact in (("Right", rig.contacts[1]), ("Left", rig.contacts[2])):
        c[_K[f"eyeBlink{side}"]] = _open_lids(contact, neutral)
    eyeballs = _rest_gaze(rig, neutral, c, pose)
    basis = _fitted_basis(rig, neutral)
    track_gain = _track_gain(rig, basis)
    track_gram = track_gain @ basis.reshape(len(c), -1).T
    track_gram += np.diag(prior.track_cost[:, 0])
    return PortraitRig(
        rig=rig,
        neutral=neutral,
        basis=basis,
        track_gain=track_gain,
        track_gram=track_gram,
        source_coefficients=c,
        source=source,
        pose=pose,
        eyeballs=eyeballs,
    )


def _open_lids(contact: Contact, neutral: FloatArray) -> float:
    """Open closed lids of ``neutral`` in place to a relaxed width; return the blink they showed."""
    gap = contact.gap(neutral)
    width = float(np.linalg.norm(neutral[contact.upper[-1]] - neutral[contact.upper[0]]))
    opening = float(gap[len(gap) // 2, 1]) / width
    if opening >= _REST_OPENING:
        return 0.0
    bow = np.zeros_like(gap)
    bow[:, 1] = np.sin(np.linspace(0, np.pi, len(gap))) * (_REST_OPENING - opening) * width
    neutral += contact.shift(-bow)
    return min(1 - opening / _REST_OPENING, 1.0)


def _rest_gaze(rig: Rig, neutral: FloatArray, c: FloatArray, pose: Pose) -> FloatArray:
    """Turn averted irises of ``neutral`` in place to the camera, note it in ``c``; return eyeballs.

    Eyes on the camera stand off the middle of their lids by a known amount for each head pose.
    """
    pitch, yaw, _ = np.sin(np.radians(angles(pose.rotation)))
    irises = [rig.contours["iris_right"], rig.contours["iris_left"]]
    corners = [contact.upper[[0, -1]] for contact in rig.contacts[1:]]
    off = [
        neutral[i[0]] - rig.neutral[i[0]] - (neutral[e] - rig.neutral[e]).mean(0)
        for i, e in zip(irises, corners, strict=True)
    ]
    averted = np.mean(off, axis=0)[:2] - (_AT_CAMERA[0] * yaw, _AT_CAMERA[1] * pitch)
    averted = np.sign(averted) * np.clip(np.abs(averted) - _GAZE_SLACK, 0, _GAZE_MOST)
    look = np.abs(np.degrees(np.arcsin(averted / rig.eyeball_radius))) / _LOOK
    for k, side in enumerate(("Right", "Left")):
        c[_K[f"eyeLook{'Out' if (averted[0] > 0) == bool(k) else 'In'}{side}"]] = look[0]
        c[_K[f"eyeLook{'Down' if averted[1] > 0 else 'Up'}{side}"]] = look[1]
        neutral[irises[k], :2] -= averted
    return np.stack(
        [rig.eyeballs[k] + neutral[i[0]] - rig.neutral[i[0]] for k, i in enumerate(irises)]
    ).astype(np.float32)


def _fitted_basis(rig: Rig, neutral: FloatArray) -> FloatArray:
    """Return the generic shapes scaled to this mouth and these eyes, contact made exact again."""
    basis = rig.basis.copy()
    corners = rig.contours["lips_upper_outer"][[0, -1]]
    wide = np.linalg.norm(np.diff(neutral[corners], axis=0))
    usual = np.linalg.norm(np.diff(rig.neutral[corners], axis=0))
    mouth = [k for name, k in _K.items() if name.startswith("mouth") and name != "mouthClose"]
    basis[mouth] *= np.float32(np.clip(wide / usual, 0.8, 1.2))
    lips = rig.contacts[0]
    basis[_K["mouthClose"]] += lips.shift(
        lips.gap(neutral + basis[_K["jawOpen"]] + basis[_K["mouthClose"]])
    )
    for side, contact in (("Right", rig.contacts[1]), ("Left", rig.contacts[2])):
        ratio = contact.gap(neutral)[:, 1].max() / contact.gap(rig.neutral)[:, 1].max()
        lids = [_K[f"{name}{side}"] for name in ("eyeBlink", "eyeSquint", "eyeWide")]
        basis[lids] *= np.float32(np.clip(ratio, 0.3, 1.6))
        blink = _K[f"eyeBlink{side}"]
        basis[blink] += contact.shift(contact.gap(neutral + basis[blink]))
    return basis


def _track_gain(rig: Rig, basis: FloatArray) -> FloatArray:
    """Return ``basis`` (52, 1434) weighed by accuracy: points, gaps, width of the mouth."""
    flat = basis.reshape(len(basis), -1)
    corners = rig.contours["lips_upper_outer"][[0, -1]]
    width = np.zeros((1, flat.shape[1]))
    width[0, 3 * corners] = -1 / _WIDTH_NOISE, 1 / _WIDTH_NOISE
    gaps = [gap_rows(x.upper, x.lower, basis.shape[1]) for x in rig.contacts]
    rows = np.concatenate([*gaps, width])
    trust = np.ones((basis.shape[1], 3), np.float32)
    trust[rig.contours["face_oval"]] = _UNSURE
    trust[rig.neutral[:, 1] > rig.neutral[rig.contours["lips_lower_outer"], 1].max()] = _UNSURE
    trust[np.concatenate([rig.contours[name] for name in _CHAINS[:10]])] = _SURE
    weighed = flat * (rig.prior.precision * trust.ravel())
    return (weighed + (flat @ rows.T) @ rows).astype(np.float32)


def solve(face: PortraitRig, points: FloatArray) -> tuple[FloatArray, FloatArray, Pose]:
    """Return coefficients (52,), rotation (3,) and pose of a tracked frame (478, 3) in pixels.

    The rotation is in degrees relative to the portrait, as in ``Motion``.
    """
    prior = face.rig.prior
    flat = face.basis.reshape(len(ARKIT_NAMES), -1)
    c = np.zeros(len(flat), np.float32)
    for _ in range(3):
        pose = align(face.neutral + (c @ flat).reshape(-1, 3), points, prior.rigid)
        off = (pose.unproject(points) - face.neutral).ravel()
        aim = face.track_gain @ off - prior.track_cost[:, 1]
        c = bounded_least_squares(face.track_gram, aim, c)
    return c, angles(pose.rotation @ face.pose.rotation.T), pose
