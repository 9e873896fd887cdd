"""The face video codec: streaming equals whole, files and ONNX give the same, sizes are as told."""

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from visavis.errors import InputError, ModelError, WeightsMismatch  # noqa: E402
from visavis.nn.checkpoints import write_converted  # noqa: E402
from visavis.video.codec import (  # noqa: E402
    Codec,
    encode_pictures,
    export_codec,
    read_codec,
    write_codec,
)
from visavis.video.config import FACTOR, PRESETS, CodecConfig  # noqa: E402


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


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1, 1), (2, 4), (5, 1), (3, 3)])
def test_frames_do_not_depend_on_how_the_latents_are_cut(codec, cuts):
    latents = torch.randn(2, 4, 6, 4, 3)
    whole, last = codec.decode(latents)
    state, parts = None, []
    for part in latents.split(cuts, 2):
        frames, state = codec.decode(part, state)
        parts.append(frames)
    assert whole.shape == (2, 3, 6, 64, 48)
    torch.testing.assert_close(torch.cat(parts, 2), whole, rtol=0, atol=1e-6 * whole.abs().max())
    for a, b in zip(state, last, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6 * float(b.abs().max()))


def test_a_frame_sees_those_before_it_and_none_after(codec):
    latents = torch.randn(1, 4, 5, 4, 4)
    changed = latents.clone()
    changed[:, :, 2] += 1
    apart = (codec.decode(latents)[0] - codec.decode(changed)[0]).abs().amax((0, 1, 3, 4))
    assert (apart[:2] == 0).all()
    assert (apart[2:] > 1e-6).all()  # two looks back: the frame itself and two after it


def test_one_clip_of_a_batch_does_not_show_in_another(codec):
    latents = torch.randn(2, 4, 3, 4, 4)
    alone = codec.decode(latents[1:])[0]
    torch.testing.assert_close(codec.decode(latents)[0][1:], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "cpu"])
def test_sizes_and_work_are_as_the_docstrings_tell(name):
    net = Codec(PRESETS[name])
    side = net.config.side
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        latents = net.encode(torch.zeros(1, 3, side, side))
        into = counter.get_total_flops()
        frames, state = net.decode(latents[:, :, None])
    assert latents.shape == (1, 16, side // FACTOR, side // FACTOR)
    assert frames.shape == (1, 3, 1, side, side)
    assert len(state) == 4
    weights = [sum(p.numel() for p in m.parameters()) / 1e6 for m in (net.encoder, net.decoder)]
    work = [into / 1e9, (counter.get_total_flops() - into) / 1e9]
    told = {"tiny": ([2.3, 1.5], [3.0, 1.9]), "cpu": ([0.9, 0.9], [0.2, 0.3])}[name]
    np.testing.assert_allclose([weights, work], told, atol=0.05)
    assert sum(weights) <= 10


def test_a_written_codec_is_read_again(codec, tmp_path):
    write_codec(codec, tmp_path / "codec.safetensors")
    again = read_codec(tmp_path / "codec.safetensors")
    assert again.config == codec.config
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)
    latents = encode_pictures(again, pictures, batch=2)
    assert latents.shape == (3, 4, 4, 3)
    rows = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(torch.from_numpy(latents), codec.encode(rows), rtol=0, atol=1e-5)


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
    with pytest.raises(InputError, match="multiples of 16"):
        encode_pictures(codec, np.zeros((1, 60, 64, 3), np.uint8))


def test_sizes_go_through_text():
    config = PRESETS["cpu"]
    assert CodecConfig.from_json(config.to_json()) == config


def test_onnx_streams_as_torch_does(codec, tmp_path):
    files = export_codec(codec, tmp_path)
    encoder, decoder = (
        onnxruntime.InferenceSession(str(p)) for p in (files.encoder, files.decoder)
    )
    pictures = torch.rand(3, 3, 64, 64) * 2 - 1
    latents = codec.encode(pictures)
    (made,) = encoder.run(None, {"picture": pictures.numpy()})
    np.testing.assert_allclose(made, latents.numpy(), atol=1e-5)
    wanted, _ = codec.decode(latents.transpose(0, 1)[None])
    state = [x.numpy() for x in codec.decoder.start(1, (4, 4))]
    for i in range(3):
        before = {f"before_{k}": x for k, x in enumerate(state)}
        picture, *state = decoder.run(None, {"latents": made[i : i + 1], **before})
        np.testing.assert_allclose(picture[0], wanted[0, :, i].numpy(), atol=1e-4)
