"""Latent models by name or folder, put together: what hears, what makes latents, what draws.

Everything runs in ONNX Runtime; PyTorch is not needed. A folder holds ``latent.json`` (settings.py)
and the files that ``train/export_video.py`` writes.
"""

from __future__ import annotations

from pathlib import Path

from visavis.audio.phones import PhoneRecognizer
from visavis.errors import InputError, ModelError
from visavis.hub import PACKAGED, asset, manifest
from visavis.nn.session import Network
from visavis.video.config import FACTOR
from visavis.video.motion import LatentMotion
from visavis.video.renderer import LatentRenderer
from visavis.video.settings import FILE, LatentSettings
from visavis.video.studio import Studio

NEEDED = ("reference", "denoiser", "guide", "decoder")
"""The networks that a model is made of."""
FILES = (*NEEDED, "encoder")
"""The networks that training exports; the encoder, for measuring, is in ``guide``, too."""


def is_latent(model: str | Path) -> bool:
    """Return whether ``model`` is the name of a latent model, or a folder that holds one."""
    return str(model) in PACKAGED or (Path(model).expanduser() / FILE).is_file()


def open_latent(
    model: str | Path,
    *,
    live: bool = False,
    steps: int | None = None,
    motion_model: str | None = None,
    is_driven: bool = False,
) -> tuple[PhoneRecognizer, LatentMotion, LatentRenderer]:
    """Return what hears, what makes latents and what draws them.

    Args:
        model: "latent-tiny", or a folder.
        live: for sound that comes as it is spoken: clips stay short.
        steps: calls of the denoiser for each clip; as it was trained if None.
        motion_model: refused, as is ``is_driven``: a latent model moves faces by speech alone.

    Raises:
        InputError: something is asked for that it cannot do.
        ModelError: files are missing.
        WeightsMismatch: a file is damaged.
    """
    if motion_model is not None or is_driven:
        raise InputError(
            f"The model {model} makes pictures of speech alone: it plays no motion file and no "
            "driving video, and needs no motion model. Leave these out, or leave the model out."
        )
    paths = {name: _located(model, f"{name}.onnx") for name in NEEDED}
    place = _located(model, FILE)
    settings = LatentSettings.from_json(place.read_text("utf-8"), str(place)).stepped(steps)
    networks = {name: Network(str(path)) for name, path in paths.items()}
    _check(networks, settings, place)
    studio = Studio(networks, settings)
    motion = LatentMotion(networks["denoiser"], studio, settings, live)
    return PhoneRecognizer(), motion, LatentRenderer(networks["decoder"], studio)


def _located(model: str | Path, name: str) -> Path:
    """Return where the file ``name`` of ``model`` is.

    Raises:
        ModelError: it is not there.
        WeightsMismatch: a packaged file is damaged.
    """
    if str(model) in PACKAGED:
        packaged = f"{PACKAGED[str(model)]}/{name}"
        if packaged not in manifest():
            raise ModelError(
                f"This package is without {packaged} of the model {model}. Install a release that "
                "has it, or give a folder with a latent model."
            )
        return asset(packaged)
    path = Path(model).expanduser() / name
    if not path.is_file():
        raise ModelError(
            f"{path.parent} has a {FILE} but no {name}; a latent model needs "
            f"{', '.join(f'{each}.onnx' for each in NEEDED)}. Export it again: "
            "recipes/export_latent.py"
        )
    return path


def _check(networks: dict[str, Network], settings: LatentSettings, place: Path) -> None:
    """Refuse networks that do not go with ``settings`` of the file ``place``.

    Raises:
        InputError: they do not.
    """
    found = tuple(networks["decoder"].sides("change"))
    wanted = (len(settings.ratio), settings.cells, settings.cells)
    if found != wanted:
        raise InputError(
            f"{place} is for latents of {wanted}, the decoder beside it for {found} (a cell is "
            f"{FACTOR} px). Export the model again: recipes/export_latent.py"
        )
