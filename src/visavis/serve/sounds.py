"""An uploaded recording as pieces of sound, decoded little by little while it is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from visavis.errors import InputError, UnreadableMedia
from visavis.media.container import SOUNDS
from visavis.media.read import at_rate, open_sounds, recut
from visavis.serve.spoken import Pieces
from visavis.types import FloatArray

_RATE = 48_000
_PIECE_S = 2


def _decoded(data: bytes) -> Iterator[tuple[FloatArray, int]]:
    """Yield the sound in the file ``data``; it lies on disk, readable by us alone, meanwhile."""
    with TemporaryDirectory(prefix="visavis-") as folder:
        path = Path(folder) / "sound"
        path.write_bytes(data)
        del data  # it may take minutes to speak
        with open_sounds(path, None, []) as opened:
            pieces = (piece[:, 0] for piece in at_rate(opened.sounds, _RATE, 1))
            for piece in recut(pieces, _RATE * _PIECE_S):
                yield piece, _RATE


async def sound_pieces(data: bytes) -> Pieces:
    """Return the sound of the uploaded file ``data``, its first piece decoded already.

    Raises:
        UnreadableMedia: no sound can be decoded from it.
    """
    pieces = _decoded(data)
    try:
        first = await asyncio.to_thread(next, pieces, None)
    except InputError as error:
        raise UnreadableMedia(f"The upload is not a recording. Give {SOUNDS}.") from error
    if first is None:
        raise UnreadableMedia(f"The upload holds no sound. Give {SOUNDS}.")
    return chain((first,), pieces)
