"""Results are in sync, in the right colours, and whole or not there at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import heard, lag_ms, photograph, speech_like, write_sound
from numpy.typing import NDArray
from PIL import Image

from visavis.errors import InputError, OutputError
from visavis.media.read import VideoReader
from visavis.media.write import open_writer

SIZE = (160, 128)


def write(path: Path | str, frames: int = 25, fps: int | Fraction = 25, **options: object) -> None:
    with open_writer(path, SIZE, fps, **options) as writer:  # type: ignore[arg-type]
        for n in range(frames):
            writer.write(np.roll(photograph(*SIZE), n, axis=1))


def pictures(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    with VideoReader(path) as video:
        shown = [(image, float(stamp * video.time_base)) for image, stamp in video]
    return [image for image, _ in shown], [stamp for _, stamp in shown]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif"])
@pytest.mark.parametrize("fps", [25, Fraction(30_000, 1_001)])
def test_pictures_come_back(tmp_path: Path, name: str, fps: int | Fraction) -> None:
    path = tmp_path / name
    write(path, 30, fps)
    images, stamps = pictures(path)
    assert len(images) == 30
    step = 0.006 if name.endswith("gif") else 0.001
    assert stamps == pytest.approx([n / float(fps) for n in range(30)], abs=step)
    for n, image in enumerate(images):
        wanted = np.roll(photograph(*SIZE), n, axis=1).astype(float)
        assert np.abs(image - wanted).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_colours_survive(tmp_path: Path, name: str) -> None:
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 150, 120), (255, 0, 0),
               (0, 255, 0), (0, 0, 255), (90, 60, 50), (240, 210, 190)]  # fmt: skip
    with open_writer(tmp_path / name, SIZE, 25, quality=4) as writer:
        for colour in colours:
            writer.write(np.full((SIZE[1], SIZE[0], 3), colour, np.uint8))
    images, _ = pictures(tmp_path / name)
    for image, colour in zip(images, colours, strict=True):
        assert np.abs(image.mean((0, 1)) - colour).max() < 3.5, colour
    with av.open(str(tmp_path / name)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (1, 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)
        assert context.pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    ("source", "codec", "rate", "result"),
    [
        ("a.wav", "pcm_s16le", 44_100, "v.mp4"),
        ("a.wav", "pcm_s16le", 16_000, "v.mov"),
        ("a.wav", "pcm_f32le", 96_000, "v.mp4"),
        ("a.wav", "pcm_s16le", 8_000, "v.mkv"),
        ("a.m4a", "aac", 44_100, "v.mp4"),
        ("a.mp3", "libmp3lame", 44_100, "v.mp4"),
        ("a.opus", "libopus", 48_000, "v.webm"),
        ("a.wav", "pcm_s16le", 44_100, "v.webm"),
    ],
)
@pytest.mark.parametrize("trim", [None, (0.3, 1.5)])
def test_sound_is_in_sync(
    tmp_path: Path, source: str, codec: str, rate: int, result: str,
    trim: tuple[float, float] | None,
) -> None:  # fmt: skip
    sample_format = "flt" if codec == "libopus" else None
    muxer = "ipod" if source.endswith("m4a") else None
    sound = tmp_path / source
    write_sound(
        sound, speech_like(2.0, rate, 2), rate, codec, sample_format=sample_format, muxer=muxer
    )
    write(tmp_path / result, 30 if trim else 50, sound=sound, trim=trim)
    original = heard(sound, trim)
    copy = heard(tmp_path / result)
    assert abs(lag_ms(copy, original)) < 0.2
    assert abs(len(copy) - len(original)) < 1_100
    _, stamps = pictures(tmp_path / result)
    assert stamps[0] == 0
    assert stamps[-1] == pytest.approx((len(stamps) - 1) / 25, abs=0.001)


def test_sound_ends_with_the_pictures_and_stereo_stays(tmp_path: Path) -> None:
    stereo = speech_like(2.0, 48_000, 2)
    stereo[:, 1] = 0
    sound = write_sound(tmp_path / "a.wav", stereo, 48_000, "pcm_s16le")
    write(tmp_path / "v.mp4", 20, sound=sound)
    assert abs(len(heard(tmp_path / "v.mp4")) - 0.8 * 16_000) < 400
    with av.open(str(tmp_path / "v.mp4")) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.sample_rate, stream.channels) == (48_000, 2)
        left_and_right = np.hstack([f.to_ndarray() for f in container.decode(stream)])
    assert np.abs(left_and_right[1]).max() < 0.01 < np.abs(left_and_right[0]).max()


def test_mp4_starts_with_its_index(tmp_path: Path) -> None:
    write(tmp_path / "v.mp4")
    data = (tmp_path / "v.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.webm", "v.gif"])
def test_equal_input_gives_equal_bytes(tmp_path: Path, name: str) -> None:
    sound = write_sound(tmp_path / "a.wav", speech_like(1.0, 48_000), 48_000, "pcm_s16le")
    image = photograph(256, 128)  # x264 is repeatable where the width is a multiple of 128
    files = [tmp_path / "1" / name, tmp_path / "2" / name]
    for file in files:
        file.parent.mkdir()
        with open_writer(file, (256, 128), 25, sound) as writer:
            for n in range(25):
                writer.write(np.roll(image, n, axis=1))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_odd_sizes_grow_by_a_pixel(tmp_path: Path) -> None:
    image = photograph(101, 67)
    with open_writer(tmp_path / "v.mp4", (101, 67), 25) as writer:
        assert writer.size == (102, 68)
        writer.write(image)
    images, _ = pictures(tmp_path / "v.mp4")
    assert images[0].shape == (68, 102, 3)
    assert np.abs(images[0][:67, :101].astype(float) - image).mean() < 4


def test_png_frames_are_exact(tmp_path: Path) -> None:
    write(f"{tmp_path}/out/", 3)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "note.txt").write_text("stays")
    write(tmp_path / "old" / "x%03d.png", 2)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "00000.png", "00001.png", "00002.png",
    ]  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "old").iterdir()) == [
        "note.txt", "x000.png", "x001.png",
    ]  # fmt: skip
    second = np.asarray(Image.open(tmp_path / "out" / "00001.png"))
    assert np.array_equal(second, np.roll(photograph(*SIZE), 1, axis=1))
    with pytest.raises(OutputError, match="holds 00000.png already"):
        write(f"{tmp_path}/out/", 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old", "out"]


def test_raw_frames_are_exact(tmp_path: Path) -> None:
    write(tmp_path / "a.rgb", 2)
    raw = np.fromfile(tmp_path / "a.rgb", np.uint8).reshape(2, SIZE[1], SIZE[0], 3)
    assert np.array_equal(raw[0], photograph(*SIZE))
    code = (
        "import numpy as np; from visavis.media.write import open_writer\n"
        "with open_writer('-', (16, 16), 25) as w: w.write(np.full((16, 16, 3), 7, np.uint8))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout == bytes([7]) * 768


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.avi", "unknown ending '.avi'"),
        ("a", "has no ending"),
        ("a.png", "names one picture"),
        ("%s%d.png", "names one picture"),
        ("%5000d.png", "too long"),
        ("none/a.mp4", "does not exist"),
        ("n" * 300 + ".mp4", "too long|cannot be written"),
        ("a\0.mp4", "cannot be written"),
    ],
)
def test_bad_names_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        write(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_bad_places_sizes_and_rates_are_refused(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.mp4", speech_like(1.0, 16_000), 16_000, "aac")
    before = sound.read_bytes()
    with pytest.raises(OutputError, match="what is being read"):
        write(sound, sound=sound)
    (tmp_path / "d.mp4").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="folder or device"):
        write(tmp_path / "d.mp4")
    with pytest.raises(OutputError, match="pixels cannot be made"), \
            open_writer(tmp_path / "v.mp4", (8, 8), 25):  # fmt: skip
        pass
    with pytest.raises(OutputError, match="frames/s cannot be made"), \
            open_writer(tmp_path / "v.mp4", SIZE, 0):  # fmt: skip
        pass
    with pytest.raises(OutputError, match="no picture"):
        write(tmp_path / "v.mp4", 0)
    with pytest.raises(InputError, match="no such file"):
        write(tmp_path / "v.mp4", sound=tmp_path / "none.wav")
    assert sound.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "d.mp4"]


@pytest.mark.parametrize("name", ["v.mp4", "v.webm", "v.gif", "v.rgb", "v/"])
def test_an_exception_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    if not name.endswith("/"):
        (tmp_path / name).write_bytes(b"older result")
    with suppress(KeyboardInterrupt), open_writer(f"{tmp_path}/{name}", SIZE, 25) as writer:
        for _ in range(60):
            writer.write(photograph(*SIZE))
        raise KeyboardInterrupt
    left = [p.read_bytes() for p in tmp_path.iterdir()]
    assert left == ([] if name.endswith("/") else [b"older result"])


SLOW = """
import signal, sys, time, numpy as np
from visavis.media.write import open_writer
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
noise = np.random.default_rng(0)
with open_writer(sys.argv[1], (256, 256), 25) as writer:
    for n in range(10**6):
        writer.write(noise.integers(0, 256, (256, 256, 3), np.uint8))
        if n == 80:
            print("ready", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path / "v.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        try:
            assert process.wait(20) != 0
        finally:
            process.kill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["v.mp4", "v.webm", "v.gif", "v.rgb", "v/"])
def test_a_full_disk_is_one_line(tmp_path: Path, name: str) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))\n" + SLOW
    code = code.replace("10**6", "60" if "gif" in name else "300")
    command = [sys.executable, "-c", code, f"{tmp_path}/{name}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("visavis.errors.OutputError"), result.stderr
    assert not list(tmp_path.iterdir())


def test_a_closed_pipe_is_an_output_error(tmp_path: Path) -> None:
    code = SLOW.replace("sys.argv[1]", "'-'").replace("print(", "(lambda *a, **k: 0)(")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1000)
        process.stdout.close()
        assert b"OutputError" in process.stderr.read()
        assert process.wait(20) != 0


def test_memory_stays_flat(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    sound = write_sound(tmp_path / "a.wav", speech_like(40.0, 16_000), 16_000, "pcm_s16le")
    image = cv2.resize(photograph(*SIZE), (512, 512))
    used = []
    with open_writer(tmp_path / "v.mp4", (512, 512), 25, sound=sound) as writer:
        for n in range(1_000):
            image[n % 512] = n % 256
            writer.write(image)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            used.append(pages * os.sysconf("SC_PAGE_SIZE"))
    assert used[-1] - used[150] < 50e6


def test_an_existing_folder_without_a_slash_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="end with / for PNG"),
        open_writer(tmp_path, (64, 64), 25),
    ):
        pass
