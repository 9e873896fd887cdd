"""The codec as files: weights, ONNX for use without PyTorch; and pictures by the hundred."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.nn.checkpoints import check_keys, read_converted, write_converted
from visavis.nn.export import export
from visavis.types import FloatArray, ImageArray
from visavis.video.codec import Codec, Guide
from visavis.video.config import FACTOR, CodecConfig
from visavis.video.face_map import CHANNELS, face_map


class _Guides(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, picture: Tensor, face: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.codec.guide(picture, face))[:-1]


class _Reads(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, picture: Tensor, face: Tensor) -> Tensor:
        return self.codec.encode(picture, face)


class _Draws(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, change: Tensor, before: Tensor, *guide: Tensor) -> tuple[Tensor, Tensor]:
        many = (part.expand(change.shape[0], -1, -1, -1) for part in guide)
        return self.codec.draw_flow(change, before, Guide(*many))


GUIDE = ("latents", "fine", "middle")
"""What guide.onnx returns; decoder.onnx takes them, then ``picture``, as they are."""

DRAWN = ("frame", "flow")
"""What decoder.onnx returns."""


@dataclass(frozen=True)
class Exported:
    """The files of ``export_codec``."""

    guide: Path
    encoder: Path
    decoder: Path


def export_codec(codec: Codec, folder: Path) -> Exported:
    """Write ``codec`` to ``folder`` as ONNX, for pictures of its own side.

    guide.onnx: ``picture`` (n, 3, h, w) and ``face`` (n, CHANNELS, h / 2, w / 2) -> ``latents``,
    ``fine``, ``middle``.
    encoder.onnx: the same -> ``latents`` (n, c, h / 32, w / 32).
    decoder.onnx: ``change`` and ``before`` (n, c, h / 32, w / 32) and, of one portrait or of n,
    ``latents``, ``fine``, ``middle``, ``picture`` -> ``frame`` (n, 3, h, w), and ``flow``
    (n, 2, h / 4, w / 4), how its pixels moved.
    """
    side, cells = codec.config.side, codec.config.side // FACTOR
    files = Exported(*(folder / f"{name}.onnx" for name in ("guide", "encoder", "decoder")))
    seen = {
        "picture": torch.zeros(2, 3, side, side),
        "face": torch.zeros(2, CHANNELS, side // 2, side // 2),
    }
    export(_Guides(codec), files.guide, seen, GUIDE, any_rows=True)
    export(_Reads(codec), files.encoder, seen, GUIDE[:1], any_rows=True)
    change = torch.zeros(2, codec.config.latent_channels, cells, cells)
    with torch.no_grad():
        guide = codec.guide(seen["picture"][:1], seen["face"][:1])
    inputs = {"change": change, "before": change} | guide._asdict()
    axes = {n: {0: "portraits" if n in guide._fields else "rows"} for n in (*inputs, *DRAWN)}
    export(_Draws(codec), files.decoder, inputs, DRAWN, axes=axes)
    return files


def write_codec(codec: Codec, path: Path) -> None:
    """Write ``codec`` to the safetensors file ``path``, its sizes in the metadata."""
    state = {k: v.detach().float().cpu() for k, v in codec.state_dict().items()}
    write_converted(path, state, {"config": codec.config.to_json()})


def read_codec(path: Path, device: str = "cpu") -> Codec:
    """Return the codec that ``write_codec`` wrote to ``path``, ready for use on ``device``.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged or not a codec's.
    """
    state, texts = read_converted(path)
    codec = Codec(CodecConfig.from_json(texts.get("config", "{}")))
    check_keys("the codec", {k: tuple(v.shape) for k, v in codec.state_dict().items()}, state)
    codec.load_state_dict(state)
    ready: Codec = codec.eval().requires_grad_(False).to(device)
    return ready


@torch.inference_mode()
def encode_pictures(
    codec: Codec, pictures: ImageArray, points: FloatArray, batch: int = 32
) -> FloatArray:
    """Return the latents (t, c, h / 32, w / 32) of RGB uint8 ``pictures`` (t, h, h, 3).

    ``points`` (t, 478, 2) are their landmarks in shares of the side.

    Raises:
        InputError: the side is not a multiple of 32.
    """
    side = pictures.shape[1]
    if side % FACTOR or side != pictures.shape[2]:
        raise InputError(
            f"Pictures of {pictures.shape[2]} x {side} px cannot be coded; they must be square, "
            f"their side a multiple of {FACTOR}."
        )
    found = []
    for first in range(0, len(pictures), batch):
        part = slice(first, first + batch)
        rows = torch.from_numpy(pictures[part]).to(codec.mean.device)
        faces = np.stack([face_map(spots, side // 2) for spots in points[part]])
        seen = rows.permute(0, 3, 1, 2).float() / 127.5 - 1
        found.append(codec.encode(seen, torch.from_numpy(faces).to(seen.device)).cpu().numpy())
    return np.concatenate(found).astype(np.float32)
