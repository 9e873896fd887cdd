"""Model name -> file inside the package, checked against its SHA-256.

``assets/manifest.json`` maps each file name to its SHA-256. A file that does not match is refused,
so that a damaged install says so instead of drawing a strange face.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from functools import cache
from pathlib import Path

from visavis.errors import UnknownModel, WeightsMismatch

ASSETS = Path(__file__).parent.parent / "assets"
PACKAGED = {"latent-tiny": "latent"}
"""Models one may ask for by name, and the folder of their files in ASSETS."""


@cache
def manifest() -> dict[str, str]:
    """Return file name -> SHA-256 of every packaged asset."""
    entries: dict[str, str] = json.loads((ASSETS / "manifest.json").read_text("utf-8"))
    return entries


@cache
def asset(name: str) -> Path:
    """Return the path of the packaged file ``name`` after checking its SHA-256.

    Raises:
        UnknownModel: no such asset; the message names the nearest one.
        WeightsMismatch: the file differs from the published one.
    """
    known = manifest()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownModel(f"No packaged model is called {name!r}.{hint} Known: {sorted(known)}.")
    path = ASSETS / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "missing"
    if digest != known[name]:
        raise WeightsMismatch(
            f"{path} is damaged or missing (SHA-256 {digest[:12]}, expected {known[name][:12]}). "
            "Reinstall with: pip install --force-reinstall visavis"
        )
    return path
