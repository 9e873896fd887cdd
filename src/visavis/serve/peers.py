"""WebRTC connections to sessions: offers in, answers out, and everything gone when one ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any

import aioice.ice
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.codecs import h264, vpx
from aiortc.exceptions import (
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from visavis.errors import InputError
from visavis.serve.admission import Refused
from visavis.serve.control import Control
from visavis.serve.keys import new_id
from visavis.serve.live import LiveSession
from visavis.serve.messages import written
from visavis.serve.schemas import CandidateModel
from visavis.serve.settings import IceServer
from visavis.serve.tracks import PICTURES, SOUNDS, PictureTrack, SoundTrack, heard
from visavis.serve.voices import Voices

_LOG = logging.getLogger(__name__)

CONNECT_S = 30
"""Seconds after which a peer that has not connected is given up."""
MOST_SECTIONS = 8
MOST_VIEWERS = 8
MOST_CHANNELS = 4
_MOST_BUFFERED = 2**20
_BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError,
    InternalError, InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip  # what aiortc raises on descriptions that are none


def tune(bitrate: int, lost_s: int = 8) -> None:
    """Set aiortc's constants, for the whole process: it has no other way.

    Video begins with ``bitrate`` bits per second, and may take half as much again; a peer that
    answers nothing for about ``lost_s`` seconds is gone (by default 30).
    """
    for codec in (vpx, h264):
        setattr(codec, "DEFAULT_BITRATE", bitrate)  # noqa: B010 - mypy takes them for constants
        setattr(codec, "MAX_BITRATE", bitrate * 3 // 2)  # noqa: B010
    aioice.ice.CONSENT_INTERVAL = 2
    aioice.ice.CONSENT_FAILURES = max(1, lost_s // 2)


class Peer:
    """One connection: two tracks, a data channel, the microphone, and their tasks."""

    def __init__(self, live: LiveSession, control: Control, servers: Iterable[IceServer]) -> None:
        """Be about to connect to ``live``, through ICE ``servers`` if there are any."""
        self.pc_id = new_id()
        self.live = live
        self._control = control
        listed = [RTCIceServer(list(s.urls), s.username, s.credential) for s in servers]
        self._pc = RTCPeerConnection(
            RTCConfiguration(listed, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels = 0
        self._is_connected = asyncio.Event()
        self._is_over = asyncio.Event()
        self._pc.on("connectionstatechange", self._changed)
        self._pc.on("datachannel", self._talk)
        self._pc.on("track", self._receive)

    async def answer(self, sdp: str) -> str:
        """Take the offer ``sdp`` (the first, or a later one) and return the answer.

        Raises:
            InputError: the offer cannot be understood.
        """
        if sdp.count("\nm=") > MOST_SECTIONS:
            raise InputError(f"The offer has more than {MOST_SECTIONS} media sections.")
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            if not self._pc.getTransceivers():
                raise InputError("The offer asks for neither picture nor sound.")
            self._send_tracks()
            answer = await self._pc.createAnswer()
            await self._pc.setLocalDescription(answer)
        except _BROKEN as error:
            _LOG.info("an offer was refused: %s", type(error).__name__)
            raise InputError("The offer is no SDP that can be answered.") from error
        return str(self._pc.localDescription.sdp)

    def _send_tracks(self) -> None:
        """Give the first video and the first audio section our tracks; take no video."""
        sending = {t.kind for t in self._pc.getTransceivers() if t.sender.track is not None}
        for transceiver in self._pc.getTransceivers():
            is_free = transceiver.kind not in sending
            if transceiver.kind == "video":
                transceiver.direction = "sendonly"
                transceiver.setCodecPreferences(_video_codecs())
            if not is_free:
                continue
            sending.add(transceiver.kind)
            if transceiver.kind == "video":
                transceiver.sender.replaceTrack(PictureTrack(self.live.subscribe(PICTURES)))
            else:
                transceiver.sender.replaceTrack(SoundTrack(self.live.subscribe(SOUNDS)))
                transceiver.direction = "sendrecv"

    async def add(self, candidates: Iterable[CandidateModel]) -> None:
        """Add ICE ``candidates`` of the other side.

        Raises:
            InputError: one is not understood.
        """
        for given in candidates:
            try:
                line = given.candidate.removeprefix("candidate:").strip()
                candidate = candidate_from_sdp(line) if line else None
                if candidate is not None:
                    candidate.sdpMid = given.sdp_mid
                    candidate.sdpMLineIndex = given.sdp_mline_index
                await self._pc.addIceCandidate(candidate)
            except _BROKEN as error:
                raise InputError("The ICE candidate is not understood.") from error

    async def stay(self) -> None:
        """Return when the connection is over: closed by either side, lost, or never made."""
        ends = [
            asyncio.ensure_future(self._is_over.wait()),
            asyncio.ensure_future(self.live.over()),
        ]
        try:
            await asyncio.wait_for(self._is_connected.wait(), CONNECT_S)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.TimeoutError:
            _LOG.info("a peer did not connect", extra={"session": self.live.session_id})
        finally:
            for end in ends:
                end.cancel()
            await self.close()

    async def close(self) -> None:
        """Stop every task and track and close the connection; twice is as good as once."""
        self._is_connected.set()
        self._is_over.set()
        for task in tuple(self._tasks):
            task.cancel()
        tracks = [t.sender.track for t in self._pc.getTransceivers() if t.sender.track is not None]
        await self._pc.close()
        for track in tracks:
            track.stop()

    def _changed(self) -> None:
        """Note what became of the connection."""
        if self._pc.connectionState == "connected":
            self._is_connected.set()
        if self._pc.connectionState in ("failed", "closed"):
            self._is_connected.set()
            self._is_over.set()

    def _talk(self, channel: RTCDataChannel) -> None:
        """Carry the control protocol over ``channel``, one of a few."""
        self._channels += 1
        if self._channels > MOST_CHANNELS:
            channel.close()
            return

        def take(data: str | bytes) -> None:
            reply = self._control.take(data)
            if reply is not None:
                channel.send(written(reply))

        channel.on("message", take)
        self._spawn(self._tell(channel))

    async def _tell(self, channel: RTCDataChannel) -> None:
        """Send the session's messages; a peer that does not take them misses some."""
        feed = self.live.listen()
        try:
            async for message in feed:
                if channel.readyState != "open":
                    return
                if channel.bufferedAmount < _MOST_BUFFERED:
                    channel.send(written(message))
        finally:
            feed.close()

    def _receive(self, track: MediaStreamTrack) -> None:
        """Listen to the microphone; other tracks are not asked for."""
        if track.kind == "audio":
            self._spawn(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        """Give the session what the user says."""
        while self.live.state == "connected":
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame):
                self.live.person.hear(heard(frame), frame.sample_rate)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until it ends or the connection does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Peers:
    """All connections of a server, by an identifier that is as good as a key."""

    def __init__(self, voices: Voices, servers: Iterable[IceServer]) -> None:
        """Start without any."""
        self._voices = voices
        self._servers = tuple(servers)
        self._peers: dict[str, Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._peers)

    def of(self, pc_id: str, session_id: str | None = None) -> Peer | None:
        """Return the connection ``pc_id`` (to ``session_id``), None if there is none."""
        peer = self._peers.get(pc_id)
        if peer is None or session_id not in (None, peer.live.session_id):
            return None
        return peer

    async def offer(self, live: LiveSession, sdp: str) -> tuple[str, str]:
        """Connect a new peer to ``live``; return its identifier and the answer.

        Raises:
            InputError: the offer cannot be understood.
            Refused: enough peers are connected to that session.
        """
        mine = [peer for peer in self._peers.values() if peer.live is live]
        if len(mine) >= MOST_VIEWERS:
            raise Refused("too_many", f"{MOST_VIEWERS} viewers are connected already.", 5)
        peer = Peer(live, Control(live.person, self._voices), self._servers)
        self._peers[peer.pc_id] = peer
        async with AsyncExitStack() as undo:
            undo.push_async_callback(peer.close)
            undo.callback(self._peers.pop, peer.pc_id)
            answer = await peer.answer(sdp)
            undo.pop_all()
        task = asyncio.create_task(self._keep(peer), name=f"peer of {live.session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return peer.pc_id, answer

    async def _keep(self, peer: Peer) -> None:
        """Keep ``peer`` on the list until it is over."""
        try:
            await peer.stay()
        finally:
            self._peers.pop(peer.pc_id, None)

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(peer.close() for peer in tuple(self._peers.values())))
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))


def _video_codecs() -> list[Any]:
    """Return the codecs for video, VP8 first: 5 ms for a frame of 512 pixels, H.264 takes 15."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return sorted(codecs, key=lambda codec: codec.mimeType.lower() == "video/h264")
