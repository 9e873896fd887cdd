"""Looks through a folder of weights, published or converted, and says what is wrong in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from visavis.audio.hubert import load_hubert
from visavis.errors import ModelError, WeightsMismatch
from visavis.hub.catalog import CATALOG, PublishedFile, PublishedModel, published
from visavis.hub.folder import ONNX_FOLDER, Record, digest, found, kind, models_folder, read_record
from visavis.motion.ditto.weights import NAME as LMDM
from visavis.motion.ditto.weights import read_lmdm
from visavis.neural.random_weights import HUBERT_WIDTH
from visavis.nn.checkpoints import State, read_published
from visavis.nn.session import Network
from visavis.render.liveportrait import weights as liveportrait
from visavis.render.liveportrait.config import LivePortraitConfig

_TOGETHER = {"stitching": ("stitching", *liveportrait.OPTIONAL)}
"""Networks that are published in one file."""


@dataclass(frozen=True)
class Verdict:
    """What was found of one network: ``file`` is "" if it is missing; ``text`` says why or what."""

    network: str
    file: str
    is_ok: bool
    text: str


def check(model: str | Path) -> list[Verdict]:
    """Return a verdict on every file of ``model``, a name of the catalogue or a folder.

    Exported networks come last, if there are any.

    Raises:
        UnknownModel: it is neither.
    """
    if str(model) in CATALOG or not Path(model).expanduser().is_dir():
        known = published(str(model))
        folder = models_folder() / known.name
        record = read_record(folder)
        verdicts = [_verdict(folder, file, known, record) for file in known.files]
        return verdicts + _exported(folder)
    folder = Path(model).expanduser()
    known = kind(folder)
    return [_verdict(folder, file, known, None) for file in known.files] + _exported(folder)


def _exported(folder: Path) -> list[Verdict]:
    """Look at the networks in ``folder`` that were exported, which a CPU takes first."""
    verdicts = []
    for path in sorted((folder / ONNX_FOLDER).rglob("*.onnx")):
        name = str(path.relative_to(folder))
        try:
            taken = ", ".join(Network(str(path), device="cpu").inputs)
        except WeightsMismatch as error:
            verdicts.append(Verdict(path.stem, name, False, str(error)))
        else:
            verdicts.append(Verdict(path.stem, name, True, f"exported, takes {taken}"))
    return verdicts


def _verdict(
    folder: Path, file: PublishedFile, model: PublishedModel, record: Record | None
) -> Verdict:
    """Look at one file of ``model``; ``record`` is None in a folder of the user's own."""
    path = found(folder, file.network)
    if path is None:
        hint = f"visavis models fetch {model.name}"
        return Verdict(file.network, "", False, f"missing: {file.path} ({hint})")
    name = str(path.relative_to(folder))
    try:
        said = [_origin(path, file, record), _content(path, file.network, folder)]
    except ModelError as error:
        return Verdict(file.network, name, False, str(error))
    return Verdict(file.network, name, True, ", ".join(said))


def _origin(path: Path, file: PublishedFile, record: Record | None) -> str:
    """Say whether the file is what was published, or what came, as far as that is known.

    Raises:
        WeightsMismatch: it was fetched and has changed. A user's own folder may hold any weights.
    """
    if path.suffix == ".safetensors":
        return "converted"
    said = digest(path)
    seen = record.files.get(file.path) if record else None
    known = seen.sha256 if seen else file.sha256
    if known is None:
        return f"SHA-256 {said[:12]} (the published one is not known)"
    if said == known:
        return "as published" if known == file.sha256 else "as it came"
    if record is None:
        return "not the published file"
    raise WeightsMismatch(
        f"SHA-256 {said[:12]} instead of {known[:12]}: delete it, then fetch the model again"
    )


def _content(path: Path, network: str, folder: Path) -> str:
    """Say how many weights of ``network`` are in the file, all of which must be there and finite.

    Raises:
        WeightsMismatch: keys are missing or left over, or the file is damaged.
        ModelError: a weight is not a number, or HuBERT gives something else than tokens.
    """
    if network == "hubert":
        width = load_hubert(path, normalize=False).size
        if width != HUBERT_WIDTH:
            raise ModelError(f"its tokens have {width} values instead of {HUBERT_WIDTH}")
        return f"tokens of {width} values"
    states = _states(path, network, folder)
    for state in states.values():
        for key, value in state.items():
            if not torch.isfinite(value).all():
                raise ModelError(f"{key} holds values that are no numbers")
    return f"{sum(map(len, states.values()))} arrays of {' and '.join(states)}, all finite"


def _states(path: Path, network: str, folder: Path) -> dict[str, State]:
    """Return our weights of every network in the file, or beside it if it was converted."""
    if network == LMDM:
        return {LMDM: dict(read_lmdm(path).state_dict())}
    names = _TOGETHER.get(network, (network,))
    if path.suffix == ".safetensors":
        paths = {name: path.with_name(f"{name}.safetensors") for name in names}
        return {n: liveportrait.read_network(p)[1] for n, p in paths.items() if p.is_file()}
    sizes = folder / liveportrait.CONFIG_FILE
    config = LivePortraitConfig.from_json(sizes.read_text("utf-8")) if sizes.is_file() else None
    held = read_published(path)
    return {
        name: liveportrait.from_published(name, held, config)
        for name in names
        if name == network or liveportrait.NETWORKS[name].nest in held
    }
