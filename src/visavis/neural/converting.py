"""Writes published weights again as ours: safetensors with their sizes beside them, no pickle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from visavis.hub.folder import HUBERT_FILE, MOTION_FOLDER, ONNX_FOLDER, found, located, written
from visavis.motion.ditto.weights import NAME as LMDM
from visavis.motion.ditto.weights import read_lmdm, write_lmdm
from visavis.neural.extra import extra
from visavis.nn.checkpoints import State
from visavis.render.liveportrait.config import LivePortraitConfig
from visavis.render.liveportrait.eager import open_networks
from visavis.render.liveportrait.weights import (
    NETWORKS,
    OPTIONAL,
    read_network,
    read_published_folder,
    write_network,
)


def convert(model: str | Path, out: Path | None = None, *, is_exported: bool = False) -> list[Path]:
    """Write what ``model`` (a name or a folder) holds to ``out``, by default beside it.

    Returns one safetensors file per network, spectral norm divided out, and for Ditto HuBERT's
    graph as it is (a hard link where the disk allows it). ``out`` then works as a model. With
    ``is_exported`` its networks lie in ``onnx`` as well, which is faster on a CPU.

    Raises:
        MissingExtra: onnx, which exports need, is not installed.
        ModelError: a file is missing.
        OutputError: ``out`` cannot be written to.
        UnknownModel: there is no such model.
        WeightsMismatch: a file is not what was published.
    """
    folder = located(model)
    out = out or folder
    states, config = _weights(folder)
    motion, hubert = found(folder, LMDM), found(folder, "hubert")
    net = read_lmdm(motion) if motion else None
    with written(out):
        out.mkdir(parents=True, exist_ok=True)
        files = [write_network(out, name, state, config) for name, state in states.items()]
        if net:
            files.append(write_lmdm(out, net))
        if hubert and not hubert.resolve().is_relative_to(out.resolve()):
            files.append(_placed(hubert, out / HUBERT_FILE))
        return files + (_exported(out) if is_exported else [])


def _weights(folder: Path) -> tuple[dict[str, State], LivePortraitConfig]:
    """Return LivePortrait's networks in ``folder``, converted or published, and their sizes.

    What was left half converted is read as published.
    """
    paths = {name: folder / f"{name}.safetensors" for name in NETWORKS}
    if not all(path.is_file() for name, path in paths.items() if name not in OPTIONAL):
        return read_published_folder(folder)
    read = [read_network(path) for path in paths.values() if path.is_file()]
    return {name: state for name, state, _ in read}, read[0][2]


def _exported(out: Path) -> list[Path]:
    """Write the networks in ``out`` as ONNX as well; return the files."""
    with extra():
        from visavis.motion.ditto.torch_denoiser import export
        from visavis.render.liveportrait.export import export_engine

        (out / ONNX_FOLDER).mkdir(exist_ok=True)
        files = export_engine(open_networks(out), out / ONNX_FOLDER)
        motion = found(out, LMDM)
        return files + (export(read_lmdm(motion), out / MOTION_FOLDER) if motion else [])


def _placed(path: Path, place: Path) -> Path:
    """Put the file ``path`` at ``place`` as well."""
    place.unlink(missing_ok=True)
    try:
        os.link(path, place)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, place)
    return place
