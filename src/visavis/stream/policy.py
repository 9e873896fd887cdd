"""How many frames to make next, and when to begin to speak: pure functions of what is known.

A first chunk is as short as the motion model allows; later ones grow while their sound is there
(LLIA's variable length). Speech that comes in bursts (synthetic voices) begins as soon as its first
chunk can be made; speech that arrives at the pace of a microphone is given a little more, so that
it does not starve on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from visavis.motion.chunks import ChunkPlan

SESSION = ChunkPlan(first=2, growth=2.0, longest=16)
"""The chunks of a live session: 2, 4, 8, 16, 16, ... frames."""

SILENT_FRAMES = 4
"""Frames made at a time where nothing is said: soon enough over if something changes."""


@dataclass(frozen=True)
class Supply:
    """What there is to make motion from: of ``frames`` from the next one on the evidence is known,
    of ``sounding`` at least the sound; ``is_whole``: the utterance is complete, silence follows.
    """

    frames: int
    sounding: int
    is_whole: bool


def chunk_frames(plan: ChunkPlan, chunk: int, supply: Supply, is_due: bool) -> int:
    """Return how many frames to make as chunk number ``chunk`` of an utterance, 0: wait for sound.

    ``is_due``: a frame is needed now, even if the mouth cannot know what comes next.
    """
    wanted = plan.length(chunk)
    if supply.is_whole:
        return max(1, min(wanted, supply.sounding))
    possible = supply.frames - plan.ahead
    if possible >= plan.first:
        return min(wanted, possible)
    return min(plan.first, supply.sounding) if is_due else 0


def may_begin(plan: ChunkPlan, supply: Supply, waited_frames: float, spare: int = 2) -> bool:
    """Return whether to begin an utterance ``waited_frames`` after its first sample arrived.

    ``spare`` frames more are waited for if sound has come no faster than it plays.
    """
    if supply.is_whole:
        return True
    possible = supply.frames - plan.ahead
    is_burst = supply.sounding >= 2 * waited_frames + 2
    return possible >= plan.first + (0 if is_burst else spare)
