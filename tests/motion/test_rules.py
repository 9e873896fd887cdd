import pickle

import numpy as np
import pytest

from visavis.audio.phones import CLOSED, LABIAL, LEVEL, PHONES, VOICING
from visavis.motion.coarticulation import silence
from visavis.motion.controls import Controls, Timeline
from visavis.motion.layout import INDEX, pack
from visavis.motion.rules import RuleMotion
from visavis.types import Features, Motion, Phase


def said(*phones: tuple[str, int]) -> np.ndarray:
    """Return clean evidence: each phone for so many rows."""
    rows = []
    for phone, count in phones:
        row = silence(count)
        if phone != "SIL":
            row[:, 0], row[:, LEVEL], row[:, VOICING] = 0.0, 0.0, 1.0
            row[:, PHONES.index(phone)] = 1.0
            row[:, CLOSED] = float(phone in ("P", "B", "M"))
            row[:, LABIAL] = float(phone in ("F", "V"))
        rows.append(row)
    return np.concatenate(rows)


def during(phase: Phase) -> Timeline:
    return Timeline.steady(Controls(phase))


def moved(rows: np.ndarray, seed: int = 1, phase: Phase = Phase.SPEAKING) -> Motion:
    model = RuleMotion()
    return model.step(model.start(seed), Features(rows, 100), during(phase), final=True)[1]


def curve(motion: Motion, name: str) -> np.ndarray:
    return pack(motion)[:, INDEX[name]]


WORDS = said(("SIL", 40), ("M", 9), ("AA", 14), ("F", 10), ("IY", 12), ("UW", 12), ("SIL", 70))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 167])
def test_any_cutting_gives_the_same_frames(rows: int) -> None:
    values = WORDS[:rows]
    whole = moved(values)
    assert len(whole) == -(-rows // 4)
    model, rng = RuleMotion(), np.random.default_rng(rows)
    for _ in range(3):
        cuts = sorted(int(c) for c in rng.integers(0, rows + 1, 8))
        state, parts = model.start(1), []
        for a, b in zip([0, *cuts], [*cuts, rows], strict=True):
            state = pickle.loads(pickle.dumps(state))
            state, part = model.step(state, Features(values[a:b], 100, a), Timeline())
            parts.append(part)
        state, part = model.step(state, Features(values[:0], 100), Timeline(), final=True)
        joined = Motion.concatenate([*parts, part])
        assert np.array_equal(pack(joined), pack(whole))


def test_look_ahead_is_as_stated() -> None:
    model = RuleMotion()
    _, motion = model.step(model.start(0), Features(WORDS[:100], 100), Timeline())
    assert len(motion) / 25 >= 100 / 100 - model.look_ahead_samples / 16000 - 1 / 25


def test_seed_decides() -> None:
    assert np.array_equal(pack(moved(WORDS, 5)), pack(moved(WORDS, 5)))
    assert not np.array_equal(pack(moved(WORDS, 5)), pack(moved(WORDS, 6)))


def test_lips_meet_on_m_and_open_on_aa() -> None:
    motion = moved(WORDS)
    jaw, close = curve(motion, "jawOpen"), curve(motion, "mouthClose")
    parted = jaw - close + curve(motion, "mouthLowerDownLeft") + curve(motion, "mouthUpperUpLeft")
    assert parted[10:12].min() < 0.02
    assert 0.2 < jaw[13:16].max() < 0.5
    assert curve(motion, "mouthRollLower")[16:18].max() > 0.25
    assert curve(motion, "mouthPucker")[21:25].max() > 0.25
    assert curve(motion, "mouthSmileLeft")[18:22].max() > 0.08


@pytest.mark.parametrize("rows", [3, 4, 6])
@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_even_a_short_closure_reaches_one_frame(rows: int, shift: int) -> None:
    motion = moved(said(("SIL", 20 + shift), ("AA", 14), ("B", rows), ("AA", 14), ("SIL", 30)))
    start = 34 + shift
    near = slice(int(np.ceil((start - 4) / 4)), (start + rows + 4) // 4 + 1)
    parted = (
        curve(motion, "jawOpen")
        - curve(motion, "mouthClose")
        + curve(motion, "mouthLowerDownLeft")
        + curve(motion, "mouthUpperUpLeft")
    )
    assert parted[near].min() < 0.02


def test_mouth_rests_within_200_ms_of_silence() -> None:
    motion = moved(WORDS)
    end = 40 + 9 + 14 + 10 + 12 + 12
    for name in ("jawOpen", "mouthFunnel", "mouthPucker", "mouthLowerDownLeft"):
        assert curve(motion, name)[(end + 20) // 4 :].max() == 0


@pytest.mark.parametrize("phase", list(Phase))
def test_ambient_is_alive_and_calm(phase: Phase) -> None:
    motion = moved(silence(6000), 4, phase)
    blink = curve(motion, "eyeBlinkLeft")
    count = int(((blink[1:] > 0.5) & (blink[:-1] <= 0.5)).sum())
    assert 6 <= count <= 28
    assert 0.3 < motion.rotation.std(0).max() < 3.5
    assert np.abs(motion.rotation).max() < 9.5
    assert np.abs(np.diff(motion.rotation, axis=0)).max() < 0.6
    assert np.abs(motion.translation).max() < 0.06
    assert curve(motion, "jawOpen").max() == 0
    assert np.isfinite(pack(motion)).all()


def test_long_silence_grows_nothing() -> None:
    model = RuleMotion()
    state = model.start(0)
    for _ in range(200):
        state, _ = model.step(state, Features(silence(50), 100), during(Phase.IDLE))
    assert len(state.rows) < 40
    assert len(pickle.dumps(state)) < 20000
