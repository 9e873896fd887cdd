"""Every kind of sound is heard in sync, in bounded memory, and failures are one clear line."""

from __future__ import annotations

import os
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from clips import heard, lag_ms, photograph, speech_like, write_sound

from visavis.errors import InputError, UnreadableMedia
from visavis.media.image import write_image
from visavis.media.read import VideoReader, open_audio
from visavis.media.write import open_writer

KINDS = [
    ("wav", "pcm_u8", 8_000, 1, "u8"),
    ("wav", "pcm_s16le", 44_100, 2, "s16"),
    ("wav", "pcm_s24le", 48_000, 2, None),
    ("wav", "pcm_s32le", 96_000, 1, None),
    ("wav", "pcm_f32le", 192_000, 2, None),
    ("wav", "pcm_f64le", 22_050, 1, None),
    ("w64", "pcm_s64le", 16_000, 1, None),
    ("wav", "pcm_mulaw", 8_000, 1, None),
    ("mp3", "libmp3lame", 44_100, 2, None),
    ("mp3", "libmp3lame", 16_000, 1, None),
    ("m4a", "aac", 44_100, 2, None),
    ("m4a", "aac", 16_000, 1, None),
    ("opus", "libopus", 48_000, 1, "flt"),
    ("webm", "libopus", 48_000, 1, "flt"),
    ("flac", "flac", 44_100, 1, "s16"),
    ("aiff", "pcm_s16be", 44_100, 1, None),
]


@pytest.mark.parametrize(("suffix", "codec", "rate", "channels", "sample_format"), KINDS)
def test_every_kind_is_heard_in_sync(
    tmp_path: Path, suffix: str, codec: str, rate: int, channels: int, sample_format: str | None
) -> None:
    path = tmp_path / f"clip.{suffix}"
    muxer = "ipod" if suffix == "m4a" else None
    sound = speech_like(1.5, rate, channels)
    write_sound(path, sound, rate, codec, sample_format=sample_format, muxer=muxer)
    samples = heard(path)
    assert samples.dtype == np.float32
    assert abs(lag_ms(samples, speech_like(1.5, 16_000)[:, 0])) < 0.1
    assert 0 <= len(samples) - 24_000 < 1_024
    with open_audio(path) as reader:
        assert abs((reader.duration_samples or 0) - 24_000) < 400
        assert not reader.warnings


@pytest.mark.parametrize(
    ("suffix", "codec", "sample_format"),
    [("mp4", "aac", None), ("mov", "pcm_s16le", None), ("mkv", "libopus", "flt")],
)
@pytest.mark.parametrize(("start_s", "picture_start_s"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.4)])
def test_sound_and_pictures_of_a_video_share_one_clock(
    tmp_path: Path,
    suffix: str,
    codec: str,
    sample_format: str | None,
    start_s: float,
    picture_start_s: float,
) -> None:
    path = tmp_path / f"clip.{suffix}"
    write_sound(
        path,
        speech_like(1.0, 48_000),
        48_000,
        codec,
        sample_format=sample_format,
        start_s=start_s,
        picture_start_s=picture_start_s,
    )
    lag = lag_ms(heard(path), speech_like(1.0, 16_000)[:, 0])
    assert abs(lag - 1000 * start_s) <= 1.0  # these containers count in ms
    with VideoReader(path) as video:
        stamps = [float(stamp * video.time_base) for _, stamp in video]
    assert len(stamps) == 50
    assert stamps[0] == pytest.approx(picture_start_s, abs=0.001)
    assert stamps[-1] == pytest.approx(picture_start_s + 49 / 25, abs=0.001)


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((1, 0, 0, 1), 0), ((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)],
)
def test_a_turned_video_is_shown_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], turns: int
) -> None:
    upright = photograph(128, 96)
    stored = np.ascontiguousarray(np.rot90(upright, turns))
    with open_writer(tmp_path / "v.mp4", (stored.shape[1], stored.shape[0]), 25) as writer:
        writer.write(stored)
    data = bytearray((tmp_path / "v.mp4").read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "v.mp4").write_bytes(data)
    with VideoReader(tmp_path / "v.mp4") as video:
        image, _ = next(iter(video))
        assert video.size == (128, 96)
    assert np.abs(image.astype(float) - upright).mean() < 4


def test_trim_takes_exactly_that_part(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", speech_like(2.0, 16_000), 16_000, "pcm_f32le")
    assert np.array_equal(heard(path, (0.5, 1.25)), heard(path)[8_000:20_000])
    assert np.array_equal(heard(path, (0.5, None)), heard(path)[8_000:])
    assert len(heard(path, (1.5, 9.0))) == 8_000
    with pytest.raises(InputError, match="after the end"):
        heard(path, (5.0, None))
    for bad in [(-1.0, 2.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("nan"))]:
        with pytest.raises(InputError, match="not a stretch of time"):
            heard(path, bad)


def test_chunking_does_not_change_the_sound(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", speech_like(1.0, 44_100), 44_100, "pcm_s16le")
    results = []
    for samples in (1, 637, 16_000, 10**9):
        with open_audio(path) as reader:
            chunks = list(reader.chunks(samples))
        assert all(len(chunk) == samples for chunk in chunks[:-1])
        results.append(np.concatenate(chunks))
    assert all(np.array_equal(results[0], other) for other in results)


def test_channels_are_averaged_without_clipping(tmp_path: Path) -> None:
    for layout, channels in (("stereo", 2), ("5.1", 6), ("7.1", 8)):
        loud = np.ones((16_000, channels), np.float32)
        path = tmp_path / f"{layout}.wav"
        write_sound(path, loud, 16_000, "pcm_f32le", layout=layout)
        assert np.allclose(heard(path), 1.0)
    for layout, channels in (("7.1", 8), ("hexadecagonal", 16)):
        loud = np.repeat(speech_like(1.0, 48_000), channels, axis=1)
        path = write_sound(tmp_path / f"{layout}.mka", loud, 48_000, "aac", layout=layout)
        assert abs(lag_ms(heard(path), speech_like(1.0, 16_000)[:, 0])) < 0.1
    voice = np.zeros((16_000, 6), np.float32)
    voice[:, 2] = 0.9  # the centre, where films put the voice
    path = write_sound(tmp_path / "c.wav", voice, 16_000, "pcm_f32le", layout="5.1")
    assert heard(path).mean() > 0.25


def test_strange_values_become_sound(tmp_path: Path) -> None:
    strange = speech_like(0.5, 16_000)
    strange[::7], strange[1::7], strange[2::7] = np.nan, np.inf, -3e38
    path = write_sound(tmp_path / "nan.wav", strange, 16_000, "pcm_f32le")
    samples = heard(path)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


def test_silence_is_fine(tmp_path: Path) -> None:
    silent = np.zeros((16_000, 1), np.float32)
    path = write_sound(tmp_path / "s.wav", silent, 16_000, "pcm_s16le")
    assert not heard(path).any()


def test_damage_in_the_middle_is_survived(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mp3", speech_like(3.0, 44_100), 44_100, "libmp3lame")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3_000] = bytes(3_000)
    path.write_bytes(data)
    with open_audio(path) as reader:
        samples = np.concatenate(list(reader.chunks()))
    assert 2.0 * 16_000 < len(samples) < 3.2 * 16_000


def test_a_lost_packet_does_not_shift_the_rest(tmp_path: Path) -> None:
    path = write_sound(
        tmp_path / "a.mp4", speech_like(2.0, 48_000), 48_000, "aac", picture_start_s=0.0
    )
    import av

    cut = tmp_path / "cut.mp4"
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = source.streams.audio[0]
        copy = target.add_stream_from_template(stream)
        for n, packet in enumerate(source.demux(stream)):
            if packet.dts is None or 20 <= n < 30:
                continue
            packet.stream = copy
            target.mux(packet)
    late = heard(cut)[16_000:]
    assert abs(lag_ms(late, heard(path)[16_000:])) < 1.0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wav", b"", "is an empty file"),
        ("a.wav", bytes(5_000), "seems to be empty"),
        ("a.mp3", b"hello there, this is text\n" * 50, "seems to be text"),
        ("a.wav", b"#EXTM3U\nhttp://127.0.0.1:9/a.wav\n", "seems to be a playlist"),
        ("a.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "seems to be a playlist"),
        ("a.txt", b"ffconcat version 1.0\nfile 'b.wav'\n", "seems to be a playlist"),
        ("a.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", "seems to be text"),
        ("a.pdf", b"%PDF-1.7\n" + bytes(99), "seems to be a PDF document"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia, match=message) as caught:
        heard(path)
    assert "\n" not in str(caught.value)


def test_a_picture_is_not_a_recording(tmp_path: Path) -> None:
    write_image(tmp_path / "p.png", photograph(300, 300))
    with pytest.raises(UnreadableMedia, match="a PNG picture"):
        heard(tmp_path / "p.png")


def test_missing_folder_pipe_and_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "none.wav", "no such file"),
        (Path("https://example.org/a.wav"), "Download it first"),
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "pipe or device"),
        (Path("/dev/zero"), "pipe or device"),
        (tmp_path / ("n" * 300), "too long"),
        ("a\0b.wav", "null"),
    ):
        with pytest.raises(UnreadableMedia, match=message):
            heard(Path(path))


def test_empty_sound_and_absurd_rate(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "none.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(InputError, match="holds no sound"):
        heard(tmp_path / "none.wav")
    header = b"RIFF" + struct.pack("<I", 36 + 64) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, 7, 14, 2, 16) + b"data" + struct.pack("<I", 64)
    (tmp_path / "slow.wav").write_bytes(header + bytes(64))
    with pytest.raises(UnreadableMedia, match="7 Hz"):
        heard(tmp_path / "slow.wav")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_half_an_hour_needs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    seconds, rate = 1_800, 44_100
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(b"")
    header = path.read_bytes()[:40] + struct.pack("<I", seconds * rate * 2)
    with path.open("wb") as raw:
        raw.write(header[:4] + struct.pack("<I", 36 + seconds * rate * 2) + header[8:])
        raw.truncate(44 + seconds * rate * 2)
    samples, start, peak = 0, 0, 0
    with open_audio(path) as reader:
        for chunk in reader.chunks(16_000):
            samples += len(chunk)
            now = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            start, peak = start or now, max(peak, now)
    assert samples == seconds * 16_000
    assert peak - start < 50e6
