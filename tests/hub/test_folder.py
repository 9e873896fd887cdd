"""Models by name or by folder: what is here, and what the catalogue says of it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from visavis.errors import ModelError, UnknownModel
from visavis.hub.catalog import CATALOG, published
from visavis.hub.folder import (
    Record,
    Seen,
    digest,
    found,
    kind,
    located,
    missing,
    models_folder,
    read_record,
    write_record,
)


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_catalogue_is_well_formed() -> None:
    for name, model in CATALOG.items():
        assert model.name == name
        assert re.fullmatch(r"[0-9a-f]{40}", model.revision)
        assert len({file.network for file in model.files}) == len(model.files)
        for file in model.files:
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.size
            assert not file.name.endswith(".pkl")
        assert "InsightFace" in model.licence
        assert not any("det_10g" in file.path or "106" in file.path for file in model.files)
    assert CATALOG["ditto"].size == 2_174_308_834
    assert CATALOG["liveportrait"].size == 522_320_239


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownModel, match=r"Did you mean 'liveportrait'.*or give a folder"):
        published("life-portrait")


def test_a_name_that_was_not_fetched_says_how(shelf: Path) -> None:
    with pytest.raises(ModelError, match="visavis models fetch ditto"):
        located("ditto")
    with pytest.raises(ModelError, match="visavis models fetch ditto"):
        located(Path("ditto"))


def test_a_folder_works_wherever_a_name_does(tmp_path: Path) -> None:
    assert located(tmp_path) == tmp_path
    assert located(str(tmp_path)) == tmp_path
    with pytest.raises(UnknownModel, match="No published model is called"):
        located(tmp_path / "nowhere")
    with pytest.raises(UnknownModel, match=r"Did you mean 'latent-tiny'"):
        located("latent-tinny")
    with pytest.raises(UnknownModel, match="latent-tiny is in the package: there is nothing"):
        located("latent-tiny")


def test_models_are_kept_where_the_platform_keeps_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISAVIS_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr("sys.platform", "linux")
    assert models_folder() == Path("/data/visavis/models")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert models_folder() == Path.home() / ".local/share/visavis/models"
    monkeypatch.setattr("sys.platform", "darwin")
    assert models_folder() == Path.home() / "Library/Application Support/visavis/models"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert models_folder() == Path("/local/visavis/models")
    monkeypatch.setenv("VISAVIS_MODELS", "~/mine")
    assert models_folder() == Path.home() / "mine"


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record("somebody/something", "main", "MIT", {"a/b.pth": Seen(3, "abc")})
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == ["visavis.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": {"a": {"x": 1}}}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "visavis.json").write_text(text)
    assert read_record(tmp_path) == Record()


def test_a_file_of_another_size_is_missing(shelf: Path) -> None:
    model = CATALOG["liveportrait"]
    folder = shelf / model.name
    for file in model.files:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / file.path).open("wb") as whole:
            whole.truncate(file.size or 0)
    assert missing(model, folder) == []
    assert located("liveportrait") == folder
    (folder / model.files[3].path).write_bytes(b"short")
    assert missing(model, folder) == [model.files[3]]
    write_record(folder, Record(files={model.files[3].path: Seen(5, "")}))
    assert missing(model, folder) == []


def test_files_are_found_in_every_layout(tmp_path: Path) -> None:
    assert found(tmp_path, "decoder") is None
    for name in ("deep/down/decoder.pth", "deep/spade_generator.pth"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert found(tmp_path, "decoder") == tmp_path / "deep/spade_generator.pth"
    (tmp_path / "decoder.safetensors").write_bytes(b"")
    assert found(tmp_path, "decoder") == tmp_path / "decoder.safetensors"
    assert kind(tmp_path).name == "liveportrait"
    (tmp_path / "ditto_onnx").mkdir()
    (tmp_path / "ditto_onnx/hubert.onnx").write_bytes(b"")  # another than the one we run
    assert kind(tmp_path).name == "liveportrait"
    (tmp_path / "lmdm.safetensors").write_bytes(b"")
    assert kind(tmp_path).name == "ditto"


def test_digest(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    assert digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()
