"""Log-mel spectrogram: 64 bands, 25 ms Hann window, 10 ms hop, equal bit for bit in any cutting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from visavis.audio.features import BLOCK_ROWS, HOP_SAMPLES, ROWS_PER_SECOND, row_count
from visavis.types import SAMPLE_RATE, Audio, Features, FloatArray

BANDS = 64
WINDOW_SAMPLES = 400
FFT_SAMPLES = 512
LOWEST_HZ = 40.0
HIGHEST_HZ = 7600.0
FLOOR = 1e-9
"""Power added before the logarithm: about the noise of 16-bit sound."""

BLOCK_SAMPLES = BLOCK_ROWS * HOP_SAMPLES
_HALF = WINDOW_SAMPLES // 2


def _mel(hz: FloatArray | float) -> FloatArray:
    """Return ``hz`` on the mel scale (O'Shaughnessy)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0))


@cache
def filterbank() -> FloatArray:
    """Return the triangular mel filters (FFT_SAMPLES // 2 + 1, BANDS), unit area in bins."""
    bins = np.arange(FFT_SAMPLES // 2 + 1) * SAMPLE_RATE / FFT_SAMPLES
    edges = np.linspace(float(_mel(LOWEST_HZ)), float(_mel(HIGHEST_HZ)), BANDS + 2)
    at = _mel(bins)[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return (weights / np.maximum(weights.sum(0), 1e-3)).astype(np.float32)


@cache
def window() -> FloatArray:
    """Return the Hann window (WINDOW_SAMPLES,), scaled so that its sum is 1."""
    hann = np.hanning(WINDOW_SAMPLES + 1)[:-1]
    return (hann / hann.sum()).astype(np.float32)


def block_log_mel(samples: FloatArray) -> FloatArray:
    """Return the log-mel rows (BLOCK_ROWS, BANDS) of one block.

    ``samples`` begins ``WINDOW_SAMPLES // 2`` before the first row's instant and holds
    ``BLOCK_SAMPLES - HOP_SAMPLES + WINDOW_SAMPLES`` samples.
    """
    stacked = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(stacked * window(), FFT_SAMPLES)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    rows: FloatArray = np.log(power @ filterbank() + np.float32(FLOOR))
    return rows


@dataclass(frozen=True)
class MelState:
    """``tail`` the samples still needed, ``row`` the next row to come out, ``samples`` seen."""

    tail: FloatArray
    row: int
    samples: int


class LogMel:
    """A feature extractor that gives the log-mel rows themselves."""

    rate = ROWS_PER_SECOND
    size = BANDS
    look_ahead_samples = BLOCK_SAMPLES - HOP_SAMPLES + _HALF

    def start(self) -> MelState:
        """Return the state of a fresh stream: silence before the first sample."""
        return MelState(np.zeros(_HALF, np.float32), 0, 0)

    def step(self, state: MelState, audio: Audio, final: bool = False) -> tuple[MelState, Features]:
        """Take the next samples; return the rows now known, ``Features.values`` (t, BANDS)."""
        buffer = np.concatenate([state.tail, np.asarray(audio.samples, np.float32)])
        samples = state.samples + len(audio)
        if final:
            buffer = np.concatenate([buffer, np.zeros(BLOCK_SAMPLES + WINDOW_SAMPLES, np.float32)])
        needed = BLOCK_SAMPLES - HOP_SAMPLES + WINDOW_SAMPLES
        blocks = max(0, (len(buffer) - needed) // BLOCK_SAMPLES + 1)
        starts = range(0, blocks * BLOCK_SAMPLES, BLOCK_SAMPLES)
        rows = [block_log_mel(buffer[i : i + needed]) for i in starts]
        values = np.concatenate([np.zeros((0, BANDS), np.float32), *rows])
        if final:
            values = values[: row_count(samples) - state.row]
        after = MelState(buffer[blocks * BLOCK_SAMPLES :], state.row + len(values), samples)
        return after, Features(values, self.rate, state.row)
