"""Live Link Face: the 61 values that Apple's ARKit app records, and its UDP packets for Unreal.

The values are the 52 coefficients and nine angles in radians: yaw (positive: towards the person's
own right), pitch (positive: down) and roll (positive: clockwise for the viewer) of the head and of
each eye, turned in the order yaw, pitch, roll about the head's own axes. The signs of the eyes are
those of 16 real takes, where an eye's roll is yaw times pitch; those takes hold no head motion, and
Unreal's ARKit plugin treats the head as it does the eyes.

A packet (version 6, big-endian) is a version byte, device id and subject name (length int32 and
bytes each), frame number int32, sub-frame float32, frame rate as numerator and denominator int32,
a count byte and the 61 values float32 in the order of Unreal's enumeration, where left comes before
right also for jaw and mouth; the app's CSV has these two the other way round.
"""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from visavis.errors import InputError, OutputError
from visavis.motion.layout import INDEX, SIZE, pack, unpack
from visavis.timing import paced
from visavis.types import ARKIT_NAMES, FloatArray, Motion

_SIDED = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
LIVE_LINK_NAMES: tuple[str, ...] = (
    *(name + "Left" for name in _SIDED), *(name + "Right" for name in _SIDED),
    "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker",
    "MouthRight", "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft",
    "MouthFrownRight", "MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft",
    "MouthStretchRight", "MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper",
    "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft", "MouthLowerDownRight",
    "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp",
    "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight",
    "NoseSneerLeft", "NoseSneerRight", "TongueOut", "HeadYaw", "HeadPitch", "HeadRoll",
    "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
"""The 61 columns of a Live Link Face recording, in the app's order."""

PORT = 11111
"""The UDP port on which Unreal listens."""
PACKET_VERSION = 6
EYE_RANGE_RAD = 0.61
"""Turn of the eye at an eyeLook coefficient of 1 in Live Link Face recordings."""

_AT = {name: i for i, name in enumerate(LIVE_LINK_NAMES)}
_HEAD = slice(_AT["HeadYaw"], _AT["HeadRoll"] + 1)
_OURS = [_AT[name[0].upper() + name[1:]] for name in ARKIT_NAMES]
_HEAD_ROTATION = slice(INDEX["headPitch"], INDEX["headRoll"] + 1)
_SWAP = {"JawLeft": "JawRight", "MouthLeft": "MouthRight"}
_SWAP |= {right: left for left, right in _SWAP.items()}
_PACKET_ORDER = [_AT[_SWAP.get(name, name)] for name in LIVE_LINK_NAMES]  # its own inverse
_FRAME = struct.Struct(">ifiiB")
_VALUES = struct.Struct(f">{len(LIVE_LINK_NAMES)}f")
_LONGEST_NAME = 255


@dataclass(frozen=True, eq=False)
class Packet:
    """One frame as it travels: ``values`` (61,) in the order of ``LIVE_LINK_NAMES``."""

    device: str
    subject: str
    index: int
    fps: int
    values: FloatArray

    @property
    def motion(self) -> Motion:
        """Return the single frame of motion in the packet."""
        return from_live_link(self.values[None], self.fps)


def to_live_link(motion: Motion) -> FloatArray:
    """Return the values (t, 61) float32 of ``motion``, which has no place for x, y and scale."""
    values = pack(motion)
    out = np.zeros((len(motion), len(LIVE_LINK_NAMES)), np.float32)
    out[:, _OURS] = motion.coefficients
    out[:, _HEAD] = _to_yaw_pitch_roll(motion.rotation)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        look = {d: values[:, INDEX[f"eyeLook{d}{side}"]] for d in ("In", "Out", "Up", "Down")}
        at = _AT[f"{side}EyeYaw"]
        out[:, at] = EYE_RANGE_RAD * sign * (look["In"] - look["Out"])
        out[:, at + 1] = EYE_RANGE_RAD * (look["Down"] - look["Up"])
        out[:, at + 2] = out[:, at] * out[:, at + 1]
    return out


def from_live_link(values: FloatArray, fps: int) -> Motion:
    """Return the motion of ``values`` (t, 61) in the order of ``LIVE_LINK_NAMES``."""
    out = np.zeros((len(values), SIZE), np.float32)
    out[:, : len(_OURS)] = values[:, _OURS]
    out[:, _HEAD_ROTATION] = _from_yaw_pitch_roll(values[:, _HEAD])
    out[:, INDEX["headScale"]] = 1.0
    return unpack(out, fps)


def _to_yaw_pitch_roll(rotation: FloatArray) -> FloatArray:
    """Return Live Link's head angles (t, 3) in radians of ``Motion.rotation`` (t, 3) degrees."""
    x, y, z = np.radians(rotation.astype(np.float64) * (-1.0, 1.0, -1.0)).T
    sideways = np.cos(z) * np.sin(y) * np.cos(x) + np.sin(z) * np.sin(x)
    down = np.cos(z) * np.sin(x) - np.sin(z) * np.sin(y) * np.cos(x)
    upright = np.cos(z) * np.cos(x) + np.sin(z) * np.sin(y) * np.sin(x)
    yaw = -np.arctan2(sideways, np.cos(y) * np.cos(x))
    roll = -np.arctan2(np.sin(z) * np.cos(y), upright)
    return np.stack([yaw, np.arcsin(np.clip(down, -1, 1)), roll], axis=1).astype(np.float32)


def _from_yaw_pitch_roll(head: FloatArray) -> FloatArray:
    """Return ``Motion.rotation`` (t, 3) in degrees of Live Link's ``head`` angles (t, 3)."""
    y, x, z = (head.astype(np.float64) * (-1.0, 1.0, -1.0)).T
    across = np.sin(y) * np.cos(z) - np.cos(y) * np.sin(x) * np.sin(z)
    lifted = np.sin(y) * np.sin(z) + np.cos(y) * np.sin(x) * np.cos(z)
    level = np.cos(y) * np.cos(z) + np.sin(y) * np.sin(x) * np.sin(z)
    pitch = -np.arctan2(lifted, np.cos(y) * np.cos(x))
    roll = -np.arctan2(np.cos(x) * np.sin(z), level)
    angles = np.stack([pitch, np.arcsin(np.clip(across, -1, 1)), roll], axis=1)
    return np.degrees(angles).astype(np.float32)


def encode(frame: Motion, index: int, subject: str = "visavis") -> bytes:
    """Return the packet of the single motion frame ``frame``, the ``index``-th of its stream.

    Raises:
        InputError: ``subject`` is not 1 to 255 printable ASCII characters.
    """
    if not (subject.isascii() and subject.isprintable() and 0 < len(subject) <= _LONGEST_NAME):
        raise InputError(
            f"The subject {subject!r} cannot be sent; give 1 to {_LONGEST_NAME} ASCII characters."
        )
    device = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{subject}.visavis"))
    values = to_live_link(frame)[0, _PACKET_ORDER]
    names = (struct.pack(">i", len(name)) + name.encode() for name in (device, subject))
    head = _FRAME.pack(index, 0.0, frame.fps, 1, len(values))
    return bytes([PACKET_VERSION]) + b"".join(names) + head + _VALUES.pack(*values.tolist())


def decode(data: bytes) -> Packet:
    """Return what a Live Link Face packet says, ours or the app's.

    Raises:
        InputError: ``data`` is not a packet of version 6 with 61 values.
    """
    try:
        if data[0] != PACKET_VERSION:
            raise ValueError(f"version {data[0]}")
        device, at = _name(data, 1)
        subject, at = _name(data, at)
        index, _, rate, unit, count = _FRAME.unpack_from(data, at)
        fps = round(rate / unit)
        values = np.array(_VALUES.unpack(data[at + _FRAME.size :]), np.float32)[_PACKET_ORDER]
        if count != len(values) or fps < 1:
            raise ValueError(f"{count} values at {fps} frames per second")
    except (ValueError, LookupError, ArithmeticError, struct.error) as error:
        raise InputError(
            f"{len(data)} bytes are not a Live Link Face packet ({error}); version "
            f"{PACKET_VERSION} with {len(LIVE_LINK_NAMES)} values is read."
        ) from error
    return Packet(device, subject, index, fps, values)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Return the text whose length stands at ``at``, and where it ends."""
    (length,) = struct.unpack_from(">i", data, at)
    if not 0 <= length <= len(data) - at:
        raise ValueError(f"a name of {length} bytes")
    end = at + 4 + length
    return data[at + 4 : end].decode(), end


def is_link(place: object) -> bool:
    """Return whether ``place`` is written like an address, udp://HOST:PORT, not like a file."""
    return isinstance(place, str) and place.lower().startswith("udp://")


def parse_link(place: str) -> tuple[str, int]:
    """Return host and port of udp://HOST:PORT; the port may be left out (``PORT``).

    Raises:
        InputError: it names no host, or the port is not 1 to 65535.
    """
    try:
        parts = urlsplit(place)
        host, port = parts.hostname, PORT if parts.port is None else parts.port
        is_plain = parts.scheme == "udp" and parts.path in ("", "/")
    except ValueError:
        host, port, is_plain = None, 0, False
    if not (host and port and is_plain):
        raise InputError(f"{place} is not udp://HOST:PORT; write for example udp://127.0.0.1:11111")
    return host, port


@contextmanager
def open_link(
    host: str, port: int = PORT, subject: str = "visavis"
) -> Iterator[Callable[[Motion, int], None]]:
    """Yield a call that sends a single motion frame and its index to ``host`` at once.

    For live use: call it with each frame as it is made. Nobody needs to listen; UDP is not heard.

    Raises:
        OutputError: there is no such host, or the network refuses.
    """
    with _reaching(host, port):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        sender = socket.socket(found[0], socket.SOCK_DGRAM)

    def send_frame(frame: Motion, index: int) -> None:
        packet = encode(frame, index, subject)
        with _reaching(host, port):
            sender.sendto(packet, found[4])

    with sender:
        yield send_frame


@contextmanager
def _reaching(host: str, port: int) -> Iterator[None]:
    """Turn what the network refuses into OutputError; other errors of the caller stay theirs."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise OutputError(
            f"udp://{host}:{port} cannot be reached ({getattr(error, 'strerror', None) or error}); "
            "check the address and the network."
        ) from error


def send(motion: Motion, host: str, port: int = PORT, subject: str = "visavis") -> None:
    """Send ``motion`` to ``host`` frame by frame at its own rate; returns after the last frame.

    Raises:
        OutputError: there is no such host, or the network refuses.
    """
    with open_link(host, port, subject) as send_frame:
        for index in paced(range(len(motion)), motion.fps):
            send_frame(motion[index : index + 1], index)
