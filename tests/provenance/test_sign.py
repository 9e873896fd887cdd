"""Signed files: what is said, where the manifest is, and that nothing is left behind."""

from __future__ import annotations

import builtins
import json
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from visavis.errors import InputError, MissingExtra, OutputError
from visavis.media.place import whole_file
from visavis.opening import DEMO_PORTRAIT
from visavis.provenance.certificates import credentials, development_credentials
from visavis.provenance.policy import Policy
from visavis.provenance.sign import (
    ANIMATION,
    MADE_AS,
    Facts,
    Seal,
    digest_of,
    implicit_label,
    open_seal,
    sidecar_of,
    sign_file,
)
from visavis.provenance.verify import Status, verify

c2pa = pytest.importorskip("c2pa")

WriteVideo = Callable[[Path], Path]

PORTRAIT = Facts(DEMO_PORTRAIT)


def manifest_of(path: Path) -> dict[str, Any]:
    """Return the active manifest of ``path`` as c2pa itself reads it."""
    with c2pa.Reader(str(path)) as reader:
        active: dict[str, Any] = reader.get_active_manifest()
    return active


def pictures_of(path: Path) -> list[np.ndarray]:
    """Return all pictures of a video."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".gif"])
def test_the_manifest_is_in_the_file(suffix: str, tmp_path: Path, write_video: WriteVideo) -> None:
    plain, signed = write_video(tmp_path / f"plain{suffix}"), tmp_path / f"signed{suffix}"
    sign_file(plain, signed, PORTRAIT, Policy())
    assert verify(signed, Policy()).status is Status.INTACT
    assert sorted(p.name for p in tmp_path.iterdir()) == [plain.name, signed.name]
    for before, after in zip(pictures_of(plain), pictures_of(signed), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_the_manifest_is_beside_the_file(
    suffix: str, tmp_path: Path, write_video: WriteVideo
) -> None:
    plain, signed = write_video(tmp_path / f"plain{suffix}"), tmp_path / f"signed{suffix}"
    sign_file(plain, signed, PORTRAIT, Policy())
    assert signed.read_bytes() == plain.read_bytes()
    verdict = verify(signed, Policy())
    assert (verdict.status, verdict.is_beside) == (Status.INTACT, True)
    sidecar_of(signed).unlink()
    assert verify(signed, Policy()).status is Status.UNSIGNED


def test_what_the_manifest_says(tmp_path: Path, write_video: WriteVideo) -> None:
    signed = tmp_path / "signed.mp4"
    facts = Facts(DEMO_PORTRAIT, consent_sha256="c" * 64)
    sign_file(write_video(tmp_path / "plain.mp4"), signed, facts, Policy())
    told = manifest_of(signed)
    data = {a["label"]: a["data"] for a in told["assertions"]}
    (action,) = data["c2pa.actions.v2"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", MADE_AS)
    assert action["parameters"]["ingredients"]
    assert told["claim_generator_info"][0]["name"] == "visavis"
    assert data[ANIMATION] == {
        "portrait_sha256": digest_of(DEMO_PORTRAIT),
        "consent_sha256": "c" * 64,
    }
    entries = data["cawg.training-mining"]["entries"]
    assert {entry["use"] for entry in entries.values()} == {"notAllowed"}
    (portrait,) = told["ingredients"]
    assert (portrait["relationship"], portrait["format"]) == ("inputTo", "image/webp")


@pytest.mark.parametrize(
    ("portrait", "is_ingredient", "has_thumbnail", "has_hash"),
    [
        ("ingredient", True, False, True),
        ("thumbnail", True, True, True),
        ("hash", False, False, True),
        ("nothing", False, False, False),
    ],
)
def test_how_much_is_told_of_the_portrait(
    portrait: str,
    is_ingredient: bool,
    has_thumbnail: bool,
    has_hash: bool,
    tmp_path: Path,
    write_video: WriteVideo,
) -> None:
    signed = tmp_path / "signed.mp4"
    sign_file(write_video(tmp_path / "p.mp4"), signed, PORTRAIT, Policy(portrait=portrait))
    told = manifest_of(signed)
    listed = told.get("ingredients", [])
    assert len(listed) == is_ingredient
    assert any("thumbnail" in part for part in listed) == has_thumbnail
    assert bool(verify(signed, Policy()).portrait_sha256) == has_hash
    assert DEMO_PORTRAIT.name.encode() not in signed.read_bytes()


def test_a_portrait_that_is_known_by_its_digest_alone(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    signed = tmp_path / "signed.mp4"
    facts = Facts(portrait_sha256=digest_of(DEMO_PORTRAIT))
    sign_file(write_video(tmp_path / "p.mp4"), signed, facts, Policy())
    verdict = verify(signed, Policy(), DEMO_PORTRAIT)
    assert (verdict.is_of_portrait, manifest_of(signed).get("ingredients")) == (True, None)


def test_a_signed_portrait_keeps_its_own_manifest(tmp_path: Path, write_video: WriteVideo) -> None:
    first, second = tmp_path / "first.gif", tmp_path / "second.mp4"
    sign_file(write_video(tmp_path / "p.gif"), first, Facts(), Policy(producer="x"))
    sign_file(write_video(tmp_path / "p.mp4"), second, Facts(first), Policy())
    (portrait,) = manifest_of(second)["ingredients"]
    assert portrait["active_manifest"]
    assert verify(second, Policy()).status is Status.INTACT


def test_the_development_certificate_is_made_once_and_kept_private(settings: Path) -> None:
    first = development_credentials()
    assert development_credentials() == first
    (file,) = settings.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.stat().st_mode) == 0o700
    file.write_bytes(file.read_bytes()[:300])  # damaged: made anew, kept again
    second = development_credentials()
    assert second != first
    assert development_credentials() == second


def test_processes_that_start_together_share_one_certificate(settings: Path) -> None:
    code = (
        "from visavis.provenance.certificates import development_credentials as d;"
        "import hashlib; print(hashlib.sha256(d().key).hexdigest())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)
    ]
    assert len({process.communicate()[0] for process in running}) == 1
    assert [file.name for file in settings.iterdir()] == ["development.pem"]


def test_without_a_place_for_settings_it_still_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_video: WriteVideo
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(blocked))
    signed = tmp_path / "signed.mp4"
    sign_file(write_video(tmp_path / "plain.mp4"), signed, Facts(), Policy())
    verdict = verify(signed, Policy())
    assert (verdict.status, verdict.is_own) == (Status.INTACT, False)


def pem(key: Any) -> bytes:
    """Return ``key`` as PEM."""
    from cryptography.hazmat.primitives import serialization

    kind = serialization.PrivateFormat.PKCS8
    unlocked = serialization.NoEncryption()
    encoded: bytes = key.private_bytes(serialization.Encoding.PEM, kind, unlocked)
    return encoded


def test_the_configured_certificate_signs(tmp_path: Path, write_video: WriteVideo) -> None:
    mine = development_credentials()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(mine.chain)
    key.write_bytes(mine.key)
    policy = Policy(certificate=str(chain), key=str(key), trusted=str(chain))
    signed = tmp_path / "signed.mp4"
    sign_file(write_video(tmp_path / "plain.mp4"), signed, Facts(), policy)
    assert verify(signed, policy).status is Status.TRUSTED


def test_kinds_of_keys(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    chain, file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(development_credentials().chain)
    policy = Policy(certificate=str(chain), key=str(file))
    keys = {
        "es256": ec.generate_private_key(ec.SECP256R1()),
        "es384": ec.generate_private_key(ec.SECP384R1()),
        "es512": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "ps256": rsa.generate_private_key(65537, 2048),
    }
    for name, key in keys.items():
        file.write_bytes(pem(key))
        assert credentials(policy).algorithm == name
    file.write_bytes(pem(ec.generate_private_key(ec.SECP256K1())))
    with pytest.raises(InputError, match="P-256"):
        credentials(policy)
    file.write_bytes(b"-----BEGIN PRIVATE KEY-----")
    with pytest.raises(InputError, match="openssl"):
        credentials(policy)
    chain.write_bytes(b"nothing")
    with pytest.raises(InputError, match="certificate"):
        credentials(policy)


def test_a_key_that_does_not_fit_is_an_error_and_leaves_nothing(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(development_credentials().chain)
    key.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    plain = write_video(tmp_path / "plain.mp4")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot be signed"):
        sign_file(plain, tmp_path / "o.mp4", Facts(), Policy(certificate=str(chain), key=str(key)))
    assert sorted(tmp_path.iterdir()) == before


def test_a_failure_after_signing_leaves_nothing(tmp_path: Path, write_video: WriteVideo) -> None:
    plain = write_video(tmp_path / "plain.webm")
    out = tmp_path / "out.webm"

    def signed_then_failed() -> None:
        with open_seal(out, Facts(), Policy()) as seal, whole_file(out) as hidden:
            hidden.write_bytes(plain.read_bytes())
            seal(hidden)
            raise KeyError("after")

    with pytest.raises(KeyError):
        signed_then_failed()
    assert list(tmp_path.iterdir()) == [plain]


def test_a_time_stamp_authority_that_is_not_there(tmp_path: Path, write_video: WriteVideo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    policy = Policy(timestamps=address)
    plain, out = write_video(tmp_path / "plain.mp4"), tmp_path / "out.mp4"
    with open_seal(out, Facts(), policy) as seal, whole_file(out) as hidden:
        hidden.write_bytes(plain.read_bytes())
        seal(hidden)
    assert "no time stamp" in seal.warnings[0]
    assert verify(out, Policy()).status is Status.INTACT
    out.unlink()
    with pytest.raises(OutputError, match="cannot be signed"):
        sign_file(plain, out, Facts(), Policy(timestamps=address, signing="required"))
    assert list(tmp_path.iterdir()) == [plain]


def test_off_means_off(tmp_path: Path, write_video: WriteVideo) -> None:
    plain, out = write_video(tmp_path / "plain.mp4"), tmp_path / "out.mp4"
    sign_file(plain, out, PORTRAIT, Policy(signing="off"))
    assert out.read_bytes() == plain.read_bytes()


def test_what_cannot_be_signed(tmp_path: Path) -> None:
    for name in ("frames/", "x%04d.png", "-", "x.rgb"):
        assert Seal(name, Facts(), Policy()).warnings == ()
        with pytest.raises(OutputError, match="required"):
            Seal(name, Facts(), Policy(signing="required"))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "c2pa":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install c2pa-python" in Seal("o.mp4", Facts(), Policy()).warnings[0]
    with pytest.raises(MissingExtra, match="c2pa-python"):
        Seal("o.mp4", Facts(), Policy(signing="required"))


def test_the_implicit_label_is_that_of_the_standard() -> None:
    label = json.loads(implicit_label(Policy(producer="编码"), "id-1"))
    assert (label["Label"], label["ContentProducer"], label["ProduceID"]) == ("1", "编码", "id-1")
    assert {"ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"} < label.keys()
