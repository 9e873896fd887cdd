"""Consistency maths: a network that guesses alike from every point of one path out of the noise.

Song et al. (2023) "Consistency Models"; Luo et al. (2023) "Latent Consistency Models" (LCM).
"""

from __future__ import annotations

from typing import Any

from visavis.diffusion.samplers import Denoise
from visavis.diffusion.schedule import Array, Time, unary

SIGMA_DATA = 0.5
TIMESCALE = 1000.0
"""How steeply the boundary falls off; LCM's 10 per step of a thousand would be 10,000."""


def boundary(t: Time, timescale: float = TIMESCALE, sigma_data: float = SIGMA_DATA) -> Any:
    """Return c_skip and c_out at time ``t`` (LCM, appendix): 1 and 0 at time 0, then fast 0 and 1.

    With them ``c_skip * x + c_out * guess`` gives back clean data unchanged.
    """
    scaled = timescale * t
    square = scaled**2 + sigma_data**2
    return sigma_data**2 / square, scaled / unary("sqrt", square)


def consistent(denoise: Denoise, x: Array, t: Time, timescale: float = TIMESCALE) -> Array:
    """Return the consistency function of ``denoise`` at ``x``: its guess, ``x`` itself at time 0.

    Differs from the bare guess only at small times, so that a network trained inside it can be run
    without it.
    """
    skip, out = boundary(t, timescale)
    return skip * x + out * denoise(x, t)
