"""A process of its own that carries FLV from its standard input to an RTMP address.

FFmpeg, as PyAV opens it, holds up every thread of its process while it connects, and waits for ever
for a peer that takes no more; here it holds up nobody, and can be ended. The first line of the
input is the address, so that its key is not on the command line for all to see.
"""

from __future__ import annotations

import sys
from typing import BinaryIO

import av
from av.error import FFmpegError

FAILED = 1


def main() -> int:
    """Carry until the input ends; return the exit code. Standard error says what failed."""
    source = sys.stdin.buffer
    address = source.readline().decode("utf-8", "replace").strip()
    try:
        carry(source, address)
    except (FFmpegError, OSError) as error:
        sys.stderr.write(str(getattr(error, "strerror", "") or type(error).__name__) + "\n")
        return FAILED
    return 0


def carry(source: BinaryIO, address: str) -> None:
    """Carry the FLV in ``source`` to ``address``, packet by packet, as it is.

    Raises:
        FFmpegError, OSError: the connection cannot be made, or broke.
    """
    probe = {"analyzeduration": "0", "probesize": "32768"}
    with (
        av.open(source, "r", format="flv", options=probe, buffer_size=4096) as given,
        av.open(address, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as sent,
    ):
        streams = {s.index: sent.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                sent.mux(packet)


if __name__ == "__main__":
    sys.exit(main())
