"""Where MediaPipe's 478 points lie on ICT-FaceKit's skin: contours first, the rest by surface.

Used by ``make_rig.py``. Head space: x to the viewer's right, y down, z away, unit about 1 cm.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[Any]
Binding = dict[int, tuple[list[int], list[float]]]

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
FACE_VERTICES = 9409  # ICT's outer skin comes first


@dataclass(frozen=True)
class Mesh:
    """MediaPipe's mesh: ``points`` (478, 3), ``triangles`` (n, 3), ``mirror`` (478,) twins."""

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
    upper, lower = list(LIPS_UPPER_INNER), list(LIPS_LOWER_INNER)
    mean[upper] = mean[lower] = (mean[upper] + mean[lower]) / 2
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
    """Return each point's nearest triangle of ``corners`` (t, 3, 3) and its weights (p, 3)."""
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
