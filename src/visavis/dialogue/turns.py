"""When the user's turn begins and ends: a pure function of one probability of speech at a time.

Speech must last to count and silence must last to end a turn, with a lower threshold to go on than
to begin (hysteresis). While the person itself speaks the user must speak longer: a cough or an
"mhm" is no interruption.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from visavis.errors import InputError


class Turned(Enum):
    """What has just become known."""

    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True)
class TurnRules:
    """Speech of ``start_ms`` begins a turn (``barge_in_ms`` while the person speaks), silence of
    ``end_ms`` ends it. Probabilities from ``on`` begin speech, below ``off`` it is over.
    """

    start_ms: int = 96
    barge_in_ms: int = 224
    end_ms: int = 500
    on: float = 0.5
    off: float = 0.35

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 0 < self.start_ms <= self.barge_in_ms or self.end_ms <= 0:
            raise InputError(
                f"start_ms {self.start_ms}, barge_in_ms {self.barge_in_ms}, end_ms {self.end_ms}: "
                "give times above 0, the second no shorter than the first."
            )
        if not 0.0 < self.off <= self.on <= 1.0:
            raise InputError(f"on {self.on} and off {self.off}: give 0 < off <= on <= 1.")


@dataclass(frozen=True)
class Turn:
    """Whether the user has the turn; ``speech_ms`` of the current stretch of speech (gaps shorter
    than ``start_ms`` included), ``silence_ms`` since its last speech.
    """

    is_users: bool = False
    speech_ms: float = 0.0
    silence_ms: float = 0.0


def after(
    turn: Turn, probability: float, hop_ms: float, rules: TurnRules, is_speaking: bool = False
) -> tuple[Turn, Turned | None]:
    """Return the turn after ``hop_ms`` more with ``probability`` of speech, and what is new.

    ``is_speaking``: the person speaks, so that the user would interrupt.
    """
    was_speech = turn.speech_ms > 0 and turn.silence_ms == 0
    is_speech = probability >= (rules.off if was_speech else rules.on)
    silence_ms = 0.0 if is_speech else turn.silence_ms + hop_ms
    if turn.is_users:
        if silence_ms >= rules.end_ms:
            return Turn(), Turned.ENDED
        return replace(turn, speech_ms=turn.speech_ms + hop_ms, silence_ms=silence_ms), None
    if not is_speech:
        is_gone = turn.speech_ms == 0 or silence_ms >= rules.start_ms
        return (Turn() if is_gone else replace(turn, silence_ms=silence_ms)), None
    speech_ms = turn.speech_ms + hop_ms
    needed_ms = rules.barge_in_ms if is_speaking else rules.start_ms
    is_users = speech_ms >= needed_ms
    return Turn(is_users, speech_ms, 0.0), (Turned.STARTED if is_users else None)
