"""Puts published networks together: what hears, what moves, what draws.

What is drawn may be half as precise on a GPU; hearing and motion stay float32, for they cost little
and their errors add up. Networks that were exported to ``onnx`` in the model's folder are taken on
a CPU, where they are faster, and wherever PyTorch is missing.
"""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from pathlib import Path

from visavis.audio.features import FeatureExtractor
from visavis.audio.hubert import load_hubert
from visavis.audio.phones import PhoneRecognizer
from visavis.errors import InputError, ModelError
from visavis.faces.portrait import make_portrait
from visavis.hub import ASSETS
from visavis.hub.folder import BRIDGE_FILE, MOTION_FOLDER, ONNX_FOLDER, found, located
from visavis.media.image import read_image
from visavis.motion.base import MotionModel
from visavis.motion.ditto.onnx_denoiser import CONDITIONS
from visavis.motion.ditto.opening import ditto_motion, open_denoiser
from visavis.motion.models import MOTION_MODELS, motion_by
from visavis.neural.extra import extra
from visavis.nn.session import DEVICE_VARIABLE
from visavis.render.base import Renderer
from visavis.render.liveportrait.bridge import Bridge, fit_bridge, read_bridge, write_bridge
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.renderer import LivePortraitRenderer

DITTO_PLANS = {"ditto": "ours", "ditto_published": "published"}
"""Motion models that Ditto's weights serve, and how windows become motion in each."""

MOST_TOGETHER = 4
"""Frames, of one session or of several, that a GPU draws at once."""
_TORCH_DEVICES = {"openvino": "cpu", "tensorrt": "cuda"}
"""What PyTorch calls the devices of nn.session that it knows under other names."""


def open_neural(
    model: str | Path,
    *,
    device: str | None = None,
    precision: str | None = None,
    live: bool = False,
    steps: int | None = None,
    motion_model: str | None = None,
    is_driven: bool = False,
) -> tuple[FeatureExtractor, MotionModel, Renderer]:
    """Return what hears, what moves and what draws, by published networks.

    With a motion model of visavis's own, a bridge to these networks is fitted when they are opened
    for the first time (some two hundred pictures are drawn and read: a minute on a CPU), and kept
    beside them; not if only a video is to be followed (``is_driven``).

    Args:
        model: "ditto" or "liveportrait", fetched before, or a folder with the files of either.
        device: cpu, cuda, cuda:1 or mps; by default a GPU if PyTorch has one.
        precision: of what is drawn: float32, bfloat16 or float16; by default what costs least on
            the device without being seen.
        live: for sound that comes as it is spoken.
        steps: calls of the motion model for each stretch of motion; its own default if None.
        motion_model: "ditto" (the default where its network is there), "ditto_published" (the
            same network, windows as upstream), or one of visavis's own (motion.models).
        is_driven: a driving video moves the portrait, and no bridge is needed.

    Raises:
        InputError: device, precision, steps or motion model are not possible.
        MissingExtra: a package is not installed.
        ModelError: the model was not fetched, or files are missing.
        UnknownModel: there is no such model.
        WeightsMismatch: a file is damaged or is not what was published.
    """
    folder = located(model)
    where = device or usual_device()
    weights = _motion_weights(folder, where)
    name = motion_model or ("ditto" if weights else MOTION_MODELS[0])
    if name not in (*DITTO_PLANS, *MOTION_MODELS):
        known = ", ".join((*DITTO_PLANS, *MOTION_MODELS))
        raise InputError(f"No motion model is called {name!r}. Use one of: {known}.")
    if name in DITTO_PLANS:
        features, motion = _ditto(folder, weights, where, steps, live, DITTO_PLANS[name])
        engine = open_engine(folder, where, precision)
        return features, motion, LivePortraitRenderer(engine, _kept_bridge(folder))
    motion = motion_by(motion_model, 1 if steps is None else steps, live)
    engine = open_engine(folder, where, precision)
    bridge = _kept_bridge(folder) if is_driven else bridge_of(folder, engine)
    return PhoneRecognizer(), motion, LivePortraitRenderer(engine, bridge)


def _ditto(
    folder: Path, weights: Path | None, device: str, steps: int | None, live: bool, plan: str
) -> tuple[FeatureExtractor, MotionModel]:
    """Return what hears and what moves by Ditto's networks in ``folder``.

    Raises:
        ModelError: one of them is missing.
    """
    hubert = found(folder, "hubert")
    if weights is None or hubert is None:
        raise ModelError(
            f"{folder} has no {'speech encoder' if weights else 'motion network'} of Ditto's. "
            "Fetch them: visavis models fetch ditto. Or choose another motion model: "
            f"{', '.join(MOTION_MODELS)}."
        )
    features = load_hubert(hubert, normalize=False)
    denoiser = open_denoiser(weights, device)
    return features, ditto_motion(denoiser, features.silence(), steps, live, plan)


def usual_device() -> str:
    """Return where networks run if nothing is said: as VISAVIS_DEVICE says, or PyTorch's GPU."""
    named = os.environ.get(DEVICE_VARIABLE, "")
    if named or importlib.util.find_spec("torch") is None:
        return _TORCH_DEVICES.get(named, named) or "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def open_engine(folder: Path, device: str, precision: str | None = None) -> Engine:
    """Return what runs LivePortrait's networks in ``folder`` on ``device``.

    Exported ones are taken on a CPU, or where PyTorch is missing; weights run in PyTorch, by
    default in bfloat16 unless on a CPU.
    """
    exported = folder / ONNX_FOLDER
    has_exported = (exported / "decoder.onnx").is_file()
    if has_exported and (device == "cpu" or importlib.util.find_spec("torch") is None):
        from visavis.render.liveportrait.onnx_engine import OnnxEngine

        return OnnxEngine(exported, precision=precision)
    with extra():
        from visavis.render.liveportrait.eager import open_networks
        from visavis.render.liveportrait.torch_engine import FastTorchEngine
    usual = "float32" if device == "cpu" else "bfloat16"
    is_cuda = device.startswith("cuda")
    how, batch = ("graph", MOST_TOGETHER) if is_cuda else ("eager", 1)
    return FastTorchEngine(open_networks(folder), device, precision or usual, how, batch=batch)


def bridge_of(folder: Path, engine: Engine) -> Bridge:
    """Return the bridge from ARKit to the networks in ``folder``, fitted and kept at first use."""
    kept = _kept_bridge(folder)
    if kept:
        return kept
    portrait = make_portrait(read_image(ASSETS / "demo_portrait.webp"))
    bridge = fit_bridge(engine, [portrait])
    part = folder / f"part_{BRIDGE_FILE}"
    with suppress(OSError):  # a folder that is only to be read: fitted again next time
        write_bridge(part, bridge)
        part.replace(folder / BRIDGE_FILE)
    return bridge


def _kept_bridge(folder: Path) -> Bridge | None:
    """Return the bridge that was fitted before."""
    path = folder / BRIDGE_FILE
    return read_bridge(path) if path.is_file() else None


def _motion_weights(folder: Path, device: str) -> Path | None:
    """Return Ditto's motion network: the folder of its exported files, or its file; None: none."""
    exported = folder / MOTION_FOLDER
    has_exported = (exported / CONDITIONS).is_file()
    weights = found(folder, "lmdm")
    return exported if has_exported and (device == "cpu" or weights is None) else weights
