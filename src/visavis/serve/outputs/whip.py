"""A session to a media server by WHIP (RFC 9725): one HTTP request, then WebRTC.

Works with what takes WHIP: MediaMTX, SRS, Janus, LiveKit Ingress, Cloudflare, Twitch, OBS.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from visavis.errors import InputError, OutputError
from visavis.serve.feeds import Fan
from visavis.serve.settings import IceServer
from visavis.serve.tracks import PICTURES, SOUNDS, PictureTrack, SoundTrack
from visavis.stream.moments import Moment

CONNECT_S = 20
"""How long the connection may take after the server has answered."""
CODECS = ("vp8", "h264")
_PATIENCE = httpx.Timeout(10.0)
_LARGEST_ANSWER = 64 * 1024
_KINDS = {"whip": "http", "whips": "https", "http": "http", "https": "https"}


@dataclass(frozen=True)
class Endpoint:
    """Where to push: an http(s):// or whip(s):// address, a Bearer ``token``, ICE ``servers``.

    ``codec``: of the pictures, if the server takes it: "vp8" costs half of "h264" here.
    """

    url: str
    token: str = ""
    servers: tuple[IceServer, ...] = ()
    codec: str = "vp8"

    def __post_init__(self) -> None:
        """Refuse what is no address or codec."""
        if urlsplit(self.url).scheme not in _KINDS or not urlsplit(self.url).hostname:
            raise InputError("The WHIP address must be https://host/…, or whips://host/….")
        if self.codec not in CODECS:
            raise InputError(f"The codec {self.codec!r} is unknown; use {' or '.join(CODECS)}.")

    @property
    def address(self) -> str:
        """Return the http(s) address."""
        parts = urlsplit(self.url)
        return parts._replace(scheme=_KINDS[parts.scheme]).geturl()

    @property
    def place(self) -> str:
        """Return the host, for messages; paths may be secret."""
        return f"{urlsplit(self.address).scheme}://{urlsplit(self.address).hostname}"


async def push_whip(moments: AsyncIterator[Moment], endpoint: Endpoint) -> int:
    """Send ``moments`` to ``endpoint`` until they end; return how many.

    Raises:
        OutputError: the server cannot be reached, refuses, or the connection was lost.
    """
    fan: Fan[Moment] = Fan()
    listed = [RTCIceServer(list(s.urls), s.username, s.credential) for s in endpoint.servers]
    peer = RTCPeerConnection(RTCConfiguration(listed, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    link = _Link(peer)
    tracks = (PictureTrack(fan.subscribe(PICTURES)), SoundTrack(fan.subscribe(SOUNDS)))
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE, headers=headers) as client:
            resource = await _offered(client, peer, tracks, endpoint)
            async with _deleted_after(client, resource):
                await link.made(endpoint)
                return await _pumped(moments, fan, link, endpoint)
    finally:
        fan.close()
        for track in tracks:
            track.stop()
        await peer.close()


@asynccontextmanager
async def _deleted_after(client: httpx.AsyncClient, resource: str | None) -> AsyncIterator[None]:
    """Tell the server at the end that the session at ``resource`` is over (section 4.2)."""
    try:
        yield
    finally:
        with suppress(httpx.HTTPError):
            if resource is not None:
                await client.delete(resource)


class _Link:
    """Whether a connection is there."""

    def __init__(self, peer: RTCPeerConnection) -> None:
        """Watch ``peer``."""
        self._peer = peer
        self._is_settled = asyncio.Event()
        peer.on("connectionstatechange", self._changed)

    def _changed(self) -> None:
        """Note a change."""
        if self._peer.connectionState in ("connected", "failed", "closed"):
            self._is_settled.set()

    @property
    def is_there(self) -> bool:
        """Tell whether media can be sent now."""
        return str(self._peer.connectionState) == "connected"

    async def made(self, endpoint: Endpoint) -> None:
        """Wait until the connection is there.

        Raises:
            OutputError: it does not come.
        """
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._is_settled.wait(), CONNECT_S)
        if not self.is_there:
            raise OutputError(
                f"{endpoint.place} answered, but no WebRTC connection came about. "
                "Check that UDP passes, or give a TURN server."
            )


async def _pumped(
    moments: AsyncIterator[Moment], fan: Fan[Moment], link: _Link, endpoint: Endpoint
) -> int:
    """Hand ``moments`` to the tracks until they end; return how many."""
    count = 0
    async for moment in moments:
        if not link.is_there:
            raise OutputError(f"The connection to {endpoint.place} was lost.")
        fan.offer(moment)
        count += 1
    return count


async def _offered(
    client: httpx.AsyncClient,
    peer: RTCPeerConnection,
    tracks: Iterable[PictureTrack | SoundTrack],
    endpoint: Endpoint,
) -> str | None:
    """Offer ``tracks`` to the server and take its answer (RFC 9725, section 4.2).

    Returns the address of the session, to be deleted at the end.

    Raises:
        OutputError: the server cannot be reached or refuses.
    """
    for track in tracks:
        transceiver = peer.addTransceiver(track, direction="sendonly")
        if track.kind == "video":
            transceiver.setCodecPreferences(_codecs(endpoint.codec))
    await peer.setLocalDescription(await peer.createOffer())
    try:
        answer = await client.post(
            endpoint.address,
            content=peer.localDescription.sdp.encode(),
            headers={"Content-Type": "application/sdp", "Accept": "application/sdp"},
            follow_redirects=True,
        )
    except httpx.HTTPError as error:
        why = type(error).__name__
        raise OutputError(f"{endpoint.place} cannot be reached by WHIP ({why}).") from error
    if answer.status_code != 201 or len(answer.content) > _LARGEST_ANSWER:
        hint = " Check the token." if answer.status_code in (401, 403) else ""
        raise OutputError(f"{endpoint.place} refused the stream ({answer.status_code}).{hint}")
    where = answer.headers.get("Location")
    try:
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise OutputError(f"{endpoint.place} answered with no SDP that can be used.") from error
    return urljoin(str(answer.url), where) if where else None


def _codecs(first: str) -> list[Any]:
    """Return the codecs for video, ``first`` before the others."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return sorted(codecs, key=lambda codec: codec.mimeType.lower() != f"video/{first}")
