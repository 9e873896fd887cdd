"""A session as a camera of this machine, for video calls: OBS's virtual camera, or v4l2loopback.

Linux needs the kernel module (``modprobe v4l2loopback``), macOS and Windows OBS Studio. No sound:
send that to a virtual sound card.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

from visavis.errors import MissingExtra, OutputError
from visavis.media.encode import even
from visavis.serve.outputs.away import Away
from visavis.stream.moments import Moment
from visavis.types import MOTION_FPS

ADVICE = {
    "linux": "Load the module: sudo modprobe v4l2loopback devices=1.",
    "darwin": "Install OBS Studio and start its virtual camera once.",
}


async def show(
    moments: AsyncIterator[Moment], device: str | None = None, backend: str | None = None
) -> int:
    """Show ``moments`` on a virtual camera until they end; return how many.

    ``device`` such as ``/dev/video0``, by default the first that is free; ``backend`` of
    pyvirtualcam, by default the first that works.

    Raises:
        MissingExtra: pyvirtualcam is not installed.
        OutputError: this machine has no virtual camera, or it went away.
    """
    away = Away()
    camera: Any = None
    shown = 0
    try:
        async for moment in moments:
            if camera is None:
                camera = await away.run(open_camera, moment, device, backend)
            await away.run(camera.send, even(moment.image))
            shown += 1
    except (RuntimeError, OSError) as error:
        raise OutputError(f"The virtual camera does not take pictures ({error}).") from error
    finally:
        if camera is not None:
            await away.last(camera.close)
    return shown


def open_camera(first: Moment, device: str | None, backend: str | None) -> Any:
    """Return pyvirtualcam's camera for pictures like that of ``first``; blocks.

    Raises:
        MissingExtra: pyvirtualcam is not installed.
        OutputError: there is no virtual camera.
    """
    try:
        import pyvirtualcam  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("A virtual camera needs: pip install pyvirtualcam") from error
    height, width = even(first.image).shape[:2]
    try:
        return pyvirtualcam.Camera(width, height, MOTION_FPS, device=device, backend=backend)
    except (RuntimeError, ValueError) as error:
        advice = ADVICE.get(sys.platform, "Install OBS Studio.")
        raise OutputError(f"There is no virtual camera here. {advice}") from error
