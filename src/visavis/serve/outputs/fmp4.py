"""Picture and sound for a plain ``<video src>``: fragmented MP4 over one HTTP response.

For networks that let no WebRTC through. Chromium and Firefox play it; Safari wants HLS. Each viewer
has an encoder of his own. Chromium looks at what came only in whole blocks of 32 KiB, so every
fragment is filled up to one with an empty box: without it, a quiet face stands for seconds.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator

from visavis.serve.outputs.away import Away
from visavis.serve.outputs.mux import Encoding, LiveMuxer, Pieces
from visavis.stream.moments import Moment

CONTENT_TYPE = 'video/mp4; codecs="avc1.42C01F, mp4a.40.2"'
FRAGMENT_MS = 200
"""Five frames; with what fills them up, at least 1.3 Mbit/s are sent."""
BLOCK = 32 * 1024
_BOX_HEAD = 8


def encoding(bit_rate: int) -> Encoding:
    """Return how a viewer's stream of ``bit_rate`` bits per second is encoded."""
    flags = "empty_moov+default_base_moof+frag_keyframe+skip_trailer"
    options = {"movflags": flags, "frag_duration": str(FRAGMENT_MS * 1000), "flush_packets": "1"}
    video = {"preset": "superfast", "profile": "baseline"}
    return Encoding("mp4", options, video, bit_rate)


async def fmp4(moments: AsyncIterator[Moment], bit_rate: int = 2_000_000) -> AsyncIterator[bytes]:
    """Yield the bytes of a response of type ``CONTENT_TYPE``, as long as ``moments`` come."""
    away, pieces = Away(), Pieces()
    muxer: LiveMuxer | None = None
    try:
        async for moment in moments:
            if muxer is None:
                muxer = await away.run(LiveMuxer, pieces, encoding(bit_rate), moment)
            await away.run(muxer.write, moment)
            if data := pieces.take():
                yield filled(data)
        if muxer is not None:
            await away.run(muxer.finish)
            yield pieces.take()
    finally:
        if muxer is not None:
            await away.last(muxer.abandon)


def filled(data: bytes) -> bytes:
    """Return ``data``, whole MP4 boxes, with a ``free`` box after it up to a whole ``BLOCK``.

    ISO/IEC 14496-12, section 8.1.2: players skip it.
    """
    missing = -len(data) % BLOCK
    if not missing:
        return data
    size = missing if missing >= _BOX_HEAD else missing + BLOCK
    return data + struct.pack(">I4s", size, b"free") + bytes(size - _BOX_HEAD)
