"""Sound as callers give it: a file, or samples in memory; one voice, or one's own and another's."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from visavis.errors import InputError, check_whole
from visavis.media.read import Trim, open_audio
from visavis.types import SAMPLE_RATE, FloatArray

Sound = str | Path | tuple[FloatArray, int]
"""A file with sound, or samples and their rate."""
_SPARE_S = 1.0  # files are a little off in what they say of their length


@contextmanager
def sound_file(sound: Sound | None) -> Iterator[Path | None]:
    """Give the path of ``sound``; samples in memory become a WAV file for as long as needed."""
    if isinstance(sound, np.ndarray):
        raise InputError("The sound is an array alone. Give (samples, rate), rate in samples/s.")
    if not isinstance(sound, tuple):
        yield None if sound is None else Path(sound)
        return
    given, rate = np.asarray(sound[0]), sound[1]
    samples = np.atleast_2d(given.T).T
    is_float = np.issubdtype(given.dtype, np.floating)
    if not is_float or samples.ndim != 2 or not 1 <= samples.shape[1] <= 8 or not len(samples):
        raise InputError(
            f"The sound is an array of {given.dtype} with shape {given.shape}. Give (samples, rate)"
            " with samples (n,) or (n, channels), n > 0, floats in [-1, 1] (16-bit ones / 32768)."
        )
    check_whole("rate", rate, 8_000, 192_000)
    levels = np.round(np.clip(np.nan_to_num(samples), -1, 1) * 32_767).astype("<i2")
    with TemporaryDirectory(prefix="visavis-") as folder:
        path = Path(folder) / "sound.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((samples.shape[1], 2, rate, len(samples), "NONE", ""))
            file.writeframes(levels.tobytes())
        yield path


def seconds_of(sound: Sound | None, trim: Trim | None) -> float | None:
    """Return how long ``sound`` may be: its own word and ``_SPARE_S``; None: that is not known."""
    if not isinstance(sound, (str, Path)):
        return None
    with open_audio(sound, trim) as reader:
        samples = reader.duration_samples
    return None if samples is None else samples / SAMPLE_RATE + _SPARE_S


def paired(
    own: Iterator[FloatArray] | None, heard: Iterator[FloatArray] | None
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Yield pieces of one's own sound and of the other's, equally long.

    One's own decides how long; without it there is silence for as long as the other speaks.
    """
    if own is None:
        yield from ((np.zeros_like(piece), piece) for piece in heard or ())
        return
    for piece in own:
        other = None if heard is None else next(heard, piece[:0])[: len(piece)]
        missing = 0 if other is None else len(piece) - len(other)
        yield piece, None if other is None else np.pad(other, (0, missing))
