"""HuBERT's rows: the published chunks, the same bits however the sound is cut, clear refusals."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import IS_FULL, TOLERANCE, keys, load, relative_error
from visavis.audio import hubert
from visavis.audio.hubert import (
    FRAME_SAMPLES,
    TOKENS,
    WINDOW_SAMPLES,
    HubertFeatures,
    load_hubert,
)
from visavis.errors import MissingExtra, ModelError, WeightsMismatch
from visavis.hub import ASSETS
from visavis.nn.rule import rule_weights
from visavis.types import Audio


def tokens_of(window: np.ndarray) -> np.ndarray:
    """Two values per token: the sample at its start, and the mean of its 400 samples."""
    starts = np.arange(TOKENS) * 320
    means = [window[s : s + 400].mean() for s in starts]
    return np.stack([window[starts], np.array(means)], axis=1).astype(np.float32)


def rows_of(features: HubertFeatures, sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    state, parts, at = features.start(), [], 0
    for piece in np.split(sound, cuts):
        state, new = features.step(state, Audio(piece))
        assert new.start == at
        at += len(new)
        parts.append(new.values)
    state, new = features.step(state, Audio(np.zeros(0, np.float32)), final=True)
    return np.concatenate([*parts, new.values])


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(samples).astype(np.float32)


def test_the_numbers_are_dittos() -> None:
    assert (WINDOW_SAMPLES, TOKENS, FRAME_SAMPLES) == (6480, 20, 640)
    assert HubertFeatures(tokens_of).rate == 25


def test_rows_stand_at_their_instants() -> None:
    ramp = np.arange(20_000, dtype=np.float32)
    values = rows_of(HubertFeatures(tokens_of, normalize=False), ramp, [7000])
    expected = np.arange(len(values)) * FRAME_SAMPLES + 160  # the mean of both tokens' starts
    whole = len(ramp) // FRAME_SAMPLES
    np.testing.assert_array_equal(values[:whole, 0], expected[:whole])


@pytest.mark.parametrize("samples", [0, 1, 639, 640, 641, 3200, 6480, 16_000, 33_333])
def test_any_cutting_gives_the_same_bits_and_all_rows(samples: int) -> None:
    features, sound = HubertFeatures(tokens_of), noise(samples)
    whole = rows_of(features, sound, [])
    assert whole.shape == (-(-samples // FRAME_SAMPLES), 2)
    assert whole.dtype == np.float32
    for cuts in ([samples // 3], list(range(0, samples, 1111)), [1, 2, 3]):
        np.testing.assert_array_equal(
            rows_of(features, sound, [c for c in cuts if c < samples]), whole
        )


def test_look_ahead_is_as_stated() -> None:
    features, sound = HubertFeatures(tokens_of), noise(30_000)
    state, rows = features.step(features.start(), Audio(sound[:15_999]))
    ready = [r for r in range(40) if r * FRAME_SAMPLES + features.look_ahead_samples <= 15_999]
    assert len(rows) >= len(ready)
    changed = sound.copy()
    changed[15_999:] = 0
    _, same = features.step(features.start(), Audio(changed[:15_999]))
    np.testing.assert_array_equal(same.values, rows.values)
    _, waiting = features.step(features.start(), Audio(sound[: features.look_ahead_samples - 1]))
    _, due = features.step(features.start(), Audio(sound[: features.look_ahead_samples]))
    assert (len(waiting), len(due)) == (0, 5)


def test_windows_are_normalized_if_asked() -> None:
    heard: list[np.ndarray] = []

    def listen(window: np.ndarray) -> np.ndarray:
        heard.append(window)
        return tokens_of(window)

    rows_of(HubertFeatures(listen), 0.01 * noise(9000) + 0.5, [])
    assert abs(heard[2].mean()) < 1e-4
    assert heard[2].std() == pytest.approx(1, abs=1e-3)


def test_other_encoders_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(19, 2\)"):
        HubertFeatures(lambda window: tokens_of(window)[1:])


def test_missing_packages_and_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no file"):
        load_hubert("/nowhere/hubert.onnx")
    real = importlib.import_module

    def without_transformers(name: str) -> object:
        if name in ("torch", "transformers"):
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(hubert.importlib, "import_module", without_transformers)
    with pytest.raises(MissingExtra, match="pip install torch transformers"):
        load_hubert("facebook/hubert-base-ls960")


@pytest.fixture(params=["HubertModel", "Wav2Vec2Model"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = getattr(transformers, request.param)
    config = model.config_class(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model(config).save_pretrained(tmp_path)
    return tmp_path


def test_real_architectures_stream_bit_for_bit(folder: Path) -> None:
    features = load_hubert(folder)
    assert features.size == 24
    sound = noise(14_000)
    whole = rows_of(features, sound, [])
    assert whole.shape == (22, 24)
    assert np.isfinite(whole).all()
    assert whole.std(axis=0).min() > 0
    np.testing.assert_array_equal(rows_of(features, sound, [777, 5000, 5001, 12_000]), whole)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_hubert(tmp_path / "empty")


def test_an_onnx_file_will_do(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", kind, (4, 1, 400), noise(1600))
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "axis"], ["wave"]),
        helper.make_node("Conv", ["wave", "w"], ["conv"], strides=[320], kernel_shape=[400]),
        helper.make_node("Transpose", ["conv"], ["tokens"], perm=[0, 2, 1]),
    ]
    axis = helper.make_tensor("axis", onnx.TensorProto.INT64, (1,), [1])
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("input_values", kind, (1, 6480))],
        [helper.make_tensor_value_info("tokens", kind, (1, 20, 4))],
        [weight, axis],
    )  # fmt: skip
    path = tmp_path / "hubert_streaming_fix_kv.onnx"
    onnx.save(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path
    )
    with pytest.raises(WeightsMismatch, match="takes mel, cache; a speech encoder takes input_val"):
        load_hubert(ASSETS / "phones.onnx")
    features = load_hubert(path, normalize=False)
    sound = noise(8000)
    values = rows_of(features, sound, [100, 5000])
    first = sound[:400] @ noise(1600).reshape(4, 400).T
    second = sound[320:720] @ noise(1600).reshape(4, 400).T
    np.testing.assert_allclose(values[0], (first + second) / 2, rtol=1e-3, atol=1e-4)


class TestDitto:
    """The chunks of Ditto's published code, on samples 1, 2, 3, ... and an encoder that copies."""

    samples = np.arange(1, 32_124, dtype=np.float32)

    @staticmethod
    def copied(heard: list[np.ndarray]) -> HubertFeatures:
        def encode(window: np.ndarray) -> np.ndarray:
            heard.append(window[[0, -1]])
            return window[np.arange(TOKENS) * 320][:, None]

        return HubertFeatures(encode, normalize=False)

    def test_chunks_of_a_stream(self) -> None:
        golden, heard = load("wav2feat_chunks"), []
        features = self.copied(heard)
        rows = rows_of(features, self.samples, [5000])
        assert len(rows) == 51
        np.testing.assert_allclose(rows[:, 0], golden["online_feat_col0"][:51])
        np.testing.assert_array_equal(heard[1:], golden["online_chunk_first_last_len"][:, :2])

    def test_chunks_of_a_file_are_five_milliseconds_earlier(self) -> None:
        golden = load("wav2feat_chunks")
        later = np.concatenate([np.zeros(80, np.float32), self.samples])
        rows = rows_of(self.copied([]), later, [])
        np.testing.assert_allclose(rows[:51, 0], golden["offline_feat_col0"])

    def test_silence(self) -> None:
        features = HubertFeatures(lambda window: tokens_of(window) + np.arange(TOKENS)[:, None])
        silent = rows_of(features, np.zeros(16_000, np.float32), [])
        np.testing.assert_array_equal(silent[10:15], features.silence())

    @pytest.mark.shared
    @pytest.mark.slow
    @pytest.mark.skipif(not IS_FULL, reason="the full set of golden data is not here")
    def test_hubert_large_answers_as_upstreams_twin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch = pytest.importorskip("torch")
        transformers = pytest.importorskip("transformers")
        golden = load("hubert_large_hf")
        monkeypatch.setattr(transformers.AutoModel, "from_pretrained", lambda _: large(torch))
        features = load_hubert("hubert-large", normalize=False)
        found = features._tokens(golden["audio"][0])
        assert relative_error(found[None], golden["last_hidden_state"]) <= TOLERANCE


def large(torch: Any) -> Any:
    """HuBERT-large (the variant with layer norms) with weights by the rule."""
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
    )  # fmt: skip
    with torch.device("meta"):
        model = HubertModel(config)
    shapes = keys("hubert_large_hf")
    state = {key: torch.from_numpy(value) for key, value in rule_weights(shapes).items()}
    model.load_state_dict(state, assign=True)
    return model
