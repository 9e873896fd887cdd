"""Batches of latents: changes from a reference, sound with its neighbours, starts, determinism."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from latent_shards import latent_clip, write_shards  # noqa: E402
from visavis.errors import InputError  # noqa: E402
from visavis.train import latent_clips  # noqa: E402
from visavis.train.latent_clips import LatentClips, told  # noqa: E402
from visavis.train.shards import ShardWriter  # noqa: E402
from visavis.train.video_data import VideoData, to_fields  # noqa: E402
from visavis.video.denoiser import PAST_FRAMES  # noqa: E402
from visavis.video.inputs import speech_tokens  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("latents"))


@pytest.fixture(scope="module")
def clips(folder):
    return LatentClips(folder)


def drawn(clips, seed=0, count=40, frames=8):
    return clips.draw(np.random.default_rng(seed), count, frames)


def test_a_batch_has_the_documented_shapes(clips):
    batch, t = drawn(clips, count=3), PAST_FRAMES + 8
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "change": (3, 4, t, 4, 4), "reference": (3, 4, 4, 4), "speech": (3, t, 5, 196),
        "phase": (3, t), "emotion": (3, t), "face": (3, 1, 4, 4), "mouth": (3, 1, t, 4, 4),
        "eyes": (3, 1, t, 4, 4), "heard": (3,), "is_start": (3,),
    }  # fmt: skip
    assert batch["phase"].dtype == torch.int64
    assert all(v.dtype in (torch.float32, torch.int64, torch.bool) for v in batch.values())


def test_a_batch_depends_on_the_draws_alone(clips, folder):
    again = drawn(LatentClips(folder), 5)
    assert all(torch.equal(value, again[name]) for name, value in drawn(clips, 5).items())
    assert not torch.equal(drawn(clips, 6)["change"], again["change"])


def test_changes_and_reference_give_the_latents_back(clips, folder):
    """Frames are consecutive ones of a clip, sound and labels with them, neighbours and all."""
    data = VideoData(folder, "train")
    whole = [data.array(i, "latents") for i in range(len(data))]
    tokens = [speech_tokens(data.array(i, "speech").reshape(-1, 45)) for i in range(len(data))]
    batch = drawn(clips)
    latents = (
        batch["change"].numpy() / clips.ratio[None, :, None]
        + (batch["reference"].numpy()[:, :, None])
    )
    for b in range(len(latents)):
        new = latents[b, :, PAST_FRAMES:].swapaxes(0, 1)
        apart = [
            (np.abs(full[i : i + 8] - new).max(), k, i)
            for k, full in enumerate(whole)
            for i in range(len(full) - 7)
        ]
        error, k, first = min(apart)
        assert error < 1e-2
        rows = np.arange(first - PAST_FRAMES, first + 8)
        if batch["is_start"][b]:
            rows[:PAST_FRAMES] = first - 1
        np.testing.assert_allclose(batch["speech"][b], tokens[k][rows], atol=1e-3)
        assert batch["phase"][b].tolist() == (rows % 3).tolist()


def test_a_start_knows_its_reference_alone(clips):
    batch = drawn(clips, count=300)
    is_start = batch["is_start"]
    assert is_start.float().mean() == pytest.approx(latent_clips.STARTS, abs=0.08)
    past = batch["change"][:, :, :PAST_FRAMES]
    assert (past[is_start] == 0).all()
    assert (past[~is_start].abs().amax((1, 2, 3, 4)) > 0).float().mean() > 0.9


def test_half_of_the_references_are_portraits(clips, folder):
    data = VideoData(folder, "train")
    stills = torch.from_numpy(np.stack([data.array(i, "still") for i in range(len(data))]))
    batch = drawn(clips, count=300)
    other = batch["reference"][~batch["is_start"]]
    is_still = (other[:, None] - stills).abs().amax((2, 3, 4)).amin(1) < 1e-3
    assert is_still.float().mean() == pytest.approx(latent_clips.PORTRAITS, abs=0.12)


def test_the_ratio_makes_changes_of_deviation_one(clips, folder):
    still_only = [c.latents.astype(np.float32) - c.still for c in clips._clips]
    scaled = np.concatenate(still_only) * clips.ratio
    np.testing.assert_allclose(np.sqrt(np.square(scaled).mean((0, 2, 3))), 1, rtol=1e-2)
    given = np.full((4, 1, 1), 2.0, np.float32)
    assert LatentClips(folder, ratio=given).ratio is given
    with pytest.raises(InputError, match="--codec"):
        LatentClips(folder, ratio=np.ones((16, 1, 1), np.float32))


def test_short_clips_are_cut_to_what_there_is(tmp_path):
    clips = LatentClips(write_shards(tmp_path, frames=10))
    batch = drawn(clips, frames=32)
    assert clips.longest == 9
    assert batch["change"].shape[2] == PAST_FRAMES + 9
    assert batch["is_start"].all()


def test_clips_without_latents_are_refused(tmp_path):
    clip = latent_clip("clip", "sitter-0")
    fields = {k: v for k, v in to_fields(clip).items() if k != "latents.npy"}
    with ShardWriter(tmp_path) as writer:
        writer.write("clip", fields)
    with pytest.raises(InputError, match=r"lacks latents\.npy"):
        LatentClips(tmp_path)


def test_sound_that_is_not_there_is_not_known(tmp_path):
    with ShardWriter(tmp_path) as writer:
        for name in ("mute", "loud"):
            writer.write(name, to_fields(latent_clip(name, f"sitter-{name}")))
    batch = drawn(LatentClips(tmp_path))
    known = told(batch).is_known("speech")
    assert torch.equal(known > 0, batch["heard"])
    assert 0 < known.sum() < len(known)
    assert told(batch).is_known("face").all()
