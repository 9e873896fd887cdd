"""latent-tiny, the packaged latent model: it speaks, rests, keeps the face, and has no seams."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.api import frames
from visavis.eval.track import Track, on_grid, see
from visavis.faces.landmarks import track
from visavis.motion.controls import Controls
from visavis.opening import DEMO_PORTRAIT
from visavis.types import Phase
from visavis.video.rolling import Rolling
from visavis.video.settings import LatentSettings


def shown(speech: np.ndarray, phase: Phase) -> np.ndarray:
    sound = (speech[: 3 * 16_000], 16_000)
    asked = Controls(phase=phase)
    made = frames(DEMO_PORTRAIT, sound, size=256, model="latent-tiny", controls=asked)
    return np.stack([frame.image for frame in made])


@pytest.fixture(scope="module")
def spoken(speech: np.ndarray) -> np.ndarray:
    return shown(speech, Phase.SPEAKING)


def gaps(images: np.ndarray) -> np.ndarray:
    """How far the lips part in each frame, in inter-ocular distances."""
    found, sights = None, []
    for image in images:
        found = track(image, found)
        assert found is not None
        sights.append(see(image, found.points))
    times = np.arange(len(images)) / 25
    return np.asarray(on_grid(Track(times, tuple(sights), images.shape[2:0:-1])).gap)


def test_lips_move_in_speech_and_rest_without(spoken: np.ndarray, speech: np.ndarray) -> None:
    silent = shown(speech, Phase.IDLE)
    assert len(spoken) == len(silent) == 75
    talk, rest = gaps(spoken), gaps(silent)
    assert talk.max() > rest.max() + 0.05
    assert talk.std() > 4 * rest.std()


def test_the_face_stays_the_same_and_sharp(spoken: np.ndarray) -> None:
    first = spoken[0].astype(np.float32)
    off = np.square(spoken.astype(np.float32) - first).mean((1, 2, 3))
    assert (10 * np.log10(255**2 / off[1:].clip(1e-6))).min() > 20
    rough = [np.abs(np.diff(image.astype(np.float32), axis=1)).mean() for image in spoken]
    assert min(rough) > 0.85 * rough[0]


def test_clips_meet_without_a_jump(spoken: np.ndarray) -> None:
    change = np.abs(np.diff(spoken.astype(np.float32), axis=0)).mean((1, 2, 3))
    at = np.array([4, 12, 28, 44, 60]) - 1  # the plan's clips: 4, 8, 16, 16, 16 frames
    assert change[at].mean() < 1.5 * np.delete(change, at).mean()


def test_it_is_used_as_its_card_says() -> None:
    from visavis.hub import asset

    settings = LatentSettings.from_json(asset("latent/latent.json").read_text("utf-8"))
    assert settings.rolling == Rolling(1, ease=0.5, anchor_every=8)
    assert (settings.side, settings.first, settings.longest) == (256, 4, 16)
