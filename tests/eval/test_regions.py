import cv2
import numpy as np
import pytest

from visavis.eval import regions
from visavis.types import FloatArray, ImageArray, Portrait

ALL = pytest.mark.parametrize("region", regions.REGIONS, ids=lambda r: r.name)


def moved(
    portrait: Portrait, factor: float, turn_deg: float, shift: tuple[float, float]
) -> tuple[ImageArray, FloatArray]:
    """Return the portrait's picture and landmarks under a similarity."""
    h, w = portrait.image.shape[:2]
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), turn_deg, factor)
    matrix[:, 2] += shift
    image = cv2.warpAffine(portrait.image, matrix, (w, h), flags=cv2.INTER_CUBIC)
    points = portrait.landmarks * np.float32(factor)
    points[:, :2] = portrait.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return image, points


@ALL
def test_a_region_has_its_size_and_holds_its_points(
    region: regions.Region, portrait: Portrait
) -> None:
    where = regions.place(region, portrait.landmarks)
    crop = regions.cut_out(portrait.image, where, region.size)
    assert crop.shape[1::-1] == region.size
    assert crop.dtype == np.uint8
    ring = portrait.landmarks[list(region.points), :2]
    local = (ring - where[:, 2]) @ np.linalg.inv(where[:, :2]).T
    assert (local > 0).all()
    assert (local < region.size).all()
    step = np.sqrt(np.linalg.det(where[:, :2]))
    assert step * region.density == pytest.approx(regions.px_per_mm(portrait.landmarks))


@ALL
def test_the_same_face_elsewhere_gives_the_same_region(
    region: regions.Region, portrait: Portrait
) -> None:
    image, points = moved(portrait, 0.93, 7.0, (4.0, -3.0))
    own = regions.place(region, portrait.landmarks)
    here = regions.cut_out(portrait.image, own, region.size).astype(float)
    there = regions.cut_out(image, regions.place(region, points), region.size).astype(float)
    laid = regions.overlay(region, own, portrait.landmarks, points)
    over = regions.cut_out(image, laid, region.size).astype(float)
    inner = np.s_[8:-8, 8:-8]
    unplaced = regions.cut_out(image, own, region.size).astype(float)
    assert np.abs(there - here)[inner].mean() < 4
    assert np.abs(over - here)[inner].mean() < 4
    assert np.abs(unplaced - here)[inner].mean() > 10


def test_a_large_face_is_made_smaller_without_aliasing(portrait: Portrait) -> None:
    large = np.repeat(np.repeat(portrait.image, 4, axis=0), 4, axis=1)
    large[::2, ::2] = np.clip(large[::2, ::2].astype(int) + 60, 0, 255)  # finest pattern
    points = portrait.landmarks * 4
    where = regions.place(regions.FACE, points)
    small = regions.cut_out(large, where, regions.FACE.size).astype(float)
    naive = cv2.warpAffine(
        large, where, regions.FACE.size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    rough = lambda x: np.abs(cv2.Laplacian(x.astype(np.float32), cv2.CV_32F)).mean()  # noqa: E731
    assert rough(small) < 0.5 * rough(naive)


def test_the_similarity_is_found_among_noise() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(0, 10, (40, 2))
    turn = np.deg2rad(12)
    linear = 1.3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    two = one @ linear.T + (5, -7)
    exact = regions.similarity(one, two)
    np.testing.assert_allclose(exact, np.column_stack([linear, (5, -7)]), atol=1e-9)
    rough = regions.similarity(one, two + rng.normal(0, 0.1, two.shape))
    np.testing.assert_allclose(rough, exact, atol=0.1)


def test_the_opening_is_between_parted_lips_only(portrait: Portrait) -> None:
    where = regions.place(regions.MOUTH, portrait.landmarks)
    shut = portrait.landmarks.copy()
    middle = shut[list(regions.LIPS_INNER), 1].mean()
    shut[list(regions.LIPS_INNER), 1] = middle
    assert not regions.opening(shut, where, regions.MOUTH.size).any()
    parted = shut.copy()
    lower = list(regions.LIPS_INNER[1:10])
    parted[lower, 1] += 6 * regions.px_per_mm(shut)
    mask = regions.opening(parted, where, regions.MOUTH.size)
    assert mask.shape == regions.MOUTH.size[::-1]
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert 0.02 < mask.mean() < 0.35
