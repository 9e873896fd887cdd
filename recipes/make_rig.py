"""Transfer ICT-FaceKit's expression shapes to MediaPipe's 478-point mesh and pack ``rig.npz``.

    python recipes/make_rig.py --shared ../shared --pairs PAIRS -o src/visavis/assets/rig.npz

Head space of the asset: x to the viewer's right, y down, z away from the viewer, unit about 1 cm.
Steps: (1) the mean face of the closed-mouth synthetic portraits is the neutral mesh, since that is
what landmark networks put out (MediaPipe's canonical mesh is 3 mm off on average); (2) ICT's
neutral is brought onto it: similarity, identity shapes, a thin-plate warp through semantic
contours; (3) every point is bound to a triangle of the warped ICT skin, contour points to the
contour itself; (4) shapes follow the binding, are mirrored, and given exact contact at lips and
lids; (5) how photographs show the commonest shapes is learned from same-person synthetic pairs
(``rig_photo.py``). Needs scipy and ai-edge-litert.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rig_correspondence import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    FACE_OVAL,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_ROWS_LEFT,
    LID_ROWS_RIGHT,
    LIPS_LOWER_INNER,
    LIPS_LOWER_OUTER,
    LIPS_LOWER_ROWS,
    LIPS_UPPER_INNER,
    LIPS_UPPER_OUTER,
    LIPS_UPPER_ROWS,
    Array,
    Binding,
    Mesh,
    Source,
    bind_contours,
    bind_surface,
    bound,
    fit_identity,
    mean_face,
    read_canonical,
    read_ict,
    thin_plate,
)
from rig_photo import learn_photo_shapes

from visavis.types import ARKIT_NAMES

EYEBALL_RADIUS = 1.2
LID_DRAWN = (0.35, 0.12)  # how much of a blink the two rows of skin above the lid make at least
ROLL_KEPT = 0.3  # of a lip's height stays visible when it is rolled in
# Shapes under which closed lips stay closed, and how much so: captured speech carries traces of
# them everywhere, and p, b, m must not leak.
SEALED = {"mouthRollLower": 1.0, "mouthRollUpper": 1.0, "mouthPressLeft": 1.0}
SEALED |= {"mouthPressRight": 1.0, "mouthShrugLower": 1.0, "mouthPucker": 1.0, "jawForward": 0.8}
SEALED |= {"mouthShrugUpper": 1.0, "noseSneerLeft": 0.8, "noseSneerRight": 0.8}
SEALED |= {"jawLeft": 1.0, "jawRight": 1.0, "mouthLeft": 1.0, "mouthRight": 1.0, "cheekPuff": 1.0}
SEALED |= {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "mouthDimpleLeft": 1.0}
SEALED |= {"mouthDimpleRight": 1.0, "mouthFrownLeft": 1.0, "mouthFrownRight": 1.0}
SEALED |= {"mouthStretchLeft": 0.8, "mouthStretchRight": 0.8}


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
    """Return ``follow`` for a mesh chain: its points follow themselves alone, irises nothing."""
    chain, opposite, side, reach = spec
    weights = follow(points, points[list(chain)], side, reach)
    weights[468:] = 0
    weights[sorted(set(opposite) - set(chain))] = 0
    weights[list(chain)] = np.eye(len(chain))
    return weights


# Chain, points of the other side, side, reach along and across the chain in cm.
SPECS = {
    "lip_upper": (LIPS_UPPER_INNER, LIPS_LOWER_ROWS, -1.0, (0.45, 1.9)),
    "lip_lower": (LIPS_LOWER_INNER, LIPS_UPPER_ROWS, 1.0, (0.45, 2.6)),
    "eye_right_upper": (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, -1.0, (0.3, 1.0)),
    "eye_right_lower": (EYE_RIGHT_LOWER, EYE_RIGHT_UPPER, 1.0, (0.3, 0.8)),
    "eye_left_upper": (EYE_LEFT_UPPER, EYE_LEFT_LOWER, -1.0, (0.3, 1.0)),
    "eye_left_lower": (EYE_LEFT_LOWER, EYE_LEFT_UPPER, 1.0, (0.3, 0.8)),
}


def meet(points: Array, follows: tuple[Array, Array], chains: Any, share: float) -> Array:
    """Return the displacement (478, 3) that brings two chains together on ``points``.

    ``share`` of the way is gone by the first chain.
    """
    upper, lower = (list(c) for c in chains)
    gap = points[lower] - points[upper]
    return follows[0] @ (share * gap) - follows[1] @ ((1 - share) * gap)


def uncross(points: Array, follows: tuple[Array, Array], chains: Any) -> Array:
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
    """Return (count, 478, 3): principal directions of ICT's identities, a standard deviation each.

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
        if name in SEALED:
            amount = SEALED[name]
            basis[k] += amount * meet(mesh.points + basis[k], lip_follows, lips, 0.7)
        elif k != closed:
            basis[k] += uncross(mesh.points + basis[k], lip_follows, lips)
    for side in ("right", "left"):
        chains = (SPECS[f"eye_{side}_upper"][0], SPECS[f"eye_{side}_lower"][0])
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
        chain = list(LIPS_UPPER_INNER if key == "lip_upper" else LIPS_LOWER_INNER)
        along = follows[key][points]
        along = along / np.maximum(along.sum(1, keepdims=True), 1e-6)
        height = mesh.points[points, 1] - along @ mesh.points[chain, 1]
        rim = along @ (mesh.points + shape)[chain, 1]
        rolled = (mesh.points + shape)[points, 1] - rim
        least = ROLL_KEPT * height
        kept = np.where(rolled * np.sign(height) > np.abs(least), rolled, least)
        shape[points, 1] = rim + kept - mesh.points[points, 1]
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


def ring_triangles(chains: Any) -> Array:
    """Return triangles that fill the hole between an upper and a lower chain with shared ends."""
    upper, lower = chains
    out = []
    for i in range(len(upper) - 1):
        quad = (upper[i], lower[i], lower[i + 1], upper[i + 1])
        out += [quad[:3], (quad[0], quad[2], quad[3])]
    return np.array([t for t in out if len(set(t)) == 3], np.int32)


CHAINS = {
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
HOLES = (
    (LIPS_UPPER_INNER, LIPS_LOWER_INNER),
    (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER),
    (EYE_LEFT_UPPER, EYE_LEFT_LOWER),
)


def transfer(shared: Path) -> dict[str, Array]:
    """Return the asset's arrays, without what photographs teach."""
    folder = shared / "data/face_rig"
    canonical, ict = read_canonical(folder), read_ict(folder)
    target = mean_face(shared, canonical)
    mesh = Mesh(target, canonical.triangles, canonical.mirror)
    contours = bind_contours(ict, target)
    aligned = fit_identity(ict, contours, target)
    points = sorted(contours)
    warped = thin_plate(bound(contours, aligned, points), target[points], aligned, 0.02)
    binding = bind_surface(ict, warped, target, contours)
    scale = float(np.linalg.norm(np.ptp(aligned, 0)) / np.linalg.norm(np.ptp(ict.neutral, 0)))
    basis = arkit_basis(ict, binding, mesh, scale)
    follows = {name: chain_follow(target, spec) for name, spec in SPECS.items()}
    soften(basis, mesh, follows)
    exact_contact(basis, mesh, follows)
    centres = eyeballs(mesh)
    turn_iris(basis, mesh, centres)
    weight, hinge = jaw(basis, mesh)
    rings = [set(upper) | set(lower) for upper, lower in HOLES]
    skin = [t for t in mesh.triangles.tolist() if not any(set(t) <= ring for ring in rings)]
    fills = [ring_triangles(hole) for hole in HOLES]
    arrays = {
        "neutral": mesh.points.astype(np.float32),
        "basis": basis.astype(np.float16),
        "identity": identity_modes(ict, binding, mesh, scale, 40).astype(np.float16),
        "triangles": np.array(skin, np.int32),
        "mouth_triangles": fills[0],
        "eye_triangles": np.concatenate(fills[1:]),
        "mirror": mesh.mirror.astype(np.int32),
        "eyeballs": centres.astype(np.float32),
        "eyeball_radius": np.float32(EYEBALL_RADIUS),
        "jaw_weight": weight.astype(np.float32),
        "jaw_hinge": hinge.astype(np.float32),
        "photo": np.zeros((0, 478, 3), np.float16),
        "photo_shapes": np.zeros(0, np.int32),
    }
    arrays |= {f"follow_{name}": value.astype(np.float32) for name, value in follows.items()}
    return arrays | {name: np.array(chain, np.int32) for name, chain in CHAINS.items()}


def main() -> None:
    """Run all steps and write the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--pairs", type=Path, help="folders of same-person pictures", nargs="*")
    parser.add_argument("-o", "--out", type=Path, default=Path("src/visavis/assets/rig.npz"))
    args = parser.parse_args()
    arrays = transfer(args.shared)
    np.savez_compressed(args.out, **arrays)
    if args.pairs:
        models = args.shared / "data/models"
        arrays["photo_shapes"], arrays["photo"] = learn_photo_shapes(args.out, args.pairs, models)
        np.savez_compressed(args.out, **arrays)
    print(args.out, args.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
