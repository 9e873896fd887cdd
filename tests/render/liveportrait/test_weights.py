"""Weights by the rule, their published keys, and the files that hold them."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import keys  # noqa: E402
from visavis.errors import ModelError, WeightsMismatch  # noqa: E402
from visavis.nn.checkpoints import check_keys, read_converted, read_published, write_converted  # noqa: E402
from visavis.nn.rule import normal, rule_weights  # noqa: E402
from visavis.render.liveportrait.config import LivePortraitConfig  # noqa: E402
from visavis.render.liveportrait.eager import open_networks  # noqa: E402
from visavis.render.liveportrait.weights import (  # noqa: E402
    CONFIG_FILE,
    NETWORKS,
    OPTIONAL,
    from_published,
    published_shapes,
    read_network,
    read_published_folder,
    rule_state,
    write_network,
    write_published,
)

TINY = LivePortraitConfig.tiny()
GOLDEN_NAMES = {
    "appearance": "appearance_extractor",
    "motion": "motion_extractor",
    "warping": "warp_network",
    "decoder": "decoder",
    "stitching": "lp_stitching",
    "eyes": "lp_eye",
    "lips": "lp_lip",
}
SUMS = {
    "appearance": 0x1DC6CEAD,
    "motion": 0x58FC7F78,
    "warping": 0x2C38A2E8,
    "decoder": 0xB4A8EF3F,
    "stitching": 0x5104DF65,
    "eyes": 0x07A3080C,
    "lips": 0x0718BA5C,
}
"""CRC-32 of the keys and shapes in the golden keys_*.json."""


def tensors(name: str, config: LivePortraitConfig | None = TINY) -> dict:
    return {key: torch.from_numpy(value) for key, value in rule_state(name, config).items()}


@pytest.fixture
def folder(tmp_path):
    write_published(tmp_path, "ditto", {name: rule_state(name, TINY) for name in NETWORKS}, TINY)
    return tmp_path


class TestKeys:
    @pytest.mark.shared
    @pytest.mark.parametrize("name", NETWORKS)
    def test_they_are_the_published_ones(self, name: str) -> None:
        assert published_shapes(name) == keys(GOLDEN_NAMES[name])

    @pytest.mark.parametrize("name", NETWORKS)
    def test_their_check_sum_is_that_of_the_published_ones(self, name: str) -> None:
        lines = "\n".join(f"{key} {list(s)}" for key, s in sorted(published_shapes(name).items()))
        assert zlib.crc32(lines.encode()) == SUMS[name]

    @pytest.mark.parametrize("name", NETWORKS)
    def test_nothing_missing_and_nothing_left_over(self, name: str) -> None:
        state = from_published(name, tensors(name), TINY)
        network = NETWORKS[name].build(TINY)
        network.load_state_dict(state, strict=True)

    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from(sorted(NETWORKS)), st.integers(0, 10**6))
    def test_any_missing_left_over_or_misshapen_key_is_named(self, name: str, pick: int) -> None:
        whole = tensors(name)
        named = sorted(key for key in whole if not key.endswith("num_batches_tracked"))
        key = named[pick % len(named)]
        lacking = {k: v for k, v in whole.items() if k != key}
        for state, fault in (
            (lacking, f"1 are missing: {key}"),
            (whole | {"more": torch.ones(1)}, "1 are left over: more"),
            (whole | {key: torch.ones(2, 7, 2)}, f"1 have another shape: {key} "),
        ):
            with pytest.raises(WeightsMismatch) as caught:
                from_published(name, state, TINY)
            assert fault in str(caught.value)
            assert name in str(caught.value)

    def test_counters_of_training_may_be_missing(self) -> None:
        lacking = {k: v for k, v in tensors("warping").items() if not k.endswith("tracked")}
        state = from_published("warping", lacking, TINY)
        assert set(state) == set(from_published("warping", tensors("warping"), TINY))

    def test_only_the_first_few_are_named(self) -> None:
        with pytest.raises(WeightsMismatch, match=r"5 are missing: a, b, c, …") as caught:
            check_keys("it", dict.fromkeys("abcde", (1,)), {})
        assert "d" not in str(caught.value).split("missing: ")[1].split("…")[0]

    def test_spectral_norm_is_divided_out(self) -> None:
        state = from_published("decoder", tensors("decoder"), TINY)
        for key, weight in state.items():
            if "conv_" in key and key.endswith("weight"):
                norm = torch.linalg.matrix_norm(weight.flatten(1).double(), 2)
                assert norm == pytest.approx(1, abs=0.02), key

    @pytest.mark.parametrize("held", [{"retarget_eye": 3}, {"optimizer": {}}, {"mlp": [1.0]}])
    def test_a_file_of_something_else_is_refused(self, held) -> None:
        with pytest.raises(WeightsMismatch, match="stitching"):
            from_published("stitching", held, TINY)


class TestRule:
    def test_numbers_depend_on_the_key_alone(self) -> None:
        shapes = {"a.weight": (4, 3), "b.bias": (5,)}
        both, one = rule_weights(shapes), rule_weights({"b.bias": (5,)})
        assert np.array_equal(both["b.bias"], one["b.bias"])
        assert not np.array_equal(rule_weights(shapes, prefix="7:")["a.weight"], both["a.weight"])
        assert np.allclose(both["a.weight"], normal("a.weight", (4, 3)) / np.sqrt(3))
        assert np.allclose(rule_weights(shapes, 1.4)["a.weight"], 1.4 * both["a.weight"])
        assert np.array_equal(rule_weights(shapes, 1.4)["b.bias"], both["b.bias"])

    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
    def test_u_and_v_find_no_more_than_the_largest_singular_value(self, rows, columns, n) -> None:
        shapes = {
            f"{n}.weight_orig": (rows, columns, 3, 3),
            f"{n}.weight_u": (rows,),
            f"{n}.weight_v": (9 * columns,),
        }
        state = rule_weights(shapes)
        assert list(state) == list(shapes)
        matrix = state[f"{n}.weight_orig"].reshape(rows, -1)
        found = state[f"{n}.weight_u"] @ matrix @ state[f"{n}.weight_v"]
        largest = np.linalg.svd(matrix, compute_uv=False)[0]
        assert 0.9 * largest <= found <= largest * (1 + 1e-5)


class TestFiles:
    @pytest.mark.parametrize("layout", ["ditto", "liveportrait"])
    def test_both_projects_files_hold_the_same(self, tmp_path, layout: str) -> None:
        written = {name: rule_state(name, TINY) for name in NETWORKS}
        paths = write_published(tmp_path, layout, written, TINY)
        assert len(paths) == 5
        states, config = read_published_folder(tmp_path)
        assert config == TINY
        assert set(states) == set(NETWORKS)
        for name, state in states.items():
            expected = from_published(name, tensors(name), TINY)
            assert all(torch.equal(state[key], expected[key]) for key in expected)

    def test_a_converted_folder_holds_the_same_networks(self, folder) -> None:
        states, config = read_published_folder(folder)
        out = folder / "ours"
        for name, state in states.items():
            path = write_network(out, name, state, config)
            assert read_network(path)[0::2] == (name, TINY)
        published, converted = open_networks(folder), open_networks(out)
        assert set(published) == set(converted) == set(NETWORKS)
        for name, network in published.items():
            ours = converted[name].state_dict()
            assert all(torch.equal(ours[k], v) for k, v in network.state_dict().items())
            assert not any(p.requires_grad for p in converted[name].parameters())
            assert not converted[name].training

    def test_eyes_and_lips_may_be_missing_and_nothing_else(self, folder) -> None:
        states, config = read_published_folder(folder)
        for name in set(NETWORKS) - set(OPTIONAL):
            write_network(folder / "ours", name, states[name], config)
        assert set(open_networks(folder / "ours")) == set(NETWORKS) - set(OPTIONAL)
        (folder / "ours/decoder.safetensors").unlink()
        with pytest.raises(ModelError, match="decoder.safetensors.*visavis models convert"):
            open_networks(folder / "ours")
        stitching = folder / NETWORKS["stitching"].files["ditto"]
        torch.save({"retarget_shoulder": tensors("stitching")}, stitching)
        assert set(open_networks(folder)) == set(NETWORKS) - set(OPTIONAL)

    def test_the_least_deep_of_several_is_taken(self, folder) -> None:
        other = {name: rule_state(name, TINY, "other:") for name in NETWORKS}
        write_published(folder / "zoo/animals", "ditto", other)
        bias = open_networks(folder)["stitching"].layers[0].bias
        assert torch.equal(bias, tensors("stitching")["mlp.0.bias"])

    def test_an_empty_folder_says_what_it_lacks(self, tmp_path) -> None:
        with pytest.raises(ModelError, match="appearance_extractor.pth.*visavis models fetch"):
            open_networks(tmp_path)

    def test_published_sizes_are_the_default(self, folder) -> None:
        (folder / CONFIG_FILE).unlink()
        with pytest.raises(WeightsMismatch, match="have another shape"):
            open_networks(folder)
        assert len(open_networks(folder, TINY)) == 7

    def test_code_in_a_file_is_not_run(self, tmp_path) -> None:
        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "sprung"),)

        torch.save({"mlp.0.bias": Trap()}, tmp_path / "trap.pth")
        with pytest.raises(WeightsMismatch, match="plain tensors"):
            read_published(tmp_path / "trap.pth")
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
    def test_cut_files_are_refused(self, folder, share: float) -> None:
        path = folder / NETWORKS["motion"].files["ditto"]
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(WeightsMismatch, match="motion_extractor.pth cannot be read"):
            read_published(path)
        ours = folder / "x.safetensors"
        write_converted(ours, {"a": torch.ones(9)}, {})
        ours.write_bytes(ours.read_bytes()[: int(share * ours.stat().st_size)])
        with pytest.raises(WeightsMismatch, match="x.safetensors is damaged"):
            read_converted(ours)

    def test_a_list_is_not_weights(self, tmp_path) -> None:
        torch.save([torch.ones(1)], tmp_path / "list.pth")
        with pytest.raises(WeightsMismatch, match="holds list"):
            read_published(tmp_path / "list.pth")

    def test_safetensors_of_others_are_refused(self, tmp_path) -> None:
        for texts in ({}, {"network": "horse"}):
            write_converted(tmp_path / "x.safetensors", {"a": torch.ones(1)}, texts)
            with pytest.raises(WeightsMismatch, match="does not say which network"):
                read_network(tmp_path / "x.safetensors")
        texts = {"network": "decoder", "config": TINY.to_json()}
        write_converted(tmp_path / "decoder.safetensors", {"a": torch.ones(1)}, texts)
        with pytest.raises(WeightsMismatch, match="1 are left over: a"):
            read_network(tmp_path / "decoder.safetensors")

    def test_a_file_under_another_networks_name_is_refused(self, tmp_path) -> None:
        texts = {"network": "decoder", "config": TINY.to_json()}
        write_converted(tmp_path / "motion.safetensors", {"a": torch.ones(1)}, texts)
        with pytest.raises(WeightsMismatch, match="holds the network decoder, not motion"):
            read_network(tmp_path / "motion.safetensors")
