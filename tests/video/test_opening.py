"""A latent model in a folder, used as every model is: animate, sessions, the server, the bench."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from visavis import bench
from visavis.animator import MotionAnimator
from visavis.api import Tick, animate, frames, load, parts
from visavis.cli import app
from visavis.errors import InputError, ModelError, WeightsMismatch
from visavis.motion.controls import Controls
from visavis.opening import DEMO_PORTRAIT
from visavis.stream.moments import Moment
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.types import Phase, Portrait
from visavis.video.opening import NEEDED, is_latent, open_latent
from visavis.video.rolling import Rolling
from visavis.video.settings import FILE, LatentSettings


@pytest.fixture
def copied(latent_model: Path, tmp_path: Path) -> Path:
    """A copy of the model to be damaged."""
    return Path(shutil.copytree(latent_model, tmp_path / "model"))


def test_a_folder_is_told_by_its_settings(latent_model: Path, tmp_path: Path) -> None:
    assert is_latent(latent_model)
    assert is_latent(str(latent_model))
    assert is_latent("latent-tiny")
    assert not is_latent("ditto")
    assert not is_latent(tmp_path)


def test_a_video_is_made(
    latent_model: Path, portrait: Portrait, speech: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    sound = (speech[8000:16_000], 16_000)
    asked = Controls(emotion="happy", intensity=1.0)
    result = animate(portrait, sound, out, size=64, model=latent_model, controls=asked)
    assert (result.frames, result.size) == (13, (64, 64))
    assert not any("heed" in note for note in result.warnings)
    assert out.stat().st_size > 1000
    shown = list(frames(portrait, sound, size=96, crop=False, model=latent_model, steps=2))
    assert len(shown) == 13
    assert max(shown[0].image.shape) == 96


def test_threads_end_with_what_they_work_for(
    latent_model: Path, portrait: Portrait, speech: np.ndarray, tmp_path: Path
) -> None:
    def stop(tick: Tick) -> None:
        if tick.frames == 3:
            raise KeyboardInterrupt

    sound = (speech, 16_000)
    with pytest.raises(KeyboardInterrupt):
        animate(portrait, sound, tmp_path / "out.mp4", size=64, model=latent_model, progress=stop)
    assert not [t for t in threading.enumerate() if t.name.startswith("visavis-ahead")]


def test_the_command_takes_a_folder(latent_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    words = ["animate", "--demo", "--size", "64", "--trim", "0:0.4", "-o", str(out), "-q"]
    done = CliRunner().invoke(app, [*words, "--model", str(latent_model)])
    assert done.exit_code == 0, done.output
    assert out.exists()


def test_a_session_speaks_listens_and_is_interrupted(
    latent_model: Path, portrait: Portrait, speech: np.ndarray
) -> None:
    animator = load(live=True, model=latent_model)
    prepared = animator.prepare(portrait, (96, 96))

    async def talk() -> tuple[list[Moment], list[Moment]]:
        crew = Crew(1)
        try:
            settings = Settings(is_paced=False, sound_rate=16_000)
            async with Session(animator, prepared, crew, settings) as session:
                session.push_audio(speech[:16_000], 16_000)
                session.end_audio()
                moments = aiter(session)
                spoken = [await anext(moments) for _ in range(7)]
                session.interrupt()
                session.set_control(emotion="sad")
                session.push_user_audio(speech[:3_200], 16_000)
                return spoken, [await anext(moments) for _ in range(12)]
        finally:
            crew.close()

    spoken, after = asyncio.run(asyncio.wait_for(talk(), 120))
    assert [moment.index for moment in spoken + after] == list(range(19))
    assert {moment.phase for moment in spoken} == {Phase.SPEAKING}
    assert after[-1].phase is Phase.LISTENING
    assert not after[-1].sound.any()
    latents = [m.motion.latents for m in spoken + after if m.motion is not None]
    assert len(latents) == 19
    for one, other in zip(latents, latents[1:], strict=False):
        np.testing.assert_array_equal(other[0, 1], one[0, 0])  # no frame is missing between
    assert len({moment.image.tobytes() for moment in spoken + after}) == 19


def test_the_server_opens_it(latent_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    from visavis.provenance.policy import Policy
    from visavis.serve.settings import ServerSettings
    from visavis.serve.stage import Stage
    from visavis.serve.voices import Voices

    del tmp_path
    settings = ServerSettings(model=str(latent_model), size=64)

    async def opened() -> None:
        crew = Crew(1)
        try:
            await Stage(settings, Policy(signing="off"), crew, Voices(settings)).open()
        finally:
            crew.close()

    asyncio.run(opened())


def test_the_bench_measures_it(latent_model: Path) -> None:
    figures = bench.measure(size=64, model=str(latent_model), seconds=1, starts=1)
    assert figures["frames"] == 25
    assert {"features", "motion", "render", "encode"} <= set(figures["stages_ms"])
    assert bench.table(figures)


def test_steps_and_live_reach_the_motion(latent_model: Path) -> None:
    _, motion, _ = parts(model=latent_model, steps=4, live=True)
    _, other, _ = parts(model=latent_model)
    assert motion.look_ahead_samples < other.look_ahead_samples
    with pytest.raises(InputError, match="steps 20 is not possible.*1 to 4"):
        parts(model=latent_model, steps=20)


def test_what_it_cannot_do_is_refused(latent_model: Path, tmp_path: Path) -> None:
    sound = (np.zeros(1600, np.float32), 16_000)
    given = (DEMO_PORTRAIT, sound, tmp_path / "out.mp4")
    motion = tmp_path / "motion.csv"
    for how in ({"drive": "video.mp4"}, {"motion": motion}, {"motion_model": "rules"}):
        with pytest.raises(InputError, match="pictures of speech alone"):
            animate(*given, model=latent_model, **how)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no motion that could be written"):
        animate(*given, model=latent_model, motion_out=motion)
    asked = Controls(gaze=(0, 0), blink_rate=10)
    result = animate(*given, size=64, model=latent_model, controls=asked)
    assert result.warnings[-1].endswith("it does not heed gaze, blink-rate.")
    with pytest.raises(InputError, match="Leave background and quality out"):
        animate(*given, model=latent_model, background="green")


@pytest.mark.parametrize("name", NEEDED)
def test_missing_files_are_named(copied: Path, name: str) -> None:
    (copied / f"{name}.onnx").unlink()
    with pytest.raises(ModelError, match=f"no {name}.onnx"):
        open_latent(copied)


def test_damaged_files_are_told(copied: Path) -> None:
    (copied / "denoiser.onnx").write_bytes(b"half")
    with pytest.raises(WeightsMismatch, match="denoiser.onnx"):
        open_latent(copied)
    told = json.loads((copied / FILE).read_text())
    for wrong in (
        "{", "[]", {**told, "size": 3}, {**told, "ratio": []}, {"side": 64},
        {**told, "rolling": {"start": "nowhere"}}, {**told, "side": 50},
    ):  # fmt: skip
        (copied / FILE).write_text(wrong if isinstance(wrong, str) else json.dumps(wrong))
        with pytest.raises(WeightsMismatch, match="does not tell how"):
            open_latent(copied)


def test_networks_for_other_latents_are_refused(copied: Path) -> None:
    told = json.loads((copied / FILE).read_text())
    (copied / FILE).write_text(json.dumps({**told, "side": 128}))
    with pytest.raises(InputError, match=r"latents of \(4, 4, 4\).*\(4, 2, 2\)"):
        open_latent(copied)


def test_networks_and_codec_must_go_together(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from latent_model import write_weights
    from visavis.train.export_video import export_latent

    with pytest.raises(InputError, match="latents of 6 channels"):
        export_latent(*write_weights(tmp_path, latent=6), tmp_path / "out", Rolling())


def test_what_is_shipped_is_smaller_and_draws_the_same(
    latent_model: Path, portrait: Portrait, speech: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from visavis.train.export_video import pack_latent

    packed = tmp_path / "latent"
    files = pack_latent(latent_model, packed)
    assert {path.name for path in files} == {*(f"{name}.onnx" for name in NEEDED), FILE}
    for name in NEEDED:
        before, after = (f / f"{name}.onnx" for f in (latent_model, packed))
        assert after.stat().st_size < before.stat().st_size
    sound = (speech[8000:12_000], 16_000)
    one, two = (
        [frame.image for frame in frames(portrait, sound, size=64, model=folder)]
        for folder in (latent_model, packed)
    )
    assert np.abs(np.float32(one) - np.float32(two)).max() <= 3


def test_settings_survive_as_text() -> None:
    settings = LatentSettings(256, (1.0, 2.5), Rolling(2, "previous", 0.8), 4, 2, 1.5, 32)
    assert LatentSettings.from_json(settings.to_json()) == settings
    assert settings.stepped(4).rolling.steps == 4
    base = LatentSettings(256, (1.0,), Rolling(20))
    assert base.stepped(10).rolling.steps == 10
    with pytest.raises(InputError, match="5 to 100"):
        base.stepped(1)
    for wrong in ({"past": 0}, {"longest": 33}, {"first": 1}):
        with pytest.raises(InputError):
            LatentSettings(256, (1.0,), **wrong)  # type: ignore[arg-type]


def test_no_pytorch_is_needed(latent_model: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"
        "from visavis.api import frames\n"
        "import numpy as np\n"
        f"shown = frames({str(DEMO_PORTRAIT)!r}, (np.zeros(3200, np.float32), 16000), size=64, "
        f"model={str(latent_model)!r})\n"
        "print(len(list(shown)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "5\n", run.stderr


def test_plain_use_loads_none_of_it() -> None:
    code = (
        "import sys, visavis.api; print([m for m in sys.modules if m.startswith('visavis.video')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "['visavis.video', 'visavis.video.pipeline']\n"


def test_an_animator_works_ahead_only_with_it(latent_model: Path) -> None:
    assert MotionAnimator(*parts(model=latent_model)).works_ahead
    assert not load().works_ahead
