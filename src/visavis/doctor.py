"""What this machine can run: versions, encoders, model files, places to write, speed."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from av.codec import Codec, codecs_available

from visavis.api import load
from visavis.errors import ModelError, VisavisError
from visavis.hub import asset, manifest
from visavis.machine import cpu_name, cpu_threads
from visavis.media.cache import VARIABLE, cache_folder, entries, kept_in
from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.provenance.policy import read_policy
from visavis.timing import Stopwatch
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio

PACKAGES = ("numpy", "opencv-python-headless", "av", "onnxruntime", "soxr", "pillow", "pillow-heif",
            "c2pa-python")  # fmt: skip
"""What the plain install needs, and the modules that are named otherwise."""
MODULES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "c2pa-python": "c2pa",
}
ENCODERS = {
    "libx264": "mp4, mov, mkv",
    "aac": "mp4 sound",
    "libvpx-vp9": "webm",
    "libopus": "webm sound",
    "gif": "gif",
}
EXTRAS = {
    "train": ("torch", "safetensors", "onnx", "scipy"),
    "eval": ("dlib", "face_recognition_models"),
    "voice": ("hibari",),
    "live": ("aiortc", "fastapi", "uvicorn", "websockets", "httpx", "prometheus_client"),
    "neural": ("torch", "safetensors", "huggingface_hub"),
    "scale": ("ray",),
}
"""Optional packages by extra; none of them is needed for `animate`."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``is_ok`` is False only if it keeps `animate` from working."""

    subject: str
    text: str
    is_ok: bool = True


def examine() -> list[Finding]:
    """Look at everything that ``animate`` needs; nothing is left behind."""
    return [
        _system(),
        *(_package(name) for name in PACKAGES),
        _encoders(),
        _models(),
        *(_writable(name, Path(place)) for name, place in _places().items()),
        _remembered(),
        _signing(),
        *(_extra(name, parts) for name, parts in EXTRAS.items()),
        _speed(),
    ]


def _system() -> Finding:
    """Name Python, the system and the processor."""
    text = (
        f"Python {platform.python_version()}, {platform.system()} {platform.release()} "
        f"{platform.machine()}, {cpu_name()}, {cpu_threads()} threads"
    )
    return Finding("system", text)


def _package(name: str) -> Finding:
    """Name the version of a package that the plain install needs."""
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        # Another distribution may serve the same module (opencv-python for the headless one).
        is_there = importlib.util.find_spec(MODULES.get(name, name)) is not None
        text = "from another distribution" if is_there else "missing; pip install visavis again"
        return Finding(name, text, is_there)


def _encoders() -> Finding:
    """Tell which encoders FFmpeg has here."""
    missing = [name for name in ENCODERS if not _can_encode(name)]
    if not missing:
        return Finding("encoders", ", ".join(ENCODERS))
    text = ", ".join(f"{name} missing (no {ENCODERS[name]})" for name in missing)
    return Finding("encoders", f"{text}; pip install --force-reinstall av", False)


def _can_encode(name: str) -> bool:
    """Tell whether FFmpeg has the encoder ``name``."""
    return name in codecs_available and Codec(name, "w").is_encoder


def _models() -> Finding:
    """Check every packaged file against its published SHA-256."""
    try:
        names = [asset(name).name for name in manifest()]
    except ModelError as error:
        return Finding("models", str(error), False)
    return Finding("models", f"{len(names)} packaged files verified")


def _places() -> dict[str, str]:
    """Name the folders that are written to."""
    return {"temporary folder": tempfile.gettempdir(), "this folder": "."}


def _writable(name: str, place: Path) -> Finding:
    """Tell whether ``place`` can be written to."""
    is_ok = os.access(place, os.W_OK)
    return Finding(name, f"{place.resolve()} {'is' if is_ok else 'is not'} writable", is_ok)


def _remembered() -> Finding:
    """Tell where portraits are remembered, and how much of them."""
    folder = cache_folder()
    if folder is None:
        return Finding("cache", "off: portraits are worked out anew each time")
    sizes = [path.stat().st_size for path in entries(folder)]
    text = f"{folder}: {len(sizes)} entries, {sum(sizes) / 2**20:.0f} MB"
    return Finding("cache", f"{text}; {VARIABLE} names another folder, or off")


def _signing() -> Finding:
    """Tell who signs what is made here."""
    try:
        policy = read_policy()
    except VisavisError as error:
        return Finding("signing", str(error), False)
    signer = policy.certificate or "a development certificate of this machine"
    return Finding("signing", policy.signing if policy.signing == "off" else f"by {signer}")


def _extra(name: str, parts: tuple[str, ...]) -> Finding:
    """Tell whether the packages of an extra are there; they are optional."""
    missing = [part for part in parts if importlib.util.find_spec(part) is None]
    found = "installed" if not missing else f"not installed (optional; {', '.join(missing)})"
    return Finding(f"extra [{name}]", found)


def _speed() -> Finding:
    """Animate three seconds of noise at 512x512; the best second tells what the machine can do."""
    try:
        animator = load()
        with kept_in("off"):
            state = animator.start(animator.prepare(open_portrait(DEMO_PORTRAIT), (512, 512)))
        noise = np.random.default_rng(0).standard_normal((3, SAMPLE_RATE)).astype(np.float32) * 0.1
        rates = []
        for second in noise:
            watch = Stopwatch()
            state, frames = animator.step(state, Audio(second))
            rates.append(len(frames) / watch.elapsed_s())
    except VisavisError as error:
        return Finding("speed", str(error), False)
    verdict = "real time" if max(rates) > MOTION_FPS else "slower than real time"
    text = f"about {max(rates):.0f} frames/s at 512x512 before encoding: {verdict}"
    return Finding("speed", text)
