"""FastRTC and Gradio: each caller meets a face that listens and speaks.

::

    face = open_face("portrait.jpg")
    echo = partner_by("echo")                       # visavis.dialogue.join
    handler = VisavisHandler(face, lambda session: converse(session, echo))
    Stream(handler, modality="audio-video", mode="send-receive").ui.launch()

or ``.mount(app)`` for a page of one's own (``POST /webrtc/offer``). What a Gradio audio component
among the ``additional_inputs`` holds is spoken too. Written for fastrtc 0.0.34.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.dialogue.base import Dialogue
from visavis.errors import MissingExtra, SessionError
from visavis.integrations.speaker import Face
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.types import MOTION_FPS, FloatArray, ImageArray

try:
    from fastrtc import AsyncAudioVideoStreamHandler, AudioEmitType, CloseStream
    from fastrtc.utils import create_message
except ModuleNotFoundError as error:
    raise MissingExtra('FastRTC is not installed. Run: pip install "visavis[fastrtc]"') from error

HEARD_RATE = 48_000
"""What the caller says comes at WebRTC's own rate, in pieces of 20 ms."""
_LONGEST = MOTION_FPS
"""Frames that wait for a connection that does not take them; then the oldest are let go."""

Talk = Callable[[Session], Dialogue]
"""Makes the conversation that a caller has with the face."""


class VisavisHandler(AsyncAudioVideoStreamHandler):
    """One caller's session; FastRTC copies the handler it is given for each."""

    def __init__(
        self, face: Face, talk: Talk | None = None, settings: Settings | None = None
    ) -> None:
        """Be about to show ``face``; without ``talk`` it listens and says what it is given."""
        self.settings = settings or Settings()
        rate = self.settings.sound_rate
        super().__init__("mono", rate, input_sample_rate=HEARD_RATE, fps=MOTION_FPS)
        self._face = face
        self._talk = talk
        self._dialogue: Dialogue | None = None
        self._sounds: asyncio.Queue[FloatArray | None] = asyncio.Queue(_LONGEST)
        self._images: asyncio.Queue[ImageArray] = asyncio.Queue(_LONGEST)
        self._is_heard = False
        self._is_seen = False
        self._open = AsyncExitStack()
        self._playing: asyncio.Task[None] | None = None
        self.session: Session | None = None

    def copy(self) -> VisavisHandler:
        """Return a handler for another caller."""
        return VisavisHandler(self._face, self._talk, self.settings)

    async def start_up(self) -> None:
        """Start the session when the caller is connected."""
        session = await self._open.enter_async_context(self._face.session(self.settings))
        if self._talk is not None:
            self._dialogue = self._talk(session)
            await self._open.enter_async_context(self._dialogue)
        self.session = session
        self._playing = asyncio.create_task(self._play(session))

    async def shutdown(self) -> None:
        """End it when the caller has gone."""
        self.session = self._dialogue = None
        await self._open.aclose()
        if self._playing is not None:
            await self._playing

    async def _play(self, session: Session) -> None:
        """Queue sound and pictures as they come."""
        async for moment in session:
            _put(self._sounds, moment.sound)
            _put(self._images, moment.image)
        _put(self._sounds, None)

    async def receive(self, frame: tuple[int, NDArray[np.int16]]) -> None:
        """Hear what the caller says."""
        rate, pcm = frame
        if self._dialogue is not None:
            self._dialogue.hear(_samples(pcm), rate)
        elif self.session is not None:
            self.session.push_user_audio(_samples(pcm), rate)

    async def emit(self) -> AudioEmitType:
        """Return the sound of the next frame, silence too."""
        if not self._is_heard:
            self._is_heard = True
            _empty(self._sounds)
        sound = await self._sounds.get()
        if sound is None:
            return CloseStream("The conversation is over.")
        pcm = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
        return self.settings.sound_rate, pcm[None]

    async def video_receive(self, frame: Any) -> None:
        """Take no notice of the caller's camera."""

    async def video_emit(self) -> ImageArray:
        """Return the next picture, (h, w, 3) BGR."""
        if not self._is_seen:
            self._is_seen = True
            _empty(self._images)
        image = await self._images.get()
        return np.ascontiguousarray(image[..., ::-1])

    def set_args(self, args: list[Any]) -> None:
        """Speak the recording among the values of the page's components, if there is one.

        Gradio calls this from threads of its own.
        """
        super().set_args(args)
        for value in self.latest_args:
            if isinstance(value, tuple):
                rate, pcm = value
                self.loop.call_soon_threadsafe(self._say, _samples(np.asarray(pcm).T), rate)

    def _say(self, samples: FloatArray, rate: int) -> None:
        """Say ``samples``; a caller who cannot be served is told why."""
        if self.session is None:
            return
        try:
            self.session.push_audio(samples, rate)
            self.session.end_audio()
        except SessionError as error:
            if self.channel is not None:
                self.channel.send(create_message("warning", str(error)))


def _samples(pcm: NDArray[Any]) -> FloatArray:
    """Return ``pcm`` (n,) or (channels, n), whole numbers of any size or float, as (n,) float32."""
    scale = float(np.iinfo(pcm.dtype).max) + 1 if pcm.dtype.kind == "i" else 1.0
    return (np.atleast_2d(pcm).mean(axis=0) / scale).astype(np.float32)


def _put(queue: asyncio.Queue[Any], item: Any) -> None:
    """Put ``item`` into ``queue``, letting the oldest go if it is full."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)


def _empty(queue: asyncio.Queue[Any]) -> None:
    """Let go of what waited before anybody asked."""
    while not queue.empty():
        queue.get_nowait()
