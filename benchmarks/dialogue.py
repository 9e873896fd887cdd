"""How soon it answers, and how soon it stops: a whole conversation on this machine, in real time.

``python benchmarks/dialogue.py [--turns N] [--size PIXELS]``

A user (the embedded voice) says a sentence in pieces of 20 ms, as a microphone would, to a session
that plays at 25 frames a second. *Answer*: from the user's last sound to the first sample of the
answer in the session (``sound_ms``) and to the first frame that speaks it (``frame_ms``), of which
the turn rule waits ``end_ms`` of silence on purpose; for an echo and for a script spoken by the
local voice. *Barge-in*: the user speaks while it speaks; from the user's first sound to the
interruption (``stop_ms``; the rule asks for ``barge_in_ms`` of speech) and to the first silent
frame (``silent_ms``); the position that was reported against the sound really handed out
(``position_error_ms``). *Voice*: milliseconds to the first sound of a sentence, and seconds of
sound made per second. JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from visavis.api import load
from visavis.dialogue.base import Dialogue, Happened
from visavis.dialogue.join import RULES, converse, listening, partner_by
from visavis.media.read import open_audio
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH, open_portrait
from visavis.stream.session import Session, Settings
from visavis.stream.worker import Crew
from visavis.timing import SYSTEM, Stopwatch, percentile
from visavis.types import SAMPLE_RATE, FloatArray
from visavis.voice.base import Voice
from visavis.voice.speech import voice_by

PIECE = SAMPLE_RATE // 50
SPEECH_S = (1.40, 3.66)
"""A stretch of the embedded voice that begins and ends with speech."""
TEXT = "I can say quite a lot about that, and I will go on for some time unless you stop me now."
SENTENCES = ("Hello.", "What can I do for you today?", TEXT)


@dataclass
class Stage:
    """A session that plays, and when what was heard of it, in seconds of the clock."""

    session: Session
    events: list[tuple[float, Happened]] = field(default_factory=list)
    pushed: dict[str, float] = field(default_factory=dict)
    shown: list[tuple[float, str | None, bool]] = field(default_factory=list)

    def push(self) -> None:
        """Note when sound is pushed first."""
        push = self.session.push_audio

        def noting(samples: FloatArray, rate: int, speech_id: str | None = None) -> str | None:
            self.pushed.setdefault(speech_id or "", now_s())
            return push(samples, rate, speech_id)

        self.session.push_audio = noting  # type: ignore[method-assign]

    async def play(self) -> None:
        """Take the frames as they come."""
        async for moment in self.session:
            is_loud = bool(np.abs(moment.sound).max() > 1e-4)
            self.shown.append((now_s(), moment.speech_id, is_loud))

    async def until(self, kind: str, count: int = 1, most_s: float = 20.0) -> float:
        """Return when ``kind`` happened for the ``count``-th time."""

        async def waiting() -> float:
            while True:
                found = [at for at, event in self.events if event.kind == kind]
                if len(found) >= count:
                    return found[count - 1]
                await asyncio.sleep(0.002)

        return await asyncio.wait_for(waiting(), most_s)

    async def until_shown(self, speech_id: str | None, after_s: float) -> float:
        """Return when the first frame of ``speech_id`` was handed out after ``after_s``."""
        while True:
            for at, shown, _ in self.shown:
                if at > after_s and shown == speech_id:
                    return at
            await asyncio.sleep(0.002)


def now_s() -> float:
    """Return the clock's time in seconds."""
    return SYSTEM.now_ns() / 1e9


async def speak(dialogue: Dialogue, sound: FloatArray, rest_s: float) -> tuple[float, float]:
    """Say ``sound``, then be silent for ``rest_s``; return when it began and ended."""
    start_ns = SYSTEM.now_ns()
    whole = np.concatenate([sound, np.zeros(int(rest_s * SAMPLE_RATE), np.float32)])
    for i in range(0, len(whole) - PIECE + 1, PIECE):
        await SYSTEM.sleep_until(start_ns + (i + PIECE) * 10**9 // SAMPLE_RATE)
        dialogue.hear(whole[i : i + PIECE], SAMPLE_RATE)
    return start_ns / 1e9, start_ns / 1e9 + len(sound) / SAMPLE_RATE


async def talked(
    open_session: Callable[[], Session], kind: str, voice: Voice, speech: FloatArray, turns: int
) -> dict[str, list[float]]:
    """Return what was measured in ``turns`` turns with the partner ``kind``."""
    found: dict[str, list[float]] = {"sound_ms": [], "frame_ms": []}
    stage = Stage(open_session())
    stage.push()

    def tell(event: Happened) -> None:
        stage.events.append((now_s(), event))

    async with stage.session, converse(stage.session, partner_by(kind), voice, tell) as dialogue:
        playing = asyncio.create_task(stage.play())
        await speak(dialogue, speech[:0], 1.5)
        for turn in range(1, turns + 1):
            _, end_s = await speak(dialogue, speech, RULES.end_ms / 1000 + 0.3)
            await stage.until("reply_ended", turn)
            speech_id = f"reply-{turn}"
            frame_s = await asyncio.wait_for(stage.until_shown(speech_id, end_s), 10)
            found["sound_ms"].append(1000 * (stage.pushed[speech_id] - end_s))
            found["frame_ms"].append(1000 * (frame_s - end_s))
            over_s = await asyncio.wait_for(stage.until_shown(None, frame_s), 30)
            await asyncio.sleep(max(0.0, over_s + 0.3 - now_s()))
        playing.cancel()
    found["late"] = [stage.session.stats().late_frames / stage.session.stats().frames]
    return found


async def stopped(
    open_session: Callable[[], Session], voice: Voice, speech: FloatArray, turns: int
) -> dict[str, list[float]]:
    """Return how soon it fell silent in ``turns`` interruptions."""
    found: dict[str, list[float]] = {"stop_ms": [], "silent_ms": [], "position_error_ms": []}
    stage = Stage(open_session())

    def tell(event: Happened) -> None:
        stage.events.append((now_s(), event))

    async with stage.session, converse(stage.session, partner_by("none"), voice, tell) as dialogue:
        playing = asyncio.create_task(stage.play())
        await speak(dialogue, speech[:0], 1.0)
        for turn in range(1, turns + 1):
            said_s = now_s()
            speech_id = await dialogue.say(TEXT)
            await asyncio.wait_for(stage.until_shown(speech_id, said_s), 10)
            await speak(dialogue, speech[:0], 0.8 + 0.05 * (turn % 7))
            start_s, _ = await speak(dialogue, speech[:SAMPLE_RATE], RULES.end_ms / 1000 + 0.3)
            stop_s = await stage.until("interrupted", turn)
            event = [e for _, e in stage.events if e.kind == "interrupted"][-1]
            heard = [at for at, name, _ in stage.shown if name == event.speech_id]
            silent_s = next(at for at, _, is_loud in stage.shown if at > stop_s and not is_loud)
            found["stop_ms"].append(1000 * (stop_s - start_s))
            found["silent_ms"].append(1000 * (silent_s - start_s))
            error_ms = 1000 * abs(event.position_s - len(heard) / 25)
            found["position_error_ms"].append(error_ms)
            await asyncio.sleep(0.3)
        playing.cancel()
    return found


def spoken(voice: Voice, times: int = 8) -> dict[str, float]:
    """Return how soon and how fast ``voice`` speaks."""
    first_ms, seconds, took_s = [], 0.0, 0.0
    for i in range(times):
        watch, pieces = Stopwatch(), []
        for piece in voice.speak(SENTENCES[i % len(SENTENCES)]):
            if not pieces:
                first_ms.append(1000 * watch.elapsed_s())
            pieces.append(piece)
        took_s += watch.elapsed_s()
        seconds += sum(map(len, pieces)) / voice.rate
    return {
        "first_sound_ms_p50": percentile(first_ms, 50),
        "first_sound_ms_p95": percentile(first_ms, 95),
        "rtf": took_s / seconds,
    }


def summary(found: dict[str, list[float]]) -> dict[str, float]:
    """Return medians and 95th percentiles."""
    return {
        f"{name}_p{share}": round(percentile(values, share), 2)
        for name, values in found.items()
        for share in (50, 95)
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--size", type=int, default=512)
    asked = parser.parse_args()
    voice = voice_by("local")
    listening()
    animator = load(live=True)
    prepared = animator.prepare(open_portrait(DEMO_PORTRAIT), (asked.size, asked.size))
    with open_audio(DEMO_SPEECH, SPEECH_S) as reader:
        speech = np.concatenate(list(reader.chunks()))
    crew = Crew()

    def open_session() -> Session:
        return Session(animator, prepared, crew, Settings())

    results: dict[str, object] = {
        "rules": {"end_ms": RULES.end_ms, "barge_in_ms": RULES.barge_in_ms}
    }
    results["voice"] = {name: round(x, 4) for name, x in spoken(voice).items()}
    print("voice", results["voice"], flush=True)
    for kind in ("echo", "scripted"):
        results[kind] = summary(asyncio.run(talked(open_session, kind, voice, speech, asked.turns)))
        print(kind, results[kind], flush=True)
    results["barge_in"] = summary(asyncio.run(stopped(open_session, voice, speech, asked.turns)))
    print("barge-in", results["barge_in"], flush=True)
    crew.close()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
