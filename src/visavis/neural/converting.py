"""Writes published weights again as ours: safetensors with their sizes beside them, no pickle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from visavis.errors import InputError
from visavis.hub.folder import HUBERT_FILE, MOTION_FOLDER, ONNX_FOLDER, found, located
from visavis.motion.ditto.weights import NAME as LMDM
from visavis.motion.ditto.weights import read_lmdm, write_lmdm
from visavis.neural.extra import extra
from visavis.render.liveportrait.eager import open_networks
from visavis.render.liveportrait.weights import read_published_folder, write_network


def convert(model: str | Path, out: Path, *, is_exported: bool = False) -> list[Path]:
    """Write what ``model`` (a name or a folder in the published layout) holds to ``out``.

    Returns one safetensors file per network, spectral norm divided out, and for Ditto HuBERT's
    graph as it is (a hard link where the disk allows it). ``out`` then works as a model. With
    ``is_exported`` its networks lie in ``onnx`` as well, for ONNX Runtime.

    Raises:
        InputError: ``out`` is the folder of ``model`` itself.
        MissingExtra: onnx, which exports need, is not installed.
        ModelError: a file is missing.
        UnknownModel: there is no such model.
        WeightsMismatch: a file is not what was published.
    """
    folder = located(model)
    if out.resolve() == folder.resolve():
        raise InputError(f"{out} holds the published files. Name another folder for ours.")
    states, config = read_published_folder(folder)
    out.mkdir(parents=True, exist_ok=True)
    files = [write_network(out, name, state, config) for name, state in states.items()]
    motion, hubert = found(folder, LMDM), found(folder, "hubert")
    if motion:
        files.append(write_lmdm(out, read_lmdm(motion)))
    if hubert:
        files.append(_placed(hubert, out / HUBERT_FILE))
    return files + (_exported(out) if is_exported else [])


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
