"""Motion files become other files, faces and packets; what cannot be is refused in words."""

import json
import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from visavis.cli import app
from visavis.convert import convert
from visavis.errors import InputError, OutputError
from visavis.motion.files import read_motion, write_motion
from visavis.motion.layout import unpack
from visavis.motion.live_link import decode
from visavis.opening import DEMO_PORTRAIT
from visavis.types import Motion


@pytest.fixture
def script(tmp_path: Path) -> Path:
    values = np.random.default_rng(2).random((6, 58)).astype(np.float32)
    write_motion(tmp_path / "m.npz", unpack(values))
    return tmp_path / "m.npz"


@pytest.mark.parametrize("suffix", [".csv", ".json", ".npz"])
def test_motion_files_into_each_other(script: Path, suffix: str) -> None:
    out = script.with_name("other" + suffix)
    held = convert(script, out)
    back = read_motion(out)
    assert (len(back), back.fps) == (len(held), held.fps) == (6, 25)
    np.testing.assert_allclose(back.coefficients, held.coefficients, atol=1e-6)


def test_a_face_of_nobody_and_of_somebody(script: Path) -> None:
    sizes = []
    for portrait in (None, DEMO_PORTRAIT):
        out = script.with_name("face.glb")
        convert(script, out, portrait=portrait)
        data = out.read_bytes()
        (length,) = struct.unpack_from("<I", data, 12)
        content = json.loads(data[20 : 20 + length])
        sizes.append({image["name"] for image in content["images"]})
    assert sizes[1] - sizes[0] == {"skin"}


def test_packets(script: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        place = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        sender = threading.Thread(target=convert, args=(script, place), kwargs={"subject": "me"})
        sender.start()
        packets = [decode(receiver.recv(2048)) for _ in range(6)]
        sender.join()
    assert [(p.subject, p.index, p.fps) for p in packets] == [("me", i, 25) for i in range(6)]


def test_what_cannot_be(script: Path) -> None:
    with pytest.raises(InputError, match=r"\.glb files only"):
        convert(script, script.with_name("x.csv"), portrait=DEMO_PORTRAIT)
    with pytest.raises(InputError, match="no portrait"):
        convert(script, script.with_name("x.glb"), face=2)
    with pytest.raises(InputError, match=r"\.glb"):
        convert(script, script.with_name("x.fbx"))
    with pytest.raises(InputError, match="udp://HOST:PORT"):
        convert(script, "udp://:7")
    with pytest.raises(OutputError, match="what is being read"):
        convert(script, script)
    with pytest.raises(OutputError):
        convert(script, script.parent / "no" / "x.glb")


def test_a_still_is_a_motion_too(tmp_path: Path) -> None:
    write_motion(tmp_path / "one.json", Motion.rest(1))
    convert(tmp_path / "one.json", tmp_path / "one.glb")
    assert (tmp_path / "one.glb").read_bytes()[:4] == b"glTF"


def test_on_the_command_line(script: Path) -> None:
    out = script.with_name("talk.json")
    result = CliRunner().invoke(app, ["convert", str(script), str(out)])
    assert result.exit_code == 0
    assert "talk.json: 6 frames at 25 fps" in result.output
    assert len(read_motion(out)) == 6
