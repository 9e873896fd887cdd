"""Clips of one person talking, as latent video models learn from them, in shards.

===============  ==========================================================================
field            what it is
===============  ==========================================================================
NNNN.webp        frame NNNN, RGB, all of one size (or .jpg)
portrait.webp    the same person from elsewhere: the photograph, or another moment
speech.npy       (t, 4, 45) float16: rows of ``audio.phones`` while each frame is shown
boxes.npy        (t, 3, 4) float16: x0, y0, x1, y1 of face, mouth, eyes, in shares of the side
points.npy       (t + 1, 478, 2) float16: landmarks in shares of the side, the portrait's last
                 (train/video_points.py adds what is missing); they teach the codec how faces move
latents.npy      (t, c, h, w) float16, normalised (video/codec.py); then frames may be missing
still.npy        (c, h, w) float16: the latents of the portrait
facts.json       person, source, is_heard; phase and emotion: a number for each frame
===============  ==========================================================================

``python -m visavis.train.video_data --shards IN --codec model.safetensors --out OUT`` adds latents.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.audio.phones import SIZE as ROW
from visavis.data.people import split_of
from visavis.errors import InputError, UnreadableMedia
from visavis.motion.conditions import ROWS_PER_FRAME
from visavis.motion.controls import EMOTIONS
from visavis.train.shards import SHARD_BYTES, Shards, ShardWriter
from visavis.types import FloatArray, ImageArray, Phase
from visavis.video.places import boxes_of

log = logging.getLogger(__name__)

PHASES: tuple[Phase, ...] = tuple(Phase)
"""The class label of LLIA by number: idle, listening, speaking."""
UNKNOWN_PHASE, UNKNOWN_EMOTION = len(PHASES), len(EMOTIONS)
QUALITY = 80
"""Of the WebP pictures: 5 to 7 kB a frame of 256 x 256, some 39 dB from what was drawn."""


@dataclass(frozen=True)
class VideoClip:
    """Frame ``i`` goes with the sound at ``i / 25`` s; a still picture is a clip of one frame.

    ``frames`` (t, h, w, 3) RGB uint8, ``portrait`` (h, w, 3); ``speech`` (t, 4, 45) float32, zero
    where nothing is heard; ``phase`` (t,) into PHASES and ``emotion`` (t,) into EMOTIONS, or
    unknown; ``boxes`` (t, 3, 4). ``latents`` (t, c, h, w), ``still`` (c, h, w) and ``points``
    (t + 1, 478, 2) in shares of the side, the portrait's last, if made.
    ``source``: "animated", "talking" or "still". ``is_heard`` False: the person may speak, but
    there is no sound, so that ``speech`` says nothing.
    """

    name: str
    person: str
    source: str
    frames: ImageArray
    portrait: ImageArray
    speech: FloatArray
    phase: NDArray[np.int64]
    emotion: NDArray[np.int64]
    boxes: FloatArray
    latents: FloatArray | None = None
    still: FloatArray | None = None
    is_heard: bool = True
    points: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.phase)


def to_fields(clip: VideoClip, quality: int = QUALITY) -> dict[str, bytes]:
    """Return ``clip`` as the fields of a sample, pictures as WebP of ``quality`` 1..100."""
    facts = {
        "person": clip.person, "source": clip.source, "is_heard": clip.is_heard,
        "phase": clip.phase.tolist(), "emotion": clip.emotion.tolist(),
    }  # fmt: skip
    fields = {"facts.json": json.dumps(facts).encode()}
    arrays = {"speech": clip.speech, "boxes": clip.boxes, "latents": clip.latents,
              "still": clip.still, "points": clip.points}  # fmt: skip
    fields |= {f"{k}.npy": stored(v) for k, v in arrays.items() if v is not None}
    if clip.portrait.size:
        fields["portrait.webp"] = _picture(clip.portrait, quality)
    return fields | {f"{i:04d}.webp": _picture(p, quality) for i, p in enumerate(clip.frames)}


def stored(values: FloatArray) -> bytes:
    """Return ``values`` as a field of a sample: an .npy file, float16."""
    file = io.BytesIO()
    np.save(file, values.astype(np.float16), allow_pickle=False)
    return file.getvalue()


def _picture(image: ImageArray, quality: int) -> bytes:
    done, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise InputError(f"A picture of shape {image.shape} cannot be stored as WebP.")
    return data.tobytes()


def _image(data: bytes) -> ImageArray:
    decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise UnreadableMedia(
            f"A picture of {len(data)} bytes in a shard is neither WebP nor JPEG."
        )
    return np.ascontiguousarray(decoded[..., ::-1])


def _array(data: bytes) -> FloatArray:
    return np.load(io.BytesIO(data), allow_pickle=False).astype(np.float32)


class VideoData:
    """The clips of one split in a folder of shards; fields are read when they are asked for."""

    def __init__(self, folder: Path, split: str | None = "train", least: int = 1) -> None:
        """Look through ``folder`` for clips of ``split`` (None: all) of ``least`` frames or more.

        Raises:
            InputError: there is none.
        """
        self._shards = Shards(folder)
        facts = [json.loads(self._shards.read(i, "facts.json")) for i in range(len(self._shards))]
        self._rows = [
            (i, f)
            for i, f in enumerate(facts)
            if split in (None, split_of(f["person"])) and len(f["phase"]) >= least
        ]
        if not self._rows:
            raise InputError(
                f"No clip in {folder} belongs to the split {split!r} and has {least} frames or "
                "more. Make more persons: recipes/make_video_clips.py"
            )

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._rows)

    def frames(self, number: int) -> int:
        """Return the number of frames of clip ``number``."""
        return len(self._rows[number][1]["phase"])

    def source(self, number: int) -> str:
        """Return where clip ``number`` is from."""
        return str(self._rows[number][1]["source"])

    def picture(self, number: int, name: int | str) -> ImageArray:
        """Return frame ``name`` (or "portrait") of clip ``number``, (h, w, 3)."""
        return _image(self._shards.read(self._rows[number][0], self._file(number, name)))

    def _file(self, number: int, name: int | str) -> str:
        stem = name if isinstance(name, str) else f"{name:04d}"
        fields = self._shards.fields(self._rows[number][0])
        return next((f for f in (f"{stem}.webp", f"{stem}.jpg") if f in fields), f"{stem}.webp")

    def boxes(self, number: int) -> FloatArray:
        """Return the boxes (t, 3, 4) of clip ``number``."""
        return self.array(number, "boxes")

    def array(self, number: int, name: str) -> FloatArray:
        """Return the array ``name`` of clip ``number``, as in ``VideoClip``.

        Raises:
            InputError: the clip has none.
        """
        row = self._rows[number][0]
        if f"{name}.npy" not in self._shards.fields(row):
            raise InputError(
                f"The sample {self._shards.keys[row]} lacks {name}.npy. "
                "Latents are made by python -m visavis.train.video_data"
            )
        return _array(self._shards.read(row, f"{name}.npy"))

    def key(self, number: int) -> str:
        """Return the name of clip ``number``."""
        return self._shards.keys[self._rows[number][0]]

    def has(self, number: int, name: str) -> bool:
        """Return whether clip ``number`` has an array ``name``."""
        return f"{name}.npy" in self._shards.fields(self._rows[number][0])

    def facts(self, number: int) -> Mapping[str, Any]:
        """Return who is in clip ``number``, its source, is_heard, and the labels of its frames."""
        return self._rows[number][1]

    def clip(self, number: int, first: int = 0, count: int | None = None) -> VideoClip:
        """Return ``count`` frames (default: all) from ``first`` on of clip ``number``."""
        row, facts = self._rows[number]
        part = slice(first, None if count is None else first + count)
        fields = self._shards.fields(row)
        arrays = {
            k: _array(self._shards.read(row, f"{k}.npy")) if f"{k}.npy" in fields else None
            for k in ("speech", "boxes", "latents", "still")
        }
        names = sorted(f for f in fields if f[:4].isdigit())[part]
        pictures = [_image(self._shards.read(row, f)) for f in names]
        nothing = np.zeros((0, 0, 3), np.uint8)
        portrait = self.picture(number, "portrait") if "portrait.webp" in fields else nothing
        speech, boxes, latents = arrays["speech"], arrays["boxes"], arrays["latents"]
        if speech is None or boxes is None:
            raise InputError(f"The sample {self._shards.keys[row]} lacks speech.npy or boxes.npy.")
        return VideoClip(
            self._shards.keys[row], facts["person"], facts["source"],
            np.stack(pictures) if pictures else nothing[None][:0], portrait,
            speech[part], np.array(facts["phase"][part]), np.array(facts["emotion"][part]),
            boxes[part], None if latents is None else latents[part], arrays["still"],
            facts["is_heard"],
        )  # fmt: skip


def still(
    name: str, person: str, picture: ImageArray, points: FloatArray, emotion: int
) -> VideoClip:
    """Return one ``picture`` (h, h, 3) with landmarks ``points`` (478, 3) as a clip."""
    return VideoClip(
        name, person, "still", picture[None], picture,
        np.zeros((1, ROWS_PER_FRAME, ROW), np.float32), np.array([UNKNOWN_PHASE]),
        np.array([emotion]), boxes_of(points[None], len(picture)), is_heard=False,
        points=np.stack([points[:, :2]] * 2) / len(picture),
    )  # fmt: skip


def add_latents(
    shards: Path,
    codec: Path,
    out: Path,
    device: str = "cpu",
    *,
    keep: bool = False,
    part: tuple[int, int] = (0, 1),
) -> int:
    """Write the clips of ``shards`` with their latents to ``out``; return how many there were.

    ``codec`` is a file of video/codec_files.py; without ``keep`` the frames are left out. Clips
    without landmarks (train/video_points.py) and still pictures are passed over. ``part`` is which
    of how many alike is to be done.
    """
    from visavis.video.codec_files import encode_pictures, read_codec

    net = read_codec(codec, device)
    data = VideoData(shards, None)
    count = 0
    with ShardWriter(out, f"latents{part[0]}", SHARD_BYTES) as writer:
        for number in range(part[0], len(data), part[1]):
            if not data.has(number, "points") or data.frames(number) < 2:
                continue
            clip, points = data.clip(number), data.array(number, "points")
            latents = encode_pictures(net, clip.frames, points[:-1])
            portrait = encode_pictures(net, clip.portrait[None], points[-1:])
            made = replace(clip, latents=latents, still=portrait[0])
            if not keep:
                made = replace(made, frames=clip.frames[:0])
            writer.write(clip.name, to_fields(made))
            count += 1
    return count


def main() -> None:
    """Add latents from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("shards", "codec", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", action="store_true", help="the frames beside their latents")
    parser.add_argument("--part", default="0/1", help="as 1/4: the second of four runs")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    part, parts = (int(n) for n in args.part.split("/"))
    count = add_latents(
        args.shards, args.codec, args.out, args.device, keep=args.keep, part=(part, parts)
    )
    log.info("%d clips", count)


if __name__ == "__main__":
    main()
