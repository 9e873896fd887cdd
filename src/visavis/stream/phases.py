"""When a person speaks, listens or idles: one table.

=========== =============== ============== ========== ============ =========== ========
phase       audio_started   audio_ended    user_started  user_ended interrupted rested
=========== =============== ============== ========== ============ =========== ========
idle        speaking        idle           listening  idle         listening   idle
listening   speaking        listening      listening  listening    listening   idle
speaking    speaking        listening      speaking   speaking     listening   speaking
=========== =============== ============== ========== ============ =========== ========

Who has just spoken, or been spoken to, attends for a while (``ATTENTIVE_S``) before it *rests*.
Speech over speech changes nothing by itself: whether the user may interrupt is the caller's word.
"""

from __future__ import annotations

from enum import Enum

from visavis.types import Phase

ATTENTIVE_S = 4.0
"""How long somebody who listens goes on listening to silence."""


class Cue(Enum):
    """What can change the phase."""

    AUDIO_STARTED = "audio_started"
    AUDIO_ENDED = "audio_ended"
    USER_STARTED = "user_started"
    USER_ENDED = "user_ended"
    INTERRUPTED = "interrupted"
    RESTED = "rested"


_I, _L, _S = Phase.IDLE, Phase.LISTENING, Phase.SPEAKING
_TABLE: dict[Phase, tuple[Phase, ...]] = {
    _I: (_S, _I, _L, _I, _L, _I),
    _L: (_S, _L, _L, _L, _L, _I),
    _S: (_S, _L, _S, _S, _L, _S),
}


def after(phase: Phase, cue: Cue) -> Phase:
    """Return the phase that follows ``phase`` on ``cue``."""
    return _TABLE[phase][list(Cue).index(cue)]
