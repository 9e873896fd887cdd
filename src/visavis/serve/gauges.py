"""What Prometheus reads: the names of interfaces.md 3.10, and no session or person by name."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


class Gauges:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, sessions: Callable[[], int], waiting_s: Callable[[], float]) -> None:
        """Read the two gauges that are always true from ``sessions`` and ``waiting_s``."""
        self.registry = CollectorRegistry()
        here = self.registry
        Gauge("talk_sessions", "Sessions open now.", registry=here).set_function(sessions)
        Gauge("talk_queue_depth", "Seconds of sound that wait.", registry=here).set_function(
            waiting_s
        )
        self.frames = Counter("talk_frames", "Frames shown.", registry=here)
        self.late = Counter(
            "talk_frames_late", "Frames that repeat the last picture.", registry=here
        )
        self.first_frame = Histogram(
            "talk_ttff_seconds",
            "First sound to first frame of speech.",
            buckets=_SECONDS,
            registry=here,
        )
        self.interrupts = Histogram(
            "talk_interrupt_latency_seconds",
            "Interrupt to silence.",
            buckets=_SECONDS,
            registry=here,
        )
        self.refused = Counter("talk_refused", "Sessions not admitted.", ["code"], registry=here)
        self.ended = Counter(
            "talk_sessions_ended", "Sessions that are over.", ["why"], registry=here
        )

    def shown(self, frames: int, late: int) -> None:
        """Count ``frames`` more, ``late`` of them the same picture again."""
        self.frames.inc(frames)
        self.late.inc(late)

    def began(self, seconds: float) -> None:
        """Note how long after its first sample an utterance was first seen."""
        self.first_frame.observe(seconds)

    def silenced(self, seconds: float) -> None:
        """Note how long after an interruption it was silent."""
        self.interrupts.observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
