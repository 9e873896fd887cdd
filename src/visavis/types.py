"""The few frozen dataclasses that cross folder borders, and the constants of the media grid.

Axes: ``t`` frames, ``n`` samples, ``h`` rows, ``w`` columns. Images are RGB ``uint8``. Time is an
integer count with a rate, always; float seconds appear only in messages for people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
"""Float arrays; float32 wherever they cross a folder border."""
ImageArray = NDArray[np.uint8]

SAMPLE_RATE = 16_000
"""Sound inside the package: mono, float32 in [-1, 1], this many samples per second."""

MOTION_FPS = 25
"""Frames per second of the motion space; other output rates are interpolated from it."""

ARKIT_NAMES: tuple[str, ...] = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight",
    "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft",
    "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""ARKit's 52 blendshape names in alphabetical order; Left and Right are the person's own."""


class Phase(Enum):
    """What the person is doing: the class label of LLIA."""

    IDLE = "idle"
    LISTENING = "listening"
    SPEAKING = "speaking"


@dataclass(frozen=True)
class Audio:
    """A stretch of sound: ``samples`` (n,) float32 mono at ``SAMPLE_RATE``."""

    samples: FloatArray

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)


@dataclass(frozen=True)
class Features:
    """Speech evidence on a regular grid.

    ``values`` (t, d) float32; row ``i`` describes the sound at ``(start + i) / rate`` seconds.
    """

    values: FloatArray
    rate: int
    start: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)


@dataclass(frozen=True)
class Motion:
    """Face and head motion, ``t`` frames at ``fps``; the layout is documented in motion/layout.py.

    ``coefficients`` (t, 52) ARKit weights in [0, 1], order ``ARKIT_NAMES``, absolute: 0 is a
    relaxed face with closed mouth and open eyes. ``rotation`` (t, 3) pitch, yaw, roll in degrees
    relative to the portrait: pitch + raises the chin, yaw + turns the face to the viewer's right,
    roll + tilts the head clockwise as the viewer sees it; about the camera's axes, pitch first,
    then yaw, then roll. ``translation`` (t, 2) right and down, in distances of the portrait's
    pupils. ``scale`` (t,) size relative to the portrait, 1 = unchanged. ``keypoints`` (t, 21, 3)
    the same frames as implicit keypoints of one portrait (faces/implicit.py), from models that
    move those; renderers that know them draw them, all others the coefficients. ``latents``
    (t, 2, c, h, w) the same frames as changes of one portrait's latents (video/), each frame's and
    those of the frame before, from models that make the pictures themselves.
    """

    coefficients: FloatArray
    rotation: FloatArray
    translation: FloatArray
    scale: FloatArray
    fps: int = MOTION_FPS
    keypoints: FloatArray | None = None
    latents: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.coefficients)

    def __getitem__(self, index: slice) -> Motion:
        """Return the frames in ``index``, a slice, so that a single frame stays a Motion."""
        return Motion(
            self.coefficients[index],
            self.rotation[index],
            self.translation[index],
            self.scale[index],
            self.fps,
            None if self.keypoints is None else self.keypoints[index],
            None if self.latents is None else self.latents[index],
        )

    @staticmethod
    def rest(frames: int, fps: int = MOTION_FPS) -> Motion:
        """Return ``frames`` frames of a relaxed face in the portrait's own pose."""
        return Motion(
            np.zeros((frames, len(ARKIT_NAMES)), np.float32),
            np.zeros((frames, 3), np.float32),
            np.zeros((frames, 2), np.float32),
            np.ones(frames, np.float32),
            fps,
        )

    @staticmethod
    def concatenate(parts: list[Motion]) -> Motion:
        """Join stretches of motion that share one frame rate and are of one kind."""
        points = [p.keypoints for p in parts if p.keypoints is not None]
        latents = [p.latents for p in parts if p.latents is not None]
        return Motion(
            np.concatenate([p.coefficients for p in parts]),
            np.concatenate([p.rotation for p in parts]),
            np.concatenate([p.translation for p in parts]),
            np.concatenate([p.scale for p in parts]),
            parts[0].fps,
            np.concatenate(points) if points else None,
            np.concatenate(latents) if latents else None,
        )


@dataclass(frozen=True)
class Frame:
    """One finished picture, shown at ``index / fps`` seconds.

    ``image`` (h, w, 3) RGB uint8; (h, w, 4) RGBA, colours not multiplied by alpha, if asked to be
    transparent.
    """

    image: ImageArray
    index: int
    motion: Motion


@dataclass(frozen=True)
class Portrait:
    """A checked photograph of one face.

    ``image`` (h, w, 3) RGB uint8, upright. ``landmarks`` (478, 3) float32 pixels in MediaPipe's
    topology with irises (x right, y down, z towards the back, same unit). ``matte`` (h, w) float32
    in [0, 1], 1 on the person. ``head_matte`` (h, w) float32, 1 on head and hair only.
    ``rotation`` (3,) pitch, yaw, roll of the face in degrees. ``warnings`` are for people to read.
    """

    image: ImageArray
    landmarks: FloatArray
    matte: FloatArray
    head_matte: FloatArray
    rotation: FloatArray
    warnings: tuple[str, ...] = field(default=())
