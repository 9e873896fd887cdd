"""The faces of a server: the packaged one, those of the operator's folder, and those sent in.

What is sent in stays in memory alone and is gone when it is deleted, when newer ones need the
place, or when the server stops. Identifiers are hex digits made here; nothing that a request says
ever becomes part of a path.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from visavis.errors import InputError
from visavis.faces.framing import cut, head_and_shoulders
from visavis.media.image import read_image
from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.provenance.sign import Facts
from visavis.serve.consents import Agreed, Consents
from visavis.serve.keys import new_id
from visavis.types import ImageArray, Portrait

_LOG = logging.getLogger(__name__)

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif")
_PICTURE_SIDE = 512
_JPEG = 88


@dataclass(frozen=True, eq=False)
class Avatar:
    """One face: the framed ``portrait`` and the JPEG that shows it to those who choose.

    ``owner`` is the caller who sent it in, None for the server's own. ``facts`` are what signed
    recordings tell of it.
    """

    id: str
    name: str
    portrait: Portrait
    picture: bytes
    owner: str | None = None
    facts: Facts = field(default_factory=Facts)

    @property
    def is_uploaded(self) -> bool:
        """Tell whether it was sent in."""
        return self.owner is not None

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the framed photograph."""
        height, width = self.portrait.image.shape[:2]
        return width, height


class UnknownAvatar(InputError):  # noqa: N818 - reads as what happened
    """No face has that identifier (any more)."""


class NotYours(InputError):  # noqa: N818
    """Only who sent a portrait in can delete it."""


def open_avatar(
    data: bytes, name: str, avatar_id: str, owner: str | None = None, consent_sha256: str = ""
) -> Avatar:
    """Check and frame the photograph in the file ``data``; takes a second, call it in a thread.

    Raises:
        InputError: not a picture, no usable face, or too small; NoFaceFound, UnreadableMedia too.
    """
    whole = open_portrait(read_image(data))
    portrait = cut(whole, head_and_shoulders(whole))
    facts = Facts(None, consent_sha256 or None, hashlib.sha256(data).hexdigest())
    picture = _thumbnail(portrait.image)
    return Avatar(avatar_id, name, portrait, picture, owner, facts)


def _thumbnail(image: ImageArray) -> bytes:
    """Return ``image`` (h, w, 3) as a JPEG of at most ``_PICTURE_SIDE`` pixels a side."""
    picture = Image.fromarray(image)
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_JPEG)
    return out.getvalue()


def _id_of(name: str) -> str:
    """Return the identifier of a picture of the server: it stays when the server starts anew."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def pictures_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each picture in ``folder``, and of ``portrait.*`` in its folders.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give one with portraits in it.")
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from ((path.name, p) for p in sorted(path.glob("portrait.*")) if _is_picture(p))
        elif _is_picture(path):
            yield path.stem, path


def _is_picture(path: Path) -> bool:
    """Tell whether ``path`` is named like a picture."""
    return path.suffix.lower() in _SUFFIXES and path.is_file()


class Avatars:
    """All faces by identifier; the first one is the default."""

    def __init__(self, most_uploaded: int, consents: Consents) -> None:
        """Start without any; of uploaded ones the ``most_uploaded`` newest are kept."""
        self._faces: dict[str, Avatar] = {}
        self._most_uploaded = most_uploaded
        self._consents = consents
        self._turn = asyncio.Lock()

    def of(self, caller: str) -> list[Avatar]:
        """Return the faces that ``caller`` may choose from, the default first.

        What somebody else sent in is not among them.
        """
        return [face for face in self._faces.values() if face.owner in (None, caller)]

    def __getitem__(self, avatar_id: str | None) -> Avatar:
        """Return the face ``avatar_id``; None: the default.

        Raises:
            UnknownAvatar: there is none.
        """
        if avatar_id is None:
            return next(iter(self._faces.values()))
        if avatar_id not in self._faces:
            raise UnknownAvatar("There is no avatar with that id; GET /api/avatars lists them.")
        return self._faces[avatar_id]

    async def open_all(self, folder: Path | None) -> None:
        """Open the operator's pictures, and the packaged portrait after them.

        A picture that cannot be used, or lacks a record of consent that is needed, is left out.
        """
        given = [] if folder is None else await asyncio.to_thread(lambda: [*pictures_in(folder)])
        for number, (name, path) in enumerate(given, 1):
            try:
                face = await asyncio.to_thread(self._opened, name, path)
            except InputError as error:
                _LOG.warning("avatar %d of the folder, by name, cannot be used: %s", number, error)
                continue
            self._faces[face.id] = face
        demo = _id_of(DEMO_PORTRAIT.name)
        data = DEMO_PORTRAIT.read_bytes()
        self._faces[demo] = await asyncio.to_thread(open_avatar, data, "demo", demo)

    def _opened(self, name: str, path: Path) -> Avatar:
        """Open the operator's picture ``path``."""
        consent = self._consents.of_operator(path)
        return open_avatar(path.read_bytes(), name, _id_of(name), None, consent)

    async def add(self, data: bytes, owner: str, agreed: Agreed | None = None) -> Avatar:
        """Check the picture file ``data`` of ``owner`` and keep its face; one at a time.

        Raises:
            InputError: not a picture or no usable face; says why.
            ConsentRefused: the consent of who is shown is needed, and was not given.
        """
        if not self._most_uploaded:
            raise InputError("This server takes no portraits; choose one of its own.")
        async with self._turn:
            face = await asyncio.to_thread(self._opened_upload, data, owner, agreed)
        uploaded = [known.id for known in self._faces.values() if known.is_uploaded]
        for avatar_id in uploaded[: len(uploaded) + 1 - self._most_uploaded]:
            del self._faces[avatar_id]
        self._faces[face.id] = face
        return face

    def _opened_upload(self, data: bytes, owner: str, agreed: Agreed | None) -> Avatar:
        """Open the picture file ``data`` as a face of ``owner``, and keep what was ``agreed``."""
        face = open_avatar(data, "uploaded", new_id(), owner)
        consent = self._consents.of_upload(face.id, data, agreed)
        return replace(face, facts=replace(face.facts, consent_sha256=consent or None))

    def forget(self, avatar_id: str, caller: str) -> None:
        """Delete a face that ``caller`` sent in; sessions that show it go on.

        Raises:
            UnknownAvatar: there is none.
            NotYours: it is the server's or somebody else's.
        """
        if self[avatar_id].owner != caller:
            raise NotYours("That avatar is not yours and cannot be deleted.")
        del self._faces[avatar_id]
