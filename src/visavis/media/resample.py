"""Streaming change of sample rate (libsoxr): the cutting into chunks leaves no trace in the result.

The first output sample is the first input sample's moment, whatever the rates: there is no delay
to correct.
"""

from __future__ import annotations

import numpy as np
import soxr

from visavis.types import FloatArray


class Resampler:
    """One stream of sound on its way from ``rate_in`` to ``rate_out``.

    Holds the filter's memory in C, which cannot be copied out: one object serves one stream.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int = 1) -> None:
        """Start a stream of (n,) float32 samples, or (n, channels) when ``channels`` > 1."""
        self._stream: soxr.ResampleStream | None = None
        if rate_in != rate_out:
            self._stream = soxr.ResampleStream(rate_in, rate_out, channels, "float32", "HQ")

    def push(self, samples: FloatArray) -> FloatArray:
        """Take (n,) or (n, channels) samples and return those that are ready at the new rate."""
        if self._stream is None:
            return samples
        ready: FloatArray = self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32))
        return ready

    def finish(self, like: FloatArray) -> FloatArray:
        """End the stream; return the rest. ``like`` (0,) or (0, channels) gives the shape."""
        if self._stream is None:
            return like
        rest: FloatArray = self._stream.resample_chunk(like, last=True)
        return rest


def resample(samples: FloatArray, rate_in: int, rate_out: int) -> FloatArray:
    """Return ``samples`` (n,) or (n, channels) at ``rate_out`` in one go."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    stream = Resampler(rate_in, rate_out, channels)
    return np.concatenate([stream.push(samples), stream.finish(samples[:0])])
