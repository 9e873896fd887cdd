"""Talk with a Realtime server (speech in, speech out, over one WebSocket): we are its client.

The server hears the user, finds the turns and answers in sound. We speak that sound, and when the
user interrupts we fall silent at once and tell the server how much was really heard: it generates
faster than speech is spoken.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from visavis.dialogue import realtime_messages as wire
from visavis.dialogue.base import Happened, Mouth, Said
from visavis.dialogue.realtime_messages import Message, RealtimeSettings
from visavis.dialogue.replies import Reply, settled
from visavis.errors import MissingExtra, ModelError, SessionClosed, SessionError, VisavisError
from visavis.media.resample import Resampler
from visavis.stream.settings import as_sound
from visavis.types import FloatArray
from visavis.voice.endpoint import CONNECT_S, Endpoint

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_LOG = logging.getLogger(__name__)

AHEAD_S = _UNSENT_S = 5.0
_LOOK_S = 0.05
_PATIENCE_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait before connecting again, time after time; then it is given up."""
_LARGEST_BYTES = 8 * 2**20
_HOPELESS = (400, 401, 403, 404)


class RealtimeConversation:
    """One user, one Realtime server, one session that speaks for it."""

    def __init__(
        self,
        mouth: Mouth,
        endpoint: Endpoint,
        settings: RealtimeSettings,
        tell: Callable[[Happened], None] | None = None,
    ) -> None:
        """Be about to connect ``mouth`` to ``endpoint`` (``ws://`` or ``wss://``).

        Raises:
            MissingExtra: websockets is not installed.
        """
        self._mouth = mouth
        self._endpoint = endpoint
        self._settings = settings
        self._tell = tell or (lambda event: None)
        self._websockets = _websockets()
        self._socket: ClientConnection | None = None
        self._ears: tuple[int, Resampler] | None = None
        self._outgoing: deque[tuple[Message, float]] = deque()
        self._has_outgoing = asyncio.Event()
        self._incoming: deque[tuple[Reply, FloatArray]] = deque()
        self._has_incoming = asyncio.Event()
        self._replies: list[Reply] = []
        self._transcripts: dict[str, str] = {}
        self._dropped: deque[str] = deque(maxlen=64)
        self._response: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        self._is_closed = False

    # ---- life

    async def __aenter__(self) -> RealtimeConversation:
        """Begin to connect."""
        if self._tasks or self._is_closed:
            raise SessionClosed("This conversation has been used. Make another one.")
        for work, name in ((self._connect(), "connect"), (self._feed(), "feed")):
            task = asyncio.create_task(work, name=f"visavis-realtime-{name}")
            task.add_done_callback(self._over)
            self._tasks.append(task)
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Hang up; what the session has been given it goes on to say."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, task: asyncio.Task[None]) -> None:
        """Tell and log why a task ended."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        is_ours = isinstance(error, VisavisError)
        why = str(error) if is_ours else f"The conversation failed ({type(error).__name__})."
        _LOG.warning("a realtime conversation ended: %s", why, exc_info=None if is_ours else error)
        self._tell(Happened("failed", text=why))

    def _check(self) -> None:
        """Refuse what comes after the end."""
        if self._is_closed:
            raise SessionClosed("This conversation is over.")

    # ---- what the user does

    def hear(self, samples: FloatArray, rate: int) -> None:
        """Take what the microphone hears.

        Raises:
            SessionClosed: the session or the conversation is over.
        """
        self._check()
        self._mouth.push_user_audio(samples, rate)
        if self._ears is None or self._ears[0] != rate:
            self._ears = rate, Resampler(rate, self._settings.rate)
        sound = self._ears[1].push(as_sound(samples, rate))
        if len(sound):
            self._send(wire.append(sound), len(sound) / self._settings.rate)

    def ask(self, text: str) -> None:
        """Take ``text`` as a turn of the user.

        Raises:
            SessionClosed: the conversation is over.
        """
        self.interrupt()
        for message in wire.typed(text):
            self._send(message)

    async def say(self, text: str) -> str:
        """Have the server say ``text`` after what is being said; returns once it is asked for.

        Raises:
            SessionError: there is no connection, or the conversation is over.
        """
        self._check()
        if self._socket is None:
            raise SessionError(f"There is no connection to {self._endpoint.place} now.")
        self._send(wire.recited(text))
        return ""

    def interrupt(self) -> Said | None:
        """Stop speaking; return what was heard of the last, None if all was over."""
        self._check()
        if self._response is not None:
            self._send({"type": "response.cancel"})
        return self._fall_silent()

    def _fall_silent(self) -> Said | None:
        """Drop what is not heard yet, and tell the server what was."""
        if self._response:
            self._dropped.append(self._response)
        self._response = None
        self._forget_whole()
        if not self._replies:
            return None
        waiting_s = {reply.speech_id: 0.0 for reply in self._replies}
        for reply, samples in self._incoming:
            waiting_s[reply.speech_id] += len(samples) / self._settings.rate
        self._incoming.clear()
        for reply in self._replies:
            text = self._transcripts.pop(reply.speech_id, "")
            reply.is_ended = reply.is_ended and not waiting_s[reply.speech_id]
            reply.spans = [(text, 0.0, reply.pushed_s + waiting_s[reply.speech_id])]
        heard = settled(self._replies, self._mouth.interrupt())
        self._replies = []
        cut = [said for said in heard if not said.is_whole]
        for said in cut:
            self._dropped.append(said.speech_id)
            self._send(wire.truncate(said.speech_id, said.position_s))
        if not cut:
            return None
        first = cut[0]
        self._tell(Happened("interrupted", first.speech_id, first.text, first.position_s))
        return first

    def _forget_whole(self) -> None:
        """Forget what has been heard to the end."""
        if self._mouth.queue_s > 0 or self._incoming:
            return
        for reply in [reply for reply in self._replies if reply.is_ended]:
            self._replies.remove(reply)
            self._transcripts.pop(reply.speech_id, None)

    # ---- the connection

    def _send(self, message: Message, seconds: float = 0.0) -> None:
        """Send ``message`` when it is its turn; ``seconds`` of sound in it, old sound is let go."""
        self._outgoing.append((message, seconds))
        if sum(waiting for _, waiting in self._outgoing) > _UNSENT_S:
            self._outgoing = deque(item for item in self._outgoing if not item[1])
        self._has_outgoing.set()

    async def _connect(self) -> None:
        """Connect, talk, and connect again if the connection breaks."""
        while True:
            try:
                async with self._dial() as socket:
                    await self._talk(socket)
                why = "hung up"
            except (OSError, TimeoutError, self._websockets.exceptions.WebSocketException) as error:
                why = self._meaning(error)
            self._socket = None
            self._end_open()
            if self._failures >= len(_PATIENCE_S):
                raise ModelError(f"The server {self._endpoint.place} {why}; given up.")
            self._tell(Happened("failed", text=f"The server {self._endpoint.place} {why}."))
            _LOG.warning("the realtime server %s; connecting again", why)
            await asyncio.sleep(_PATIENCE_S[self._failures])
            self._failures += 1

    def _dial(self) -> Any:
        """Return the connection as a context."""
        quiet = _LOG.getChild("socket")
        quiet.setLevel(logging.INFO)  # its debug lines would hold the key
        url = f"{self._endpoint.url}/realtime?{urlencode({'model': self._settings.model})}"
        return self._websockets.connect(
            url,
            additional_headers=self._endpoint.headers(),
            open_timeout=CONNECT_S,
            max_size=_LARGEST_BYTES,
            compression=None,  # sound in base64 hardly shrinks
            logger=quiet,
        )

    def _meaning(self, error: Exception) -> str:
        """Return what ``error`` means; what will not get better is raised."""
        if isinstance(error, self._websockets.exceptions.InvalidStatus):
            status = int(error.response.status_code)
            refused = self._endpoint.refused(status, bytes(error.response.body or b""))
            if status in _HOPELESS:
                raise refused from error
            return f"answered {status}"
        return f"does not answer ({type(error).__name__})"

    async def _talk(self, socket: ClientConnection) -> None:
        """Send and receive until the server hangs up."""
        self._outgoing = deque(item for item in self._outgoing if not item[1])
        await socket.send(json.dumps(wire.session_update(self._settings)))
        self._socket = socket
        sender = asyncio.create_task(self._deliver(socket), name="visavis-realtime-send")
        try:
            async for data in socket:
                self._take(wire.read(data))
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _deliver(self, socket: ClientConnection) -> None:
        """Send what waits."""
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            while self._outgoing:
                await socket.send(json.dumps(self._outgoing.popleft()[0]))

    # ---- what the server says

    def _take(self, message: Message) -> None:
        """Do what a message of the server asks for; others mean nothing here."""
        kinds: dict[str, Callable[[Message], None]] = {
            "input_audio_buffer.speech_started": self._on_speech_started,
            "input_audio_buffer.speech_stopped": self._on_speech_stopped,
            "conversation.item.input_audio_transcription.completed": self._on_user_text,
            "response.created": self._on_response,
            "response.output_audio.delta": self._on_sound,
            "response.output_audio.done": self._on_sound_end,
            "response.output_audio_transcript.delta": self._on_text,
            "response.output_audio_transcript.done": self._on_text_end,
            "response.done": self._on_response_end,
            "error": self._on_error,
        }
        take = kinds.get(message["type"])
        if take is not None:
            take(message)

    def _on_speech_started(self, message: Message) -> None:
        self._fall_silent()
        self._mouth.user_started()
        self._tell(Happened("user_started"))

    def _on_speech_stopped(self, message: Message) -> None:
        self._mouth.user_ended()
        self._tell(Happened("user_ended"))

    def _on_user_text(self, message: Message) -> None:
        self._tell(Happened("user_said", text=str(message.get("transcript", "")).strip()))

    def _on_response(self, message: Message) -> None:
        response = message.get("response")
        self._response = str(response.get("id")) if isinstance(response, dict) else ""
        self._failures = 0
        self._tell(Happened("reply_started"))

    def _on_sound(self, message: Message) -> None:
        reply, samples = self._reply(message), wire.sound_of(message)
        if reply is not None and len(samples):
            self._incoming.append((reply, samples))
            self._has_incoming.set()

    def _on_sound_end(self, message: Message) -> None:
        reply = self._reply(message)
        if reply is not None and not reply.is_ended:
            self._end(reply)

    def _end(self, reply: Reply) -> None:
        """No more sound of ``reply`` comes."""
        reply.is_ended = True
        self._incoming.append((reply, np.zeros(0, np.float32)))
        self._has_incoming.set()

    def _end_open(self) -> None:
        """No more sound comes of what has not ended."""
        self._response = None
        for reply in self._replies:
            if not reply.is_ended:
                self._end(reply)

    def _on_text(self, message: Message) -> None:
        reply, delta = self._reply(message), message.get("delta")
        if reply is not None and isinstance(delta, str):
            before = self._transcripts.get(reply.speech_id, "")
            self._transcripts[reply.speech_id] = before + delta

    def _on_text_end(self, message: Message) -> None:
        reply = self._reply(message)
        if reply is not None:
            text = self._transcripts.get(reply.speech_id, "")
            self._tell(Happened("reply_text", reply.speech_id, text.strip()))

    def _on_response_end(self, message: Message) -> None:
        self._end_open()
        response = message.get("response")
        if isinstance(response, dict) and response.get("status") == "failed":
            self._tell(Happened("failed", text=f"{self._endpoint.place} could not answer."))

    def _on_error(self, message: Message) -> None:
        told = message.get("error")
        reason = told.get("message") if isinstance(told, dict) else ""
        why = self._endpoint.hidden(str(reason or "an error without a reason"))
        _LOG.warning("the realtime server complains: %s", why)
        self._tell(Happened("failed", text=f"The server {self._endpoint.place}: {why}"))

    def _reply(self, message: Message) -> Reply | None:
        """Return the reply that ``message`` belongs to, None if it was interrupted."""
        item_id = message.get("item_id")
        is_dropped = item_id in self._dropped or message.get("response_id") in self._dropped
        if not isinstance(item_id, str) or is_dropped:
            return None
        for reply in self._replies:
            if reply.speech_id == item_id:
                return reply
        self._forget_whole()
        self._replies.append(Reply(item_id, self._settings.rate))
        return self._replies[-1]

    async def _feed(self) -> None:
        """Give the session what has come, never far ahead of what is heard."""
        while True:
            while not self._incoming:
                self._has_incoming.clear()
                await self._has_incoming.wait()
            if self._mouth.queue_s > AHEAD_S:
                await asyncio.sleep(_LOOK_S)
                continue
            reply, samples = self._incoming.popleft()
            if len(samples):
                self._mouth.push_audio(samples, self._settings.rate, speech_id=reply.speech_id)
                reply.pushed(len(samples) / self._settings.rate)
            else:
                self._mouth.end_audio()
                self._tell(Happened("reply_ended", reply.speech_id))


def _websockets() -> Any:
    """Return the module websockets.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import websockets
        import websockets.exceptions
    except ImportError as error:
        raise MissingExtra(
            'A Realtime server needs websockets: pip install "visavis[agents]"'
        ) from error
    return websockets
