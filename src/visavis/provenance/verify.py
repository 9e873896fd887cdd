"""Reading where a file comes from: is it signed, unaltered, by whom, was it generated?

Works on the files of any maker that follows C2PA 2.2 (cameras, Adobe, OpenAI, Google …), on a
manifest that lies beside the file, and on what metadata say of themselves (the implicit label of
GB 45438-2025, IPTC's digital source type). Nothing is fetched from the network. What a manifest
says is a claim of its signer, worth as much as the signer is; so ``Verdict`` says that first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

from visavis.errors import UnreadableMedia
from visavis.media.container import open_input
from visavis.media.kinds import regular_file
from visavis.provenance.certificates import development_chain, serial_of, trusted_pem
from visavis.provenance.policy import Policy
from visavis.provenance.sign import (
    ANIMATION,
    DETACHED,
    c2pa_library,
    digest_of,
    settings_of,
    sidecar_of,
)

ACCEPTED = "a picture, video or recording"
GENERATED = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "compositeSynthetic",
)
"""IPTC's digital source types that say that a model generated all or part."""

_LARGEST_SIDECAR = 64 * 2**20
_LONGEST = 120  # characters of one thing said by a file
_XMP_BYTES = 2**20
_XMP_SOURCE = re.compile(rb"digitalsourcetype/(\w{1,60})", re.IGNORECASE)
_UNTRUSTED = "signingCredential.untrusted"
_ALTERATIONS = ("mismatch", "missing")


class Status(Enum):
    """How far a file can be believed."""

    TRUSTED = "trusted"
    INTACT = "intact"
    UNSIGNED = "unsigned"
    ALTERED = "altered"
    DOUBTFUL = "doubtful"


_EXIT_CODES = {
    Status.TRUSTED: 0,
    Status.INTACT: 0,
    Status.UNSIGNED: 3,
    Status.ALTERED: 4,
    Status.DOUBTFUL: 5,
}
_WORDS = {
    Status.TRUSTED: "Signed, unaltered, by a signer you trust.",
    Status.INTACT: "Signed and unaltered; nobody you trust vouches for the signer.",
    Status.UNSIGNED: "Not signed: nothing proves where this file comes from.",
    Status.ALTERED: "Altered after it was signed. Do not believe what its signature says.",
    Status.DOUBTFUL: "Signed, but the signature cannot be relied on.",
}


@dataclass(frozen=True)
class Verdict:
    """What is known of a file. Texts are claims of the file, cut and made printable.

    ``signer``: the organisation in the certificate; ``is_own``: it is this machine's development
    certificate. ``is_generated``: a model made all or part of it, None: not said; ``source_type``
    IPTC's word for it. ``signed_at``: attested by a time stamp authority; ``claimed_at``: said by
    the signer alone. ``is_of_portrait``: whether it was made of the portrait that was asked about.
    ``problems``: codes of the C2PA specification, section 15.2. ``label``: the implicit label.
    """

    status: Status
    signer: str = ""
    is_own: bool = False
    generator: str = ""
    is_generated: bool | None = None
    source_type: str = ""
    signed_at: str = ""
    claimed_at: str = ""
    portrait_sha256: str = ""
    consent_sha256: str = ""
    is_of_portrait: bool | None = None
    problems: tuple[str, ...] = ()
    label: str = ""
    is_beside: bool = False

    @property
    def exit_code(self) -> int:
        """0 signed and unaltered, 3 not signed, 4 altered, 5 the signature cannot be relied on."""
        return _EXIT_CODES[self.status]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {**asdict(self), "status": self.status.value, "exit_code": self.exit_code}

    def lines(self) -> list[str]:
        """Return the verdict in words, the most important first."""
        own = "this machine's development certificate" if self.is_own else ""
        made = {True: "yes", False: "no, says the file", None: "the file does not say"}
        of_it = {True: "yes", False: "no, of another", None: ""}
        said = {
            "Signer": f"{self.signer} ({own})" if own else self.signer,
            "Made with": self.generator,
            "AI-generated": f"{made[self.is_generated]} {_bracketed(self.source_type)}".strip(),
            "Signed at": f"{self.signed_at} (time stamp authority)" if self.signed_at else "",
            "Made at": f"{self.claimed_at} (says the signer)" if self.claimed_at else "",
            "Portrait": f"SHA-256 {self.portrait_sha256}" if self.portrait_sha256 else "",
            "Of this portrait": of_it[self.is_of_portrait],
            "Consent": f"SHA-256 {self.consent_sha256}" if self.consent_sha256 else "",
            "Label": self.label,
            "Signature lies": "beside the file (.c2pa)" if self.is_beside else "",
            "Found": ", ".join(self.problems),
        }
        return [_WORDS[self.status], *(f"{name}: {text}" for name, text in said.items() if text)]


def verify(path: str | Path, policy: Policy, portrait: str | Path | None = None) -> Verdict:
    """Return what is known of the file ``path``; ``portrait``: was it made of this one?

    Raises:
        UnreadableMedia: ``path`` or ``portrait`` is no file that can be read.
        InputError: the file of trusted certificates cannot be used.
        MissingExtra: c2pa-python is not installed.
    """
    place = regular_file(path, ACCEPTED)
    asked = None if portrait is None else digest_of(regular_file(portrait, "a picture"))
    verdict = _signed(c2pa_library(), place, trusted_pem(policy))
    label, source = _label(place), verdict.source_type or _xmp_source(place)
    is_generated = verdict.is_generated
    if is_generated is None and (label or source):
        is_generated = bool(label) or source in GENERATED
    is_of = asked == verdict.portrait_sha256 if asked and verdict.portrait_sha256 else None
    return replace(
        verdict, label=label, source_type=source, is_generated=is_generated, is_of_portrait=is_of
    )


@dataclass(frozen=True)
class _Found:
    """A manifest ``store`` as c2pa reads it, the ``state`` it is in, whether it lies beside."""

    store: dict[str, Any]
    state: str
    is_beside: bool


def _signed(c2pa: ModuleType, place: Path, trusted: str) -> Verdict:
    """Return what the manifest in or beside the file ``place`` says."""
    try:
        found = _found(c2pa, place, trusted)
        if found is None:
            return Verdict(Status.UNSIGNED)
        return replace(_read(found), is_own=_is_own(c2pa, place, found))
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        if str(error).startswith("Remote"):
            return Verdict(Status.UNSIGNED, problems=("a manifest on the network, not fetched",))
        return Verdict(Status.DOUBTFUL, problems=("a manifest that cannot be read",))
    except OSError as error:
        raise UnreadableMedia(f"The file cannot be read ({error.strerror}).") from error


def _found(c2pa: ModuleType, place: Path, trusted: str) -> _Found | None:
    """Return the manifest of ``place``, None without one; ``trusted``: certificates as PEM."""
    context = c2pa.Context(c2pa.Settings.from_dict(settings_of(trusted)))
    beside = sidecar_of(place)
    with place.open("rb") as file:
        reader, is_beside = _inside(c2pa, file, context), False
        if reader is None and beside != place and beside.is_file():
            file.seek(0)
            reader = c2pa.Reader("application/octet-stream", file, _sidecar(beside), context)
            is_beside = True
        if reader is None:
            return None
        with reader:
            store, state = json.loads(reader.json()), str(reader.get_validation_state())
    found = _Found(store, state, is_beside)
    kind = _assertion(_active(found), ANIMATION).get("kind")
    is_anothers = is_beside and kind and DETACHED.get(place.suffix.lower()) != kind
    return None if is_anothers else found


def _is_own(c2pa: ModuleType, place: Path, found: _Found) -> bool:
    """Tell whether this machine's development certificate signed ``place``.

    A serial number proves nothing; it only saves looking a second time at other makers' files.
    """
    chain = development_chain()
    if not chain or _hand(found).get("cert_serial_number") != serial_of(chain):
        return False
    again = _found(c2pa, place, chain.decode())
    return again is not None and again.state == "Trusted"


def _inside(c2pa: ModuleType, file: Any, context: Any) -> Any:
    """Return the reader of the manifest inside ``file``, None where there is none."""
    try:
        return c2pa.Reader.try_create(None, file, None, context)
    except c2pa.C2paError.NotSupported:
        return None


def _sidecar(path: Path) -> bytes:
    """Return the manifest that lies beside a file."""
    with path.open("rb") as file:
        return file.read(_LARGEST_SIDECAR)


def _active(found: _Found) -> dict[str, Any]:
    """Return the manifest that speaks for the file itself."""
    active = found.store.get("manifests", {}).get(found.store.get("active_manifest"))
    return active or {}


def _hand(found: _Found) -> dict[str, Any]:
    """Return what is known of the signature."""
    return _active(found).get("signature_info") or {}


def _read(found: _Found) -> Verdict:
    """Return the verdict on a manifest."""
    active, hand = _active(found), _hand(found)
    problems = tuple(_codes(found.store.get("validation_results") or {}))
    source, claimed_at = _source(found.store.get("manifests", {}), active)
    told = _assertion(active, ANIMATION)
    return Verdict(
        status=_status(found.state, problems),
        signer=_clean(hand.get("issuer")),
        generator=_generator(active),
        is_generated=source in GENERATED if source else None,
        source_type=source,
        signed_at=_clean(hand.get("time")),
        claimed_at=claimed_at,
        portrait_sha256=_clean(told.get("portrait_sha256")),
        consent_sha256=_clean(told.get("consent_sha256")),
        problems=tuple(code for code in problems if code != _UNTRUSTED),
        is_beside=found.is_beside,
    )


def _status(state: str, problems: tuple[str, ...]) -> Status:
    """Return the status for c2pa's ``state`` and the codes of what is wrong."""
    if state in ("Trusted", "Valid"):
        return Status.TRUSTED if state == "Trusted" else Status.INTACT
    is_altered = any(word in code for code in problems for word in _ALTERATIONS)
    return Status.ALTERED if is_altered else Status.DOUBTFUL


def _codes(results: dict[str, Any]) -> Iterator[str]:
    """Yield the codes of everything that is wrong with a file and what it was made of."""
    parts = [results.get("activeManifest") or {}]
    parts += [part.get("validationDeltas") or {} for part in results.get("ingredientDeltas") or []]
    seen = dict.fromkeys(_clean(found.get("code")) for p in parts for found in p.get("failure", []))
    yield from seen


def _source(manifests: dict[str, Any], active: dict[str, Any]) -> tuple[str, str]:
    """Return the digital source type that matters most, and when the file says it was made.

    What a file was edited or put together from counts as the file itself.
    """
    sources: list[str] = []
    times: list[str] = []
    waiting, seen = [active], set[str]()
    while waiting:
        manifest = waiting.pop(0)
        for action in _actions(manifest):
            sources.append(_clean(action.get("digitalSourceType")).rsplit("/", 1)[-1])
            times.append(_clean(action.get("when")))
        for part in manifest.get("ingredients") or []:
            name = part.get("active_manifest")
            is_kept = part.get("relationship") in ("parentOf", "componentOf")
            if is_kept and name in manifests and name not in seen:
                seen.add(name)
                waiting.append(manifests[name])
    known = [source for source in sources if source]
    generated = [source for source in known if source in GENERATED]
    return next(iter(generated + known), ""), next(filter(None, times), "")


def _actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the actions a manifest lists."""
    listed = [_assertion(manifest, f"c2pa.actions{v}").get("actions") for v in (".v2", "")]
    found = next((actions for actions in listed if isinstance(actions, list)), [])
    return [action for action in found if isinstance(action, dict)]


def _assertion(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    """Return the data of the first assertion called ``label``, empty without one."""
    for assertion in manifest.get("assertions") or []:
        data = assertion.get("data")
        if assertion.get("label") == label and isinstance(data, dict):
            return data
    return {}


def _generator(manifest: dict[str, Any]) -> str:
    """Return the name and version of the program that made the claim."""
    listed = manifest.get("claim_generator_info") or [{}]
    first = listed[0] if isinstance(listed, list) and isinstance(listed[0], dict) else {}
    told = f"{_clean(first.get('name'))} {_clean(first.get('version'))}".strip()
    return told or _clean(manifest.get("claim_generator"))


def _label(place: Path) -> str:
    """Return the implicit label in the metadata of a video or recording, "" without one."""
    try:
        with open_input(place, ACCEPTED) as container:
            found = {name.upper(): text for name, text in container.metadata.items()}
    except UnreadableMedia:
        return ""
    return _clean(found.get("AIGC"), 300)


def _xmp_source(place: Path) -> str:
    """Return the digital source type in a picture's XMP packet, "" without one."""
    with place.open("rb") as file:
        head = file.read(_XMP_BYTES)
    found = _XMP_SOURCE.search(head) if b"x:xmpmeta" in head else None
    return "" if found is None else found[1].decode("ascii", "replace")


def _clean(said: object, longest: int = _LONGEST) -> str:
    """Return text of a file for people: printable, at most ``longest`` characters; else ""."""
    if not isinstance(said, str):
        return ""
    text = "".join(c if c.isprintable() else "?" for c in said[: longest + 1])
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _bracketed(text: str) -> str:
    """Return ``text`` in brackets, "" for none."""
    return f"({text})" if text else ""
