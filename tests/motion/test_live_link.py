import socket
import struct
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.errors import InputError, OutputError
from visavis.motion.layout import INDEX, unpack
from visavis.motion.live_link import (
    LIVE_LINK_NAMES,
    decode,
    encode,
    from_live_link,
    is_link,
    open_link,
    parse_link,
    send,
    to_live_link,
)
from visavis.render.solve import turn
from visavis.timing import Stopwatch
from visavis.types import ARKIT_NAMES, Motion


def some_motion(frames: int, fps: int = 25) -> Motion:
    values = np.random.default_rng(5).random((frames, 58)).astype(np.float32)
    values[:, 52:55] = (values[:, 52:55] - 0.5) * 60
    values[:, 55:58] = 0, 0, 1
    return unpack(values, fps)


def one(name: str, value: float) -> Motion:
    values = np.zeros((1, 58), np.float32)
    values[0, 57] = 1
    values[0, INDEX[name]] = value
    return unpack(values)


def live(motion: Motion, name: str) -> float:
    return float(to_live_link(motion)[0, LIVE_LINK_NAMES.index(name)])


def test_packet_is_laid_out_as_the_phone_does_it() -> None:
    # Real packets of the app with the subject "iPhone" have 312 bytes.
    packet = encode(one("jawOpen", 0.25), 1234, "iPhone")
    assert len(packet) == 312
    assert packet[:5] == b"\x06\x00\x00\x00$"  # a device id of 36 characters follows
    assert packet[41:51] == b"\x00\x00\x00\x06iPhone"
    assert struct.unpack(">ifii", packet[51:67]) == (1234, 0.0, 25, 1)
    assert packet[67] == 61
    values = struct.unpack(">61f", packet[68:])
    assert values[17] == 0.25
    assert sum(map(abs, values)) == 0.25


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("eyeBlinkLeft", 0), ("eyeBlinkRight", 7), ("jawForward", 14), ("jawLeft", 15),
        ("jawRight", 16), ("mouthClose", 18), ("mouthPucker", 20), ("mouthLeft", 21),
        ("mouthRight", 22), ("mouthSmileLeft", 23), ("browInnerUp", 43), ("tongueOut", 51),
    ],
)  # fmt: skip
def test_packet_follows_unreals_enumeration(name: str, place: int) -> None:
    values = struct.unpack(">61f", encode(one(name, 1.0), 0)[-244:])
    assert values.index(1.0) == place


def test_packets_survive_the_way() -> None:
    motion = some_motion(4, 30)
    packet = decode(encode(motion[2:3], 77, "my face"))
    assert (packet.subject, packet.index, packet.fps, len(packet.device)) == ("my face", 77, 30, 36)
    assert packet.device == decode(encode(motion[:1], 0, "my face")).device
    assert packet.device != decode(encode(motion[:1], 0, "your face")).device
    np.testing.assert_array_equal(packet.motion.coefficients, motion.coefficients[2:3])
    np.testing.assert_allclose(packet.motion.rotation, motion.rotation[2:3], atol=1e-3)
    assert packet.motion.fps == 30
    assert packet.motion.scale.tolist() == [1.0]


def test_every_coefficient_has_its_column() -> None:
    values = to_live_link(some_motion(3))
    back = from_live_link(values, 25)
    np.testing.assert_array_equal(back.coefficients, some_motion(3).coefficients)
    for name in ARKIT_NAMES:
        assert live(one(name, 0.5), name[0].upper() + name[1:]) == 0.5


def test_angles_turn_as_in_real_takes() -> None:
    assert live(one("headYaw", 10.0), "HeadYaw") == pytest.approx(-np.radians(10), abs=1e-6)
    assert live(one("headPitch", 10.0), "HeadPitch") == pytest.approx(-np.radians(10), abs=1e-6)
    assert live(one("headRoll", 10.0), "HeadRoll") == pytest.approx(np.radians(10), abs=1e-6)
    assert live(one("eyeLookInLeft", 1.0), "LeftEyeYaw") == pytest.approx(0.61)
    assert live(one("eyeLookInRight", 1.0), "RightEyeYaw") == pytest.approx(-0.61)
    assert live(one("eyeLookDownLeft", 1.0), "LeftEyePitch") == pytest.approx(0.61)


def test_eye_roll_is_that_of_real_eyes() -> None:
    values = to_live_link(some_motion(50))
    at = LIVE_LINK_NAMES.index("RightEyeYaw")
    np.testing.assert_allclose(values[:, at + 2], values[:, at] * values[:, at + 1])


def rotation(axis: int, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = cosine
    matrix[i, j], matrix[j, i] = -sine, sine
    return matrix


@given(*[st.floats(-80, 80, width=32)] * 3)
def test_head_is_the_same_turn_in_both_conventions(pitch: float, yaw: float, roll: float) -> None:
    values = np.zeros((1, 58), np.float32)
    values[0, 52:55], values[0, 57] = (pitch, yaw, roll), 1
    motion = unpack(values)
    y, p, r = (live(motion, f"Head{n}") for n in ("Yaw", "Pitch", "Roll"))
    flip = np.diag([1.0, -1.0, -1.0])  # camera axes to y up, z to the viewer
    ours = flip @ turn(pitch, yaw, roll) @ flip
    theirs = rotation(1, -y) @ rotation(0, p) @ rotation(2, -r)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    back = from_live_link(to_live_link(motion), 25).rotation[0]
    np.testing.assert_allclose(back, (pitch, yaw, roll), atol=0.05)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: b"",
        lambda d: b"\x05" + d[1:],
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: d[:1] + b"\x7f\xff\xff\xff" + d[5:],
        lambda d: d[:1] + b"\xff\xff\xff\xff" + d[5:],
        lambda d: d[:-249] + b"\0\0\0\0" + d[-245:],
        lambda d: d[:-245] + b"\x3c" + d[-244:],
    ],
)
def test_other_bytes_are_refused_in_words(spoil) -> None:
    with pytest.raises(InputError, match="not a Live Link Face packet"):
        decode(spoil(encode(one("jawOpen", 1.0), 0)))


@given(st.binary(max_size=400))
def test_noise_never_escapes(data: bytes) -> None:
    with pytest.raises(InputError):
        decode(data)


@pytest.mark.parametrize("subject", ["", "x" * 256, "näme", "two\nlines"])
def test_subjects_that_cannot_travel(subject: str) -> None:
    with pytest.raises(InputError, match="ASCII"):
        encode(one("jawOpen", 1.0), 0, subject)


def test_addresses() -> None:
    assert parse_link("udp://127.0.0.1:9000") == ("127.0.0.1", 9000)
    assert parse_link("udp://studio") == ("studio", 11111)
    assert parse_link("udp://[::1]:8000/") == ("::1", 8000)
    assert is_link("udp://x")
    assert not is_link("talk.csv")
    for wrong in ("udp://", "udp://:5", "udp://h:0", "udp://h:99999", "udp://h:x", "udp://h/p"):
        with pytest.raises(InputError, match="udp://HOST:PORT"):
            parse_link(wrong)


def test_motion_arrives_in_order_at_its_rate() -> None:
    motion = some_motion(12, 50)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        port = receiver.getsockname()[1]
        sender = threading.Thread(target=send, args=(motion, "127.0.0.1", port, "test"))
        watch = Stopwatch()
        sender.start()
        packets = [decode(receiver.recv(2048)) for _ in range(len(motion))]
        elapsed = watch.elapsed_s()
        sender.join()
    assert [p.index for p in packets] == list(range(12))
    assert elapsed > 11 / 50 - 0.005
    got = Motion.concatenate([p.motion for p in packets])
    np.testing.assert_array_equal(got.coefficients, motion.coefficients)


def test_nobody_listens_and_nobody_is_there() -> None:
    with open_link("127.0.0.1", 9) as send_frame:
        send_frame(one("jawOpen", 1.0), 0)
        send_frame(one("jawOpen", 1.0), 1)
    with pytest.raises(OutputError, match="check the address"):
        send(one("jawOpen", 1.0), "no-such-host.invalid")


def test_only_the_network_s_errors_are_the_network_s() -> None:
    with pytest.raises(FileNotFoundError), open_link("127.0.0.1", 9):
        raise FileNotFoundError("the caller's own")
    with pytest.raises(OutputError, match="cannot be reached"), open_link("a" * 70 + ".com", 9):
        pass
