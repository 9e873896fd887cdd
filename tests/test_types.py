"""What crosses folder borders: motion that can be cut and joined, and an error tree as drawn."""

from __future__ import annotations

import inspect
import re

import numpy as np

from visavis import errors
from visavis.motion.layout import INDEX, NAMES, SIZE, pack, unpack
from visavis.types import ARKIT_NAMES, Audio, Features, Motion


def numbered(frames: int) -> Motion:
    values = np.arange(frames * SIZE, dtype=np.float32).reshape(frames, SIZE)
    return unpack(values, fps=30)


def test_the_layout_names_every_number_once() -> None:
    assert len(ARKIT_NAMES) == 52
    assert list(ARKIT_NAMES) == sorted(ARKIT_NAMES)
    assert len(set(NAMES)) == len(NAMES) == SIZE == 58
    assert [INDEX[name] for name in NAMES] == list(range(SIZE))


def test_motion_packs_and_unpacks() -> None:
    motion = numbered(4)
    again = unpack(pack(motion), motion.fps)
    assert again.fps == 30
    assert np.array_equal(pack(again), pack(motion))
    assert motion.scale.shape == (4,)


def test_motion_can_be_cut_and_joined() -> None:
    motion = numbered(7)
    joined = Motion.concatenate([motion[:2], motion[2:2], motion[2:]])
    assert np.array_equal(pack(joined), pack(motion))
    assert (len(joined), joined.fps, len(motion[3:4])) == (7, 30, 1)


def test_rest_is_a_relaxed_face_of_its_own_size() -> None:
    rest = Motion.rest(3)
    assert (len(rest), rest.fps) == (3, 25)
    assert not pack(rest)[:, : INDEX["headScale"]].any()
    assert (rest.scale == 1).all()


def test_lengths() -> None:
    assert len(Audio(np.zeros(9, np.float32))) == 9
    assert len(Features(np.zeros((5, 2), np.float32), 100)) == 5


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"[─ ](\w+Error|NoFaceFound|[A-Z]\w+)  ", errors.__doc__ or ""))
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.VisavisError)
    }
    assert classes - {"VisavisError"} <= drawn
    assert len(classes) <= 14
