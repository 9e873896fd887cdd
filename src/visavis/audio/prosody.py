"""Loudness, pitch and voicing from the waveform: what brows, head and jaw follow besides phones."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.fft import irfft, rfft

from visavis.types import SAMPLE_RATE, FloatArray

PITCH_SAMPLES = 800
"""Window of one pitch estimate (50 ms: three periods at 60 Hz)."""

LOWEST_PITCH_HZ = 65.0
HIGHEST_PITCH_HZ = 420.0
_FFT = 2048


def loudness(samples: FloatArray, rows: int) -> FloatArray:
    """Return the level in dB relative to full scale of ``rows`` equal pieces of ``samples``."""
    power = np.square(samples.reshape(rows, -1)).mean(1)
    return (10.0 * np.log10(power + 1e-10)).astype(np.float32)


def pitch(samples: FloatArray) -> tuple[float, float]:
    """Return pitch (Hz, 0 when unvoiced) and voicing (0..1) of ``PITCH_SAMPLES`` samples.

    Autocorrelation of the Hann-windowed sound over that of the window (Boersma 1993), with a
    parabola through the peak. Voicing is the height of the peak.
    """
    taper = np.hanning(PITCH_SAMPLES)
    centred = (samples - samples.mean()) * taper
    if float(np.square(centred).mean()) < 1e-9:
        return 0.0, 0.0
    curve = _autocorrelation(centred) / _taper_autocorrelation()
    shortest, longest = int(SAMPLE_RATE / HIGHEST_PITCH_HZ), int(SAMPLE_RATE / LOWEST_PITCH_HZ)
    # A small cost per octave of lag keeps the estimate from falling to half the pitch.
    lags = np.arange(shortest, longest)
    at = shortest + int(np.argmax(curve[lags] - 0.03 * np.log2(lags / shortest)))
    left, peak, right = curve[at - 1], curve[at], curve[at + 1]
    bend = left - 2.0 * peak + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    voicing = float(np.clip((peak - 0.3) / 0.5, 0.0, 1.0))
    return (float(SAMPLE_RATE / (at + shift)) if voicing > 0 else 0.0), voicing


def _autocorrelation(x: FloatArray) -> FloatArray:
    """Return the autocorrelation of ``x`` (n,) scaled to 1 at lag 0, long enough for the lags."""
    spectrum = rfft(x, _FFT)
    curve: FloatArray = irfft(spectrum.real**2 + spectrum.imag**2, _FFT)
    return curve[: int(SAMPLE_RATE / LOWEST_PITCH_HZ) + 2] / curve[0]


@cache
def _taper_autocorrelation() -> FloatArray:
    """Return the autocorrelation of the window itself."""
    return _autocorrelation(np.hanning(PITCH_SAMPLES))
