import numpy as np
import pytest

from visavis.motion.filters import resample, start_resample, step_resample
from visavis.motion.layout import pack, unpack
from visavis.types import Motion


def some_motion(frames: int, fps: int = 25) -> Motion:
    return unpack(np.random.default_rng(1).random((frames, 58)), fps)


@pytest.mark.parametrize("fps", [1, 24, 25, 30, 50, 60, 7])
@pytest.mark.parametrize("frames", [0, 1, 2, 53])
def test_any_cutting_gives_the_same_frames(fps: int, frames: int) -> None:
    motion = some_motion(frames)
    whole = resample(motion, fps)
    assert len(whole) == -(-frames * fps // 25)
    assert whole.fps == fps
    rng = np.random.default_rng(fps)
    for _ in range(5):
        cuts = [0, *sorted(rng.integers(0, frames + 1, 6)), frames]
        state, parts = start_resample(), []
        for a, b in zip(cuts, cuts[1:], strict=False):
            state, part = step_resample(state, motion[a:b], fps)
            parts.append(part)
        state, part = step_resample(state, motion[frames:], fps, final=True)
        parts.append(part)
        assert np.array_equal(pack(Motion.concatenate(parts)), pack(whole))
        assert len(state.last) <= 28


def test_same_rate_is_untouched() -> None:
    motion = some_motion(20)
    assert np.array_equal(pack(resample(motion, 25)), pack(motion))


def test_double_rate_halves_the_steps() -> None:
    motion = unpack(np.linspace(0, 1, 11)[:, None] * np.ones((1, 58)), 25)
    made = pack(resample(motion, 50))[:21, 0]
    assert np.allclose(made, np.linspace(0, 1, 21), atol=1e-6)
