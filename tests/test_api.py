"""The two depths of the library: one call, and the same frames by hand."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import visavis
from visavis import api, opening
from visavis.errors import InputError, NoFaceFound, OutputError, UnreadableMedia
from visavis.faces.framing import cut, head_and_shoulders
from visavis.motion.conditions import gaze_of
from visavis.motion.controls import Controls, Timeline
from visavis.motion.files import read_motion, write_motion
from visavis.motion.layout import INDEX, pack, unpack
from visavis.types import SAMPLE_RATE, Audio, Motion, Portrait

SIZE = 128


@pytest.fixture(scope="module")
def sound(speech: np.ndarray) -> tuple[np.ndarray, int]:
    """1.01 seconds of speech: 26 frames at 25 fps."""
    return speech[8000:24_160], 16_000


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_one_call_makes_a_video_of_the_exact_length(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    ticks: list[api.Tick] = []
    out = tmp_path / "out.mp4"
    result = visavis.animate(portrait, sound, out, size=SIZE, progress=ticks.append)
    assert (result.frames, result.fps, result.size) == (26, 25, (SIZE, SIZE))
    assert result.seconds == pytest.approx(1.04)
    assert result.realtime_factor > 0
    assert ticks[-1].frames == ticks[-1].total == 26
    with av.open(str(out)) as container:
        kinds = {stream.type: stream.codec_context.name for stream in container.streams}
    assert kinds == {"video": "h264", "audio": "aac"}
    assert len(pictures(out)) == 26
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_frames_by_hand_are_the_same_frames(
    portrait: Portrait, sound: tuple[np.ndarray, int]
) -> None:
    whole = list(visavis.frames(portrait, sound, size=SIZE, seed=3))
    animator = visavis.load()
    face = cut(portrait, head_and_shoulders(portrait))
    state = animator.start(animator.prepare(face, (SIZE, SIZE)), seed=3)
    live = []
    samples = np.round(sound[0] * 32_767).astype(np.float32) / 32_768
    for begin in range(0, len(samples), 640):
        state, new = animator.step(state, Audio(samples[begin : begin + 640]))
        live += new
    state, new = animator.step(state, Audio(samples[:0]), final=True)
    live += new
    assert len(live) == len(whole) == 26
    assert all(np.array_equal(a.image, b.image) for a, b in zip(live, whole, strict=True))


def test_the_mouth_moves_and_the_seed_decides(
    portrait: Portrait, sound: tuple[np.ndarray, int]
) -> None:
    one, again, other = (
        [f.motion for f in visavis.frames(portrait, sound, size=SIZE, seed=seed)]
        for seed in (1, 1, 2)
    )
    jaw = np.array([m.coefficients[0, 24] for m in one])
    assert jaw.max() > 0.1
    assert all(np.array_equal(a.rotation, b.rotation) for a, b in zip(one, again, strict=True))
    assert any(not np.array_equal(a.rotation, b.rotation) for a, b in zip(one, other, strict=True))


def test_motion_written_and_played_again_gives_the_same_pictures(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    first, second, script = tmp_path / "a.rgb", tmp_path / "b.rgb", tmp_path / "m.npz"
    visavis.animate(portrait, sound, first, size=SIZE, motion_out=script)
    assert len(read_motion(script)) == 26
    result = visavis.animate(portrait, None, second, size=SIZE, motion=script)
    assert result.frames == 26
    assert first.read_bytes() == second.read_bytes()


def test_a_motion_file_plays_at_another_rate_with_the_sound_beside_it(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    script = tmp_path / "m.csv"
    visavis.animate(portrait, sound, tmp_path / "a.mp4", size=SIZE, motion_out=script)
    out = tmp_path / "b.mp4"
    result = visavis.animate(portrait, sound, out, size=SIZE, motion=script, fps=50)
    assert result.frames == 52
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1


@pytest.mark.parametrize(("fps", "expected"), [(10, 11), (24, 25), (30, 31), (60, 61)])
def test_any_frame_rate(
    portrait: Portrait, sound: tuple[np.ndarray, int], fps: int, expected: int
) -> None:
    assert len(list(visavis.frames(portrait, sound, size=SIZE, fps=fps))) == expected


def test_trimming_takes_a_part(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    out = tmp_path / "a.rgb"
    assert visavis.animate(portrait, sound, out, size=SIZE, trim=(0.2, 0.6)).frames == 10
    with pytest.raises(InputError, match="trim"):
        visavis.animate(portrait, sound, out, size=SIZE, trim=(0.6, 0.2))


def test_the_whole_photograph_keeps_its_aspect(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    tall = cut(portrait, head_and_shoulders(portrait))
    part = cut(tall, type(head_and_shoulders(tall))(100, 0, 824, 1024))
    out = tmp_path / "a.mp4"
    result = visavis.animate(
        part, (sound[0][:1600], 16_000), out, crop=False, size=256, progress=None
    )
    assert result.size == (206, 256)
    assert pictures(out)[0].shape == (256, 206, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 63}, "size 63"),
        ({"size": 129}, "odd"),
        ({"size": 5000}, "size 5000"),
        ({"fps": 0}, "fps 0"),
        ({"fps": 25.0}, "fps 25.0"),
        ({"seed": -1}, "seed -1"),
        ({"steps": 3}, "steps 3"),
        ({"steps": 2, "motion_model": "rules"}, "steps 2.*rules"),
        ({"motion_model": "magic"}, "diffused, rules"),
        ({"quality": "ultra"}, "draft, standard, high"),
        ({"loop": "nonsense"}, "loop 'nonsense'.*pingpong, repeat, hold"),
        ({"redrive": "xx"}, "redrive 'xx'.*mouth, face"),
    ],
)
def test_impossible_options_are_refused_in_words(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        visavis.animate(portrait, sound, tmp_path / "a.mp4", **options)
    with pytest.raises(InputError, match=message):
        next(visavis.frames(portrait, sound, **options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("audio", "error"),
    [
        ((np.zeros(0, np.float32), 16_000), InputError),
        ((np.zeros((4, 9, 2), np.float32), 16_000), InputError),
        ((np.zeros(16, np.float32), 100), InputError),
        ((np.zeros(16, np.int16), 16_000), InputError),
        ((np.zeros(1, np.float32), 48_000), OutputError),
        ("missing.wav", UnreadableMedia),
        (None, InputError),
    ],
)
def test_impossible_sounds_are_refused(
    portrait: Portrait, tmp_path: Path, audio: object, error: type[Exception]
) -> None:
    curves = tmp_path / "a.csv"
    with pytest.raises(error):
        visavis.animate(portrait, audio, tmp_path / "a.mp4", size=SIZE, motion_out=curves)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_sound_in_memory_may_be_stereo_and_of_any_rate(portrait: Portrait, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-2, 2, (44_100 // 5, 2)).astype(np.float32)
    samples[7] = np.nan
    out = tmp_path / "a.mp4"
    assert visavis.animate(portrait, (samples, 44_100), out, size=SIZE).frames == 5


def test_pictures_without_a_face_and_other_arrays_are_refused() -> None:
    with pytest.raises(NoFaceFound):
        visavis.open_portrait(np.full((300, 400, 3), 128, np.uint8))
    with pytest.raises(InputError, match="RGB uint8"):
        visavis.open_portrait(np.zeros((300, 400, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="RGB uint8"):
        visavis.open_portrait(np.zeros((0, 400, 3), np.uint8))


def test_an_error_on_the_way_leaves_nothing(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    def stop(tick: api.Tick) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        visavis.animate(portrait, sound, tmp_path / "a.mp4", size=SIZE, progress=stop)
    with pytest.raises(OutputError):
        visavis.animate(portrait, sound, tmp_path / "no" / "a.mp4", size=SIZE)
    with pytest.raises(InputError, match="motion files"):
        visavis.animate(
            portrait, sound, tmp_path / "a.mp4", size=SIZE, motion_out=tmp_path / "m.fbx"
        )
    with pytest.raises(OutputError, match="does not exist"):
        visavis.animate(
            portrait, sound, tmp_path / "a.mp4", size=SIZE, motion_out=tmp_path / "no" / "m.csv"
        )
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_read_is_written_over(tmp_path: Path) -> None:
    picture = tmp_path / "face.gif"
    picture.write_bytes(opening.DEMO_PORTRAIT.read_bytes())
    before = picture.read_bytes()
    with pytest.raises(OutputError, match="what is being read"):
        visavis.animate(picture, opening.DEMO_SPEECH, picture)
    with pytest.raises(OutputError, match="what is being read"):
        api.inspect(picture, picture)
    assert picture.read_bytes() == before


def test_inspect_draws_and_tells(tmp_path: Path) -> None:
    report = api.inspect(opening.DEMO_PORTRAIT, tmp_path / "seen.png")
    assert report.is_usable
    assert any("face" in line for line in report.lines)
    assert (tmp_path / "seen.png").stat().st_size > 10_000


def test_a_trim_takes_a_part_of_a_motion_file_too(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    script = tmp_path / "face.npz"
    visavis.animate(portrait, sound, tmp_path / "a.mp4", size=SIZE, motion_out=script)
    out = tmp_path / "b.mp4"
    result = visavis.animate(portrait, None, out, size=SIZE, motion=script, trim=(0.2, 0.6))
    assert result.frames == 10
    with pytest.raises(InputError, match="before the trim"):
        visavis.animate(portrait, None, out, size=SIZE, motion=script, trim=(9.0, None))


def test_controls_direct_a_motion_file_too(portrait: Portrait, tmp_path: Path) -> None:
    script, out = tmp_path / "script.json", tmp_path / "played.json"
    values = pack(Motion.rest(10))
    values[:, INDEX["jawOpen"]] = 0.2
    write_motion(script, unpack(values))
    wish = Controls(gain={"jawOpen": 1.5}, freeze=frozenset({"head"}))
    options = {"size": SIZE, "motion": script, "motion_out": out}
    visavis.animate(portrait, None, tmp_path / "a.mp4", controls=wish, **options)
    assert np.allclose(read_motion(out).coefficients[:, INDEX["jawOpen"]], 0.3)
    wish = Controls(emotion="happy", intensity=1.0)
    with pytest.raises(InputError, match="emotion"):
        visavis.animate(portrait, None, tmp_path / "b.mp4", controls=wish, **options)


def test_a_live_animator_waits_less() -> None:
    assert visavis.load(live=True).window < SAMPLE_RATE * 0.4 < visavis.load().window


def test_sound_without_a_rate_is_refused(portrait: Portrait, tmp_path: Path) -> None:
    samples = np.zeros(16_000, np.float32)
    with pytest.raises(InputError, match="rate"):
        visavis.animate(portrait, samples, tmp_path / "a.mp4")  # type: ignore[arg-type]


def moved(portrait: Portrait, sound: tuple[np.ndarray, int], **options: object) -> np.ndarray:
    made = [f.motion for f in visavis.frames(portrait, sound, size=64, **options)]  # type: ignore[arg-type]
    return np.concatenate([pack(m) for m in made])


@pytest.mark.parametrize("model", [None, "rules"])
def test_controls_and_timelines_reach_the_face(
    portrait: Portrait, sound: tuple[np.ndarray, int], model: str | None
) -> None:
    jaw = INDEX["jawOpen"]
    plain = moved(portrait, sound, motion_model=model)
    wider = moved(portrait, sound, motion_model=model, controls=Controls(gain={"jawOpen": 1.5}))
    assert np.allclose(wider[:, jaw], np.clip(1.5 * plain[:, jaw], 0, 1), atol=1e-5)
    assert np.array_equal(np.delete(wider, jaw, 1), np.delete(plain, jaw, 1))
    viewer = moved(portrait, sound, motion_model=model, controls=Controls(gaze=(0.0, 0.0)))
    assert np.abs(gaze_of(viewer)).max() < 1.01
    shut = Timeline(
        ((0.0, Controls()), (0.48, Controls()), (0.5, Controls(freeze=frozenset({"mouth"}))))
    )
    later = moved(portrait, sound, motion_model=model, controls=shut)
    assert later[:12, jaw].max() > 0.05
    assert later[13:, jaw].max() == 0.0


def test_a_listener_is_as_long_as_what_is_heard_and_the_video_sounds_of_it(
    portrait: Portrait, sound: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    out = tmp_path / "a.mp4"
    result = visavis.animate(portrait, None, out, size=SIZE, other=sound)
    assert result.frames == 26
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1
    short = (sound[0][:5000], 16_000)
    assert visavis.animate(portrait, sound, out, size=SIZE, other=short).frames == 26
    assert visavis.animate(portrait, short, out, size=SIZE, other=sound).frames == 8
