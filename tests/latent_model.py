"""A latent model of next to no weights, random ones, as a folder that the runtime opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from visavis.video.rolling import Rolling

SIDE = 64


def write_weights(folder: Path, seed: int = 0, latent: int = 4) -> tuple[Path, Path]:
    """Write networks and codec as training leaves them; layers that begin as zeros get weights."""
    import torch
    from torch import nn

    from visavis.video.codec import Codec
    from visavis.video.codec_files import write_codec
    from visavis.video.config import PRESETS
    from visavis.video.denoiser import VideoNetworks
    from visavis.video.sizes import SPEECH_WIDTH, VideoConfig
    from visavis.video.weights import write_networks

    torch.manual_seed(seed)
    sizes = replace(VideoConfig.smallest(), speech=SPEECH_WIDTH, tokens=5, latent=latent)
    networks, codec = VideoNetworks(sizes), Codec(PRESETS["test"])
    for part in (networks, codec):
        for weight in part.parameters():
            if not weight.any():
                nn.init.normal_(weight, std=0.1)
    codec.ratio.fill_(2.0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "networks.safetensors", folder / "codec.safetensors"
    write_networks(paths[0], networks)
    write_codec(codec, paths[1])
    return paths


def write_model(folder: Path, rolling: Rolling | None = None, seed: int = 0) -> Path:
    """Write a whole model to ``folder``; return it."""
    from visavis.train.export_video import export_latent

    export_latent(*write_weights(folder / "weights", seed), folder, rolling or Rolling())
    return folder
