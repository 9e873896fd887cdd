"""The quality ladder: how much is spent on what a warp alone cannot know.

``draft`` is the mesh warp alone; ``standard`` corrects its mouth and eyes by networks at two pixels
per millimetre, ``high`` lays what they say over patches of four, for large pictures.
"""

from __future__ import annotations

from visavis.errors import InputError
from visavis.nn.session import packaged
from visavis.render.mesh_warp import Touch
from visavis.render.refiner import Refiner

QUALITIES = ("draft", "standard", "high")
DEFAULT_QUALITY = "standard"
_FINENESS = {"standard": 1, "high": 2}
_THREADS = 2


def touch_for(quality: str, *, eyes: bool = True) -> Touch | None:
    """Return what corrects the warped picture at ``quality``, None for a draft.

    Without ``eyes`` it corrects mouths only.

    Raises:
        InputError: there is no such quality.
    """
    if quality not in QUALITIES:
        raise InputError(f"There is no quality {quality!r}. Give one of: {', '.join(QUALITIES)}.")
    if quality == "draft":
        return None
    mouth = packaged("refiner_mouth.onnx", _THREADS)
    eye = packaged("refiner_eye.onnx", _THREADS) if eyes else None
    return Refiner(mouth, eye, _FINENESS[quality])
