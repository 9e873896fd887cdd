"""What a session has done: frames, lateness, how long first frames took, where the time went."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from visavis.timing import percentile

_REMEMBERED = 512


def _remembered() -> deque[float]:
    return deque(maxlen=_REMEMBERED)


@dataclass
class _Start:
    """When an utterance's first sample came and when there was enough of it, ns; its first frame
    and whether that has been drawn.
    """

    pushed: int
    enough: int = 0
    frame: int = -1
    is_drawn: bool = False


@dataclass
class Stats:
    """What a session has done so far.

    Per utterance, in milliseconds: ``sound_wait_ms`` from its first sample until enough of its
    sound was there to begin, ``first_frame_ms`` from then until its first picture was drawn,
    ``shown_ms`` from its first sample until its first frame was handed out. ``stage_ms`` sums what
    was spent on "move" (hearing included) and "draw".
    """

    frames: int = 0
    late_frames: int = 0
    level: int = 0
    drawn: int = 0
    first_frame_ms: deque[float] = field(default_factory=_remembered)
    sound_wait_ms: deque[float] = field(default_factory=_remembered)
    shown_ms: deque[float] = field(default_factory=_remembered)
    stage_ms: dict[str, float] = field(default_factory=lambda: {"move": 0.0, "draw": 0.0})
    _starts: dict[str, _Start] = field(default_factory=dict)

    def pushed(self, speech_id: str, now_ns: int) -> None:
        """Sound of an utterance was pushed; only the first piece counts."""
        self._starts.setdefault(speech_id, _Start(now_ns))
        while len(self._starts) > _REMEMBERED:
            del self._starts[next(iter(self._starts))]

    def begun(self, speech_id: str, frame: int, now_ns: int) -> None:
        """An utterance will be spoken from ``frame`` on; only the first time counts."""
        start = self._starts.get(speech_id)
        if start is not None and start.frame < 0:
            start.enough, start.frame = now_ns, frame
            self.sound_wait_ms.append((now_ns - start.pushed) / 1e6)

    def made(self, frame: int, now_ns: int) -> None:
        """The picture of ``frame`` was drawn."""
        for start in self._starts.values():
            if start.frame == frame and not start.is_drawn:
                start.is_drawn = True
                self.first_frame_ms.append((now_ns - start.enough) / 1e6)

    def shown(self, speech_id: str, now_ns: int) -> None:
        """The first frame of an utterance was handed out."""
        start = self._starts.pop(speech_id, None)
        if start is not None:
            self.shown_ms.append((now_ns - start.pushed) / 1e6)

    def summary(self) -> dict[str, float]:
        """Return the numbers as one flat mapping, percentiles where there are many."""
        out: dict[str, float] = {
            "frames": self.frames,
            "late_frames": self.late_frames,
            "level": self.level,
            "draw_ms": self.stage_ms["draw"] / max(1, self.drawn),
            "move_ms": self.stage_ms["move"] / max(1, self.frames),
        }
        for name in ("first_frame_ms", "sound_wait_ms", "shown_ms"):
            values = list(getattr(self, name))
            for share in (50, 95) if values else ():
                out[f"{name}_p{share}"] = percentile(values, share)
        return out
