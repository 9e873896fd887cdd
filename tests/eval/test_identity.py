import numpy as np
import pytest

from visavis.errors import MissingExtra
from visavis.eval import identity
from visavis.types import Portrait


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(MissingExtra, match=r"visavis\[eval\]"):
        identity.IdentityNet()


def test_the_same_face_is_near_and_a_squeezed_one_farther(portrait: Portrait) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("face_recognition_models")
    net = identity.IdentityNet()
    own = net.describe(portrait.image, portrait.landmarks)
    assert own.shape == (128,)
    half = np.ascontiguousarray(portrait.image[::2, ::2])
    near = identity.distance([net.describe(half, portrait.landmarks / 2)], own)
    wide = np.repeat(half, 2, axis=1)
    far = identity.distance([net.describe(wide, portrait.landmarks * [1, 0.5, 1])], own)
    assert near < 0.25 < far
