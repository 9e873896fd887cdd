"""A dubbed clip: the mouth says what is asked, in the clip's own pose, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from filmed import JAW, LENGTH, SIDE, nodding, write_clip
from visavis.faces.film import Film, FilmPortrait, framed, packed
from visavis.faces.framing import Region
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.faces.measure import head_rotation, mouth_opening
from visavis.faces.topology import LEFT_EYE, RIGHT_EYE
from visavis.faces.watch import read_film
from visavis.render.base import shown
from visavis.render.clip_light import lights
from visavis.render.clip_pose import _drift
from visavis.render.dub import Dub, DubRenderer
from visavis.render.inset import InsetRenderer
from visavis.render.mesh_warp import Face, MeshWarpRenderer, Moment
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion, Portrait

BROWS = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")


@pytest.fixture(scope="module")
def renderer() -> DubRenderer:
    return DubRenderer(InsetRenderer(MeshWarpRenderer()))


@pytest.fixture(scope="module")
def clip(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> FilmPortrait:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return read_film(write_clip(path, nodding(portrait)))


@pytest.fixture(scope="module")
def dub(renderer: DubRenderer, clip: FilmPortrait) -> Dub:
    return renderer.prepare(clip, (SIDE, SIDE))


def with_jaw(opening: float, fps: int = 25) -> Motion:
    motion = Motion.rest(1, fps)
    motion.coefficients[0, JAW] = opening
    motion.rotation[0] = (5, -9, 3)  # the clip's own head is kept
    return motion


def drawn(renderer: DubRenderer, dub: Dub, index: int, opening: float) -> ImageArray:
    return renderer.draw(shown(dub, index), with_jaw(opening))


def seen(image: ImageArray, dub: Dub, index: int) -> FloatArray:
    found = track(image, FaceLandmarks(dub.film.points[index], 1.0))
    assert found is not None
    return found.points


@pytest.mark.parametrize("index", [2, 6, 10, 18, 22])
def test_the_mouth_opens_as_asked_whatever_the_clip_does(
    renderer: DubRenderer, dub: Dub, index: int
) -> None:
    own = mouth_opening(dub.film.points[index])
    shut, wide = (
        mouth_opening(seen(drawn(renderer, dub, index, jaw), dub, index)) for jaw in (0.0, 0.6)
    )
    assert shut < 0.03, f"own {own}"
    assert 0.1 < wide < 0.35


def test_equal_words_give_equal_lips_over_open_and_closed_mouths(
    renderer: DubRenderer, dub: Dub
) -> None:
    openings = [mouth_opening(seen(drawn(renderer, dub, n, 0.3), dub, n)) for n in (2, 6, 10, 14)]
    own = [mouth_opening(dub.film.points[n]) for n in (2, 6, 10, 14)]
    assert np.ptp(own) > 0.1
    assert np.ptp(openings) < 0.035


def test_head_and_eyes_are_the_clips_own(renderer: DubRenderer, dub: Dub) -> None:
    for index in (4, 12, 20):
        before, points = dub.film.picture(index), dub.film.points[index]
        after = drawn(renderer, dub, index, 0.6)
        changed = np.abs(after.astype(int) - before).max(2)
        top = int(points[list(RIGHT_EYE + LEFT_EYE), 1].max()) + 3
        assert not changed[:top].any()
        assert changed[top:].max() > 40
        assert np.allclose(
            head_rotation(seen(after, dub, index))[1:], head_rotation(points)[1:], atol=2.5
        )


def test_a_mouth_at_rest_leaves_a_closed_mouth_much_as_it_is(
    renderer: DubRenderer, dub: Dub
) -> None:
    for index in (0, 6, 14):
        before = dub.film.picture(index).astype(int)
        assert np.abs(drawn(renderer, dub, index, 0.0) - before).mean() < 1.5


def test_light_follows_the_clip(renderer: DubRenderer, clip: FilmPortrait) -> None:
    film = clip.film
    darker = tuple(packed(film.picture(n) // (2 if n > 11 else 1)) for n in range(len(film)))
    dim = renderer.prepare(replace(clip, film=replace(film, pictures=darker)), (SIDE, SIDE))
    for index in (2, 21):
        image = drawn(renderer, dim, index, 0.0)
        x, y = dim.film.points[index, 18, :2].astype(int)
        chin = image[y : y + 6, x - 4 : x + 4].mean()
        wanted = dim.film.picture(index)[y : y + 6, x - 4 : x + 4].mean()
        assert chin == pytest.approx(wanted, rel=0.15)


def test_frames_without_a_face_stay_and_those_beside_fade(
    renderer: DubRenderer, clip: FilmPortrait
) -> None:
    strength = np.ones(LENGTH, np.float32)
    strength[10:13] = (0.4, 0, 0.4)
    changed = replace(clip, film=replace(clip.film, strength=strength))
    dub = renderer.prepare(changed, (SIDE, SIDE))
    assert np.array_equal(drawn(renderer, dub, 11, 0.6), dub.film.picture(11))
    part = np.abs(drawn(renderer, dub, 10, 0.6).astype(int) - dub.film.picture(10)).sum()
    whole = renderer.prepare(clip, (SIDE, SIDE))
    full = np.abs(drawn(renderer, whole, 10, 0.6).astype(int) - dub.film.picture(10)).sum()
    assert part == pytest.approx(0.4 * full, rel=0.05)


def test_beyond_its_end_the_clip_turns_back(renderer: DubRenderer, dub: Dub) -> None:
    there, back = (drawn(renderer, dub, n, 0.2) for n in (LENGTH - 3, LENGTH + 1))
    assert np.array_equal(there, back)
    fast = renderer.draw(shown(dub, 2 * (LENGTH - 3)), with_jaw(0.2, fps=50))
    assert np.array_equal(there, fast)


def test_a_size_of_its_own(renderer: DubRenderer, clip: FilmPortrait) -> None:
    part = framed(clip, Region(12, 12, 200, 200), (128, 128))
    dub = renderer.prepare(part, (128, 128))
    image = drawn(renderer, dub, 5, 0.6)
    assert image.shape == (128, 128, 3)
    assert mouth_opening(seen(image, dub, 5)) > 0.1
    assert renderer.draw(shown(renderer.prepare(clip, (96, 96)), 0), with_jaw(0)).shape[0] == 96


def test_photographs_are_drawn_as_ever(renderer: DubRenderer, portrait: Portrait) -> None:
    plain = InsetRenderer(MeshWarpRenderer())
    a, b = (
        r.draw(shown(r.prepare(portrait, (160, 160)), 7), with_jaw(0.4)) for r in (renderer, plain)
    )
    assert np.array_equal(a, b)


class Marker:
    """A touch that paints what it is given."""

    def prepare(self, portrait: Portrait, face: Face) -> str:
        return "known"

    def apply(self, frame: ImageArray, face: Face, moment: Moment) -> None:
        assert face.touched == "known"
        assert moment.points.shape == (478, 2)
        frame[:] = (0, 255, 0)


def test_a_touch_corrects_the_mouth_alone(clip: FilmPortrait) -> None:
    touched = DubRenderer(InsetRenderer(MeshWarpRenderer()), Marker())
    dub = touched.prepare(clip, (SIDE, SIDE))
    image = drawn(touched, dub, 3, 0.3)
    x, y = dub.film.points[3, [13, 14], :2].mean(0).astype(int)
    assert tuple(image[y, x]) == (0, 255, 0)
    nose_x, nose_y = dub.film.points[3, 1, :2].astype(int)
    assert tuple(image[nose_y, nose_x]) != (0, 255, 0)
    eyes = int(dub.film.points[3, list(RIGHT_EYE + LEFT_EYE), 1].max())
    assert np.array_equal(image[:eyes], dub.film.picture(3)[:eyes])


def test_a_black_and_white_clip_stays_without_colour(
    renderer: DubRenderer, clip: FilmPortrait
) -> None:
    grey = replace(clip, image=_grey(clip.image), film=_grey_film(clip.film))
    grey.image[::31, ::31, 0] += np.uint8(12)  # as codecs do
    dub = renderer.prepare(grey, (SIDE, SIDE))
    image = drawn(renderer, dub, 3, 0.6)
    assert mouth_opening(seen(image, dub, 3)) > 0.1
    assert np.ptp(image.astype(int), axis=2).max() <= 6
    coloured = renderer.prepare(clip, (SIDE, SIDE))
    assert coloured.tone is None


def _grey(image: ImageArray) -> ImageArray:
    return np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)


def _grey_film(film: Film) -> Film:
    return replace(film, pictures=tuple(packed(_grey(film.picture(n))) for n in range(len(film))))


def test_drift_goes_with_the_head_and_not_with_the_mouth() -> None:
    rng = np.random.default_rng(5)
    turns = np.cumsum(rng.normal(0, 0.12, (200, 3)), axis=0)
    turns -= turns.mean(0)
    speech = np.abs(np.sin(np.arange(200) / 2.3))
    off = np.zeros((200, 478, 3), np.float32)
    off[:, :, 0] += 0.2 * turns[:, 1:2]
    off[:, [14, 17, 84, 314, 87, 317, 152], 1] += speech[:, None]
    found = _drift(off, turns)
    assert np.abs(found[:, 100, 0] - 0.2 * turns[:, 1]).max() < 0.05
    assert np.abs(np.corrcoef(found[:, 14, 1], speech)[0, 1]) < 0.4
    assert np.ptp(found[:, 14, 1]) < 0.2


def test_brows_move_if_the_face_is_asked_for(renderer: DubRenderer, clip: FilmPortrait) -> None:
    motion = with_jaw(0.0)
    motion.coefficients[0, [ARKIT_NAMES.index(n) for n in BROWS]] = 1.0
    raised = []
    for redrive in ("mouth", "face"):
        dub = renderer.prepare(
            replace(clip, film=replace(clip.film, redrive=redrive)), (SIDE, SIDE)
        )
        points = seen(renderer.draw(shown(dub, 0), motion), dub, 0)
        raised.append(np.linalg.norm(points[105, :2] - points[33, :2]))
    assert raised[1] > 1.15 * raised[0]


def test_light_needs_a_rim_of_skin(dub: Dub) -> None:
    bare = replace(dub.patch, cover=np.zeros_like(dub.patch.cover))
    assert (lights(dub.film, bare) == 1).all()
    assert 0.02 < np.abs(lights(dub.film, dub.patch) - 1).max() < 1
