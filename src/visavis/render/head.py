"""The head in three dimensions: turns head, hair and neck of a flat photograph.

Each picture pixel gets a depth (from the landmarks, continued as a rounded skull) and a weight that
is 1 on head and hair, falls along the neck and is 0 on the shoulders. Turning is then a smooth
field on a coarse grid, inverted once per frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.faces.topology import CHIN, FOREHEAD, OVAL
from visavis.render.geometry import Box, fill_outside, grid, invert_field, smoothstep
from visavis.render.solve import turn
from visavis.render.topology import face_height
from visavis.types import FloatArray, Portrait

_PIVOT_DEPTH = 0.55  # of the face height, behind the nose: the top of the spine
_PIVOT_BELOW_CHIN = -0.18  # of the face height: between mouth and chin
_NECK_LENGTH = 0.62  # of the face height: where the turning has died out
_SKULL_SLOPE = 0.45  # depth gained per pixel outside the face
_BORDER = 0.10  # of the picture size: where a person cut off by the edge is held still


@dataclass(frozen=True)
class Head:
    """Rigid motion of one portrait's head.

    ``nodes`` (r, c, 2) coarse grid, ``depth`` and ``weight`` (r, c), ``sinking`` (r, c) the weight
    of what goes down, ``pivot`` (3,) px, ``unit`` inter-ocular distance in px.
    """

    nodes: FloatArray
    depth: FloatArray
    weight: FloatArray
    sinking: FloatArray
    pivot: FloatArray
    step: int
    unit: float

    def backward(self, rotation: FloatArray, shift: FloatArray, scale: float) -> FloatArray:
        """Return the coarse field (r, c, 2) from the turned picture back to the unturned one.

        ``rotation`` (3,) pitch, yaw, roll in degrees; ``shift`` (2,) in inter-ocular distances.
        """
        flat = np.concatenate([self.nodes, self.depth[..., None]], -1) - self.pivot
        turned = flat @ turn(*rotation)[:2].T * scale + self.pivot[:2]
        whole = turned + shift * self.unit - self.nodes
        forward = whole * self.weight[..., None]
        forward[..., 1] = np.maximum(forward[..., 1], whole[..., 1] * self.sinking)
        return invert_field(forward.astype(np.float32), self.step)


def make_head(portrait: Portrait) -> Head:
    """Return the rigid head of ``portrait``, whose image has the final picture size."""
    h, w = portrait.image.shape[:2]
    points = portrait.landmarks
    step = max(4, round(max(w, h) / 72))
    nodes = grid(Box(0, 0, w + step, h + step), step)
    height = face_height(points)
    down = (points[CHIN, :2] - points[FOREHEAD, :2]) / height
    depth = _skull_depth(points, nodes, height)
    weight = _head_weight(portrait, nodes, height, down)
    held = weight * _bottom_hold(portrait, nodes)
    pivot_xy = points[CHIN, :2] + _PIVOT_BELOW_CHIN * height * down
    nose_depth = float(points[:, 2].min())
    pivot = np.array([*pivot_xy, nose_depth + _PIVOT_DEPTH * height], np.float32)
    eyes = points[[468, 473], :2]
    unit = float(np.linalg.norm(eyes[1] - eyes[0]))
    return Head(nodes, depth, held, weight, pivot, step, unit)


def _skull_depth(points: FloatArray, nodes: FloatArray, height: float) -> FloatArray:
    """Return depth (r, c) at ``nodes``: the landmarks' inside the face, a rounded skull outside."""
    rows, columns = nodes.shape[:2]
    step = float(nodes[0, 1, 0] - nodes[0, 0, 0])
    known = np.zeros((rows, columns), np.float32)
    total = np.zeros((rows, columns), np.float32)
    at = np.round(points[:468, :2] / step).astype(int)
    inside = (at >= 0).all(1) & (at < (columns, rows)).all(1)
    np.add.at(known, (at[inside, 1], at[inside, 0]), 1)
    np.add.at(total, (at[inside, 1], at[inside, 0]), points[:468, 2][inside])
    mean = total / np.maximum(known, 1)
    face = fill_outside(mean[..., None], np.minimum(known, 1))[..., 0]
    oval = np.round(points[list(OVAL), :2] / step).astype(np.int32)
    mask = np.ones((rows, columns), np.uint8)
    cv2.fillPoly(mask, [oval], 0)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * step
    reach = 0.5 * height
    skull = face + _SKULL_SLOPE * reach * np.tanh(distance / reach)
    return cv2.GaussianBlur(skull.astype(np.float32), (0, 0), max(0.04 * height / step, 1.0))


def _head_weight(
    portrait: Portrait, nodes: FloatArray, height: float, down: FloatArray
) -> FloatArray:
    """Return (r, c): 1 where the picture moves with the head, 0 where it stands still."""
    head = cv2.remap(
        portrait.head_matte, nodes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = (head > 0.5).astype(np.uint8)
    step = float(nodes[0, 1, 0] - nodes[0, 0, 0])
    oval = np.round(portrait.landmarks[list(OVAL), :2] / step).astype(np.int32)
    cv2.fillPoly(mask, [oval], 1)
    below_chin = (nodes - portrait.landmarks[CHIN, :2]) @ down / height
    mask[below_chin > 0.05] = 0
    distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5) * step / height
    weight = smoothstep(distance, _NECK_LENGTH, 0.0)
    return cv2.GaussianBlur(weight, (0, 0), 0.06 * height / step)


def _bottom_hold(portrait: Portrait, nodes: FloatArray) -> FloatArray:
    """Return (r, c): 0 where the picture's lower edge cuts the person off, 1 well inside.

    Bodies stand on what is below the picture; hair that other edges cut off is continued instead.
    What goes down is not held, for it leaves the picture.
    """
    h, w = portrait.matte.shape
    cut_off = np.ones((h, w), np.uint8)
    cut_off[-1] = portrait.matte[-1] < 0.01
    distance = cv2.distanceTransform(cut_off, cv2.DIST_L2, 5)
    if cut_off.all():
        return np.ones(nodes.shape[:2], np.float32)
    at = np.clip(np.round(nodes).astype(int), 0, (w - 1, h - 1))
    return smoothstep(distance[at[..., 1], at[..., 0]], 0.0, _BORDER * max(w, h))
