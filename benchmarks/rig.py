"""The rig in numbers: contact, symmetry, neutralisation, fit and speed; last line JSON.

`python benchmarks/rig.py --shared ../shared` looks at every tenth neutral and every fifth open
portrait. Gaps and residuals are percent of the distance between the eyes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from visavis.render.rig import PortraitRig, express, fit_portrait, load_rig, solve
from visavis.render.solve import Pose, turn
from visavis.types import ARKIT_NAMES

LEFT_TO_RIGHT = [
    ARKIT_NAMES.index(n.replace("Left", "*").replace("Right", "Left").replace("*", "Right"))
    for n in ARKIT_NAMES
]
BLINK = np.array([n.startswith("eyeBlink") for n in ARKIT_NAMES], np.float32)
REST = np.zeros(len(ARKIT_NAMES), np.float32)


def portraits(shared: Path) -> list[np.ndarray]:
    """Return landmarks (478, 3) of every tenth neutral and every fifth open portrait."""
    out: list[np.ndarray] = []
    for kind, step in (("neutral", 10), ("open", 5)):
        stored = np.load(shared / f"data/portraits/{kind}_landmarks478.npz")["xyz_x32"]
        out += list(stored[::step].astype(np.float32) / 32)
    return out


def widest(face: PortraitRig, c: np.ndarray, contacts: slice) -> float:
    """Return the largest remaining gap between touching chains, in percent of the eye distance."""
    points = express(face, c)
    eyes = np.linalg.norm(face.eyeballs[1] - face.eyeballs[0])
    gaps = [np.abs(contact.gap(points)).max() for contact in face.rig.contacts[contacts]]
    return float(max(gaps) / eyes * 100)


def crossings(faces: list[PortraitRig], draws: int) -> int:
    """Return how many of ``draws`` random expressions let lips or lids cross by over 0.01 mm."""
    rng = np.random.default_rng(0)
    count = 0
    for k in range(draws):
        c = (rng.uniform(size=52) * (rng.uniform(size=52) < rng.uniform())).astype(np.float32)
        face = faces[k % len(faces)]
        points = express(face, c)
        count += any(x.gap(points)[:, 1].min() < -1e-3 for x in face.rig.contacts)
    return count


def residual(face: PortraitRig, points: np.ndarray) -> float:
    """Return how far the explained photograph is from the real one, percent of the eye distance."""
    c = face.source_coefficients
    shown = face.neutral + np.tensordot(c, face.rig.photo_basis, 1)
    off = np.linalg.norm((face.pose.project(shown) - points)[:, :2], axis=1)
    eyes = np.linalg.norm(face.eyeballs[1] - face.eyeballs[0]) * face.pose.scale
    return float(off.mean() / eyes * 100)


def milliseconds(call, repeats: int) -> float:
    """Return the median time of ``call`` in ms."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)


def recovered(face: PortraitRig, draws: int) -> dict[str, float]:
    """Return how well ``solve`` finds random expressions and poses that were posed."""
    rng = np.random.default_rng(1)
    off, off_deg = [], []
    for _ in range(draws):
        c = (rng.uniform(size=52) * (rng.uniform(size=52) < 0.15)).astype(np.float32)
        c[ARKIT_NAMES.index("tongueOut")] = 0
        rotation = rng.uniform(-12, 12, 3).astype(np.float32)
        pose = Pose(turn(*rotation) @ face.pose.rotation, face.pose.scale, face.pose.shift)
        found, angles, _ = solve(face, pose.project(express(face, c)))
        off.append(np.abs(found - c).mean())
        off_deg.append(np.abs(angles - rotation).mean())
    return {"solve_error": float(np.mean(off)), "solve_error_deg": float(np.mean(off_deg))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    args = parser.parse_args()
    rig = load_rig()
    points = portraits(args.shared)
    faces = [fit_portrait(rig, p) for p in points]
    mirrored = rig.basis[LEFT_TO_RIGHT][:, rig.mirror] * [-1, 1, 1]
    opened = [float(f.rig.contacts[0].gap(f.source)[5, 1]) / 6.36 * 100 for f in faces]
    shown = np.random.default_rng(2).uniform(0, 0.4, 52).astype(np.float32)
    off = [residual(f, p) for f, p in zip(faces, points, strict=True)]
    report = {
        "portraits": len(faces),
        "lip_gap_photo_pct_mean": np.mean(opened),
        "lip_gap_rest_pct_max": max(widest(f, REST, slice(0, 1)) for f in faces),
        "lid_gap_blink_pct_max": max(widest(f, BLINK, slice(1, 3)) for f in faces),
        "crossings_in_20000": crossings(faces, 20_000),
        "symmetry_error_mm_max": float(np.abs(mirrored - rig.basis).max() * 10),
        "fit_residual_pct_mean": np.mean(off),
        "fit_residual_pct_p95": np.percentile(off, 95),
        "fit_ms": milliseconds(lambda: fit_portrait(rig, points[0]), 50),
        "express_ms": milliseconds(lambda: express(faces[0], shown), 500),
        "solve_ms": milliseconds(lambda: solve(faces[0], points[0]), 50),
        **recovered(faces[0], 200),
    }
    report = {k: v if isinstance(v, int) else round(float(v), 4) for k, v in report.items()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
