"""Visavis: one portrait and a voice become a person who speaks to you.

>>> import visavis
>>> visavis.animate("portrait.jpg", "speech.wav", "out.mp4")  # doctest: +SKIP

Names are loaded when they are first used, so that importing the package costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from visavis.version import __version__ as __version__

if TYPE_CHECKING:
    from visavis.api import animate, frames, load
    from visavis.errors import InputError, NoFaceFound, OutputError, VisavisError
    from visavis.motion.controls import Controls, Timeline
    from visavis.opening import open_portrait
    from visavis.types import Audio, Frame, Motion, Phase, Portrait

__all__ = [
    "Audio",
    "Controls",
    "Frame",
    "InputError",
    "Motion",
    "NoFaceFound",
    "OutputError",
    "Phase",
    "Portrait",
    "Timeline",
    "VisavisError",
    "animate",
    "frames",
    "load",
    "open_portrait",
]

_HOMES = {
    "animate": "api",
    "frames": "api",
    "load": "api",
    "open_portrait": "opening",
    "InputError": "errors",
    "NoFaceFound": "errors",
    "OutputError": "errors",
    "VisavisError": "errors",
    "Controls": "motion.controls",
    "Timeline": "motion.controls",
    "Audio": "types",
    "Frame": "types",
    "Motion": "types",
    "Phase": "types",
    "Portrait": "types",
}


def __getattr__(name: str) -> Any:
    """Import the home of public ``name`` on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'visavis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"visavis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return [*__all__, "__version__"]
