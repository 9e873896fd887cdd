"""Pictures for any ``<img>``: multipart/x-mixed-replace, one JPEG a part. No sound.

The oldest live video of the web; every browser shows it, and it waits for nothing. A picture that
is shown again (``Moment.is_fresh``) is not sent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import cv2

from visavis.errors import InputError
from visavis.serve.outputs.away import Away
from visavis.stream.moments import Moment
from visavis.types import ImageArray

BOUNDARY = "visavis-frame"
CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"


async def mjpeg(moments: AsyncIterator[Moment], quality: int = 80) -> AsyncIterator[bytes]:
    """Yield the parts of a response of type ``CONTENT_TYPE``; ``quality`` 1 to 100 as in JPEG.

    Raises:
        InputError: there is no such quality.
    """
    if not 1 <= quality <= 100:
        raise InputError(f"The quality {quality} is not from 1 to 100.")
    away = Away()
    is_first = True
    async for moment in moments:
        if moment.is_fresh or is_first:
            yield part(await away.run(jpeg, moment.image, quality))
            is_first = False
    yield f"--{BOUNDARY}--\r\n".encode()


def jpeg(image: ImageArray, quality: int) -> bytes:
    """Return ``image`` (h, w, 3) RGB uint8 as a JPEG file."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    assert done, image.shape
    encoded: bytes = data.tobytes()
    return encoded


def part(data: bytes) -> bytes:
    """Return one part of the response: a JPEG file between boundaries (RFC 2046, section 5.1)."""
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"
