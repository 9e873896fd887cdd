"""What is measured of one made picture beside the true one, and of all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from renderer_people import NEXT, REFERENCES, TRUE, Case, Tracker, Truth

from visavis.errors import VisavisError
from visavis.eval import perceptual, regions
from visavis.eval.dynamics import frechet
from visavis.eval.identity import IdentityNet
from visavis.eval.margins import Gathered, Row, of_sets
from visavis.types import FloatArray, ImageArray

HIGHER = frozenset(f"{r.name} SSIM" for r in regions.REGIONS)
SETS = (regions.MOUTH, regions.EYES)
"""Regions whose pictures are also compared as sets (KID, Fréchet)."""
Note = Callable[[str, float], None]
"""Takes a figure's name and its value."""


@dataclass(frozen=True)
class Seen:
    """One picture: ``crops`` of each region by name, ``features`` of LPIPS, and who it looks like.

    ``where`` are the crops' places; ``points`` (478, 3) its landmarks.
    """

    crops: dict[str, ImageArray]
    features: dict[str, dict[str, list]]
    where: dict[str, FloatArray]
    points: FloatArray
    descriptor: FloatArray


class Judge:
    """Holds the networks, and gathers numbers by material."""

    def __init__(self, tracker: Tracker) -> None:
        """Load the networks; ``tracker`` finds the landmarks that regions are laid over by."""
        self._tracker = tracker
        self._lpips = {"LPIPS": perceptual.Lpips(), "LPIPS (Alex)": perceptual.Lpips("alexnet")}
        self._inception = perceptual.Inception()
        self._identity = IdentityNet()
        self.gathered: dict[str, Gathered] = defaultdict(Gathered)
        self._sets: dict[tuple[str, str, str], dict[str, list]] = defaultdict(
            lambda: defaultdict(list)
        )

    def true(self, truth: Truth) -> Seen:
        """Look at the true picture of ``truth``."""
        image = truth.frames[truth.middle]
        points = self._tracker.near(image, truth.points[truth.middle])
        where = {r.name: regions.place(r, points) for r in regions.REGIONS}
        return self._seen(image, points, where)

    def made(self, image: ImageArray, true: Seen) -> Seen:
        """Look at a made picture, laid over the ``true`` one region by region."""
        points = self._tracker.near(image, true.points)
        where = {
            r.name: regions.overlay(r, true.where[r.name], true.points, points)
            for r in regions.REGIONS
        }
        return self._seen(image, points, where)

    def _seen(self, image: ImageArray, points: FloatArray, where: dict[str, FloatArray]) -> Seen:
        crops = {r.name: regions.cut_out(image, where[r.name], r.size) for r in regions.REGIONS}
        features = {
            name: {figure: net.features(c[None]) for figure, net in self._lpips.items()}
            for name, c in crops.items()
        }
        return Seen(crops, features, where, points, self._identity.describe(image, points))

    def portrait(self, case: Case) -> FloatArray:
        """Return the descriptor of the portrait's face."""
        return self._identity.describe(case.portrait.image, case.portrait.landmarks)

    def compare(self, case: Case, system: str, made: Seen, true: Seen, own: FloatArray) -> None:
        """Note the figures of ``made``; ``own`` is the portrait's descriptor."""
        note = self._noter(case, system)
        for region in regions.REGIONS:
            self._like(region, made, true, note)
        note("identity to true frame", float(np.linalg.norm(made.descriptor - true.descriptor)))
        note("identity to portrait", float(np.linalg.norm(made.descriptor - own)))
        if system != NEXT:
            self._keep(case, system, made)

    def _like(self, region: regions.Region, made: Seen, true: Seen, note: Note) -> None:
        """Note how like the true picture's ``region`` the made one's is."""
        name = region.name
        inside = regions.opening(true.points, true.where[name], region.size)
        for figure, net in self._lpips.items():
            one, two = made.features[name][figure], true.features[name][figure]
            note(f"{name} {figure}", float(net.between(one, two)[0]))
            if region is regions.MOUTH and inside.any():
                note(f"{name} inside {figure}", float(net.between(one, two, inside)[0]))
        note(f"{name} SSIM", perceptual.ssim(made.crops[name], true.crops[name]))
        ratio = _detail(made.crops[name]) / _detail(true.crops[name])
        note(f"{name} detail off", abs(float(np.log2(ratio))))

    def reference(self, case: Case, true: Seen, own: FloatArray) -> None:
        """Note what there is to note of the true picture itself."""
        note = self._noter(case, TRUE)
        note("identity to portrait", float(np.linalg.norm(true.descriptor - own)))
        self._keep(case, TRUE, true)

    def _noter(self, case: Case, system: str) -> Note:
        gathered = self.gathered[case.material.split()[0]]

        def note(figure: str, value: float) -> None:
            gathered.add(figure, system, case.person, value)

        return note

    def _keep(self, case: Case, system: str, seen: Seen) -> None:
        for region in SETS:
            vector, patches = self._inception.describe(seen.crops[region.name][None])
            key = (case.material.split()[0], region.name, system)
            self._sets[key][case.person].append((vector, patches[0]))

    def tables(self) -> dict[str, dict[str, Row]]:
        """Return the rows of each material."""
        out = {}
        for material, gathered in self.gathered.items():
            out[material] = gathered.rows(HIGHER, REFERENCES)
            for region in SETS:
                for index, name, distance, draws in _SET_FIGURES:
                    made = self._vectors(material, region.name, index)
                    true = made.pop(TRUE)
                    out[material][f"{region.name} {name}"] = of_sets(distance, made, true, draws)
        return out

    def _vectors(self, material: str, region: str, index: int) -> dict[str, list[FloatArray]]:
        """Return for each system each person's vectors: of pictures (0) or of patches (1)."""
        return {
            system: [np.concatenate([v[index] for v in vectors]) for vectors in persons.values()]
            for (m, r, system), persons in self._sets.items()
            if (m, r) == (material, region)
        }


def _patch_frechet(made: FloatArray, true: FloatArray, _: FloatArray) -> float:
    return frechet(made, true)


_SET_FIGURES = ((0, "KID", perceptual.kid, 200), (1, "patch FID", _patch_frechet, 24))
"""Which vectors, the figure's name, how it is made, and how many halves of the persons."""


def _detail(crop: ImageArray) -> float:
    """Return the spread of the Laplacian of ``crop``: how much fine detail there is."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F, ksize=3).std()) + 0.1


def judge(tracker: Tracker) -> Judge:
    """Return a judge, or end with a line that names what is missing."""
    try:
        return Judge(tracker)
    except VisavisError as error:
        raise SystemExit(f"benchmarks/renderer.py: {error}") from error
