"""Ditto's denoiser answers as upstream's does, in PyTorch and in ONNX Runtime; its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import IS_FULL, TOLERANCE, keys, load, relative_error, rs, thinned  # noqa: E402
from visavis.errors import InputError, ModelError, WeightsMismatch  # noqa: E402
from visavis.motion.ditto.config import LmdmConfig  # noqa: E402
from visavis.motion.ditto.network import Lmdm, turned, turns  # noqa: E402
from visavis.motion.ditto.onnx_denoiser import OnnxDenoiser  # noqa: E402
from visavis.motion.ditto.opening import open_denoiser  # noqa: E402
from visavis.motion.ditto.sampler import Denoiser, Sampling, sampled  # noqa: E402
from visavis.motion.ditto.torch_denoiser import TorchDenoiser, export  # noqa: E402
from visavis.motion.ditto.weights import (  # noqa: E402
    from_published,
    made,
    published_config,
    published_shapes,
    read_lmdm,
    rule_state,
    write_lmdm,
    write_published,
)

TINY = LmdmConfig.tiny(condition=90)
TOLD = 0.5 * rs("lmdm_cond", (1, 80, 1103))
BEFORE = 0.3 * rs("lmdm_cond_frame", (1, 265))

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(seed: int = 0, **other: bool) -> Lmdm:
    """A network of next to no weights, all of them random."""
    config = LmdmConfig(**(TINY.__dict__ | other))
    state = {k: torch.from_numpy(v) for k, v in rule_state(config).items()}
    torch.manual_seed(seed)
    return made(from_published(state, config), config)


@pytest.fixture(scope="module")
def network() -> Lmdm:
    """The network at its published size, weights by the rule."""
    config = LmdmConfig()
    return made(from_published(rule_state(config), config), config)


@pytest.fixture(scope="module")
def exported(network: Lmdm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_to(network, tmp_path_factory.mktemp("onnx"))


def assert_golden(found: np.ndarray, expected: np.ndarray) -> None:
    assert relative_error(thinned(found, expected), expected) <= TOLERANCE


class TestGolden:
    @pytest.mark.parametrize("time", [999, 500, 19, 0])
    def test_guesses(self, network: Lmdm, time: int) -> None:
        golden = load("lmdm_forward")
        denoiser = TorchDenoiser(network)
        x = rs("lmdm_x", (1, 80, 265))
        told, untold = denoiser.guess(denoiser.prepare(BEFORE[0], TOLD[0]), x[0], time)
        assert_golden(told[None], golden[f"cond_t{time}"])
        assert_golden(untold[None], golden[f"uncond_t{time}"])
        assert_golden((untold + 2 * (told - untold))[None], golden[f"x_start_t{time}"])

    @pytest.mark.parametrize("steps", [4, 5, 10, pytest.param(50, marks=pytest.mark.slow)])
    def test_windows_in_torch(self, network: Lmdm, steps: int) -> None:
        check_window(TorchDenoiser(network), steps)

    @pytest.mark.parametrize("steps", [4, 10])
    def test_windows_in_onnx_runtime(self, exported: Path, steps: int) -> None:
        check_window(OnnxDenoiser(exported, threads=1), steps)


def exported_to(network: Lmdm, folder: Path) -> Path:
    pytest.importorskip("onnx")
    export(network, folder)
    return folder


def check_window(denoiser: Denoiser, steps: int) -> None:
    noises = [rs("ddim_xT", (1, 80, 265))[0]]
    noises += [rs(f"ddim_noise_{i:03d}", (80, 265)) for i in range(steps - 1)]
    found = sampled(denoiser, Sampling(steps), BEFORE[0], TOLD[0], noises)[None]
    assert found.dtype == np.float32
    if steps == 5:
        assert_golden(found, load("lmdm_ddim5_f64")["out_5_f64"])
    else:
        assert_golden(found, load("lmdm_ddim")[f"out_{steps}"])


class TestNetwork:
    def test_batches_are_their_rows(self) -> None:
        net, rng = tiny(), torch.Generator().manual_seed(0)
        motion, before = torch.randn(3, 80, 265, generator=rng), torch.randn(3, 265, generator=rng)
        told = torch.randn(3, 80, 90, generator=rng)
        time, is_told = torch.tensor([7.0, 400.0, 999.0]), torch.tensor([1.0, 0.0, 1.0])
        whole = net(motion, before, told, time, is_told)
        for i in range(3):
            row = slice(i, i + 1)
            alone = net(motion[row], before[row], told[row], time[row], is_told[row])
            torch.testing.assert_close(whole[row], alone, atol=1e-5, rtol=1e-4)

    def test_what_is_not_told_makes_no_difference(self) -> None:
        denoiser = TorchDenoiser(tiny())
        motion, before = rs("m", (80, 265)), rs("b", (265,))
        answers = [
            denoiser.guess(denoiser.prepare(before, rs(name, (80, 90))), motion, 300)
            for name in ("one", "other")
        ]
        assert relative_error(answers[0][0], answers[1][0]) > 1e-3
        np.testing.assert_array_equal(answers[0][1], answers[1][1])

    def test_turning_keeps_lengths_and_tells_distances(self) -> None:
        x = torch.randn(1, 1, 16).expand(1, 9, 16)
        y = turned(x, turns(9, x))
        torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
        near, far = (y[0, i] @ y[0, i + 2] for i in (1, 5))
        torch.testing.assert_close(near, far, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("is_student", [False, True])
    def test_export_answers_alike(self, tmp_path: Path, is_student: bool) -> None:
        net = tiny(is_student=is_student)
        theirs = OnnxDenoiser(exported_to(net, tmp_path), threads=1)
        assert theirs.config == net.config
        ours, motion = TorchDenoiser(net), rs("m", (80, 265))
        found = [
            d.guess(d.prepare(rs("b", (265,)), rs("t", (80, 90))), motion, 512)
            for d in (ours, theirs)
        ]
        assert found[0].shape == ((1 if is_student else 2), 80, 265)
        assert relative_error(*found) <= TOLERANCE

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # the compiler warns of this and that
    def test_compiled_answers_alike(self) -> None:
        ours, theirs = (TorchDenoiser(tiny(), compiled=c) for c in (False, True))
        before, told, motion = rs("b", (265,)), rs("t", (80, 90)), rs("m", (80, 265))
        for time in (999, 19):
            found = [d.guess(d.prepare(before, told), motion, time) for d in (ours, theirs)]
            assert relative_error(*found) <= TOLERANCE


class TestFiles:
    @pytest.mark.skipif(not IS_FULL, reason="the full set of golden data is not here")
    def test_the_keys_are_the_published_ones(self) -> None:
        assert published_shapes() == keys("lmdm_model")

    @pytest.mark.parametrize("config", [TINY, LmdmConfig.tiny()])
    def test_sizes_are_seen_in_the_weights(self, config: LmdmConfig) -> None:
        assert published_config(rule_state(config)) == config

    def test_published_then_converted(self, tmp_path: Path) -> None:
        write_published(tmp_path / "a/lmdm.pth", rule_state(TINY))
        net = read_lmdm(tmp_path / "a/lmdm.pth")
        again = read_lmdm(write_lmdm(tmp_path / "b", net))
        assert again.config == net.config == TINY
        for (name, one), other in zip(
            net.state_dict().items(), again.state_dict().values(), strict=True
        ):
            assert torch.equal(one, other), name

    @pytest.mark.parametrize("change", ["missing", "left over", "shape"])
    def test_other_weights_are_refused(self, change: str) -> None:
        state = dict(rule_state(TINY))
        if change == "missing":
            del state["norm_cond.weight"]
        elif change == "left over":
            state["norm_cond.more"] = np.zeros(3)
        else:
            state["norm_cond.weight"] = np.zeros(3)
        with pytest.raises(WeightsMismatch, match="norm_cond"):
            from_published(state, TINY)

    def test_files_of_other_things_are_refused(self, tmp_path: Path) -> None:
        torch.save({"model_state_dict": {"weight": torch.zeros(3)}}, tmp_path / "a.pth")
        with pytest.raises(WeightsMismatch, match="no motion network"):
            read_lmdm(tmp_path / "a.pth")
        with pytest.raises(ModelError, match="There is no file"):
            read_lmdm(tmp_path / "b.pth")
        with pytest.raises(ModelError, match=r"no lmdm_conditions\.onnx and no lmdm_step\.onnx"):
            open_denoiser(tmp_path)
        with pytest.raises(WeightsMismatch, match="cannot be read"):
            LmdmConfig.from_json("{}")

    def test_opening(self, tmp_path: Path) -> None:
        path = write_lmdm(tmp_path, tiny())
        assert isinstance(open_denoiser(path), TorchDenoiser)
        with pytest.raises(InputError, match="float32, bfloat16, float16"):
            open_denoiser(path, precision="int3")
        with pytest.raises(InputError, match="'abacus'"):
            open_denoiser(path, "abacus")
        halves = open_denoiser(path, precision="bfloat16")
        whole = open_denoiser(path)
        found = [
            d.guess(d.prepare(rs("b", (265,)), rs("t", (80, 90))), rs("m", (80, 265)), 400)
            for d in (halves, whole)
        ]
        assert relative_error(*found) < 0.05
        assert isinstance(open_denoiser(exported_to(tiny(), tmp_path / "onnx")), OnnxDenoiser)
