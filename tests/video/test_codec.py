"""The face video codec: streaming equals whole, files and ONNX give the same, sizes are told."""

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from visavis.errors import InputError, ModelError, WeightsMismatch  # noqa: E402
from visavis.nn.checkpoints import write_converted  # noqa: E402
from visavis.video.codec import Codec, Guide, moved  # noqa: E402
from visavis.video.codec_files import GUIDE, encode_pictures, export_codec, read_codec, write_codec  # noqa: E402
from visavis.video.config import FACTOR, PRESETS, CodecConfig  # noqa: E402
from visavis.video.face_map import CHANNELS, face_map  # noqa: E402


@pytest.fixture(scope="module")
def codec() -> Codec:
    """A small codec in which every weight counts: nothing starts at zero."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = Codec(PRESETS["test"]).eval().requires_grad_(False)
    for weight in net.parameters():
        weight.normal_(0, 0.1)
    net.mean.normal_()
    net.std.uniform_(0.5, 2)
    return net


@pytest.fixture(scope="module")
def guide(codec) -> Guide:
    """Two portraits."""
    return codec.guide(torch.rand(2, 3, 128, 96) * 2 - 1, torch.rand(2, CHANNELS, 64, 48))


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1, 1), (2, 4), (5, 1), (3, 3)])
def test_frames_do_not_depend_on_how_the_changes_are_cut(codec, guide, cuts):
    changes = torch.randn(2, 4, 6, 4, 3)
    whole, last = codec.decode(changes, guide)
    before, parts = None, []
    for part in changes.split(cuts, 2):
        frames, before = codec.decode(part, guide, before)
        parts.append(frames)
    assert whole.shape == (2, 3, 6, 128, 96)
    torch.testing.assert_close(torch.cat(parts, 2), whole, rtol=0, atol=1e-6 * whole.abs().max())
    assert torch.equal(before, last)


def test_a_frame_sees_the_one_before_it_and_none_else(codec, guide):
    changes = torch.randn(2, 4, 5, 4, 3)
    other = changes.clone()
    other[:, :, 2] += 1
    apart = codec.decode(changes, guide)[0] - codec.decode(other, guide)[0]
    is_other = apart.abs().amax((0, 1, 3, 4)) > 1e-6
    assert is_other.tolist() == [False, False, True, True, False]


def test_one_clip_of_a_batch_does_not_show_in_another(codec, guide):
    changes = torch.randn(2, 4, 3, 4, 3)
    alone = codec.decode(changes[1:], guide.of(torch.tensor([1])))[0]
    torch.testing.assert_close(codec.decode(changes, guide)[0][1:], alone, rtol=0, atol=1e-5)


def test_one_portrait_serves_many_clips(codec, guide):
    changes, one = torch.randn(2, 4, 2, 4, 3), guide.of(torch.tensor([0]))
    both = guide.of(torch.tensor([0, 0]))
    torch.testing.assert_close(codec.decode(changes, one)[0], codec.decode(changes, both)[0])


def test_no_change_is_the_portrait_before_training():
    torch.manual_seed(0)
    net = Codec(PRESETS["test"]).eval().requires_grad_(False)
    portrait = torch.rand(1, 3, 64, 64) * 2 - 1
    face = torch.rand(1, CHANNELS, 32, 32)
    guide = net.guide(portrait, face)
    still = net.change(net.encode(portrait, face), guide)
    assert not still.any()
    made = net.decode(torch.randn(1, 4, 1, 2, 2), guide)[0][:, :, 0]
    torch.testing.assert_close(made, portrait, rtol=0, atol=1e-5)


def test_pixels_come_from_where_the_flow_points():
    picture = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 8, 16)
    flow = torch.tensor([2 / 16 * 3, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 4)
    seen = moved(picture, flow)[0, 0, 4]
    np.testing.assert_allclose(seen, np.minimum(np.arange(16) + 3, 15), atol=1e-4)


@pytest.mark.parametrize("name", ["tiny", "wide"])
def test_sizes_and_work_are_as_the_docstring_tells(name):
    net = Codec(PRESETS[name])
    side = net.config.side
    portrait = torch.zeros(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        guide = net.guide(portrait, torch.zeros(1, CHANNELS, side // 2, side // 2))
        once = counter.get_total_flops()
        net.draw(guide.latents, guide.latents, guide)
    assert guide.latents.shape == (1, 32, side // FACTOR, side // FACTOR)
    work = [once / 1e9, (counter.get_total_flops() - once) / 1e9]
    weights = sum(p.numel() for p in net.parameters()) / 1e6
    told = {"tiny": (4.5, 1.4, 1.8), "wide": (8.0, 2.3, 5.5)}[name]
    np.testing.assert_allclose([weights, *work], told, atol=0.051)


def test_a_written_codec_is_read_again(codec, tmp_path):
    write_codec(codec, tmp_path / "codec.safetensors")
    again = read_codec(tmp_path / "codec.safetensors")
    assert again.config == codec.config
    pictures = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    points = np.random.default_rng(1).random((3, 478, 2), np.float32)
    latents = encode_pictures(again, pictures, points, batch=2)
    assert latents.shape == (3, 4, 4, 4)
    rows = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    faces = torch.from_numpy(np.stack([face_map(p, 64) for p in points]))
    wanted = codec.encode(rows, faces)
    torch.testing.assert_close(torch.from_numpy(latents), wanted, rtol=0, atol=1e-5)


def test_files_that_are_no_codec_are_refused(codec, tmp_path):
    with pytest.raises(ModelError, match="There is no file"):
        read_codec(tmp_path / "none.safetensors")
    write_converted(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(WeightsMismatch, match="sizes"):
        read_codec(tmp_path / "x.safetensors")
    write_converted(
        tmp_path / "x.safetensors", {"mean": torch.zeros(4)}, {"config": codec.config.to_json()}
    )
    with pytest.raises(WeightsMismatch, match="missing"):
        read_codec(tmp_path / "x.safetensors")


def test_pictures_of_odd_sides_are_refused(codec):
    with pytest.raises(InputError, match="multiple of 32"):
        encode_pictures(codec, np.zeros((1, 60, 64, 3), np.uint8), np.zeros((1, 478, 2)))


def test_sizes_go_through_text():
    config = PRESETS["wide"]
    assert CodecConfig.from_json(config.to_json()) == config


def test_onnx_draws_as_torch_does(codec, tmp_path):
    files = export_codec(codec, tmp_path)
    reads, encoder, decoder = (
        onnxruntime.InferenceSession(str(p)) for p in (files.guide, files.encoder, files.decoder)
    )
    pictures = torch.rand(3, 3, 64, 64) * 2 - 1
    faces = torch.rand(3, CHANNELS, 32, 32)
    guide = codec.guide(pictures[:1], faces[:1])
    seen = {"picture": pictures[:1].numpy(), "face": faces[:1].numpy()}
    known = dict(zip(GUIDE, reads.run(None, seen), strict=True))
    for name, made in known.items():
        np.testing.assert_allclose(made, getattr(guide, name), atol=1e-4)
    (latents,) = encoder.run(None, {"picture": pictures.numpy(), "face": faces.numpy()})
    change = codec.change(codec.encode(pictures, faces), guide)
    made = (latents - known["latents"]) * codec.ratio.numpy()
    np.testing.assert_allclose(made, change, atol=1e-4)
    before = np.concatenate([made[:1], made[:-1]])
    known["picture"] = pictures[:1].numpy()
    frames, flow = decoder.run(None, {"change": made, "before": before, **known})
    wanted, _ = codec.decode(change.transpose(0, 1)[None], guide)
    np.testing.assert_allclose(frames, wanted[0].transpose(0, 1), atol=1e-3)
