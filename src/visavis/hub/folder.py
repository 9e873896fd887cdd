"""Where published models lie on this machine, and what was recorded of them when they came.

Each model has a folder of its own name, in the layout in which it was published, below
``VISAVIS_MODELS`` or, without that, the platform's folder for data (``XDG_DATA_HOME``,
``~/.local/share``, ``~/Library/Application Support`` or ``%LOCALAPPDATA%``). A folder given by path
works wherever a name does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from visavis.errors import ModelError, OutputError
from visavis.hub.catalog import CATALOG, PublishedFile, PublishedModel, published

MODELS_VARIABLE = "VISAVIS_MODELS"
RECORD = "visavis.json"
"""The record's name in a model's folder."""
HUBERT_FILE = "hubert.onnx"
"""Ditto's speech encoder in a converted folder."""
ONNX_FOLDER = "onnx"
"""LivePortrait's networks as exported, in a model's folder."""
MOTION_FOLDER = f"{ONNX_FOLDER}/lmdm"
"""Ditto's motion network as exported."""
BRIDGE_FILE = "bridge.npz"
"""The fitted bridge from ARKit, in a model's folder."""
_BLOCK = 2**20


@dataclass(frozen=True)
class Seen:
    """A file as it was when it had come whole."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """What is known of a fetched model: where from, the licence agreed to, the files that came."""

    repository: str = ""
    revision: str = ""
    licence: str = ""
    files: Mapping[str, Seen] = field(default_factory=dict)

    def with_file(self, path: str, seen: Seen) -> Record:
        """Return the record with one more file."""
        return replace(self, files={**self.files, path: seen})


def models_folder() -> Path:
    """Return the folder in which published models are kept."""
    asked = os.environ.get(MODELS_VARIABLE, "").strip()
    return Path(asked).expanduser() if asked else _platform_folder() / "visavis" / "models"


def _platform_folder() -> Path:
    """Return where programs keep data for their user."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def read_record(folder: Path) -> Record:
    """Return the record in ``folder``; an empty one if there is none, or one that cannot be read.

    A damaged record costs no more than a second look at the files.
    """
    try:
        said = json.loads((folder / RECORD).read_text("utf-8"))
        files = {path: Seen(**seen) for path, seen in said.pop("files").items()}
        return Record(**said, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Record()


def write_record(folder: Path, record: Record) -> None:
    """Keep ``record`` in ``folder``, whole or not at all."""
    part = folder / f".{RECORD}.part"
    part.write_text(json.dumps(asdict(record), indent=2) + "\n", "utf-8")
    part.replace(folder / RECORD)


def is_whole(folder: Path, file: PublishedFile, record: Record) -> bool:
    """Return whether ``file`` lies in ``folder`` with the size it had when it came.

    A file that somebody put there has no entry in the record; then the published size counts.
    """
    path = folder / file.path
    seen = record.files.get(file.path)
    size = seen.size if seen else file.size
    return size is not None and path.is_file() and path.stat().st_size == size


def missing(model: PublishedModel, folder: Path) -> list[PublishedFile]:
    """Return the files of ``model`` that are not whole in ``folder``."""
    record = read_record(folder)
    return [file for file in model.files if not is_whole(folder, file, record)]


def found(folder: Path, network: str) -> Path | None:
    """Return the file of ``network``: a converted one in ``folder``, or else a published one in or
    below it, the least deep of several; None: there is none.
    """
    converted = folder / (HUBERT_FILE if network == "hubert" else f"{network}.safetensors")
    if converted.is_file():
        return converted
    files = [file for model in CATALOG.values() for file in model.files]
    names = {file.name for file in files if file.network == network}
    hits = [path for name in names for path in folder.rglob(name) if path.is_file()]
    return min(hits, key=lambda path: (len(path.parts), str(path)), default=None)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Say that ``folder`` cannot be written to if what is done in the block finds so.

    Raises:
        OutputError: it cannot.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder} cannot be written to ({reason}). Name another one.") from error


def forget_made(folder: Path) -> None:
    """Delete what was made of the published files in ``folder``, which would be taken for newer."""
    for path in (*folder.glob("*.safetensors"), folder / HUBERT_FILE, folder / BRIDGE_FILE):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / ONNX_FOLDER, ignore_errors=True)


def kind(folder: Path) -> PublishedModel:
    """Return which published model the files in ``folder`` are: Ditto's if any is only Ditto's."""
    own = [network for network in ("lmdm", "hubert") if found(folder, network)]
    return CATALOG["ditto" if own else "liveportrait"]


def digest(path: Path) -> str:
    """Return the SHA-256 of the file at ``path``."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def located(model: str | Path) -> Path:
    """Return the folder of ``model``: a name of the catalogue that was fetched, or a folder's path.

    Raises:
        ModelError: the model was not fetched, or not all of it.
        UnknownModel: it is neither a name nor a folder.
    """
    folder = Path(model).expanduser()
    if str(model) not in CATALOG and folder.is_dir():
        return folder
    return _fetched(published(str(model)))


def _fetched(model: PublishedModel) -> Path:
    """Return the folder of a published model, all of which must be there."""
    folder = models_folder() / model.name
    absent = missing(model, folder)
    if absent:
        count = f"{len(absent)} of its {len(model.files)} files are"
        raise ModelError(
            f"The model {model.name!r} is not on this machine: {count} missing in {folder} "
            f"({absent[0].name} …). Fetch it: visavis models fetch {model.name}. "
            "Or give a folder that holds the files."
        )
    return folder
