"""Pictures without sound: PNG files, raw bytes, and animated GIF."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from visavis.types import ImageArray

_PALETTE_BYTES = 40_000_000  # two seconds of 512x512 pictures are held to choose colours
_NOTHING = 255  # palette entry of what is transparent
_PALETTE_PIXELS = 100_000
_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32)


class PngFrames:
    """Numbered PNG files in one folder."""

    def __init__(self, folder: Path, pattern: str) -> None:
        """Write into ``folder`` under names like ``pattern % n``, from 0."""
        self._folder = folder
        self._pattern = pattern
        self._frames = 0

    def write(self, image: ImageArray) -> None:
        """Append the picture ``image`` (h, w, 3) RGB or (h, w, 4) RGBA uint8."""
        turn = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        ordered = cv2.cvtColor(image, turn)
        _, data = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (self._folder / (self._pattern % self._frames)).write_bytes(data.tobytes())
        self._frames += 1

    def finish(self) -> None:
        """Do nothing: every picture is written already."""

    def abandon(self) -> None:
        """Do nothing: the folder is removed by its owner."""


class RawFrames:
    """RGB or RGBA bytes, row by row, picture after picture, into a file or pipe."""

    def __init__(self, file: BinaryIO) -> None:
        """Write to ``file``."""
        self._file = file

    def write(self, image: ImageArray) -> None:
        """Append the picture ``image`` (h, w, 3) RGB or (h, w, 4) RGBA uint8."""
        self._file.write(np.ascontiguousarray(image).data)

    def finish(self) -> None:
        """Hand the last bytes over."""
        self._file.flush()

    def abandon(self) -> None:
        """Do nothing: the file is closed by its owner."""


class GifFrames:
    """An animated GIF with one palette for all pictures, so that nothing flickers.

    The palette is made from the first pictures; colours between its entries are dithered by a fixed
    pattern, which stands still where the picture does. Of RGBA pictures, what is less than half
    covered is left out. Time is in hundredths of a second.
    """

    def __init__(self, file: Path, size: tuple[int, int], fps: Fraction) -> None:
        """Create ``file`` for pictures of ``size`` (width, height)."""
        self._fps = fps
        self._frames = 0
        self._held: list[ImageArray] = []
        self._palette: NDArray[np.uint8] | None = None
        self._nearest = np.zeros(0, np.uint8)
        self._container: OutputContainer = av.open(str(file), "w", format="gif")
        stream: VideoStream = self._container.add_stream("gif", rate=fps)
        stream.codec_context.width, stream.codec_context.height = size
        stream.codec_context.pix_fmt = "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        self._stream = stream

    def write(self, image: ImageArray) -> None:
        """Append the picture ``image`` (h, w, 3) RGB or (h, w, 4) RGBA uint8."""
        if self._palette is None:
            self._held.append(image.copy())
            if len(self._held) * image.size >= _PALETTE_BYTES:
                self._release()
        else:
            self._encode(image, self._palette)

    def _release(self) -> None:
        """Make the palette from the held pictures and encode them."""
        colours = _palette_of(self._held)
        self._nearest = _nearest_of(colours)
        opaque = np.full((256, 1), 255, np.uint8)
        opaque[_NOTHING] = 255 if self._held[0].shape[2] == 3 else 0
        self._palette = np.hstack([opaque, colours])
        for image in self._held:
            self._encode(image, self._palette)
        self._held = []

    def _encode(self, image: ImageArray, palette: NDArray[np.uint8]) -> None:
        """Encode one picture in the colours of ``palette`` (256, 4) ARGB."""
        indices = _indices(image[..., :3], self._nearest)
        if image.shape[2] == 4:
            indices[image[..., 3] < 128] = _NOTHING
        frame = VideoFrame.from_ndarray((indices, palette), "pal8")  # type: ignore[arg-type]
        frame.pts = round(self._frames * 100 / self._fps)
        frame.time_base = Fraction(1, 100)
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def finish(self) -> None:
        """Write what is still held and the end of the file."""
        if self._held:
            self._release()
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file without finishing it."""
        self._container.close()


def _palette_of(images: list[ImageArray]) -> NDArray[np.uint8]:
    """Return the best colours (256, 3) for ``images`` by median cut and k-means.

    If these are RGBA, only for what is seen of them, and the last colour is not used.
    """
    pixels = np.concatenate([image.reshape(-1, image.shape[2]) for image in images])
    count = 256 if pixels.shape[1] == 3 else _NOTHING
    seen = pixels if pixels.shape[1] == 3 else pixels[pixels[:, 3] >= 128]
    pixels = np.ascontiguousarray(seen[:, :3]) if len(seen) else np.zeros((1, 3), np.uint8)
    step = max(len(pixels) // _PALETTE_PIXELS, 1)
    sample = Image.fromarray(np.ascontiguousarray(pixels[::step][None]))
    cut = sample.quantize(count, method=Image.Quantize.MEDIANCUT, kmeans=2)
    found = np.array(cut.getpalette(), np.uint8).reshape(-1, 3)
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(found)] = found
    colours[count:] = found[0]
    return colours


def _nearest_of(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the palette index (32768,) nearest to every colour of 5 bits a channel."""
    levels = (np.arange(32, dtype=np.float32) + 0.5) * 8
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    wanted = colours.astype(np.float32)
    distance = (wanted**2).sum(1) - 2 * grid @ wanted.T
    nearest: NDArray[np.uint8] = distance.argmin(1).astype(np.uint8)
    return nearest


def _indices(image: ImageArray, nearest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the palette indices (h, w) of ``image``, dithered by a fixed pattern."""
    height, width = image.shape[:2]
    tiles = np.tile(_BAYER - 7.5, (height // 4 + 1, width // 4 + 1))[:height, :width, None]
    dithered = np.clip(image + tiles * 0.5, 0, 255).astype(np.uint16) >> 3
    red, green, blue = np.moveaxis(dithered, -1, 0)
    indices: NDArray[np.uint8] = nearest[(red << 10) | (green << 5) | blue]
    return indices
