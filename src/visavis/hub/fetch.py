"""Brings published models from the hub, so that whatever happens the next call goes on.

Each file is asked about first, with ``huggingface_hub`` (HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE
count), so that another size or SHA-256 than the published one is told before anything is loaded. It
then grows in ``NAME.part`` beside its place, is continued from there by the next call, checked, and
moved to its place; the download of ``huggingface_hub`` itself would throw such a part away. Files
of unknown digest are taken as the hub gives them the first time, and recorded.
"""

from __future__ import annotations

import errno
import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from visavis.errors import InputError, MissingExtra, ModelError, OutputError, WeightsMismatch
from visavis.hub.catalog import PublishedFile, PublishedModel, published
from visavis.hub.folder import (
    MODELS_VARIABLE,
    Record,
    Seen,
    digest,
    forget_made,
    is_whole,
    models_folder,
    read_record,
    write_record,
)
from visavis.version import __version__

LICENCE_VARIABLE = "VISAVIS_ACCEPT_LICENCE"
"""Names of models, with commas, whose licences are agreed to; or ``all``."""
SPARE = 64 * 2**20
"""Bytes that must stay free on the disk."""
_DIGEST_LENGTH = 64
_OFF = ("", "0", "no", "off", "false")


@dataclass(frozen=True)
class Step:
    """One file of a download: its place in the row, and the bytes still to come."""

    file: PublishedFile
    number: int
    count: int
    size: int


@dataclass(frozen=True)
class _Offer:
    """What the hub says of a file: where it is, and its size and SHA-256 as far as it tells."""

    url: str
    size: int | None
    sha256: str | None


def fetch(
    name: str,
    *,
    accept_licence: bool = False,
    revision: str | None = None,
    quiet: bool = True,
    on_file: Callable[[Step], None] | None = None,
) -> Path:
    """Bring all files of the published model ``name`` that are not here yet; return its folder.

    Args:
        name: a name of the catalogue.
        accept_licence: its licence is agreed to (asked for once; also ``VISAVIS_ACCEPT_LICENCE``).
        revision: a commit, branch or tag of the repository instead of the one that is known.
        quiet: show no bar on the standard error stream.
        on_file: called before each file that is loaded.

    Raises:
        InputError: the licence has not been agreed to.
        MissingExtra: huggingface_hub is not installed.
        ModelError: the hub cannot be reached, or does not give the files.
        OutputError: the disk is full or cannot be written to.
        UnknownModel: there is no such model.
        WeightsMismatch: what the hub offers or sends is not what was published.
    """
    model = published(name)
    folder = models_folder() / model.name
    record = read_record(folder)
    wanted = revision or record.revision or model.revision
    is_pinned = wanted == model.revision
    # What was asked for may differ from what is here, or have moved since.
    is_anew = record.revision not in ("", wanted) or (revision is not None and not is_pinned)
    model = model if is_pinned else _unpinned(model)
    if not is_anew and all(is_whole(folder, file, record) for file in model.files):
        return folder
    _check_licence(model, record, accept_licence)
    hub = _Hub(model, wanted, quiet)
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with hub.alone(folder):
            kept = {} if is_anew else read_record(folder).files
            record = Record(model.repository, wanted, model.licence_name, kept)
            files = [f for f in model.files if is_anew or not is_whole(folder, f, record)]
            _bring_all(hub, folder, files, record, on_file)
    return folder


def _bring_all(
    hub: _Hub,
    folder: Path,
    files: list[PublishedFile],
    record: Record,
    on_file: Callable[[Step], None] | None,
) -> None:
    """Bring ``files`` to ``folder``; keep the ``record``, and each file in it as it comes."""
    offers = [hub.offer(_as_seen(file, record)) for file in files]
    _check_space(folder, files, offers)
    write_record(folder, record)
    for number, (file, offer) in enumerate(zip(files, offers, strict=True), 1):
        if on_file:
            on_file(Step(file, number, len(files), offer.size or 0))
        record = record.with_file(file.path, hub.bring(folder, file, offer))
        write_record(folder, record)


def _as_seen(file: PublishedFile, record: Record) -> PublishedFile:
    """Return ``file`` with the size and digest it had when it came, if it came before."""
    seen = record.files.get(file.path)
    return replace(file, size=seen.size, sha256=seen.sha256) if seen else file


def _unpinned(model: PublishedModel) -> PublishedModel:
    """Return ``model`` without what is known of its files, for a revision of the user's choice."""
    files = tuple(PublishedFile(file.path, file.network) for file in model.files)
    return replace(model, files=files)


def _check_licence(model: PublishedModel, record: Record, is_accepted: bool) -> None:
    """Refuse to load anything of ``model`` until its licence has been agreed to."""
    named = os.environ.get(LICENCE_VARIABLE, "").lower().replace(" ", "").split(",")
    if is_accepted or {"all", model.name} & {*named} or record.licence == model.licence_name:
        return
    raise InputError(
        f"The model {model.name!r} comes from {model.repository} under its publishers' licence, "
        f"not under that of visavis: {model.licence_name}. Read it, then agree once: "
        f"--accept-licence, or {LICENCE_VARIABLE}={model.name}. "
        f"In short: {' '.join(model.licence.split())}"
    )


def _check_space(folder: Path, files: list[PublishedFile], offers: list[_Offer]) -> None:
    """Refuse a download that the disk cannot hold, before it begins."""
    parts = (_part(folder, file) for file in files)
    begun = sum(part.stat().st_size for part in parts if part.is_file())
    needed = sum(offer.size or 0 for offer in offers) - begun + SPARE
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder} has {free / 1e9:.2f} GB free, {needed / 1e9:.2f} GB are needed. Make room, "
            f"or name another folder: {MODELS_VARIABLE}=FOLDER."
        )


def _part(folder: Path, file: PublishedFile) -> Path:
    """Return where ``file`` grows until it is whole."""
    return (folder / file.path).with_name(f"{file.name}.part")


class _Hub:
    """One repository at one revision, seen through ``huggingface_hub``."""

    def __init__(self, model: PublishedModel, revision: str, quiet: bool) -> None:
        """Speak of ``model`` at ``revision``; with bars on the standard error unless ``quiet``."""
        self._model = model
        self._revision = revision
        self._hub = _needed("huggingface_hub")
        self._files = _needed("huggingface_hub.file_download")
        self._tools = _needed("huggingface_hub.utils")
        self._broken = (_client_error(self._tools.HfHubHTTPError), ConnectionError)
        if quiet:
            self._tools.disable_progress_bars()
        else:
            self._tools.enable_progress_bars()

    @contextmanager
    def alone(self, folder: Path) -> Iterator[None]:
        """Keep other processes from loading into ``folder`` meanwhile; wait for those that do."""
        with self._tools.WeakFileLock(folder / ".lock"):
            yield

    def offer(self, file: PublishedFile) -> _Offer:
        """Return what the hub says of ``file``, refused if it is not the published one."""
        if os.environ.get("HF_HUB_OFFLINE", "").lower() not in _OFF:
            raise ModelError(
                f"{file.name} is not here, and HF_HUB_OFFLINE forbids to fetch it. Unset it, or "
                "give a folder that holds the model's files."
            )
        url = self._hub.hf_hub_url(
            self._model.repository,
            file.path,
            revision=self._revision,
            endpoint=os.environ.get("HF_ENDPOINT") or None,
        )
        with self._explained(file):
            said = self._hub.get_hf_file_metadata(url, headers=self._headers())
        sha256 = said.etag if said.etag and len(said.etag) == _DIGEST_LENGTH else None
        offer = _Offer(url, said.size, sha256)
        self._compare(file, offer.size, offer.sha256, "The hub offers")
        return offer

    def bring(self, folder: Path, file: PublishedFile, offer: _Offer) -> Seen:
        """Load ``file`` from where an earlier call stopped, check it, and put it in its place."""
        place, part = folder / file.path, _part(folder, file)
        before = digest(place) if place.is_file() else None
        if before is not None and before == offer.sha256:
            return Seen(place.stat().st_size, offer.sha256)
        part.parent.mkdir(parents=True, exist_ok=True)
        is_begun = part.is_file()
        with self._explained(file):
            self._load(part, offer)
        seen = Seen(part.stat().st_size, digest(part))
        as_offered = replace(file, size=offer.size, sha256=offer.sha256)
        try:
            self._compare(as_offered, seen.size, seen.sha256, "The hub sent")
        except WeightsMismatch:
            part.unlink()
            if not is_begun:
                raise
            return self.bring(folder, file, offer)  # what was begun was of another file
        part.replace(place)
        if before not in (None, seen.sha256):
            forget_made(folder)
        return seen

    def _load(self, part: Path, offer: _Offer) -> None:
        """Let ``part`` grow to the whole file, for as long as any of it comes."""
        if part.is_file() and offer.size is not None and part.stat().st_size > offer.size:
            part.unlink()
        part.touch()
        while (begun := part.stat().st_size) != offer.size:
            try:
                with part.open("ab") as growing:
                    self._files.http_get(
                        offer.url, growing, resume_size=begun, headers=self._headers()
                    )
                return
            except self._broken:
                if part.stat().st_size <= begun:
                    raise

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = self._tools.build_hf_headers(
            library_name="visavis", library_version=__version__
        )
        return headers

    def _compare(
        self, file: PublishedFile, size: int | None, sha256: str | None, whose: str
    ) -> None:
        """Refuse a size or digest that is known to be another."""
        if file.size is not None and size is not None and size != file.size:
            difference = f"{size} bytes instead of {file.size}"
        elif file.sha256 and sha256 and sha256 != file.sha256:
            difference = f"SHA-256 {sha256[:12]} instead of {file.sha256[:12]}"
        else:
            return
        raise WeightsMismatch(
            f"{whose} another {file.name} than was published: {difference} "
            f"({self._model.repository} at {self._revision[:12]}). Nothing of it was kept. Try "
            "again later, or load what is there now, unchecked: --revision main"
        )

    @contextmanager
    def _explained(self, file: PublishedFile) -> Iterator[None]:
        """Say what the hub's refusals and the network's failures mean for ``file``."""
        errors: Any = self._tools
        model, again = self._model, f"The same command goes on at {file.name}"
        try:
            yield
        except errors.GatedRepoError as error:
            raise ModelError(
                f"{model.repository} asks who you are. Agree to its terms on its page, make a "
                "token there, and set HF_TOKEN."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ModelError(
                f"The hub has no repository {model.repository}, or not for everybody. If it is "
                "private, set HF_TOKEN; if HF_ENDPOINT is set, check it."
            ) from error
        except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
            raise ModelError(
                f"{model.repository} has no {file.path} at revision {self._revision!r}. "
                "Choose another one: --revision main."
            ) from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else "no answer"
            hint = "Set HF_TOKEN. " if status in (401, 403) else ""
            raise ModelError(f"The hub refuses ({status}). {hint}{again}.") from error
        except self._broken as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"The hub cannot be reached ({reason}). {again}.") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise ModelError(f"The download broke off ({error}). {again}.") from error


def _client_error(kind: type[Exception]) -> type[Exception]:
    """Return the widest error of the HTTP client from which ``huggingface_hub`` derives ``kind``.

    The client is requests, httpx or httpx2, by version.
    """
    clients = ("requests", "httpx", "httpx2")
    return [k for k in kind.__mro__ if k.__module__.partition(".")[0] in clients][-1]


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say what a failure to write means."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "The disk is full" if full else f"{folder} cannot be written to ({error.strerror})"
        raise OutputError(
            f"{what}. Make room or choose another folder ({MODELS_VARIABLE}=FOLDER); "
            "the same command goes on where this one stopped."
        ) from error


def _needed(name: str) -> ModuleType:
    """Import a part of the optional package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(
            'Fetching models needs huggingface_hub: pip install "visavis[neural]". '
            "Or give a folder that holds the model's files."
        ) from error
