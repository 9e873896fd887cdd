"""Signing what was made: a C2PA manifest in the file, or beside it where the kind has no place.

=====================  ==============================================================
kind                   where the manifest is
=====================  ==============================================================
``.mp4 .mov .gif``     in the file; any player ignores it
``.webm .mkv``         beside it, under the same name with the ending ``.c2pa``
PNG pictures, raw RGB  nowhere: these are on their way to another program
=====================  ==============================================================

The manifest says that a portrait was animated by a model (IPTC's digital source type
``compositeWithTrainedAlgorithmicMedia``), by which program, when, and of which portrait (SHA-256).
C2PA specification 2.2; libraries never reach for the network unless a time stamp authority is set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from shutil import copyfile
from types import ModuleType
from typing import Any

from visavis.errors import MissingExtra, OutputError
from visavis.media.kinds import head_of, kind_of, shown
from visavis.media.place import whole_file
from visavis.provenance.certificates import Credentials, credentials
from visavis.provenance.policy import Policy
from visavis.version import __version__

EMBEDDED = {".mp4": "video/mp4", ".mov": "video/quicktime", ".gif": "image/gif"}
"""Endings of files that hold their manifest, and their media types."""
DETACHED = {".webm": "video/webm", ".mkv": "video/x-matroska"}
"""Endings of files whose manifest lies beside them."""
SIDECAR = ".c2pa"

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MADE_AS = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""A real portrait, animated by a model (IPTC NewsCodes, digital source type)."""
ANIMATION = "org.visavis.animation"
"""The assertion of our own: SHA-256 of the portrait's file and of the record of consent, and what
kind of file a manifest is for that lies beside it."""
MISSING = "Signing needs c2pa-python: pip install c2pa-python"

_IN_MEMORY_MB = 32  # larger files pass through a temporary one while they are signed
_SIGNING_PURPOSES = (
    "1.3.6.1.5.5.7.3.4",  # e-mail protection
    "1.3.6.1.5.5.7.3.36",  # document signing, RFC 9336
    "1.3.6.1.4.1.311.76.59.1.9",  # Microsoft's C2PA signing
    "1.3.6.1.4.1.62558.2.1",  # C2PA signing
)
_PORTRAIT_TYPES = {
    "a JPEG picture": "image/jpeg",
    "a PNG picture": "image/png",
    "a WebP picture": "image/webp",
    "a GIF picture": "image/gif",
    "a TIFF picture": "image/tiff",
    "a HEIC picture": "image/heic",
    "an AVIF picture": "image/avif",
    "an MP4 or QuickTime video": "video/mp4",
}
_THUMBNAIL = {"enabled": True, "long_edge": 96, "format": "jpeg", "quality": "low"}


@dataclass(frozen=True)
class Facts:
    """What a signature tells of a video: its ``portrait``'s file, and the digest of a consent.

    Where the file is not at hand, ``portrait_sha256`` is its digest. A portrait that came as an
    array has neither, and nothing is told of it.
    """

    portrait: Path | None = None
    consent_sha256: str | None = None
    portrait_sha256: str | None = None


class Seal:
    """Signs one result, as the last thing before it appears; ``warnings`` are for people."""

    def __init__(self, out: str | Path, facts: Facts, policy: Policy) -> None:
        """Sign the result that will be ``out``.

        Raises:
            InputError: the configured certificate cannot be used.
            MissingExtra: signing is required, and the package for it is not installed.
            OutputError: signing is required, and ``out`` cannot be signed.
        """
        self._facts = facts
        self._policy = policy
        self._suffix = Path(out).suffix.lower()
        self._credentials: Credentials | None = None
        self.warnings: tuple[str, ...] = ()
        self.sidecar: bytes | None = None
        is_required = policy.signing == "required"
        if policy.signing == "off":
            return
        if str(out).endswith("/") or self._suffix not in EMBEDDED | DETACHED:
            if is_required:
                kinds = ", ".join([*EMBEDDED, *DETACHED])
                raise OutputError(f"{shown(out)} cannot be signed, which is required. Use {kinds}.")
            return
        try:
            c2pa_library()
            self._credentials = credentials(policy)
        except MissingExtra as error:
            if is_required or policy.certificate:
                raise
            self.warnings = (f"The file is not signed. {error}.",)

    def __call__(self, file: Path) -> None:
        """Sign the finished ``file``, still under a hidden name, in place.

        A time stamp authority that does not answer costs the time stamp, not the video, unless
        signing is required.

        Raises:
            OutputError: it cannot be signed; ``file`` is as it was.
        """
        if self._credentials is None:
            return
        given = (file, self._suffix, self._facts)
        try:
            self.sidecar = sign_in_place(*given, self._policy, self._credentials)
        except OutputError:
            if not self._policy.timestamps or self._policy.signing == "required":
                raise
            without = replace(self._policy, timestamps="")
            self.sidecar = sign_in_place(*given, without, self._credentials)
            told = "The file has no time stamp: the time stamp authority could not be used."
            self.warnings = (*self.warnings, told)


@contextmanager
def open_seal(out: str | Path, facts: Facts, policy: Policy) -> Iterator[Seal]:
    """Give the ``Seal`` of ``out``; a manifest that lies beside it is there when this ends well.

    Raises:
        InputError, MissingExtra, OutputError: as ``Seal``; or the place cannot be written to.
    """
    seal = Seal(out, facts, policy)
    yield seal
    if seal.sidecar is not None:
        with whole_file(sidecar_of(out)) as hidden:
            hidden.write_bytes(seal.sidecar)


def sidecar_of(path: str | Path) -> Path:
    """Return where the manifest of ``path`` lies if it is not inside (C2PA 2.2, section 11.4)."""
    return Path(path).with_suffix(SIDECAR)


def sign_in_place(
    file: Path, suffix: str, facts: Facts, policy: Policy, signer: Credentials
) -> bytes | None:
    """Sign ``file``, of the kind ``suffix``; return the manifest if it must lie beside the file.

    The signed copy is written beside ``file`` and takes its place in one step.

    Raises:
        OutputError: it cannot be signed; ``file`` is as it was.
    """
    c2pa = c2pa_library()
    is_inside = suffix in EMBEDDED
    part = file.with_name(file.name + ".signed")
    try:
        builder = _builder(c2pa, file, facts, policy)
        described = c2pa.C2paSignerInfo(
            signer.algorithm, signer.chain, signer.key, policy.timestamps or None
        )
        if not is_inside:
            builder.set_no_embed()
        kind = EMBEDDED.get(suffix, "application/octet-stream")
        with (
            file.open("rb") as source,
            part.open("xb+") as target,
            c2pa.Signer.from_info(described) as hand,
        ):
            manifest: bytes = builder.sign(hand, kind, source, target)
        if is_inside:
            part.replace(file)
    except (c2pa.C2paError, OSError) as error:
        raise OutputError(f"The file cannot be signed ({_reason(error)}).") from error
    finally:
        part.unlink(missing_ok=True)
    return None if is_inside else manifest


def sign_file(path: Path, out: Path, facts: Facts, policy: Policy) -> None:
    """Write a signed copy of ``path`` to ``out``, whole or not at all; for files already there.

    Raises:
        InputError, MissingExtra, OutputError: as ``Seal``.
    """
    with open_seal(out, facts, policy) as seal, whole_file(out) as hidden:
        copyfile(path, hidden)
        seal(hidden)


def c2pa_library() -> ModuleType:
    """Return the package c2pa.

    Raises:
        MissingExtra: it is not installed, or not made for this machine.
    """
    try:
        import c2pa  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:
        raise MissingExtra(MISSING) from error
    library: ModuleType = c2pa
    return library


def settings_of(trusted: str = "", thumbnail: bool = False) -> dict[str, Any]:
    """Return the settings of c2pa: no network; certificates in ``trusted`` (PEM) are."""
    trust: dict[str, Any] = {"trust_config": "\n".join(_SIGNING_PURPOSES)}
    if trusted:
        trust["user_anchors"] = trusted
    return {
        "core": {"backing_store_memory_threshold_in_mb": _IN_MEMORY_MB},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "trust": trust,
        "builder": {
            "thumbnail": _THUMBNAIL if thumbnail else {"enabled": False},
            "created_assertion_labels": ["c2pa.actions.v2", ANIMATION, "cawg.training-mining"],
        },
    }


def digest_of(path: str | Path) -> str:
    """Return the SHA-256 of the file ``path``, as hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def implicit_label(policy: Policy, content_id: str) -> str:
    """Return the value of the metadata entry ``AIGC`` (GB 45438-2025, section 5 and annex E).

    Label 1 says that the content was generated; ``content_id`` names it among the producer's.
    """
    label = {
        "Label": "1",
        "ContentProducer": policy.producer,
        "ProduceID": content_id,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    return json.dumps(label, ensure_ascii=False, separators=(",", ":"))


def tags(policy: Policy, content_id: str) -> dict[str, str]:
    """Return the entries of a container's own metadata: the implicit label, and plain words."""
    if policy.signing == "off":
        return {}
    words = "AI-generated: a portrait animated by a model."
    return {"AIGC": implicit_label(policy, content_id), "comment": words}


def _builder(c2pa: ModuleType, file: Path, facts: Facts, policy: Policy) -> Any:
    """Return c2pa's builder with everything that is said of ``file``."""
    made_at = datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
    settings = settings_of(thumbnail=policy.portrait == "thumbnail")
    context = c2pa.Context(c2pa.Settings.from_dict(settings))
    kind = _portrait_type(facts, policy)
    told = _told(facts, policy, DETACHED.get(file.suffix))
    definition = _definition(told, policy, made_at.strftime("%Y-%m-%dT%H:%M:%SZ"), kind)
    builder = c2pa.Builder(definition, context)
    builder.set_intent(
        c2pa.C2paBuilderIntent.CREATE,
        c2pa.C2paDigitalSourceType.COMPOSITE_WITH_TRAINED_ALGORITHMIC_MEDIA,
    )
    if kind is not None and facts.portrait is not None:
        ingredient = {"title": "portrait", "relationship": "inputTo", "label": "portrait"}
        with facts.portrait.open("rb") as source:
            builder.add_ingredient(ingredient, kind, source)
    return builder


def _told(facts: Facts, policy: Policy, kind: str | None) -> dict[str, str]:
    """Return the data of our own assertion; ``kind``: media type of a file it will lie beside."""
    told = {} if kind is None else {"kind": kind}
    digest = facts.portrait_sha256
    if digest is None and facts.portrait is not None:
        digest = digest_of(facts.portrait)
    if digest is not None and policy.portrait != "nothing":
        told["portrait_sha256"] = digest
    if facts.consent_sha256 is not None:
        told["consent_sha256"] = facts.consent_sha256
    return told


def _definition(
    told: dict[str, str], policy: Policy, made_at: str, portrait: str | None
) -> dict[str, Any]:
    """Return the manifest as c2pa is given it; ``portrait``: its type if it is an ingredient."""
    program = {"name": "visavis", "version": __version__}
    action: dict[str, Any] = {
        "action": "c2pa.created",
        "when": made_at,
        "digitalSourceType": MADE_AS,
        "softwareAgent": program,
        "description": "A portrait was animated by a model.",
    }
    if portrait is not None:
        action["parameters"] = {"ingredientIds": ["portrait"]}
    use = {"use": "allowed" if policy.allows_training else "notAllowed"}
    entries = {"cawg.ai_training": use, "cawg.ai_generative_training": use}
    assertions: list[dict[str, Any]] = [
        {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
        {"label": "cawg.training-mining", "data": {"entries": entries}},
    ]
    if told:
        assertions.append({"label": ANIMATION, "data": told})
    return {"claim_generator_info": [program], "assertions": assertions}


def _portrait_type(facts: Facts, policy: Policy) -> str | None:
    """Return the media type of the portrait if it becomes an ingredient, None otherwise."""
    if facts.portrait is None or policy.portrait not in ("ingredient", "thumbnail"):
        return None
    return _PORTRAIT_TYPES.get(kind_of(head_of(facts.portrait)))


def _reason(error: Exception) -> str:
    """Return why signing failed, in one line without paths."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return " ".join(str(error).split())[:160]
