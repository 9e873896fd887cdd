"""ARKit recordings (Live Link Face) -> motion for the motion model: curves of real faces."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, UnreadableMedia
from visavis.media.kinds import shown
from visavis.motion.files import read_motion
from visavis.motion.filters import resample
from visavis.motion.layout import COEFFICIENTS, INDEX, SIZE, pack
from visavis.types import ARKIT_NAMES, MOTION_FPS, FloatArray

CAMERA_FPS = 60.0
"""Live Link Face counts the frames of its time code at the rate of the phone's camera."""
STILL_DEG = 0.05
"""A head that moves less was not recorded."""


def read_take(path: Path) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return motion (t, 58) at 25 fps and which of its values (58,) were recorded.

    ``path`` is a motion file (``motion/files.py``), or an npz with ``values`` (t, 61), ``names``
    and Live Link Face's ``timecode``. The usual gaze becomes a look at the viewer, as the head's
    usual pose is rest.

    Raises:
        UnreadableMedia: no such file, or damaged.
        InputError: it holds something else.
    """
    values = _from_columns(path) if path.suffix == ".npz" else None
    if values is None:
        values = pack(resample(read_motion(path), MOTION_FPS))
    values[:, COEFFICIENTS] = np.clip(values[:, COEFFICIENTS], 0, 1)
    values[:, 52:57] -= np.median(values[:, 52:57], axis=0)
    _centre_gaze(values)
    known = np.ones(SIZE, bool)
    known[52:55] = values[:, 52:55].std(0).max() > STILL_DEG
    known[55:58] = values[:, 55:58].std(0).max() > 0
    return values, known


def _from_columns(path: Path) -> FloatArray | None:
    """Return the take in columns by name, or None when ``path`` is a motion file of ours."""
    try:
        with np.load(path, allow_pickle=False) as data:
            if "timecode" not in data:
                return None
            names = [str(n) for n in data["names"]]
            raw, codes = data["values"].astype(np.float32), [str(c) for c in data["timecode"]]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UnreadableMedia(f"{shown(path)} is no ARKit take ({error}).") from error
    columns = [name[0].upper() + name[1:] for name in ARKIT_NAMES]
    missing = sorted(set(columns) - set(names))
    if missing:
        raise InputError(f"{shown(path)} lacks the column {missing[0]}; all 52 are needed.")
    seconds = _seconds(codes)
    at = np.arange(seconds[0], seconds[-1], 1 / MOTION_FPS)
    out = np.zeros((len(at), SIZE), np.float32)
    out[:, INDEX["headScale"]] = 1
    for i, name in enumerate(columns):
        out[:, i] = np.interp(at, seconds, raw[:, names.index(name)])
    for name in ("HeadPitch", "HeadYaw", "HeadRoll"):
        if name in names:
            angle = np.interp(at, seconds, raw[:, names.index(name)])
            out[:, INDEX["h" + name[1:]]] = -np.degrees(angle)
    return out


def _seconds(codes: list[str]) -> NDArray[np.float64]:
    """Return the seconds (t,) of time codes HOURS:MINUTES:SECONDS:FRAMES, rising."""
    parts = np.array([[float(x) for x in code.split(":")] for code in codes])
    return np.maximum.accumulate(parts @ np.array([3600.0, 60.0, 1.0, 1.0 / CAMERA_FPS]))


def _centre_gaze(values: FloatArray) -> None:
    """Turn the eyes of ``values`` (t, 58) in place so that their median looks straight ahead."""
    for a, b in (("Up", "Down"), ("In", "Out")):
        for side in ("Left", "Right"):
            i, k = INDEX[f"eyeLook{a}{side}"], INDEX[f"eyeLook{b}{side}"]
            turn = values[:, i] - values[:, k]
            turn = turn - np.median(turn)
            values[:, i], values[:, k] = np.clip(turn, 0, 1), np.clip(-turn, 0, 1)
