"""Shards and what is in them: written whole, read by number, resumed, told apart by person."""

import io
import json
import runpy
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.errors import InputError, UnreadableMedia  # noqa: E402
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH  # noqa: E402
from visavis.train import video_data  # noqa: E402
from visavis.train.shards import Shards, ShardWriter, order  # noqa: E402
from visavis.train.video_data import VideoClip, VideoData  # noqa: E402
from visavis.types import Phase  # noqa: E402
from visavis.video.codec import Codec  # noqa: E402
from visavis.video.codec_files import encode_pictures, write_codec  # noqa: E402
from visavis.video.config import PRESETS  # noqa: E402
from visavis.video.places import boxes_of, coverage  # noqa: E402

HELD_OUT = "neutral-00000"
"""A person of the validation split (data/people.py)."""


def made_clip(name: str, person: str, frames: int = 5) -> VideoClip:
    """Return a clip of a bright square that moves."""
    rng = np.random.default_rng(len(name))
    pictures = np.full((frames, 64, 64, 3), 60, np.uint8)
    for i, picture in enumerate(pictures):
        picture[8 + 4 * i : 24 + 4 * i, 16:40] = (200, 120, 80)
    speech = rng.standard_normal((frames, 4, 45)).astype(np.float32)
    boxes = np.tile(np.float32([0.25, 0.25, 0.75, 0.75]), (frames, 3, 1))
    return VideoClip(
        name, person, "animated", pictures, pictures[0], speech,
        np.arange(frames) % 3, np.full(frames, 8), boxes,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    with ShardWriter(tmp_path, most=20_000) as writer:
        for i in range(6):
            person = HELD_OUT if i == 3 else f"sitter-{i}"
            clip = made_clip(f"clip-{i}", person, 1 + i)
            writer.write(clip.name, video_data.to_fields(clip))
    return tmp_path


def test_samples_come_back_byte_for_byte(tmp_path):
    rng = np.random.default_rng(0)
    written = {
        f"s-{i}": {"a.npy": rng.bytes(700 * i), "b.json": b"{}", "0000.webp": rng.bytes(513)}
        for i in range(9)
    }
    with ShardWriter(tmp_path, most=8000) as writer:
        for key, fields in written.items():
            writer.write(key, fields)
    shards = Shards(tmp_path)
    assert len(list(tmp_path.glob("*.tar"))) > 2
    assert all(p.stat().st_size < 8000 + 20 * 512 for p in tmp_path.glob("*.tar"))
    assert {k: shards.sample(i) for i, k in enumerate(shards.keys)} == written


def test_a_second_writer_goes_on_after_the_first(folder):
    before = len(Shards(folder))
    with ShardWriter(folder) as writer:
        writer.write("further", {"a": b"1"})
    assert Shards(folder).keys[before:] == ("further",)
    assert not list(folder.glob("*.part"))


def test_what_a_killed_writer_leaves_is_no_shard(tmp_path):
    (tmp_path / "clips-00000.part").write_bytes(b"half a sample")
    with pytest.raises(InputError, match="no shard"):
        Shards(tmp_path)
    with ShardWriter(tmp_path) as writer:
        writer.write("made-again", {"a": b"1"})
    assert Shards(tmp_path).keys == ("made-again",)


def test_samples_lie_as_webdataset_reads_them(folder):
    """Members of one sample follow each other; the key ends at the first dot."""
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            keys = [name.split(".")[0] for name in tar.getnames()]
        changes = [a for a, b in zip(keys, [*keys[1:], None], strict=True) if a != b]
        assert len(changes) == len(set(changes))


@pytest.mark.parametrize("key", ["", "a.b", "a/b"])
def test_keys_that_cannot_be_read_again_are_refused(tmp_path, key):
    with ShardWriter(tmp_path) as writer, pytest.raises(InputError, match="key"):
        writer.write(key, {"a": b"1"})


@pytest.mark.parametrize("left", [1, 100, 1024, 1500, 2300])
def test_a_damaged_shard_is_told(folder, left):
    path = sorted(folder.glob("*.tar"))[0]
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UnreadableMedia, match="damaged"):
        Shards(folder)


def test_reading_goes_on_where_it_stopped():
    whole = [i for i, _ in zip(order(7, 3), range(30), strict=False)]
    assert sorted(whole[:7]) == sorted(whole[7:14]) == list(range(7))
    assert whole[:7] != whole[7:14]
    for position in (1, 7, 11, 22):
        rest = [i for i, _ in zip(order(7, 3, position), range(30 - position), strict=False)]
        assert rest == whole[position:]


def test_a_clip_comes_back(folder):
    data = VideoData(folder)
    assert len(data) == 5  # one is held out
    assert len(VideoData(folder, "validation")) == 1
    clip, true = data.clip(4, 1, 3), made_clip("clip-5", "sitter-5", 6)
    assert (clip.name, clip.person, clip.source) == ("clip-5", "sitter-5", "animated")
    assert np.abs(clip.frames.astype(int) - true.frames[1:4]).mean() < 6  # WebP
    np.testing.assert_allclose(clip.speech, true.speech[1:4], atol=2e-3)
    np.testing.assert_array_equal(clip.phase, true.phase[1:4])
    np.testing.assert_array_equal(clip.emotion, true.emotion[1:4])
    np.testing.assert_array_equal(clip.boxes, true.boxes[1:4])
    assert clip.latents is None
    np.testing.assert_array_equal(data.picture(4, 2), clip.frames[1])


def test_short_clips_and_absent_splits_are_left_out(folder):
    assert len(VideoData(folder, least=3)) == 3
    with pytest.raises(InputError, match="'test'"):
        VideoData(folder, "test", least=7)


def test_latents_are_those_of_the_codec(folder, tmp_path):
    torch.set_num_threads(1)
    codec = Codec(PRESETS["test"]).eval()
    write_codec(codec, tmp_path / "codec.safetensors")
    out = tmp_path / "latents"
    rng = np.random.default_rng(0)
    spots = {f"clip-{i}": rng.random((2 + i, 478, 2)).astype(np.float16) for i in (0, 2, 4)}
    with ShardWriter(folder, "points") as writer:
        for name, rows in spots.items():
            file = io.BytesIO()
            np.save(file, rows)
            writer.write(name, {"points.npy": file.getvalue()})
    made = video_data.add_latents(folder, tmp_path / "codec.safetensors", out)
    assert made == 2  # one has a single frame, the others no landmarks
    data = VideoData(folder)
    number = next(i for i in range(len(data)) if data.key(i) == "clip-4")
    before, after = data.clip(number), VideoData(out).clip(1)
    assert after.frames.shape[0] == 0
    assert after.still.shape == (4, 2, 2)
    wanted = encode_pictures(codec, before.frames, spots["clip-4"][:-1].astype(np.float32))
    np.testing.assert_allclose(after.latents, wanted, atol=2e-3)
    part = VideoData(out).clip(1, 2, 2)
    np.testing.assert_array_equal(part.latents, after.latents[2:4])


def test_boxes_hold_their_features(portrait):
    height, width = portrait.image.shape[:2]
    face, mouth, eyes = boxes_of(portrait.landmarks[None], max(height, width))[0]
    assert (face[:2] < mouth[:2]).all()
    assert (mouth[2:] < face[2:]).all()
    assert eyes[3] < mouth[1]
    assert (eyes[2] - eyes[0]) > (mouth[2] - mouth[0])


def test_coverage_is_the_share_of_each_cell():
    found = coverage(np.float32([[0.25, 0.0, 0.625, 0.5]]), 4)
    assert found.shape == (1, 4, 4)
    np.testing.assert_allclose(found[0], [[0, 1, 0.5, 0]] * 2 + [[0] * 4] * 2, atol=1e-6)


def test_pictures_that_are_none_are_told(tmp_path):
    fields = {**video_data.to_fields(made_clip("odd", "sitter-0", 1)), "0000.webp": b"nothing"}
    with ShardWriter(tmp_path) as writer:
        writer.write("odd", fields)
    with pytest.raises(UnreadableMedia, match="neither WebP nor JPEG"):
        VideoData(tmp_path).picture(0, 0)


def test_the_recipe_makes_clips_and_does_not_make_them_twice(tmp_path, monkeypatch, capsys):
    pictures, voices, out = (tmp_path / n for n in ("faces", "voices", "out"))
    for folder, file in ((pictures, DEMO_PORTRAIT), (voices, DEMO_SPEECH)):
        folder.mkdir()
        (folder / file.name).write_bytes(file.read_bytes())
    script = Path(__file__).parents[2] / "recipes" / "make_video_clips.py"
    given = ["--out", out, "--portraits", pictures, "--voices", voices, "--clips", "2",
             "--stills", "1", "--frames", "6", "--size", "128", "--quality", "draft"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, given)])
    for made in (3, 0):
        runpy.run_path(str(script), run_name="__main__")
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["clips"] == made
    data = VideoData(out, None)
    assert sorted(data.source(i) for i in range(3)) == ["animated", "animated", "still"]
    clip = data.clip(0)
    assert clip.frames.shape == (6, 128, 128, 3)
    assert clip.speech.shape == (6, 4, 45)
    assert clip.is_heard
    assert clip.portrait.shape == (128, 128, 3)
    assert set(clip.phase.tolist()) <= set(range(len(Phase)))
    rows = [data.array(i, "points") for i in range(3)]
    assert sorted(p.shape for p in rows) == [(2, 478, 2), (7, 478, 2), (7, 478, 2)]
    assert all(0.1 < p.min() < p.max() < 0.95 for p in rows)


def test_pictures_are_read_from_jpeg_too(tmp_path):
    import cv2

    clip = made_clip("jpeg", "sitter-1", 1)
    fields = video_data.to_fields(clip)
    del fields["0000.webp"]
    fields["0000.jpg"] = cv2.imencode(".jpg", clip.frames[0][..., ::-1])[1].tobytes()
    with ShardWriter(tmp_path) as writer:
        writer.write("jpeg", fields)
    shown = VideoData(tmp_path).picture(0, 0)
    assert np.abs(shown.astype(int) - clip.frames[0]).mean() < 6
    assert np.load(io.BytesIO(Shards(tmp_path).read(0, "speech.npy"))).dtype == np.float16
