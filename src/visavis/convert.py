"""Motion files for other programs: one kind into another, a glTF face, or packets for Unreal."""

from __future__ import annotations

from pathlib import Path

from visavis.errors import InputError
from visavis.media.place import refuse_sources
from visavis.motion.files import check_motion_name, read_motion, write_motion
from visavis.motion.live_link import is_link, parse_link, send
from visavis.opening import Picture, open_portrait
from visavis.render.gltf import write_glb
from visavis.types import Motion


def convert(
    motion: str | Path,
    out: str | Path,
    *,
    portrait: Picture | None = None,
    face: int | None = None,
    subject: str = "visavis",
) -> Motion:
    """Write the motion file ``motion`` as another kind, or send it; return what it holds.

    Args:
        motion: .csv (Live Link Face), .json or .npz.
        out: .csv, .json, .npz, .glb (a glTF face with ARKit's morph targets that moves so), or
            udp://HOST:PORT, to which it is sent as Live Link Face packets, at its own pace.
        portrait: whose face the .glb shows; by default nobody's.
        face: which face of ``portrait``, counted from 1, left to right.
        subject: the name under which Unreal lists the packets.

    Raises:
        InputError: ``motion`` or ``portrait`` cannot be used, or ``out`` is of another kind.
        OutputError: ``out`` cannot be written or reached.
    """
    _check(motion, out, portrait, face)
    moves = read_motion(motion)
    if is_link(out):
        send(moves, *parse_link(str(out)), subject)
    elif _is_glb(out):
        write_glb(out, moves, None if portrait is None else open_portrait(portrait, face))
    else:
        write_motion(out, moves)
    return moves


def _is_glb(out: str | Path) -> bool:
    return not is_link(out) and Path(out).suffix.lower() == ".glb"


def _check(motion: str | Path, out: str | Path, portrait: Picture | None, face: int | None) -> None:
    """Refuse what cannot be done before anything is read."""
    if portrait is not None and not _is_glb(out):
        raise InputError(f"A portrait is shown in .glb files only; {out} holds just the motion.")
    if face is not None and portrait is None:
        raise InputError(f"Face {face} of no portrait: give --portrait as well, or leave it out.")
    if is_link(out):
        parse_link(str(out))
        return
    refuse_sources(out, motion, portrait)
    if not _is_glb(out):
        check_motion_name(out)
