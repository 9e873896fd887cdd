"""Hands-free talk with a partner that answers turn by turn.

The user speaks: the person stops, listens. The user pauses: the partner answers, its words become
sound sentence by sentence, each spoken while the next is made. All thinking and computing is done
in tasks and threads; whatever fails there is told, logged, and leaves the session as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

import numpy as np

from visavis.audio.vad import VoiceActivity
from visavis.dialogue.base import Happened, Mouth, Partner, Piece, Said, Sound, Understood
from visavis.dialogue.listener import Listener
from visavis.dialogue.replies import Reply, settled
from visavis.dialogue.turns import Turned, TurnRules
from visavis.errors import SessionClosed, SessionError, VisavisError
from visavis.media.resample import resample
from visavis.stream.settings import as_sound
from visavis.types import FloatArray
from visavis.voice.base import Voice
from visavis.voice.sentences import Sentences, sentences

_LOG = logging.getLogger(__name__)

AHEAD_S = 5.0
"""Seconds of sound that may wait in the session before more is made."""
_LOOK_S = 0.1
_UNHEARD_S = 5.0
_PIECE_S = 1.0
MOST_WAITING = 16


class Conversation:
    """One user, one partner, one session that speaks for it."""

    def __init__(
        self,
        mouth: Mouth,
        partner: Partner,
        activity: VoiceActivity,
        voice: Voice | None = None,
        rules: TurnRules = TurnRules(),  # noqa: B008 - frozen
        tell: Callable[[Happened], None] | None = None,
    ) -> None:
        """Be about to let ``partner`` speak through ``mouth``, its texts by ``voice``."""
        self._mouth = mouth
        self._partner = partner
        self._voice = voice
        self._tell = tell or _untold
        self._listener = Listener(activity, rules)
        self._unheard: list[tuple[FloatArray, int]] = []
        self._has_sound = asyncio.Event()
        self._replies: list[Reply] = []
        self._count = 0
        self._turn = asyncio.Lock()
        self._speaking: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Conversation:
        """Begin to listen."""
        if self._listening is not None or self._is_closed:
            raise SessionClosed("This conversation has been used. Make another one.")
        self._listening = asyncio.create_task(self._listen(), name="visavis-listen")
        self._listening.add_done_callback(self._over)
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Stop listening and thinking; what the session has been given it goes on to say."""
        if self._is_closed:
            return
        self._is_closed = True
        tasks = [*self._speaking, *filter(None, [self._listening])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._partner.close()

    # ---- what the user does

    def hear(self, samples: FloatArray, rate: int) -> None:
        """Take what the microphone hears.

        Raises:
            SessionClosed: the session or the conversation is over.
        """
        self._check()
        self._mouth.push_user_audio(samples, rate)
        self._unheard.append((as_sound(samples, rate), rate))
        if sum(len(s) / r for s, r in self._unheard) > _UNHEARD_S:
            _LOG.warning("the machine is too slow to listen: %.0f s are skipped", _UNHEARD_S)
            self._unheard.clear()
        self._has_sound.set()

    def ask(self, text: str) -> None:
        """Take ``text`` as a turn of the user.

        Raises:
            SessionClosed: the conversation is over.
        """
        self._check()
        self.interrupt()
        self._answer(Sound(np.zeros(0, np.float32), text=text))

    async def _listen(self) -> None:
        """Judge what is heard until the end."""
        while True:
            await self._has_sound.wait()
            self._has_sound.clear()
            waiting, self._unheard = self._unheard, []
            for samples, rate in _joined(waiting):
                is_speaking = self._mouth.queue_s > 0
                heard = await asyncio.to_thread(self._listener.hear, samples, rate, is_speaking)
                for turned, sound in heard:
                    self._take_turn(turned, sound)

    def _take_turn(self, turned: Turned, sound: FloatArray) -> None:
        """The user's turn has begun or, ``sound`` being all of it, ended."""
        if turned is Turned.STARTED:
            self.interrupt()
            self._mouth.user_started()
            self._tell(Happened("user_started"))
            return
        self._mouth.user_ended()
        self._tell(Happened("user_ended"))
        self._answer(Sound(sound))

    def _answer(self, turn: Sound) -> None:
        """Let the partner answer ``turn``."""
        self._spawn(self._speak(self._new_reply(), self._partner.reply(turn)))

    # ---- what the person does

    async def say(self, text: str) -> str:
        """Speak ``text`` after what is being said; return its speech id when its sound is queued.

        Raises:
            SessionError: there is no voice, too much waits, or the conversation is over.
        """
        self._check()
        if self._voice is None:
            raise SessionError("There is no voice to say that with. Open one: --voice local.")
        if len(self._speaking) >= MOST_WAITING:
            raise SessionError(f"{MOST_WAITING} texts wait to be said; wait or interrupt.")
        reply = self._new_reply()
        await asyncio.wait([self._spawn(self._speak(reply, _whole(text)))])
        return reply.speech_id

    def interrupt(self) -> Said | None:
        """Stop speaking and thinking; return what was heard of the last, None if all was over."""
        self._check()
        for task in self._speaking:
            task.cancel()
        self._forget_whole()
        if not self._replies:
            return None
        heard = settled(self._replies, self._mouth.interrupt())
        self._replies = []
        for said in heard:
            self._partner.heard(said)
        last = next((said for said in heard if not said.is_whole), None)
        if last is not None:
            self._tell(Happened("interrupted", last.speech_id, last.text, last.position_s))
        return last

    def _new_reply(self) -> Reply:
        """Return the next utterance."""
        self._count += 1
        return Reply(f"reply-{self._count}")

    def _forget_whole(self) -> None:
        """Tell the partner of what has been heard to the end."""
        if self._mouth.queue_s > 0:
            return
        whole = [reply for reply in self._replies if reply.is_ended]
        self._replies = [reply for reply in self._replies if not reply.is_ended]
        for reply in whole:
            self._partner.heard(reply.said(0.0, is_whole=True))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do ``work`` in a task that ends with an interruption."""
        task = asyncio.create_task(work, name="visavis-reply")
        self._speaking.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        """Take ``task`` off the list; an error nobody expected is told and goes to the log."""
        self._speaking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            is_ours = isinstance(error, VisavisError)
            why = str(error) if is_ours else f"The partner failed ({type(error).__name__})."
            _LOG.warning("a reply failed: %s", why, exc_info=None if is_ours else error)
            self._tell(Happened("failed", text=why))

    async def _speak(self, reply: Reply, pieces: AsyncGenerator[Piece, None]) -> None:
        """Speak ``pieces`` as ``reply`` when it is its turn."""
        async with self._turn, aclosing(pieces):
            self._forget_whole()
            self._replies.append(reply)
            try:
                await self._speak_all(reply, pieces)
            finally:
                self._end(reply)
        if reply.spans or reply.pushed_s:
            self._tell(Happened("reply_ended", reply.speech_id))

    def _end(self, reply: Reply) -> None:
        """Complete what was pushed of ``reply``, unless an interruption has done so."""
        reply.is_ended = True
        if reply in self._replies and reply.pushed_s:
            with suppress(SessionClosed):
                self._mouth.end_audio()

    async def _speak_all(self, reply: Reply, pieces: AsyncGenerator[Piece, None]) -> None:
        """Speak ``pieces`` as they come, texts a sentence at a time."""
        text, is_first = Sentences(), True
        async for piece in pieces:
            if isinstance(piece, Understood):
                self._tell(Happened("user_said", text=piece.text))
                continue
            if is_first:
                self._tell(Happened("reply_started", reply.speech_id))
                is_first = False
            if isinstance(piece, Sound):
                await self._utter(reply, piece)
                continue
            for sentence in text.push(piece):
                await self._pronounce(reply, sentence)
        for sentence in text.finish():
            await self._pronounce(reply, sentence)

    async def _pronounce(self, reply: Reply, sentence: str) -> None:
        """Speak one sentence by the voice."""
        if self._voice is None:
            raise SessionError("The partner answers in words, but there is no voice to speak them.")
        self._tell(Happened("reply_text", reply.speech_id, sentence))
        reply.began(sentence)
        sounds = self._voice.speak(sentence)
        while (samples := await asyncio.to_thread(next, sounds, None)) is not None:
            await self._push(reply, samples, self._voice.rate)

    async def _utter(self, reply: Reply, sound: Sound) -> None:
        """Speak what is sound already."""
        if sound.text:
            self._tell(Happened("reply_text", reply.speech_id, sound.text))
            reply.began(sound.text)
        await self._push(reply, sound.samples, sound.rate)

    async def _push(self, reply: Reply, samples: FloatArray, rate: int) -> None:
        """Give ``samples`` to the session, never far ahead of what is heard."""
        reply.rate = reply.rate or rate
        samples, rate = resample(samples, rate, reply.rate), reply.rate
        step = int(_PIECE_S * rate)
        for start in range(0, len(samples), step):
            while self._mouth.queue_s > AHEAD_S:
                await asyncio.sleep(_LOOK_S)
            piece = samples[start : start + step]
            self._mouth.push_audio(piece, rate, speech_id=reply.speech_id)
            reply.pushed(len(piece) / rate)

    def _check(self) -> None:
        """Refuse what comes after the end."""
        if self._is_closed:
            raise SessionClosed("This conversation is over.")


async def _whole(text: str) -> AsyncGenerator[Piece, None]:
    """Yield ``text`` in sentences."""
    for sentence in sentences(text):
        yield sentence + "\n"


def _joined(pieces: list[tuple[FloatArray, int]]) -> list[tuple[FloatArray, int]]:
    """Return ``pieces`` with neighbours of one rate put together."""
    out: list[tuple[FloatArray, int]] = []
    for samples, rate in pieces:
        if out and out[-1][1] == rate:
            out[-1] = (np.concatenate([out[-1][0], samples]), rate)
        else:
            out.append((samples, rate))
    return out


def _untold(event: Happened) -> None:
    """Take no notice of ``event``."""
