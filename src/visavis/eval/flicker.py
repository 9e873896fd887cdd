"""What flickers: change from picture to picture that motion does not explain. In grey levels."""

from __future__ import annotations

import cv2
import numpy as np

from visavis.types import FloatArray, ImageArray

EDGE = 6
"""Pixels at the rim of a picture that are left out: what comes from outside is not known."""


def unexplained(before: ImageArray, now: ImageArray, after: ImageArray) -> float:
    """Return what optical flow leaves of ``now`` (h, w, 3) between its neighbours.

    |(w(before) + w(after)) / 2 - now|, w by DIS flow (Kroeger et al. 2016): the warping error of
    Lai et al. (2018), which treats filmed and made pictures alike. Noise of a camera counts too.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = cv2.cvtColor(now, cv2.COLOR_RGB2GRAY)
    y, x = np.mgrid[: now.shape[0], : now.shape[1]].astype(np.float32)
    moved = []
    for image in (before, after):
        field = flow.calc(grey, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
        at = np.stack([x, y], -1) + field
        back = cv2.remap(image, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        moved.append(back.astype(np.float32))
    apart = np.abs((moved[0] + moved[1]) / 2 - now)
    return float(apart[EDGE:-EDGE, EDGE:-EDGE].mean())


def jumps(frames: ImageArray) -> FloatArray:
    """Return half the second difference (t - 2, h, w) of ``frames`` (t, h, w, 3).

    Where everything changes at a constant rate it is about zero, whatever the rate.
    """
    f = frames.astype(np.float32)
    out: FloatArray = np.abs(f[:-2] - 2 * f[1:-1] + f[2:]).mean(-1) / 2
    return out
