"""What all adapters share: a face, and a session told in turns, with a little sound in hand.

Frameworks that play sound as it comes need some of it before it is due, or every hiccup of the
event loop is heard. A ``Speaker`` shows pictures ``CUSHION`` frames after their moment and hands
out the sound of a turn as soon as its first picture is shown: from then on as many frames of sound
are ahead, and sound and picture still belong together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from visavis.animator import LiveAnimator, Prepared
from visavis.api import load
from visavis.errors import QueueFull, SessionClosed
from visavis.faces.framing import cut, head_and_shoulders
from visavis.opening import CROP_SIZE, Picture, check_size, open_portrait
from visavis.render.quality import DEFAULT_QUALITY
from visavis.stream.moments import Moment
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.types import MOTION_FPS, FloatArray, ImageArray

CUSHION = 2
"""Frames of sound handed out ahead."""


@dataclass(frozen=True)
class Face:
    """A portrait made ready, and the threads that draw it; shared by any number of sessions."""

    animator: LiveAnimator
    prepared: Prepared
    crew: Crew

    def session(self, settings: Settings) -> Session:
        """Return a fresh session of this face."""
        return Session(self.animator, self.prepared, self.crew, settings)


def open_face(
    portrait: Picture,
    size: int = CROP_SIZE,
    quality: str = DEFAULT_QUALITY,
    crew: Crew | None = None,
) -> Face:
    """Return the face in ``portrait`` (a path or (h, w, 3) RGB), head and shoulders, square.

    It takes a second or two and blocks meanwhile. ``crew`` shares the threads of other faces.

    Raises:
        UnreadableMedia: not a picture.
        NoFaceFound: it shows no face that can be animated.
        InputError: ``size`` or ``quality`` cannot be.
    """
    check_size(size)
    animator = load(live=True, quality=quality)
    whole = open_portrait(portrait)
    prepared = animator.prepare(cut(whole, head_and_shoulders(whole)), (size, size))
    return Face(animator, prepared, crew or Crew())


@dataclass(frozen=True)
class Beat:
    """What to hand out at one tick of 25 a second.

    ``image`` (h, w, 3) RGB uint8; ``sound`` (n,) float32 to play after what was handed out before,
    None where nobody speaks; ``is_first``: it begins a turn; ``ended_s``: a turn of so many seconds
    is over when this picture is shown; ``is_fade``: the sound ends one that was interrupted, for
    players that go on playing what they were given before.
    """

    image: ImageArray
    sound: FloatArray | None = None
    is_first: bool = False
    ended_s: float | None = None
    is_fade: bool = False


@dataclass(frozen=True)
class Cut:
    """Where a turn was interrupted: seconds of it handed out, and of those how many were due."""

    handed_s: float = 0.0
    due_s: float = 0.0


@dataclass(frozen=True)
class _Turn:
    """One utterance: seconds pushed, whether that is all, pictures of it handed out."""

    name: str
    seconds: Fraction = Fraction()
    is_complete: bool = False
    frames: int = 0


class Speaker:
    """A session for one listener: say turns, take beats. Lives in one event loop."""

    def __init__(self, face: Face, settings: Settings) -> None:
        """Be about to speak as ``face``; sound comes out at ``settings.sound_rate``."""
        self.session = face.session(settings)
        self.size = face.prepared.size
        self.rate = settings.sound_rate
        self.is_fading = False
        self._turns: deque[_Turn] = deque()
        self._count = 0
        self._cuts = 0
        self._window: deque[Moment] = deque()
        self._handed_out = -1
        self._moved = asyncio.Event()

    async def __aenter__(self) -> Speaker:
        """Start the session."""
        await self.session.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Close the session."""
        await self.session.close()

    @property
    def is_speaking(self) -> bool:
        """Whether a turn is being said or waits to be."""
        return bool(self._turns)

    async def say(self, samples: FloatArray, rate: int) -> None:
        """Say the next ``samples`` (n,) of the open turn, or of a new one, when there is room.

        Sound that still waits for room when the speaker is interrupted is dropped.

        Raises:
            SessionClosed: it is over.
        """
        cuts = self._cuts
        step = rate // 5
        for start in range(0, len(samples), step):
            await self._push(samples[start : start + step], rate, cuts)

    async def _push(self, piece: FloatArray, rate: int, cuts: int) -> None:
        """Push a short piece as soon as there is room, unless it was interrupted."""
        while cuts == self._cuts:
            if not self._turns or self._turns[-1].is_complete:
                self._count += 1
                self._turns.append(_Turn(f"turn {self._count}"))
            turn = self._turns[-1]
            try:
                self.session.push_audio(piece, rate, turn.name)
            except QueueFull:
                await self._moved.wait()
                continue
            self._turns[-1] = replace(turn, seconds=turn.seconds + Fraction(len(piece), rate))
            return

    def finish(self) -> bool:
        """The open turn is complete; return whether there was one."""
        if not self._turns or self._turns[-1].is_complete:
            return False
        turn = self._turns[-1]
        if turn.seconds < Fraction(1, MOTION_FPS):  # no turn is too short to be shown
            missing = np.zeros(self.rate // MOTION_FPS, np.float32)
            self.session.push_audio(missing, self.rate, turn.name)
        self.session.end_audio()
        self._turns[-1] = replace(turn, is_complete=True)
        return True

    def interrupt(self) -> Cut:
        """Stop speaking now; return how far the turn came. Nothing happens once it is closed."""
        self._cuts += 1
        if not self.session.is_live:
            self._turns.clear()
            return Cut()
        stopped = self.session.interrupt()
        turn = self._turns[0] if self._turns else _Turn("")
        handed_s = stopped.position_s if turn.frames else 0.0
        self._turns.clear()
        self.is_fading = turn.frames > 0
        self._wake()
        return Cut(handed_s, min(handed_s, turn.frames / MOTION_FPS))

    async def beats(self) -> AsyncIterator[Beat]:
        """Yield 25 beats a second, the first ``CUSHION`` frames after the session's first.

        Raises:
            SessionClosed: the session failed.
        """
        async for moment in self.session:
            self._window.append(moment)
            if len(self._window) > CUSHION:
                yield self._beat()
            self._wake()
        if self.session.error is not None:
            raise SessionClosed("The face can no longer be drawn.") from self.session.error

    def _wake(self) -> None:
        """Let those who wait for room try again."""
        self._moved.set()
        self._moved.clear()

    def _beat(self) -> Beat:
        """Return the oldest picture that waits, with the sound to play from now on."""
        newest, shown = self._window[-1], self._window.popleft()
        ended_s = None
        if self._turns and self._is_over(self._turns[0], shown):
            ended_s = float(self._turns.popleft().seconds)
        if self.is_fading:
            self.is_fading = False
            return Beat(shown.image, newest.sound if newest.sound.any() else None, is_fade=True)
        if not self._turns or self._turns[0].name != shown.speech_id:
            return Beat(shown.image, ended_s=ended_s)
        turn = self._turns[0]
        self._turns[0] = replace(turn, frames=turn.frames + 1)
        return Beat(shown.image, self._take(shown), turn.frames == 0, ended_s)

    def _is_over(self, turn: _Turn, shown: Moment) -> bool:
        """Return whether ``shown`` comes after the last of ``turn``."""
        is_other = shown.speech_id != turn.name
        return is_other and turn.is_complete and turn.frames > 0

    def _take(self, shown: Moment) -> FloatArray | None:
        """Return what of the turn of ``shown`` has come and was not yet handed out."""
        pieces = []
        for moment in (shown, *self._window):
            if moment.speech_id != shown.speech_id:
                break
            if moment.index > self._handed_out:
                self._handed_out = moment.index
                pieces.append(moment.sound)
        return np.concatenate(pieces) if pieces else None
