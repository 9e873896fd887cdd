"""What leaves a session: a picture and its sound on the grid, and what happened meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from visavis.types import FloatArray, ImageArray, Motion, Phase


@dataclass(frozen=True)
class Moment:
    """One frame of a session: ``image`` (h, w, 3) RGB uint8 and what is heard while it is shown.

    It is shown at ``index / MOTION_FPS`` seconds; ``sound`` (rate / MOTION_FPS,) float32 begins
    then. ``is_fresh`` is False where the machine was late and the last picture is shown again.
    ``speech_id`` names the utterance that is heard, None in silence. ``motion`` is what the face
    does, one frame; None where the machine was so late that none was made.
    """

    index: int
    image: ImageArray
    sound: FloatArray
    rate: int
    phase: Phase
    is_fresh: bool = True
    speech_id: str | None = None
    motion: Motion | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened when frame ``index`` was shown.

    ``kind``: "speak_started", "speak_ended", "speak_interrupted" (``speech_id``, and ``position_s``
    how far into it), "state_changed" (``detail`` the phase), "quality_changed" (``detail`` the
    level), "failed" (``detail`` why; the session is over), "closed".
    """

    kind: str
    index: int
    speech_id: str | None = None
    position_s: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Interrupted:
    """Where an interruption stopped: ``position_s`` of utterance ``speech_id`` have been handed
    out, ``dropped_s`` of sound were waiting and are gone (``resume`` brings them back).
    """

    speech_id: str | None
    position_s: float
    dropped_s: float
