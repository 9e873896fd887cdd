"""Damaged files are read or refused in one line; nothing else escapes from the readers."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from clips import heard, photograph, speech_like, write_sound
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visavis.errors import InputError
from visavis.media.image import read_image

SOUNDS = {
    "wav": "pcm_s16le", "mp3": "libmp3lame", "m4a": "aac", "opus": "libopus", "flac": "flac",
}  # fmt: skip


@cache
def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photograph(64, 48)).save(file, kind)
    return file.getvalue()


@cache
def sound(suffix: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        formats = {"opus": "flt", "flac": "s16"}
        samples = speech_like(0.3, 48_000)
        muxer = "ipod" if suffix == "m4a" else None
        write_sound(
            path, samples, 48_000, SOUNDS[suffix], sample_format=formats.get(suffix), muxer=muxer
        )
        return path.read_bytes()


def damaged(data: bytes, seed: int, flips: int, keep: float, in_header: bool) -> bytes:
    rng = np.random.default_rng(seed)
    broken = np.frombuffer(data, np.uint8).copy()
    where = rng.integers(0, min(len(broken), 200) if in_header else len(broken), flips)
    broken[where] = rng.integers(0, 256, flips)
    return broken[: max(int(len(broken) * keep), 1)].tobytes()


def check_message(error: InputError) -> None:
    assert 20 < len(str(error)) < 400
    assert "\n" not in str(error)


DAMAGE = {
    "seed": st.integers(0, 2**32 - 1),
    "flips": st.sampled_from([0, 1, 2, 5, 20, 100]),
    "keep": st.sampled_from([1.0, 1.0, 0.99, 0.7, 0.1, 0.001]),
    "in_header": st.booleans(),
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000"]),
    **DAMAGE,
)
def test_pictures(kind: str, seed: int, flips: int, keep: float, in_header: bool) -> None:
    data = damaged(picture(kind), seed, flips, keep, in_header)
    try:
        image = read_image(data, min_side=1)
    except InputError as error:
        check_message(error)
    else:
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(suffix=st.sampled_from(sorted(SOUNDS)), **DAMAGE)
def test_sounds(suffix: str, seed: int, flips: int, keep: float, in_header: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(damaged(sound(suffix), seed, flips, keep, in_header))
        try:
            samples = heard(path)
        except InputError as error:
            check_message(error)
        else:
            assert np.isfinite(samples).all()
            assert np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("bits", [0, 33, 255])
def test_a_wav_of_impossible_width_is_refused(tmp_path: Path, bits: int) -> None:
    broken = bytearray(sound("wav"))
    place = broken.index(b"fmt ") + 22
    broken[place : place + 2] = bits.to_bytes(2, "little")
    (tmp_path / "a.wav").write_bytes(broken)
    with pytest.raises(InputError):
        heard(tmp_path / "a.wav")
