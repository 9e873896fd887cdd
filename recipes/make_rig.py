"""Transfer ICT-FaceKit's expression shapes to MediaPipe's 478-point mesh and pack ``rig.npz``.

    python recipes/make_rig.py --shared /work/shared -o src/visavis/assets/rig.npz

Head space of the asset: x to the viewer's right, y down, z away from the viewer, unit about 1 cm.
Steps: (1) the mean face of the closed-mouth synthetic portraits is the neutral mesh, since that is
what landmark networks put out (MediaPipe's canonical mesh is 3 mm off on average); (2) ICT's neutral
is brought onto it: similarity, identity shapes, a thin-plate warp through semantic contours;
(3) every point is bound to a triangle of the warped ICT skin, contour points to the contour itself;
(4) shapes follow the binding, are mirrored and smoothed, and given exact contact at lips and lids.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from visavis.types import ARKIT_NAMES

Array = NDArray[Any]

# MediaPipe contours, each from the viewer's left to right; corners belong to both halves.
LIPS_UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
EYE_RIGHT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
EYE_RIGHT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
EYE_LEFT_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
EYE_LEFT_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)
BROW_RIGHT = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
BROW_LEFT = (336, 296, 334, 293, 300, 285, 295, 282, 283, 276)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
IRIS_RIGHT = (468, 469, 470, 471, 472)
IRIS_LEFT = (473, 474, 475, 476, 477)

# ICT-FaceKit vertices of the 68 landmarks (the kit's own table), and the MediaPipe points that mean
# the same place; contours between such anchors are walked along the mesh.
ICT_68 = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088,
    3443, 268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140,
    2075, 1147, 4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732,
    5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216,
    6207, 6470, 5517, 5966,
)  # fmt: skip
POINT_PAIRS = {27: 168, 28: 197, 30: 4, 33: 2, 31: 98, 35: 327, 8: 152}
POINT_PAIRS |= {17: 70, 18: 63, 19: 105, 20: 66, 21: 107, 22: 336, 23: 296, 24: 334, 25: 293}
POINT_PAIRS |= {26: 300}
# (68-landmark stops, MediaPipe stops, MediaPipe chain): the chain between stops by arc length.
CONTOURS: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...] = (
    ((48, 49, 50, 51, 52, 53, 54), (61, 0, 291), LIPS_UPPER_OUTER),
    ((48, 59, 58, 57, 56, 55, 54), (61, 17, 291), LIPS_LOWER_OUTER),
    ((60, 61, 62, 63, 64), (78, 13, 308), LIPS_UPPER_INNER),
    ((60, 67, 66, 65, 64), (78, 14, 308), LIPS_LOWER_INNER),
    ((36, 37, 38, 39), (33, 133), EYE_RIGHT_UPPER),
    ((36, 41, 40, 39), (33, 133), EYE_RIGHT_LOWER),
    ((42, 43, 44, 45), (362, 263), EYE_LEFT_UPPER),
    ((42, 47, 46, 45), (362, 263), EYE_LEFT_LOWER),
)
MIDDLE_STOP = {0: 51, 17: 57, 13: 62, 14: 66}
LIPS_UPPER_ROWS = (
    185, 40, 39, 37, 0, 267, 269, 270, 409, 76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306,
    62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292, *LIPS_UPPER_INNER,
)  # fmt: skip
LIPS_LOWER_ROWS = (
    146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307,
    96, 89, 179, 86, 15, 316, 403, 319, 325, *LIPS_LOWER_INNER,
)  # fmt: skip
# Rows of skin above each upper lid, and how much of the lid's blink they make at least.
LID_ROWS_RIGHT = (
    (130, 247, 30, 29, 27, 28, 56, 190, 243),
    (226, 113, 225, 224, 223, 222, 221, 189, 244),
)
LID_ROWS_LEFT = (
    (463, 414, 286, 258, 257, 259, 260, 467, 359),
    (464, 413, 441, 442, 443, 444, 445, 342, 446),
)
LID_DRAWN = (0.35, 0.12)
ROLL_KEPT = 0.7
FACE_VERTICES = 9409  # ICT's outer skin comes first
EYEBALL_RADIUS = 1.2


@dataclass(frozen=True)
class Mesh:
    """MediaPipe's mesh: ``points`` (478, 3) in head space, ``triangles`` (n, 3), ``mirror`` (478,)."""

    points: Array
    triangles: Array
    mirror: Array


@dataclass(frozen=True)
class Source:
    """ICT-FaceKit in head-space axes: ``neutral`` (v, 3), ``shapes`` name -> (v, 3), ``quads``."""

    neutral: Array
    shapes: dict[str, Array]
    identity: Array
    quads: Array


def read_canonical(folder: Path) -> Mesh:
    """Read MediaPipe's 478-point mesh; its irises' own triangles are left out."""
    points, faces = [], []
    for line in (folder / "face_model_with_iris.obj").read_text("utf-8").splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            points.append([float(x) for x in rest[:3]])
        elif kind == "f":
            faces.append([int(x.split("/")[0]) - 1 for x in rest])
    xyz = np.array(points) * [1, -1, -1]
    mirror = cKDTree(xyz).query(xyz * [-1, 1, 1])[1]
    triangles = np.array(faces)
    return Mesh(xyz, triangles[triangles.max(1) < 468], mirror)


def read_ict(folder: Path) -> Source:
    """Read the parts of ICT-FaceKit that the transfer needs: the outer skin."""
    data = np.load(folder / "ict_facekit.npz")
    flip = np.array([1.0, -1.0, -1.0])
    skin = slice(0, FACE_VERTICES)
    shapes = {
        str(name): shape[skin].astype(np.float64) * flip
        for name, shape in zip(data["expr_names"], data["expr"], strict=True)
    }
    quads = data["quads"]
    return Source(
        data["neutral"][skin].astype(np.float64) * flip,
        shapes,
        data["ident"][:, skin].astype(np.float64) * flip,
        quads[quads.max(1) < FACE_VERTICES],
    )


def similarity(a: Array, b: Array) -> tuple[float, Array, Array]:
    """Return scale, rotation, translation with ``b ~ scale * a @ rotation.T + translation``."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((a - mean_a).T @ (b - mean_b))
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign @ vt).T
    scale = float((s * sign).sum() / ((a - mean_a) ** 2).sum())
    return scale, rotation, mean_b - scale * rotation @ mean_a


def mean_face(shared: Path, mesh: Mesh) -> Array:
    """Return the symmetric mean (478, 3) of the closed-mouth portraits, at the canonical size."""
    stored = np.load(shared / "data/portraits/neutral_landmarks478.npz")["xyz_x32"]
    faces = stored.astype(np.float64) / 32
    eyes = np.linalg.norm(faces[:, 468, :2] - faces[:, 473, :2], axis=1)
    gap = np.linalg.norm(faces[:, 13] - faces[:, 14], axis=1) / eyes
    width = np.linalg.norm(faces[:, 61] - faces[:, 291], axis=1) / eyes
    faces = faces[(gap < 0.03) & (width < np.median(width[gap < 0.03]))]
    mean = mesh.points - mesh.points.mean(0)
    for _ in range(4):
        aligned = []
        for face in faces:
            scale, rotation, shift = similarity(face, mean)
            aligned.append(scale * face @ rotation.T + shift)
        new = np.mean(aligned, axis=0)
        new = (new + new[mesh.mirror] * [-1, 1, 1]) / 2
        mean = new / np.linalg.norm(new - new.mean(0)) * np.linalg.norm(mesh.points)
        mean -= mean.mean(0)
    middle = (LIPS_UPPER_INNER, LIPS_LOWER_INNER)
    seam = mean[list(middle[0])] / 2 + mean[list(middle[1])] / 2
    mean[list(middle[0])] = seam
    mean[list(middle[1])] = seam
    size = np.linalg.norm(mesh.points[468] - mesh.points[473]) / np.linalg.norm(
        mean[468] - mean[473]
    )
    return mean * size


def edges_of(quads: Array, points: Array) -> dict[int, list[tuple[int, float]]]:
    """Return vertex -> neighbours with their distances."""
    out: dict[int, list[tuple[int, float]]] = {}
    for quad in quads:
        for a, b in zip(quad, np.roll(quad, 1), strict=True):
            d = float(np.linalg.norm(points[a] - points[b]))
            out.setdefault(int(a), []).append((int(b), d))
            out.setdefault(int(b), []).append((int(a), d))
    return out


def walk(edges: dict[int, list[tuple[int, float]]], start: int, stop: int) -> list[int]:
    """Return the shortest path of vertices from ``start`` to ``stop`` along edges."""
    best, before, queue = {start: 0.0}, {start: start}, [(0.0, start)]
    while queue:
        d, v = heapq.heappop(queue)
        if v == stop:
            break
        for n, step in edges[v]:
            if d + step < best.get(n, np.inf):
                best[n], before[n] = d + step, v
                heapq.heappush(queue, (d + step, n))
    path = [stop]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def fractions(points: Array) -> Array:
    """Return the arc length of a chain of points, 0 at its start and 1 at its end."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0], np.cumsum(steps)]) / steps.sum()


Binding = dict[int, tuple[list[int], list[float]]]


def bind_contours(ict: Source, target: Array) -> Binding:
    """Return MediaPipe contour point -> ICT vertices and weights on the same contour."""
    edges = edges_of(ict.quads, ict.neutral)
    binding: Binding = {m: ([ICT_68[k]], [1.0]) for k, m in POINT_PAIRS.items()}
    for stops, anchors, chain in CONTOURS:
        marks = [stops[0], *(MIDDLE_STOP[a] for a in anchors[1:-1]), stops[-1]]
        path = [ICT_68[stops[0]]]
        for a, b in zip(stops, stops[1:], strict=False):
            path += walk(edges, ICT_68[a], ICT_68[b])[1:]
        for k in range(len(anchors) - 1):
            part = path[path.index(ICT_68[marks[k]]) : path.index(ICT_68[marks[k + 1]]) + 1]
            points = chain[chain.index(anchors[k]) : chain.index(anchors[k + 1]) + 1]
            along = fractions(ict.neutral[part])
            for point, f in zip(points, fractions(target[list(points)]), strict=True):
                i = min(int(np.searchsorted(along, f, "right")) - 1, len(part) - 2)
                w = (f - along[i]) / (along[i + 1] - along[i])
                binding[point] = ([part[i], part[i + 1]], [1 - w, w])
    return binding


def bound(binding: Binding, values: Array, points: list[int]) -> Array:
    """Return ``values`` (v, 3) interpolated at the bound ``points`` -> (p, 3)."""
    return np.array([np.tensordot(binding[p][1], values[binding[p][0]], 1) for p in points])


def fit_identity(ict: Source, binding: Binding, target: Array) -> Array:
    """Return ICT's neutral with its identity shapes fitted (ridge), aligned to ``target``."""
    points = sorted(binding)
    neutral = ict.neutral
    for _ in range(4):
        scale, rotation, shift = similarity(bound(binding, neutral, points), target[points])
        goal = ((target[points] - shift) / scale @ rotation).ravel()
        start = bound(binding, ict.neutral, points).ravel()
        columns = np.stack([bound(binding, s, points).ravel() for s in ict.identity], 1)
        gram = columns.T @ columns + 1.0 * np.eye(columns.shape[1])
        weights = np.linalg.solve(gram, columns.T @ (goal - start))
        neutral = ict.neutral + np.tensordot(weights, ict.identity, 1)
    scale, rotation, shift = similarity(bound(binding, neutral, points), target[points])
    print("identity weights |max|", np.abs(weights).max().round(2), "scale", round(scale, 3))
    return scale * neutral @ rotation.T + shift


def thin_plate(source: Array, target: Array, values: Array, stiffness: float) -> Array:
    """Warp ``values`` by the smooth map that takes ``source`` to ``target`` (kernel r)."""
    n = len(source)
    kernel = np.linalg.norm(source[:, None] - source[None], axis=2) - stiffness * np.eye(n)
    affine = np.concatenate([np.ones((n, 1)), source], 1)
    system = np.block([[kernel, affine], [affine.T, np.zeros((4, 4))]])
    solved = np.linalg.solve(system, np.concatenate([target, np.zeros((4, 3))]))
    reach = np.linalg.norm(values[:, None] - source[None], axis=2)
    return reach @ solved[:n] + np.concatenate([np.ones((len(values), 1)), values], 1) @ solved[n:]


def closest_on_triangles(points: Array, corners: Array) -> tuple[Array, Array]:
    """Return for each point the nearest triangle of ``corners`` (t, 3, 3) and its weights (p, 3)."""
    tree = cKDTree(corners.mean(1))
    near = tree.query(points, k=24)[1]
    a, b, c = (corners[near][:, :, k] for k in range(3))
    p = points[:, None]
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-12)
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    weights = np.clip(np.stack([1 - v - w, v, w], -1), 0, None)
    weights /= weights.sum(-1, keepdims=True)
    spot = (weights[..., None] * np.stack([a, b, c], 2)).sum(2)
    best = np.linalg.norm(spot - p, axis=2).argmin(1)
    rows = np.arange(len(points))
    return near[rows, best], weights[rows, best]


def bind_surface(ict: Source, warped: Array, target: Array, binding: Binding) -> Binding:
    """Bind the remaining skin points to the nearest triangle of the warped ICT skin.

    Points between the lips' contours look only at triangles of their own lip.
    """
    triangles = np.concatenate([ict.quads[:, [0, 1, 2]], ict.quads[:, [0, 2, 3]]])
    corners = warped[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centre = corners.mean(1)
    outward = (normal * (centre - [0, 0, 6])).sum(1) > 0
    seam = target[list(LIPS_UPPER_INNER)]
    at_mouth = np.abs(centre[:, 0]) < seam[-1, 0]
    above = centre[:, 1] < np.interp(centre[:, 0], seam[:, 0], seam[:, 1])
    sides = {
        "upper": (outward & ~(at_mouth & ~above), LIPS_UPPER_ROWS),
        "lower": (outward & ~(at_mouth & above), LIPS_LOWER_ROWS),
    }
    lips = {*LIPS_UPPER_ROWS, *LIPS_LOWER_ROWS}
    sides["skin"] = (outward, [i for i in range(468) if i not in lips])
    out = dict(binding)
    for allowed, points in sides.values():
        free = [i for i in points if i not in binding]
        which, weights = closest_on_triangles(target[free], corners[allowed])
        for i, t, w in zip(free, which, weights, strict=True):
            out[i] = ([int(x) for x in triangles[allowed][t]], [float(x) for x in w])
    points = sorted(out)
    off = np.linalg.norm(bound(out, warped, points) - target[points], axis=1)
    print(f"binding distance: mean {off.mean():.3f} max {off.max():.3f} cm")
    return out


def mirrored(shape: Array, mirror: Array) -> Array:
    """Return the displacement (478, 3) of the mirrored expression."""
    return shape[mirror] * [-1, 1, 1]


def arkit_basis(ict: Source, binding: Binding, mesh: Mesh, scale: float) -> Array:
    """Return the (52, 478, 3) displacements in ARKit's order, exactly mirror-symmetric."""
    points = list(range(468))

    def take(name: str) -> Array:
        parts = [name] if name in ict.shapes else [name + "_L", name + "_R"]
        total = np.zeros((478, 3))
        for part in parts:
            total[:468] += scale * bound(binding, ict.shapes[part], points)
        return total

    out = np.zeros((len(ARKIT_NAMES), 478, 3))
    for k, name in enumerate(ARKIT_NAMES):
        if name == "tongueOut":
            continue
        other = name.replace("Left", "*").replace("Right", "Left").replace("*", "Right")
        source, twin = (
            n if n in ict.shapes else n.replace("Left", "_L").replace("Right", "_R")
            for n in (name, other)
        )
        out[k] = (take(source) + mirrored(take(twin), mesh.mirror)) / 2
    return out


def follow(points: Array, chain: Array, side: float, reach: tuple[float, float]) -> Array:
    """Return (478, n): how far each point follows each of the ``chain``'s n points.

    Rows of points on the ``side`` (-1 above, +1 below) of the chain sum to a weight that is 1 on it
    and falls to 0 at ``reach[1]`` cm; along the chain the weights are Gaussian, ``reach[0]`` wide.
    """
    across = points[:, None, :2] - chain[None, :, :2]
    along = np.exp(-0.5 * (across[..., 0] / reach[0]) ** 2) + 1e-9
    along /= along.sum(1, keepdims=True)
    line = np.interp(points[:, 0], chain[:, 0], chain[:, 1])
    height = np.maximum((points[:, 1] - line) * side, 0)
    beyond = np.maximum(np.abs(points[:, 0] - chain[:, 0].mean()) - np.ptp(chain[:, 0]) / 2, 0)
    far = np.clip(np.hypot(height, beyond) / reach[1], 0, 1)
    weight = (1 - far**2) ** 2 * ((points[:, 1] - line) * side > -1e-3)
    return along * weight[:, None]


def chain_follow(points: Array, spec: tuple[Any, ...]) -> Array:
    """Return ``follow`` for a mesh chain: its own points follow themselves alone, irises nothing."""
    chain, opposite, side, reach = spec
    weights = follow(points, points[list(chain)], side, reach)
    weights[468:] = 0
    weights[sorted(set(opposite) - set(chain))] = 0
    weights[list(chain)] = np.eye(len(chain))
    return weights


LIP_UPPER_SPEC = (LIPS_UPPER_INNER, LIPS_LOWER_ROWS, -1.0, (0.45, 1.9))
LIP_LOWER_SPEC = (LIPS_LOWER_INNER, LIPS_UPPER_ROWS, 1.0, (0.45, 2.6))
LID_SPECS = {
    "eye_right_upper": (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, -1.0, (0.3, 1.0)),
    "eye_right_lower": (EYE_RIGHT_LOWER, EYE_RIGHT_UPPER, 1.0, (0.3, 0.8)),
    "eye_left_upper": (EYE_LEFT_UPPER, EYE_LEFT_LOWER, -1.0, (0.3, 1.0)),
    "eye_left_lower": (EYE_LEFT_LOWER, EYE_LEFT_UPPER, 1.0, (0.3, 0.8)),
}


def meet(points: Array, follows: tuple[Array, Array], chains: Any, share: float) -> Array:  # noqa: ANN401
    """Return the displacement (478, 3) that brings two chains together on ``points``.

    ``share`` of the way is gone by the first chain.
    """
    upper, lower = (list(c) for c in chains)
    gap = points[lower] - points[upper]
    return follows[0] @ (share * gap) - follows[1] @ ((1 - share) * gap)


def uncross(points: Array, follows: tuple[Array, Array], chains: Any) -> Array:  # noqa: ANN401
    """Return the displacement (478, 3) that undoes crossing (upper chain below the lower)."""
    upper, lower = (list(c) for c in chains)
    gap = np.minimum(points[lower] - points[upper], 0) * [0, 1, 0]
    return (follows[0] @ gap - follows[1] @ gap) / 2


def turn_iris(basis: Array, mesh: Mesh, centres: Array) -> None:
    """Write the irises' motion: at 1.0 the eye has turned 30 degrees sideways, 25 up or down."""
    signs = {"In": (1, 0), "Out": (-1, 0), "Up": (0, -1), "Down": (0, 1)}
    for side, (iris, centre) in enumerate(zip((IRIS_RIGHT, IRIS_LEFT), centres, strict=True)):
        label = ("Right", "Left")[side]
        for way, (x, y) in signs.items():
            turn = x * (1 - 2 * side) * np.radians(30)
            pitch = y * np.radians(25)
            offset = mesh.points[list(iris)] - centre
            moved = offset @ rotation_yx(turn, pitch).T
            basis[ARKIT_NAMES.index(f"eyeLook{way}{label}"), list(iris)] = moved - offset


def rotation_yx(turn: float, pitch: float) -> Array:
    """Return the rotation that turns to the viewer's right and down, by radians."""
    c, s = np.cos(turn), np.sin(turn)
    yaw = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(pitch), np.sin(pitch)
    return yaw @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def eyeballs(mesh: Mesh) -> Array:
    """Return the centres (2, 3), right eye first: behind the middle of each lid opening."""
    out = []
    for iris, upper in ((IRIS_RIGHT, EYE_RIGHT_UPPER), (IRIS_LEFT, EYE_LEFT_UPPER)):
        front = mesh.points[iris[0]]
        corners = mesh.points[[upper[0], upper[-1]]].mean(0)
        out.append([front[0], corners[1] - 0.1, front[2] + 0.95 * EYEBALL_RADIUS])
    return np.array(out)


def jaw(basis: Array, mesh: Mesh) -> tuple[Array, Array]:
    """Return mandible weight (478,) and hinge point (3,), which lies just before the ear holes."""
    forward = -basis[ARKIT_NAMES.index("jawForward")][:, 2]
    weight = np.clip(forward / np.sort(forward)[-40:].mean(), 0, 1)
    weight[468:] = 0
    ears = mesh.points[[234, 93, 454, 323]].mean(0)
    return weight, np.array([0, ears[1], ears[2]])


def identity_modes(ict: Source, binding: Binding, mesh: Mesh, scale: float, count: int) -> Array:
    """Return (count, 478, 3): principal directions of ICT's identities, one standard deviation each.

    Similarity motion is taken out; left and right are made equally likely.
    """
    shapes = np.zeros((len(ict.identity), 478, 3))
    for k, shape in enumerate(ict.identity):
        shapes[k, :468] = scale * bound(binding, shape, list(range(468)))
        for iris, chain in ((IRIS_RIGHT, EYE_RIGHT_UPPER), (IRIS_LEFT, EYE_LEFT_UPPER)):
            shapes[k, list(iris)] = shapes[k, list(chain)].mean(0)
    both = np.concatenate([shapes, shapes[:, mesh.mirror] * [-1, 1, 1]]) / np.sqrt(2)
    centred = mesh.points - mesh.points.mean(0)
    x, y, z = centred.T
    o, one = np.zeros(478), np.ones(478)
    rigid = np.array(
        [[one, o, o], [o, one, o], [o, o, one], [x, y, z], [-y, x, o], [o, -z, y], [z, o, -x]]
    )
    q = np.linalg.qr(rigid.transpose(0, 2, 1).reshape(7, -1).T)[0]
    flat = both.reshape(len(both), -1)
    flat = flat - flat @ q @ q.T
    _, spread, directions = np.linalg.svd(flat, full_matrices=False)
    print("identity modes keep", (spread[:count] ** 2).sum() / (spread**2).sum())
    return (spread[:count, None] * directions[:count]).reshape(count, 478, 3)


def exact_contact(basis: Array, mesh: Mesh, follows: dict[str, Array]) -> None:
    """Make jawOpen + mouthClose meet at the lips, each blink at the lids, no shape cross itself."""
    lips = (LIPS_UPPER_INNER, LIPS_LOWER_INNER)
    lip_follows = (follows["lip_upper"], follows["lip_lower"])
    opened, closed = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("mouthClose")
    basis[closed] += meet(mesh.points + basis[opened] + basis[closed], lip_follows, lips, 0.5)
    for k, name in enumerate(ARKIT_NAMES):
        if name.startswith(("mouthRoll", "mouthPress", "mouthShrugLower", "mouthPucker")):
            basis[k] += meet(mesh.points + basis[k], lip_follows, lips, 0.5)
        elif k != closed:
            basis[k] += uncross(mesh.points + basis[k], lip_follows, lips)
    for side in ("right", "left"):
        chains = (LID_SPECS[f"eye_{side}_upper"][0], LID_SPECS[f"eye_{side}_lower"][0])
        lids = (follows[f"eye_{side}_upper"], follows[f"eye_{side}_lower"])
        k = ARKIT_NAMES.index("eyeBlink" + side.title())
        basis[k] += meet(mesh.points + basis[k], lids, chains, 0.9)


def soften(basis: Array, mesh: Mesh, follows: dict[str, Array]) -> None:
    """Keep what a photograph can show: rolled lips stay visible, closing lids draw skin along.

    On a real face a rolled lip folds inwards and the lid unfolds from behind its crease; a picture
    has neither, so lips keep a rest of their height and the crease comes down part of the way.
    """
    for name, rows, key in (
        ("mouthRollUpper", LIPS_UPPER_ROWS, "lip_upper"),
        ("mouthRollLower", LIPS_LOWER_ROWS, "lip_lower"),
    ):
        shape, points = basis[ARKIT_NAMES.index(name)], list(rows)
        along = follows[key][points]
        chain = LIPS_UPPER_INNER if key == "lip_upper" else LIPS_LOWER_INNER
        rim = (along / np.maximum(along.sum(1, keepdims=True), 1e-6)) @ shape[list(chain)]
        shape[points] = rim + ROLL_KEPT * (shape[points] - rim)
    for side, rows, chain in (
        ("Right", LID_ROWS_RIGHT, EYE_RIGHT_UPPER),
        ("Left", LID_ROWS_LEFT, EYE_LEFT_UPPER),
    ):
        shape = basis[ARKIT_NAMES.index("eyeBlink" + side)]
        lid = shape[list(chain)]
        for row, share in zip(rows, LID_DRAWN, strict=True):
            pulled = share * lid
            weaker = pulled[:, 1] > shape[list(row), 1]
            shape[list(row)] = np.where(weaker[:, None], pulled, shape[list(row)])


def ring_triangles(chains: Any) -> Array:  # noqa: ANN401
    """Return triangles that fill the hole between an upper and a lower chain with shared ends."""
    upper, lower = chains
    out = []
    for i in range(len(upper) - 1):
        quad = (upper[i], lower[i], lower[i + 1], upper[i + 1])
        out += [quad[:3], (quad[0], quad[2], quad[3])]
    return np.array([t for t in out if len(set(t)) == 3], np.int32)


def main() -> None:
    """Run all steps and write the asset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("/work/shared"))
    parser.add_argument("-o", "--out", type=Path, default=Path("src/visavis/assets/rig.npz"))
    args = parser.parse_args()
    folder = args.shared / "data/face_rig"
    canonical, ict = read_canonical(folder), read_ict(folder)
    target = mean_face(args.shared, canonical)
    mesh = Mesh(target, canonical.triangles, canonical.mirror)
    contours = bind_contours(ict, target)
    aligned = fit_identity(ict, contours, target)
    points = sorted(contours)
    warped = thin_plate(bound(contours, aligned, points), target[points], aligned, 0.02)
    binding = bind_surface(ict, warped, target, contours)
    scale = np.linalg.norm(np.ptp(aligned, 0)) / np.linalg.norm(np.ptp(ict.neutral, 0))
    basis = arkit_basis(ict, binding, mesh, float(scale))
    follows = {name: chain_follow(target, spec) for name, spec in LID_SPECS.items()}
    follows["lip_upper"] = chain_follow(target, LIP_UPPER_SPEC)
    follows["lip_lower"] = chain_follow(target, LIP_LOWER_SPEC)
    soften(basis, mesh, follows)
    exact_contact(basis, mesh, follows)
    centres = eyeballs(mesh)
    turn_iris(basis, mesh, centres)
    weight, hinge = jaw(basis, mesh)
    modes = identity_modes(ict, binding, mesh, float(scale), 40)
    mouth, eyes = (
        ring_triangles((LIPS_UPPER_INNER, LIPS_LOWER_INNER)),
        np.concatenate(
            [
                ring_triangles((EYE_RIGHT_UPPER, EYE_RIGHT_LOWER)),
                ring_triangles((EYE_LEFT_UPPER, EYE_LEFT_LOWER)),
            ]
        ),
    )
    holes = [{*LIPS_UPPER_INNER, *LIPS_LOWER_INNER}]
    holes += [{*EYE_RIGHT_UPPER, *EYE_RIGHT_LOWER}, {*EYE_LEFT_UPPER, *EYE_LEFT_LOWER}]
    skin = [t for t in mesh.triangles.tolist() if not any(set(t) <= hole for hole in holes)]
    lists = {
        "lips_upper_outer": LIPS_UPPER_OUTER,
        "lips_lower_outer": LIPS_LOWER_OUTER,
        "lips_upper_inner": LIPS_UPPER_INNER,
        "lips_lower_inner": LIPS_LOWER_INNER,
        "lips_upper": LIPS_UPPER_ROWS,
        "lips_lower": LIPS_LOWER_ROWS,
        "eye_right_upper": EYE_RIGHT_UPPER,
        "eye_right_lower": EYE_RIGHT_LOWER,
        "eye_left_upper": EYE_LEFT_UPPER,
        "eye_left_lower": EYE_LEFT_LOWER,
        "iris_right": IRIS_RIGHT,
        "iris_left": IRIS_LEFT,
        "brow_right": BROW_RIGHT,
        "brow_left": BROW_LEFT,
        "face_oval": FACE_OVAL,
    }
    np.savez_compressed(
        args.out,
        neutral=mesh.points.astype(np.float32),
        basis=basis.astype(np.float16),
        triangles=np.array(skin, np.int32),
        mouth_triangles=mouth,
        eye_triangles=eyes,
        mirror=mesh.mirror.astype(np.int32),
        eyeballs=centres.astype(np.float32),
        eyeball_radius=np.float32(EYEBALL_RADIUS),
        jaw_weight=weight.astype(np.float32),
        jaw_hinge=hinge.astype(np.float32),
        identity=modes.astype(np.float16),
        photo=np.zeros((0, 478, 3), np.float32),
        photo_shapes=np.zeros(0, np.int32),
        **{f"follow_{k}": v.astype(np.float32) for k, v in follows.items()},
        **{k: np.array(v, np.int32) for k, v in lists.items()},
    )
    print(args.out, args.out.stat().st_size, "bytes; skin triangles", len(skin))


if __name__ == "__main__":
    main()
