from pathlib import Path

import numpy as np
import pytest

from visavis.errors import InputError, OutputError, UnreadableMedia
from visavis.motion.files import read_motion, write_motion
from visavis.motion.filters import resample
from visavis.motion.layout import INDEX, pack, unpack
from visavis.motion.live_link import LIVE_LINK_NAMES
from visavis.types import Motion

TAKES = Path(__file__).parents[3] / "shared/data/arkit_takes"


def some_motion(frames: int = 40, fps: int = 25) -> Motion:
    values = np.random.default_rng(3).random((frames, 58)).astype(np.float32)
    values[:, 52:55] = (values[:, 52:55] - 0.5) * 20
    return unpack(values, fps)


@pytest.mark.parametrize("fps", [1, 12, 15, 24, 25, 30, 48, 50, 60, 90])
@pytest.mark.parametrize("suffix", ["csv", "json", "npz"])
def test_round_trip(tmp_path: Path, suffix: str, fps: int) -> None:
    motion = some_motion(2 * fps + 3, fps)
    write_motion(tmp_path / f"m.{suffix}", motion)
    back = read_motion(tmp_path / f"m.{suffix}")
    assert back.fps == fps
    assert np.abs(back.coefficients - motion.coefficients).max() < 1e-6
    assert np.abs(back.rotation - motion.rotation).max() < 1e-4
    if suffix != "csv":
        assert np.abs(pack(back) - pack(motion)).max() < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == [f"m.{suffix}"]


@pytest.mark.parametrize("frames", [1, 2, 25, 26])
def test_short_csv_keeps_its_rate(tmp_path: Path, frames: int) -> None:
    write_motion(tmp_path / "m.csv", some_motion(frames))
    back = read_motion(tmp_path / "m.csv")
    assert (len(back), back.fps) == (frames, 25)


def test_csv_header_is_apples(tmp_path: Path) -> None:
    write_motion(tmp_path / "m.csv", some_motion(3))
    first, second, *_ = (tmp_path / "m.csv").read_text().splitlines()
    assert first.startswith("Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft")
    assert first.endswith("RightEyeYaw,RightEyePitch,RightEyeRoll")
    assert len(LIVE_LINK_NAMES) == 61
    assert second.startswith("00:00:00:00.000,61,")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t.replace("JawOpen", "JawOpened"), "JawOpen is missing"),
        (lambda t: t.replace("Timecode", "Time"), "header"),
        (lambda t: t.rsplit(",", 2)[0] + "\n", "values, the header"),
        (lambda t: t.replace("00:00:00:01.000", "00:00:00:00.000"), "does not advance"),
        (lambda t: t.replace("00:00:00:02.000", "99:00:00:02.000"), "jumps by 356400 s"),
        (lambda t: t.split("\n")[0] + "\n", "no frames"),
        (lambda t: "", "empty"),
    ],
)
def test_spoilt_csv_says_what_is_wrong(tmp_path: Path, spoil, says: str) -> None:
    path = tmp_path / "m.csv"
    write_motion(path, some_motion(3))
    path.write_text(spoil(path.read_text()))
    with pytest.raises(InputError, match=says):
        read_motion(path)


def test_nan_in_csv_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write_motion(path, Motion.rest(3))
    lines = path.read_text().splitlines()
    fields = lines[2].split(",")
    fields[2 + LIVE_LINK_NAMES.index("JawOpen")] = "nan"
    path.write_text("\n".join([*lines[:2], ",".join(fields), lines[3]]))
    with pytest.raises(InputError, match="jawOpen of frame 1"):
        read_motion(path)


def test_nan_is_not_written(tmp_path: Path) -> None:
    motion = Motion.rest(3)
    motion.coefficients[1, 0] = np.nan
    with pytest.raises(InputError):
        write_motion(tmp_path / "m.json", motion)
    assert not list(tmp_path.iterdir())


def test_wrong_places_and_kinds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.csv"):
        write_motion(tmp_path / "m.txt", Motion.rest(1))
    with pytest.raises(OutputError):
        write_motion(tmp_path / "no" / "m.csv", Motion.rest(1))
    with pytest.raises(UnreadableMedia):
        read_motion(tmp_path / "absent.csv")
    for name in ("m.npz", "m.json", "m.csv"):
        (tmp_path / name).write_bytes(b"\x93nonsense\x00")
        with pytest.raises(InputError):
            read_motion(tmp_path / name)


def test_wrong_rate(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    write_motion(path, Motion.rest(2))
    for rate in ("0", "5000", '"x"'):
        path.write_text(path.read_text().replace('"fps":25', f'"fps":{rate}'))
        with pytest.raises(InputError, match="second|whole"):
            read_motion(path)
        write_motion(path, Motion.rest(2))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("take", "fps"),
    [("alexdjulin_apfel", 30), ("alexdjulin_S88-001", 30), ("neurosync_happy_Happy", 60)],
)
def test_real_takes_read_at_their_rate(tmp_path: Path, take: str, fps: int) -> None:
    if not TAKES.exists():
        pytest.skip("no shared data")
    with np.load(TAKES / f"{take}.npz") as content:
        values, names, codes = content["values"], content["names"], content["timecode"]
    lines = ["Timecode,BlendShapeCount," + ",".join(names)]
    lines += [f"{c},61," + ",".join(map(str, v)) for c, v in zip(codes, values, strict=True)]
    (tmp_path / "take.csv").write_text("\n".join(lines))
    motion = read_motion(tmp_path / "take.csv")
    assert motion.fps == fps
    assert len(motion) >= len(values)
    jaw = motion.coefficients[:, INDEX["jawOpen"]]
    assert abs(jaw.max() - values[:, list(names).index("JawOpen")].max()) < 1e-3
    assert len(resample(motion, 25)) == -(-len(motion) * 25 // fps)


def test_absurdly_nested_json_is_refused_in_words(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UnreadableMedia, match="not a motion file"):
        read_motion(path)


@pytest.mark.parametrize("suffix", ["npz", "csv", "json"])
def test_damaged_files_are_refused_in_words(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m.{suffix}"
    write_motion(path, some_motion())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        spoilt = bytearray(whole)
        spoilt[int(rng.integers(len(whole)))] = int(rng.integers(256))
        spoilt[int(rng.integers(300))] = int(rng.integers(256))
        path.write_bytes(spoilt)
        try:
            read_motion(path)
        except InputError:
            refused += 1
    assert refused > 50
