"""Puts published networks together: what hears, what moves, what draws."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from visavis.audio.features import FeatureExtractor
from visavis.audio.phones import PhoneRecognizer
from visavis.faces.portrait import make_portrait
from visavis.hub import ASSETS
from visavis.hub.folder import located
from visavis.media.image import read_image
from visavis.motion.base import MotionModel
from visavis.motion.models import motion_by
from visavis.render.base import Renderer
from visavis.render.liveportrait.bridge import Bridge, fit_bridge, read_bridge, write_bridge
from visavis.render.liveportrait.eager import TorchEngine, open_networks
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.renderer import LivePortraitRenderer

BRIDGE_FILE = "bridge.npz"
"""The fitted bridge from ARKit, in a model's folder."""


def opened(
    model: str | Path,
    *,
    device: str | None,
    precision: str | None,
    live: bool,
    steps: int | None,
    motion_model: str | None,
) -> tuple[FeatureExtractor, MotionModel, Renderer]:
    """Return the parts; arguments and errors are those of ``visavis.neural.open_neural``."""
    folder = located(model)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    engine = open_engine(folder, where, precision)
    motion = motion_by(motion_model, 1 if steps is None else steps, live)
    renderer = LivePortraitRenderer(engine, bridge_of(folder, engine))
    return PhoneRecognizer(), motion, renderer


def open_engine(folder: Path, device: str, precision: str | None = None) -> Engine:
    """Return what runs the networks in ``folder`` on ``device``, in its usual precision if None."""
    usual = "float32" if device == "cpu" else "bfloat16"
    return TorchEngine(open_networks(folder), device, precision or usual)


def bridge_of(folder: Path, engine: Engine) -> Bridge:
    """Return the bridge from ARKit to the networks in ``folder``, fitted and kept at first use."""
    path = folder / BRIDGE_FILE
    if path.is_file():
        return read_bridge(path)
    portrait = make_portrait(read_image(ASSETS / "demo_portrait.webp"))
    bridge = fit_bridge(engine, [portrait])
    part = path.with_name(f"part_{BRIDGE_FILE}")
    with suppress(OSError):  # a folder that is only to be read: fitted again next time
        write_bridge(part, bridge)
        part.replace(path)
    return bridge
