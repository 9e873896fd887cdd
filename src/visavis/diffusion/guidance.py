"""Classifier-free guidance: step further in the direction in which a condition moves the guess."""

from __future__ import annotations

from collections.abc import Sequence

from visavis.diffusion.schedule import Array


def guide(unconditioned: Array, conditioned: Sequence[Array], weights: Sequence[float]) -> Array:
    """Return the guess pushed along each condition by its own weight.

    Each of ``conditioned`` knows one condition more than the guess before it; ``weights`` says how
    many times the difference it makes is taken: 0 leaves the condition out, 1 is the plain
    conditional guess, more exaggerates. One condition: Ho and Salimans (2021); several: Brooks et
    al. (2023), eq. 3. Linear, so it guides guesses of clean data and of noise alike.
    """
    out, before = unconditioned, unconditioned
    for guess, weight in zip(conditioned, weights, strict=True):
        out = out + weight * (guess - before)
        before = guess
    return out
