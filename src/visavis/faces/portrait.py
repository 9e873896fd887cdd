"""Photograph -> checked Portrait: which face, its landmarks, mattes, pose and a quality verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.errors import InputError, NoFaceFound
from visavis.faces import topology
from visavis.faces.crop import FACE_CM, frontal_fit
from visavis.faces.detect import FaceBox, detect
from visavis.faces.landmarks import FaceLandmarks, locate, refine
from visavis.faces.matte import mattes
from visavis.faces.measure import eye_opening, head_rotation, interocular, mouth_opening
from visavis.media.cache import Arrays, remembered
from visavis.types import ImageArray, Portrait

SMALLEST_PX = 24.0
"""Inter-ocular distance below which a face cannot be animated; below twice that it is soft."""
TURNED_DEG, TURNED_MOST_DEG = (20.0, 25.0), (35.0, 45.0)
"""Pitch and yaw beyond which the result suffers, and beyond which it is refused."""
CERTAIN, CLEAR = 0.9, 0.99
"""Presence from which a find counts as a face, and from which all of it is there.

461 held-out faces have 0.999 or more, 40 of 42 wrong finds of the detector below 0.06.
"""
MOUTH_DOUBT, EYE_DOUBT = 0.0095, 0.007
"""Doubt of the landmarks, in inter-ocular distances, from which a part is taken to be covered.

Measured on 40 portraits, clean and with a blob over the part: lips 0.0043 at the 95th percentile
against 0.0127 at the 5th, an eye 0.0040 against 0.0065.
"""
MOST_FACES = 12


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a picture: the detector's ``score`` and the landmarks."""

    score: float
    landmarks: FaceLandmarks

    @property
    def box(self) -> FaceBox:
        """Return the square round the face that the landmarks ask for."""
        centre, scale, roll = frontal_fit(self.landmarks.points)
        return FaceBox.around(centre, scale * FACE_CM, roll, self.score)


def find_faces(image: ImageArray) -> list[Face]:
    """Return every face of ``image`` (h, w, 3), best first, with landmarks."""
    faces: list[Face] = []
    for box in detect(image)[:MOST_FACES]:
        found = Face(box.score, locate(image, box))
        if found.landmarks.presence < CERTAIN or any(_is_same(found, f) for f in faces):
            continue
        faces.append(found)
    return faces


def left_to_right(faces: list[Face]) -> list[Face]:
    """Return the faces in the order in which `--face N` counts them, from 1."""
    return sorted(faces, key=lambda f: f.box.centre[0])


def make_portrait(image: ImageArray, face: int | None = None) -> Portrait:
    """Return the Portrait of ``image`` (h, w, 3) RGB uint8.

    ``face`` chooses one of several, counted from 1, left to right; without it the largest, clearest
    and most central is taken.

    Raises:
        NoFaceFound: no face, or one too small or turned too far.
        InputError: there is no face with that number.
    """
    found = remembered("portrait", {"image": image, "face": face}, lambda: _registered(image, face))
    quarters = int(found["quarters"])
    return Portrait(
        image=np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image,
        landmarks=found["landmarks"],
        matte=found["matte"],
        head_matte=found["head_matte"],
        rotation=found["rotation"],
        warnings=tuple(found["warnings"].tolist()),
    )


def _registered(image: ImageArray, face: int | None) -> Arrays:
    """Return the fields of ``make_portrait`` as arrays, and how many quarters it was turned."""
    faces = find_faces(image)
    if not faces:
        raise NoFaceFound(
            f"No face found in a picture of {image.shape[1]}x{image.shape[0]} pixels. Give a photo "
            "of one person, seen from the front, uncovered and well lit."
        )
    chosen = choose(faces, face)
    image, found, quarters = upright(image, chosen.landmarks)
    landmarks = refine(image, found)
    warnings = (
        *_count_warning(faces, chosen, face),
        *turn_warning(quarters),
        *verdict(landmarks),
    )
    person, head = mattes(image, landmarks.points)
    return {
        "landmarks": landmarks.points,
        "matte": person,
        "head_matte": head,
        "rotation": np.array(head_rotation(landmarks.points), np.float32),
        "quarters": np.array(quarters),
        "warnings": np.array(warnings, np.str_),
    }


def upright(image: ImageArray, face: FaceLandmarks) -> tuple[ImageArray, FaceLandmarks, int]:
    """Return picture and face turned by quarters until the face stands, and how many it took."""
    quarters = round(head_rotation(face.points)[2] / 90) % 4
    if not quarters:
        return image, face, 0
    points = face.points
    for _ in range(quarters):
        x, y, z = points.T
        points = np.stack([y, image.shape[1] - x, z], axis=1)
        image = np.ascontiguousarray(np.rot90(image))
    return image, FaceLandmarks(points, face.presence), quarters


def turn_warning(quarters: int) -> tuple[str, ...]:
    """Return the warning that the picture was turned, if it was."""
    if not quarters:
        return ()
    words = f"The photograph was turned by {min(quarters, 4 - quarters) * 90} degrees: the face lay"
    return (f"{words} on its side or upside down.",)


def verdict(landmarks: FaceLandmarks) -> tuple[str, ...]:
    """Return what may spoil the result, one sentence each.

    Raises:
        NoFaceFound: the face is too small or turned too far to be animated.
    """
    points = landmarks.points
    apart = interocular(points)
    pitch, yaw, _ = head_rotation(points)
    if apart < SMALLEST_PX:
        raise NoFaceFound(
            f"The face is too small: its eyes are {apart:.0f} pixels apart, at least "
            f"{SMALLEST_PX:.0f} are needed. Give a larger picture or a closer crop."
        )
    if abs(pitch) > TURNED_MOST_DEG[0] or abs(yaw) > TURNED_MOST_DEG[1]:
        raise NoFaceFound(
            f"The face is turned too far: {_turn(pitch, yaw)}, up to {TURNED_MOST_DEG[1]:.0f} "
            f"sideways and {TURNED_MOST_DEG[0]:.0f} up or down are accepted. Give a frontal photo."
        )
    return tuple(_doubts(landmarks, apart, pitch, yaw))


def _doubts(landmarks: FaceLandmarks, apart: float, pitch: float, yaw: float) -> list[str]:
    """Return the warnings about one usable face."""
    points, found = landmarks.points, []
    if apart < 2 * SMALLEST_PX:
        found.append(f"The face is small (eyes {apart:.0f} pixels apart): the video will be soft.")
    if abs(pitch) > TURNED_DEG[0] or abs(yaw) > TURNED_DEG[1]:
        found.append(f"The face is turned ({_turn(pitch, yaw)}): a frontal photo looks better.")
    found += _covers(landmarks, apart)
    if mouth_opening(points) > 0.12:
        found.append("The mouth is open: a photo with closed lips looks better.")
    if max(eye_opening(points)) < 0.12:
        found.append("The eyes are closed: a photo with open eyes looks better.")
    return found


def _covers(landmarks: FaceLandmarks, apart: float) -> list[str]:
    """Return the warnings about parts that something covers."""
    if landmarks.presence < CLEAR:
        return ["The face may be partly covered or cut off: a free view looks better."]
    if landmarks.doubt is None:
        return []
    doubt, found = landmarks.doubt / apart, []
    if doubt[list(topology.LIPS_OUTER + topology.LIPS_INNER)].mean() > MOUTH_DOUBT:
        found.append("The mouth seems to be covered: a photo that shows it looks better.")
    sides = (topology.LEFT_EYE + topology.LEFT_IRIS, topology.RIGHT_EYE + topology.RIGHT_IRIS)
    eyes = [doubt[list(side)].mean() for side in sides]
    if max(eyes) > EYE_DOUBT:
        found.append("Something seems to cover an eye, like dark glasses, hair or a hand.")
    return found


def _turn(pitch: float, yaw: float) -> str:
    """Return pitch and yaw in words."""
    side = "right" if yaw > 0 else "left"
    up = "up" if pitch > 0 else "down"
    return f"{abs(yaw):.0f} degrees to the viewer's {side}, {abs(pitch):.0f} {up}"


def choose(faces: list[Face], number: int | None) -> Face:
    """Return the best face, or the one with ``number`` counted left to right from 1."""
    if number is None:
        return faces[0]
    if not 1 <= number <= len(faces):
        raise InputError(
            f"There is no face {number}: {len(faces)} found, counted from 1, left to right. "
            "`visavis inspect` shows their numbers."
        )
    return left_to_right(faces)[number - 1]


def _count_warning(faces: list[Face], chosen: Face, asked: int | None) -> tuple[str, ...]:
    """Return the warning that several faces were found, unless one was asked for."""
    if len(faces) == 1 or asked is not None:
        return ()
    number = left_to_right(faces).index(chosen) + 1
    return (
        f"{len(faces)} faces found, number {number} from the left is taken; "
        "choose another with --face N.",
    )


def _is_same(a: Face, b: Face) -> bool:
    """Return whether two finds are the same face."""
    gap = np.hypot(*np.subtract(a.box.centre, b.box.centre))
    return bool(gap < 0.4 * max(a.box.side, b.box.side))
