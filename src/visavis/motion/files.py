"""Motion files: Live Link Face CSV, JSON and npz, chosen by extension.

Live Link Face (Apple's ARKit in Unreal's app) writes a time code and the 61 values of
motion/live_link.py, which have no place for head translation and scale; JSON and npz keep all 58
values. An npz that holds a Live Link Face recording (its names, values and time codes) is read too.
"""

from __future__ import annotations

import csv
import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from visavis.errors import InputError, UnreadableMedia
from visavis.media.kinds import regular_file
from visavis.media.place import whole_file
from visavis.motion.layout import NAMES, pack, unpack
from visavis.motion.live_link import LIVE_LINK_NAMES, from_live_link, to_live_link
from visavis.types import ARKIT_NAMES, MOTION_FPS, FloatArray, Motion

MAX_FPS = 240
LONGEST_GAP_S = 60
"""A longer pause between two frames is a damaged time code, not dropped frames."""
_RATES = (24, 25, 30, 50, 60, 100, 120, 240)
_NEEDED = {name[0].upper() + name[1:] for name in ARKIT_NAMES}
_FORMAT = "visavis-motion"


def write_motion(path: Path | str, motion: Motion) -> None:
    """Write ``motion`` to ``path`` (.csv, .json or .npz), whole or not at all.

    Raises:
        InputError: the extension is another one, or the motion holds NaN.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    check_motion_name(path)
    if not np.isfinite(pack(motion)).all():
        raise InputError(f"The motion for {path} holds values that are not numbers; write none.")
    with whole_file(path) as place:
        place.write_bytes(_WRITERS[path.suffix.lower()](motion))


def check_motion_name(path: Path | str) -> None:
    """Refuse a ``path`` that is not named like a motion file.

    Raises:
        InputError: the extension is another one.
    """
    if Path(path).suffix.lower() not in _WRITERS:
        raise InputError(_unknown(Path(path)))


_DAMAGED = (
    ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, EOFError, OSError, csv.Error,
    MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError,
)  # fmt: skip  # what csv, json and NumPy raise on damaged files


def read_motion(path: Path | str) -> Motion:
    """Return the motion in ``path`` at the rate it was written.

    Raises:
        UnreadableMedia: no such file, or it is damaged.
        InputError: the extension, a column, a value or the rate cannot be used.
    """
    path = Path(path)
    check_motion_name(path)
    reader = _READERS[path.suffix.lower()]
    data = regular_file(path, "a motion file (.csv, .json or .npz)").read_bytes()
    try:
        motion = reader(data)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    except _DAMAGED as error:
        raise UnreadableMedia(
            f"{path} is not a motion file that can be read ({error}); write one with --motion-out."
        ) from error
    return _checked(path, motion)


def _checked(path: Path, motion: Motion) -> Motion:
    """Return ``motion`` if all of it can be drawn."""
    if len(motion) == 0:
        raise InputError(f"{path} holds no frames; at least one is needed.")
    if not 1 <= motion.fps <= MAX_FPS:
        raise InputError(
            f"{path} says {motion.fps} frames per second; 1 to {MAX_FPS} are accepted."
        )
    bad = ~np.isfinite(pack(motion))
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        raise InputError(f"{path}: {NAMES[column]} of frame {frame} is not a number; correct it.")
    return motion


def _unknown(path: Path) -> str:
    return (
        f"{path} has the extension {path.suffix or '(none)'}; motion files are .csv "
        "(Live Link Face), .json or .npz; visavis convert also writes .glb."
    )


def _write_csv(motion: Motion) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Timecode", "BlendShapeCount", *LIVE_LINK_NAMES])
    for n, row in enumerate(to_live_link(motion)):
        seconds, frame = divmod(n, motion.fps)
        minutes, hours = seconds // 60, seconds // 3600
        code = f"{hours:02d}:{minutes % 60:02d}:{seconds % 60:02d}:{frame:02d}.000"
        writer.writerow([code, len(LIVE_LINK_NAMES), *(f"{x:.7g}" for x in row)])
    return text.getvalue().encode()


def _read_csv(data: bytes) -> Motion:
    header, body = _table(list(csv.reader(io.StringIO(data.decode("utf-8-sig")))))
    names = [name for name in LIVE_LINK_NAMES if name in header]
    columns = [[float(row[header.index(name)]) for row in body] for name in names]
    codes = [row[header.index("Timecode")] for row in body]
    return _recorded(names, np.array(columns, np.float32).reshape(len(names), -1).T, codes)


def _table(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return header and frames of a Live Link Face recording, checked to be whole."""
    if not rows or "Timecode" not in rows[0]:
        raise InputError("the first line must be the header Timecode,BlendShapeCount,...")
    header, body = rows[0], [r for r in rows[1:] if r]
    short = next((i for i, r in enumerate(body) if len(r) != len(header)), None)
    if short is not None:
        raise InputError(f"frame {short} has {len(body[short])} values, the header {len(header)}.")
    return header, body


def _recorded(names: list[str], columns: FloatArray, codes: list[str]) -> Motion:
    """Return a Live Link Face recording on an even grid; dropped frames are interpolated.

    ``columns`` (t, n) by ``names``, ``codes`` (t) the time code of each frame.
    """
    missing = sorted(_NEEDED - set(names))
    if missing:
        raise InputError(f"the column {missing[0]} is missing; Live Link Face writes 61 columns.")
    values = np.zeros((len(codes), len(LIVE_LINK_NAMES)), np.float32)
    for i, name in enumerate(LIVE_LINK_NAMES):
        if name in names:
            values[:, i] = columns[:, names.index(name)]
    seconds, fps = _clock(codes)
    return _even(pack(from_live_link(values, fps)), seconds, fps)


def _clock(codes: list[str]) -> tuple[FloatArray, int]:
    """Return the second (t,) float64 of each time code and the rate of the recording.

    The frame field counts at the camera's rate, even where the recording keeps every other frame.
    """
    parts = np.array([[float(x) for x in code.split(":")] for code in codes]).reshape(-1, 4)
    whole, count = parts[:, :3] @ np.array([3600.0, 60.0, 1.0]), parts[:, 3]
    base = _camera_rate(whole, count)
    seconds = whole + count / base
    steps = np.diff(seconds)
    if len(steps) and steps.min() <= 0:
        raise InputError(f"the time code of frame {int(np.argmin(steps)) + 1} does not advance.")
    if len(steps) and steps.max() > LONGEST_GAP_S:
        raise InputError(
            f"the time code of frame {int(np.argmax(steps)) + 1} jumps by {steps.max():.0f} s; "
            f"gaps up to {LONGEST_GAP_S} s are filled."
        )
    fps = round(1.0 / float(np.median(steps))) if len(steps) else base
    return seconds - seconds[:1], fps


def _camera_rate(whole: FloatArray, count: FloatArray) -> int:
    """Return the rate at which the frame fields ``count`` (t,) rise in the seconds ``whole``."""
    highest = int(count.max(initial=0.0))
    usual = next((r for r in _RATES if highest < r), MAX_FPS)
    if len(np.unique(whole)) < 2:  # under a second: the rate does not show
        return MOTION_FPS if highest < MOTION_FPS else usual
    is_gapless = (np.diff(whole * (highest + 1) + count) == 1).all()
    return highest + 1 if is_gapless else usual


def _even(values: FloatArray, seconds: FloatArray, fps: int) -> Motion:
    """Return ``values`` (t, 58) taken at ``seconds`` (t,) on the grid of ``fps``."""
    if len(values) < 2:
        return unpack(values, fps)
    frames = round(float(seconds[-1]) * fps) + 1
    if frames == len(values):
        return unpack(values, fps)
    at = np.arange(frames) / fps
    return unpack(np.stack([np.interp(at, seconds, v) for v in values.T], axis=1), fps)


def _write_json(motion: Motion) -> bytes:
    values = [[round(float(x), 6) for x in row] for row in pack(motion)]
    content = {"format": _FORMAT, "version": 1, "fps": motion.fps, "names": NAMES, "frames": values}
    return json.dumps(content, separators=(",", ":")).encode()


def _read_json(data: bytes) -> Motion:
    content: dict[str, Any] = json.loads(data)
    return _named(content["names"], np.array(content["frames"], np.float32), content["fps"])


def _write_npz(motion: Motion) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, values=pack(motion), names=np.array(NAMES), fps=np.array(motion.fps)
    )
    return buffer.getvalue()


def _read_npz(data: bytes) -> Motion:
    with np.load(io.BytesIO(data), allow_pickle=False) as content:
        names, values = [str(name) for name in content["names"]], content["values"]
        if "timecode" in content:
            return _recorded(names, values, [str(code) for code in content["timecode"]])
        return _named(names, values, int(content["fps"]))


def _named(names: list[str], frames: FloatArray, fps: int) -> Motion:
    """Return the columns ``names`` of ``frames`` (t, n) as Motion; a missing one is an error."""
    missing = [n for n in NAMES if n not in names]
    if missing:
        raise InputError(f"the column {missing[0]} is missing; all of motion/layout.py are needed.")
    if frames.ndim != 2 or frames.shape[1] != len(names):
        raise InputError(f"the values have shape {frames.shape}; (frames, {len(names)}) is needed.")
    if not isinstance(fps, int):
        raise InputError(f"fps is {fps!r}; a whole number is needed.")
    return unpack(frames[:, [names.index(n) for n in NAMES]], fps)


_WRITERS: dict[str, Callable[[Motion], bytes]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".npz": _write_npz,
}
_READERS: dict[str, Callable[[bytes], Motion]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npz": _read_npz,
}
