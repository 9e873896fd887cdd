"""LivePortrait's networks answer as upstream's do, and are built as the papers say."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import (  # noqa: E402
    SUBSET,
    TOLERANCE,
    load,
    picture,
    relative_error,
    rs,
    rule_network,
    thinned,
    true_network,
)
from visavis.errors import WeightsMismatch  # noqa: E402
from visavis.faces.implicit import POINTS  # noqa: E402
from visavis.render.liveportrait import warping  # noqa: E402
from visavis.render.liveportrait.blocks import identity_grid, sample_volume  # noqa: E402
from visavis.render.liveportrait.config import LivePortraitConfig  # noqa: E402
from visavis.render.liveportrait.weights import NETWORKS  # noqa: E402

FILES = ("appearance_extractor", "motion_extractor", "warp_network", "decoder", "stitch_retarget")
TINY = LivePortraitConfig.tiny()


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def image():
    return torch.from_numpy(picture() / np.float32(255))


def halved(name: str, shape: tuple[int, ...]):
    """Return a random input as the golden data has it, through float16."""
    return torch.from_numpy(rs(name, shape).astype(np.float16).astype(np.float32))


def assert_golden(found, golden: dict, name: str) -> None:
    """Compare ``found`` with the golden array ``name``, however thinned out, and its moments."""
    expected = golden[name]
    assert relative_error(thinned(found, expected), expected) <= TOLERANCE


def assert_moments(found, golden: dict) -> None:
    """Compare mean and deviation of every channel of ``found`` (1, c, …)."""
    flat = found[0].flatten(1).double()
    assert relative_error(flat.mean(1), golden["out_mean_c"]) <= TOLERANCE
    assert relative_error(flat.std(1, correction=0), golden["out_std_c"]) <= TOLERANCE


class TestGolden:
    def test_appearance(self, image) -> None:
        golden = load("appearance_extractor")
        volume = true_network("appearance")(image)
        assert volume.shape == (1, 32, 16, 64, 64)
        assert_golden(volume, golden, "out_s4")
        assert_moments(volume, golden)

    @pytest.mark.parametrize("name", ["pitch", "yaw", "roll", "t", "exp", "scale", "kp"])
    def test_motion(self, image, name: str) -> None:
        read = getattr(true_network("motion")(image), name)
        assert_golden(read.flatten(1), load("motion_extractor"), name)

    def test_warping(self) -> None:
        golden, network, seen = load("warp_network"), true_network("warping"), []
        hook = network.dense.register_forward_hook(lambda *call: seen.append(call[-1]))
        volume = halved("feature_3d", (1, 32, 16, 64, 64))
        points = [torch.from_numpy(golden[f"kp_{which}"]) for which in ("source", "driving")]
        features = network(volume, *points)
        hook.remove()
        assert features.shape == (1, 256, 64, 64)
        assert_golden(features, golden, "out_s4")
        assert_moments(features, golden)
        assert_golden(seen[0].deformation, golden, "deformation_s")
        assert_golden(seen[0].occlusion, golden, "occlusion_map")
        assert_golden(seen[0].mask, golden, "mask_s")

    def test_decoder(self) -> None:
        golden = load("decoder")
        drawn = true_network("decoder")(halved("decoder_feature", (1, 256, 64, 64)))
        assert drawn.shape == (1, 3, 512, 512)
        assert_golden(drawn, golden, "out_s4")
        assert_moments(drawn, golden)

    @pytest.mark.parametrize(
        ("name", "theirs"), [("stitching", "stitching"), ("eyes", "eye"), ("lips", "lip")]
    )
    def test_perceptrons(self, name: str, theirs: str) -> None:
        golden = load("stitch_retarget")
        answer = true_network(name)(torch.from_numpy(golden[f"{theirs}_in"]))
        assert relative_error(answer, golden[f"{theirs}_out"]) <= TOLERANCE

    @pytest.mark.shared
    @pytest.mark.parametrize("name", FILES)
    def test_the_subset_is_a_thinned_out_full_set(self, name: str) -> None:
        full = load(name)
        with np.load(SUBSET / f"{name}.npz") as subset:
            for key, kept in subset.items():
                assert np.array_equal(thinned(full[key], kept), kept), key

    @pytest.mark.shared
    def test_inputs_by_rule_are_those_in_the_full_set(self) -> None:
        assert np.array_equal(picture(), load("motion_extractor")["image_u8"])
        for file, key, name in (
            ("warp_network", "feature_3d_f16", "feature_3d"),
            ("decoder", "feature_f16", "decoder_feature"),
        ):
            stored = load(file)[key]
            assert np.array_equal(rs(name, stored.shape).astype(np.float16), stored)


class TestStructure:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_a_batch_is_as_its_parts(self, name: str) -> None:
        network, random = rule_network(name, TINY), torch.Generator().manual_seed(0)
        widths = {"stitching": 126, "eyes": 66, "lips": 65}
        shapes = {
            "appearance": [(3, 64, 64)],
            "motion": [(3, 64, 64)],
            "warping": [(4, 2, 16, 16), (POINTS, 3), (POINTS, 3)],
            "decoder": [(8, 16, 16)],
        }.get(name) or [(widths[name],)]
        inputs = [torch.rand((2, *shape), generator=random) for shape in shapes]
        whole = network(*inputs)
        for i in range(2):
            part = network(*(value[i : i + 1] for value in inputs))
            pairs = zip(whole, part, strict=True) if name == "motion" else [(whole, part)]
            assert all(torch.allclose(a[i], b[0], atol=1e-5) for a, b in pairs)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_weight_counts(self, name: str) -> None:
        """A weight that changes nothing would be one that is not wired in."""
        inputs = {
            "appearance": [torch.rand(1, 3, 64, 64)],
            "motion": [torch.rand(1, 3, 64, 64)],
            "warping": [torch.randn(1, 4, 2, 16, 16), *torch.rand(2, 1, POINTS, 3)],
            "decoder": [torch.randn(1, 8, 16, 16)],
        }.get(name) or [torch.rand(1, {"stitching": 126, "eyes": 66, "lips": 65}[name])]
        with torch.inference_mode(False), torch.enable_grad():
            network = copy.deepcopy(rule_network(name, TINY)).requires_grad_(True)
            answer = network(*(value.clone() for value in inputs))
            parts = answer if name == "motion" else [answer]
            sum(part.square().sum() for part in parts).backward()
            idle = [key for key, p in network.named_parameters() if not p.grad.abs().sum() > 0]
        # A bias before an instance norm is taken out again by it.
        assert [key for key in idle if name != "decoder" or not key.endswith("bias")] == []


class TestWarping:
    def test_still_points_read_every_cell_from_its_own_place(self) -> None:
        points = torch.rand(1, POINTS, 3) * 0.6 - 0.3
        dense = rule_network("warping", TINY).dense(torch.randn(1, 4, 2, 16, 16), points, points)
        grid = identity_grid(torch.Size((2, 16, 16)), points)
        assert torch.allclose(dense.deformation[0], grid, atol=1e-5)
        assert torch.allclose(dense.mask.sum(dim=1), torch.ones(1, 2, 16, 16), atol=1e-5)
        assert 0 <= dense.occlusion.min() <= dense.occlusion.max() <= 1

    def test_source_comes_before_driving(self) -> None:
        source, driving = torch.rand(2, 1, POINTS, 3)
        grid = identity_grid(torch.Size((2, 4, 4)), source)
        moves = warping.proposals(grid, source, driving)
        assert torch.equal(moves[0, 0], grid)
        shift = (source - driving)[0, :, None, None, None].expand(-1, 2, 4, 4, -1)
        assert torch.allclose(moves[0, 1:] - grid, shift, atol=1e-6)

    def test_the_identity_grid_fades_the_border_as_upstream(self) -> None:
        """Ditto-spec 1.2: the grid is that of other corners than the sampling."""
        volume = torch.ones(1, 1, 4, 8, 8)
        grid = identity_grid(volume.shape[2:], volume)
        seen = sample_volume(volume, grid[None])[0, 0]
        assert torch.allclose(seen[1:-1, 1:-1, 1:-1], torch.ones(2, 6, 6))
        assert seen[0, 0, 0] == pytest.approx(1 / 8)

    @settings(max_examples=25, deadline=None)
    @given(st.tuples(*[st.integers(2, 9)] * 3), st.integers(0, 10**6))
    def test_a_bump_is_highest_where_its_point_is(self, size, seed) -> None:
        grid = identity_grid(torch.Size(size), torch.zeros(1))
        cell = np.unravel_index(seed % int(np.prod(size)), size)
        bump = warping.bumps(grid, grid[cell][None, None])[0, 0]
        assert bump[cell] == bump.max() == 1
        assert grid.flatten(0, 2).min() == -1
        assert grid.flatten(0, 2).max() == 1


def test_the_sizes_survive_json_and_nonsense_is_refused() -> None:
    assert LivePortraitConfig.from_json(TINY.to_json()) == TINY
    for text in ("", "[]", "{}", '{"volume_channels": 1}'):
        with pytest.raises(WeightsMismatch, match="sizes of the network"):
            LivePortraitConfig.from_json(text)
