"""Log-mel spectrogram: 64 bands, 25 ms Hann window, 10 ms hop, block by block."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.fft import rfft

from visavis.audio.features import BLOCK_ROWS, HOP_SAMPLES
from visavis.types import SAMPLE_RATE, FloatArray

BANDS = 64
WINDOW_SAMPLES = 400
FFT_SAMPLES = 512
LOWEST_HZ = 40.0
HIGHEST_HZ = 7600.0
FLOOR = 1e-9
"""Power added before the logarithm: about the noise of 16-bit sound."""

BLOCK_SAMPLES = BLOCK_ROWS * HOP_SAMPLES


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
    spectrum = rfft(stacked * window(), FFT_SAMPLES)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    rows: FloatArray = np.log(power @ filterbank() + np.float32(FLOOR))
    return rows
