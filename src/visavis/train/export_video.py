"""A trained latent model as a folder that runs without PyTorch (video/opening.py).

``recipes/export_latent.py`` and ``recipes/pack_latent.py`` are the commands.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from visavis.errors import InputError
from visavis.train.loop import halve
from visavis.video.codec_files import export_codec, read_codec
from visavis.video.config import FACTOR
from visavis.video.denoiser import PAST_FRAMES
from visavis.video.graphs import export_denoiser, export_reference
from visavis.video.opening import NEEDED
from visavis.video.rolling import Rolling
from visavis.video.settings import FILE, LatentSettings
from visavis.video.weights import read_networks


def export_latent(
    networks: Path,
    codec: Path,
    folder: Path,
    rolling: Rolling,
    longest: int = 16,
    speech: float = 1.0,
) -> list[Path]:
    """Write the model of ``networks`` and ``codec`` (.safetensors) to ``folder``; return the files.

    ``rolling`` is how clips are drawn, as the networks were trained for; they grow to ``longest``
    frames. ``speech`` is the weight of the sound in guidance, for base models.

    Raises:
        InputError: networks and codec are for other latents.
        ModelError: a file is not there.
        WeightsMismatch: a file is damaged.
    """
    net, coder = read_networks(networks), read_codec(codec)
    channels, cells = coder.config.latent_channels, coder.config.side // FACTOR
    if net.config.latent != channels or cells % net.config.stride:
        raise InputError(
            f"{networks} is for latents of {net.config.latent} channels with sides that are "
            f"multiples of {net.config.stride}; {codec} makes {channels} of {cells} x {cells}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "reference.onnx", folder / "denoiser.onnx"]
    export_reference(net, files[0], cells)
    export_denoiser(net, files[1], cells, speech)
    exported = export_codec(coder, folder)
    ratio = tuple(float(x) for x in coder.ratio.flatten())
    settings = LatentSettings(coder.config.side, ratio, rolling, PAST_FRAMES, longest=longest)
    (folder / FILE).write_text(settings.to_json(), "utf-8")
    return [*files, exported.guide, exported.encoder, exported.decoder, folder / FILE]


def pack_latent(source: Path, out: Path) -> list[Path]:
    """Write what is needed of the model in ``source`` to ``out``, as small as it is shipped.

    Weights that are floats are stored in half precision (they are unfolded when they are read);
    the encoder is left out. Returns the files.
    """
    import onnx

    out.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        model = onnx.load(str(source / f"{name}.onnx"))
        halve(model)
        onnx.save(model, str(out / f"{name}.onnx"))
    shutil.copyfile(source / FILE, out / FILE)
    return [*(out / f"{name}.onnx" for name in NEEDED), out / FILE]
