"""Latent video as a motion model: cut anyhow, taken back, switched, equal to what is trained."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visavis.animator import MotionAnimator, Prepared, spoken
from visavis.api import load
from visavis.audio.phones import PhoneRecognizer
from visavis.errors import InputError
from visavis.motion.coarticulation import silence
from visavis.motion.controls import Controls, Timeline
from visavis.opening import framed_to
from visavis.types import Audio, Features, Frame, Motion, Phase, Portrait
from visavis.video.inputs import speech_tokens
from visavis.video.motion import LatentMotion, LatentState
from visavis.video.rolling import Rolling
from visavis.video.settings import LatentSettings
from visavis.video.studio import LatentLooks, Reference

CHANNELS, CELLS = 3, 2
SETTINGS = LatentSettings(64, (1.0,) * CHANNELS)
SPEAK, LISTEN = (Controls(phase=phase) for phase in (Phase.SPEAKING, Phase.LISTENING))


class Recorder:
    """A denoiser whose clean frames are told by its inputs; it keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, inputs: Any) -> list[np.ndarray]:
        self.calls.append(dict(inputs))
        sound = inputs["speech"].mean((2, 3))[:, None, :, None, None]
        known = inputs["key_0"][:, :, None]
        return [(0.5 * inputs["latents"] + sound + 0.1 * known).astype(np.float32)]

    @property
    def clips(self) -> list[int]:
        """New frames of each clip."""
        return [call["latents"].shape[2] - SETTINGS.past for call in self.calls]


class Editor:
    """Edits portraits: the further, the stronger."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def reference(self, looks: LatentLooks, emotion: str, level: int) -> Reference:
        if level == 0:
            return looks.reference
        self.asked.append((emotion, level))
        shift = np.full((CHANNELS, CELLS, CELLS), float(level), np.float32)
        return Reference(emotion, level, shift, looks.reference.known)


def sitter() -> LatentLooks:
    shape = (CHANNELS, CELLS, CELLS)
    own = Reference("neutral", 0, np.zeros(shape, np.float32), {"key_0": np.ones((1, *shape))})
    return LatentLooks({}, np.ones((1, 1, CELLS, CELLS), np.float32), own, None, None)  # type: ignore[arg-type]


def model(**how: Any) -> tuple[LatentMotion, Recorder, Editor]:
    recorder, editor = Recorder(), Editor()
    return LatentMotion(recorder, editor, replace(SETTINGS, **how)), recorder, editor


def heard(frames: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    return Features(rng.random((4 * frames, 45)).astype(np.float32), 100)


def run(
    motion: LatentMotion, rows: Features, cuts: list[int], timeline: Timeline, seed: int = 1
) -> Motion:
    state, parts = motion.start(seed, sitter()), []
    bounds = [0, *cuts, len(rows)]
    for a, b in pairwise(bounds):
        piece = Features(rows.values[a:b], 100, a)
        state, made = motion.step(state, piece, timeline)
        parts.append(made)
    parts.append(motion.step(state, Features(rows.values[:0], 100), timeline, final=True)[1])
    return Motion.concatenate(parts)


SWITCHED = Timeline(((0.0, SPEAK), (0.5, LISTEN), (1.1, SPEAK)))


@pytest.mark.parametrize("cuts", [[3], [1, 2, 50, 51, 52], list(range(0, 160, 7))])
@pytest.mark.parametrize("timeline", [Timeline(), SWITCHED], ids=["steady", "switched"])
def test_any_cutting_gives_the_same_frames(cuts: list[int], timeline: Timeline) -> None:
    rows = heard(41)
    rows = Features(rows.values[:-3], 100)  # the last frame is not whole
    whole, parts = (run(model()[0], rows, c, timeline) for c in ([], cuts))
    assert len(whole) == 41
    np.testing.assert_array_equal(whole.latents, parts.latents)
    np.testing.assert_array_equal(whole.latents[1:, 1], whole.latents[:-1, 0])
    assert not whole.latents[0, 1].any()
    assert not whole.coefficients.any()
    other = run(model()[0], rows, [], timeline, seed=2)
    assert not np.array_equal(whole.latents, other.latents)


def test_clips_grow_and_are_short_again_after_a_switch() -> None:
    motion, recorder, _ = model()
    run(motion, heard(60), [], Timeline())
    assert recorder.clips == [4, 8, 16, 16, 16]
    motion, recorder, _ = model()
    run(motion, heard(60), [], SWITCHED)  # frames 13 and 28 (0.5 s lies within frame 12)
    assert recorder.clips == [4, 9, 4, 8, 3, 4, 8, 16, 4]
    phases = np.concatenate([call["phase"][0, SETTINGS.past :] for call in recorder.calls])
    assert phases.tolist() == [2] * 13 + [1] * 15 + [2] * 32


def test_listeners_hear_silence_and_speakers_their_neighbours() -> None:
    motion, recorder, _ = model(first=8, growth=1.0)
    rows = heard(20)
    run(motion, rows, [], Timeline())
    around = np.concatenate([silence(28), rows.values, silence(4)])
    tokens = speech_tokens(around)[3:]
    np.testing.assert_array_equal(recorder.calls[0]["speech"][0], tokens[: 4 + 8])
    np.testing.assert_array_equal(recorder.calls[1]["speech"][0], tokens[8 : 8 + 12])
    assert recorder.calls[1]["time"][0, :4].max() == np.float32(SETTINGS.rolling.context)
    motion, recorder, _ = model(first=8, growth=1.0)
    run(motion, rows, [], Timeline.steady(LISTEN))
    quiet = speech_tokens(silence(40))[0]
    assert all((call["speech"] == quiet).all() for call in recorder.calls)


def test_motion_on_demand_can_be_taken_back() -> None:
    motion, _, _ = model()
    rows, asked = heard(30), Timeline()
    state, first = motion.extend(motion.start(5, sitter()), rows, asked, 10)
    rest = Features(rows.values[40:], 100, 40)
    cut = motion.cut(state, 7)
    assert cut.frame == 7
    again, more = motion.extend(cut, Features(rows.values[28:], 100, 28), asked, 6)
    assert again.frame == 13
    np.testing.assert_array_equal(more.latents[0, 1], first.latents[6, 0])
    kept, _ = motion.extend(motion.start(5, sitter()), rows, asked, 7)
    np.testing.assert_array_equal(kept.roll.past, cut.roll.past)
    assert motion.cut(state, 10).frame == 10
    for frame in (0, 11):
        with pytest.raises(InputError, match="cannot go back"):
            motion.cut(state, frame)
    assert len(motion.extend(state, rest, asked, 1)[1]) == 1
    assert len(motion.extend(state, None, asked, 40)[1]) == 40


def test_an_emotion_is_looked_up_in_an_edited_portrait() -> None:
    happy = Controls(emotion="happy", intensity=0.5)
    motion, recorder, editor = model()
    plain = run(motion, heard(30), [], Timeline())
    motion, shown, editor = model()
    timeline = Timeline(((0.0, SPEAK), (0.39, SPEAK), (0.4, happy)))
    moved = run(motion, heard(30), [], timeline)
    assert editor.asked == [("happy", 2)]
    np.testing.assert_array_equal(moved.latents[:10], plain.latents[:10])
    emotions = np.concatenate([call["emotion"][0, SETTINGS.past :] for call in shown.calls])
    assert emotions.tolist() == [0] * 10 + [5] * 20
    turn = int(np.flatnonzero(np.cumsum(shown.clips) == 10)[0]) + 1
    past = shown.calls[turn]["latents"][0, :, : SETTINGS.past]
    sigma = SETTINGS.rolling.context  # as seen from the edited portrait, two to the side
    alike = recorder.calls[turn]["latents"][0, :, : SETTINGS.past]
    assert abs((alike - past).mean() - 2.0) < 0.1 + sigma


def test_a_state_is_bounded_and_free_to_be_copied() -> None:
    motion, _, _ = model()
    state = motion.start(3, sitter())
    sizes = []
    for i in range(6):
        piece = Features(heard(40, i).values, 100, 160 * i)
        state, _ = motion.step(state, piece, Timeline())
        sizes.append(len(pickle.dumps(state)))
    assert sizes[-1] == pytest.approx(sizes[1], rel=0.05)
    copy: LatentState = pickle.loads(pickle.dumps(state))
    one, other = (motion.extend(s, None, Timeline(), 5)[1] for s in (state, copy))
    np.testing.assert_array_equal(one.latents, other.latents)


def test_what_does_not_fit_is_refused() -> None:
    motion, _, _ = model()
    with pytest.raises(InputError, match="its own renderer"):
        motion.start(0, object())
    with pytest.raises(InputError, match="45 at 100"):
        motion.step(motion.start(0, sitter()), Features(np.zeros((2, 7)), 100), Timeline())


# ---- the whole chain


def played(
    animator: MotionAnimator, prepared: Prepared, sound: np.ndarray, cuts: list[int]
) -> list[Frame]:
    pieces = [(sound[a:b], None) for a, b in pairwise([0, *cuts, len(sound)])]
    happy = Timeline(((0.0, SPEAK), (0.6, Controls(emotion="happy", intensity=0.8))))
    return list(spoken(animator, prepared, pieces, 3, happy))


@pytest.mark.parametrize(
    ("fps", "how"), [(25, {}), (30, {"steps": 2, "live": True})], ids=["offline", "live"]
)
def test_frames_are_the_same_bit_for_bit(
    latent_model: Path, portrait: Portrait, speech: np.ndarray, fps: int, how: dict[str, Any]
) -> None:
    animator = load(model=latent_model, fps=fps, **how)
    prepared, sound = animator.prepare(portrait, (96, 96)), speech[8000:20_800]
    count = -(-fps * 4 // 5)
    whole = played(animator, prepared, sound, [])
    assert [frame.index for frame in whole] == list(range(count))
    assert len({frame.image.tobytes() for frame in whole}) == count
    parts = played(animator, prepared, sound, [1, 700, 701, 3000, 7999, 12_000])
    stepped = []  # without a thread
    state = animator.start(prepared, 3)
    happy = Timeline(((0.0, SPEAK), (0.6, Controls(emotion="happy", intensity=0.8))))
    for piece, final in ((sound, False), (sound[:0], True)):
        state, new = animator.step(state, Audio(piece), happy, final)
        stepped += new
    for one, *others in zip(whole, parts, stepped, strict=True):
        assert all(np.array_equal(one.image, other.image) for other in others)


def test_clips_are_what_the_trained_networks_draw(
    latent_model: Path, portrait: Portrait, speech: np.ndarray
) -> None:
    torch = pytest.importorskip("torch")
    from visavis.video.codec import Guide
    from visavis.video.codec_files import read_codec
    from visavis.video.conditions import Conditions
    from visavis.video.rolling import after, drawn, opened
    from visavis.video.weights import read_networks

    animator = load(model=latent_model)
    prepared = animator.prepare(*framed_to(portrait, 64, True))
    looks: LatentLooks = prepared.appearance
    networks = read_networks(latent_model / "weights/networks.safetensors")
    codec = read_codec(latent_model / "weights/codec.safetensors")
    sound = Audio(speech[8000:16_000])
    recognizer = PhoneRecognizer()
    _, rows = recognizer.step(recognizer.start(), sound, final=True)
    tokens = speech_tokens(np.concatenate([silence(28), rows.values[:20]]))[3:]
    guide = Guide(*(torch.from_numpy(looks.guide[name]) for name in Guide._fields))
    labels = torch.full((1, 8), 2), torch.zeros(1, 8, dtype=torch.int64)
    told = Conditions(
        networks.appearance(guide.latents), torch.from_numpy(tokens[None, :8]), *labels,
        torch.from_numpy(looks.face),
    )  # fmt: skip
    with torch.no_grad():
        roll = opened(torch.zeros(1, 4, 4, 2, 2))
        made = drawn(lambda x, t: networks(x, t, told), roll, [3], 4, Rolling())
        _, shown = after(roll, made, Rolling())
        pictures = codec.decode(shown, guide, torch.zeros(1, 4, 2, 2))[0]
    frames = list(spoken(animator, prepared, [(sound.samples, None)], 3))[:4]
    found = np.concatenate([frame.motion.latents[:, 0] for frame in frames])
    np.testing.assert_allclose(found, shown[0].transpose(0, 1).numpy(), atol=2e-4)
    expected = (pictures[0].permute(1, 2, 3, 0).numpy() * 127.5 + 127.5).clip(0, 255)
    drawn_images = np.stack([frame.image for frame in frames])
    assert np.abs(expected - drawn_images).max() < 1.5
