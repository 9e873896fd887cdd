"""Verdicts: true ones, forged ones, other makers' files, and files that are damaged anyhow."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from visavis.errors import UnreadableMedia
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH
from visavis.provenance.certificates import development_credentials
from visavis.provenance.policy import Policy
from visavis.provenance.sign import Facts, digest_of, settings_of, sidecar_of, sign_file, tags
from visavis.provenance.verify import Status, Verdict, verify

c2pa = pytest.importorskip("c2pa")

WriteVideo = Callable[[Path], Path]
POLICY = Policy()


@pytest.fixture
def signed(tmp_path: Path, write_video: WriteVideo) -> Path:
    """A signed video of the demo portrait."""
    path = tmp_path / "signed.mp4"
    sign_file(write_video(tmp_path / "plain.mp4"), path, Facts(DEMO_PORTRAIT), POLICY)
    return path


def said(verdict: Verdict) -> str:
    """Return the verdict as people read it."""
    return "\n".join(verdict.lines())


def test_a_video_of_this_machine(signed: Path) -> None:
    verdict = verify(signed, POLICY, DEMO_PORTRAIT)
    assert (verdict.status, verdict.exit_code, verdict.is_own) == (Status.INTACT, 0, True)
    assert (verdict.is_generated, verdict.is_of_portrait) == (True, True)
    assert verdict.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert verdict.portrait_sha256 == digest_of(DEMO_PORTRAIT)
    assert verdict.claimed_at.startswith("20")
    assert "this machine's development certificate" in said(verdict)
    assert "AI-generated: yes" in said(verdict)
    assert json.loads(json.dumps(verdict.as_dict()))["status"] == "intact"


def test_a_trusted_signer(signed: Path, tmp_path: Path) -> None:
    roots = tmp_path / "trusted.pem"
    roots.write_bytes(development_credentials().chain)
    verdict = verify(signed, Policy(trusted=str(roots)))
    assert (verdict.status, verdict.exit_code) == (Status.TRUSTED, 0)


def test_another_portrait(signed: Path) -> None:
    assert verify(signed, POLICY, DEMO_SPEECH).is_of_portrait is False
    assert "no, of another" in said(verify(signed, POLICY, DEMO_SPEECH))


def test_not_signed(tmp_path: Path, write_video: WriteVideo) -> None:
    verdict = verify(write_video(tmp_path / "plain.mp4"), POLICY)
    assert (verdict.status, verdict.exit_code, verdict.is_generated) == (Status.UNSIGNED, 3, None)
    assert "Not signed" in said(verdict)


def test_every_altered_byte_of_the_media_is_found(signed: Path) -> None:
    data = signed.read_bytes()
    media = data.index(b"mdat")
    for at in random.Random(0).sample(range(media + 4, len(data)), 12):
        signed.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        verdict = verify(signed, POLICY)
        assert (verdict.status, verdict.exit_code, verdict.is_own) == (Status.ALTERED, 4, False)


def test_an_altered_claim_is_found(signed: Path) -> None:
    data = signed.read_bytes()
    digest = digest_of(DEMO_PORTRAIT).encode()
    assert digest in data
    signed.write_bytes(data.replace(digest, b"0" * 64))
    assert verify(signed, POLICY).status is Status.ALTERED


def test_pictures_exchanged_under_one_manifest(tmp_path: Path, write_video: WriteVideo) -> None:
    first, second = tmp_path / "first.webm", tmp_path / "second.webm"
    sign_file(write_video(tmp_path / "plain.webm"), first, Facts(), POLICY)
    second.write_bytes(first.read_bytes() + b"\0")
    sidecar_of(second).write_bytes(sidecar_of(first).read_bytes())
    assert verify(second, POLICY).status is Status.ALTERED


def test_a_sidecar_of_another_kind_says_nothing(tmp_path: Path, write_video: WriteVideo) -> None:
    sign_file(write_video(tmp_path / "plain.webm"), tmp_path / "a.webm", Facts(), POLICY)
    assert verify(write_video(tmp_path / "a.gif"), POLICY).status is Status.UNSIGNED
    assert verify(write_video(tmp_path / "a.mkv"), POLICY).status is Status.UNSIGNED
    assert verify(tmp_path / "a.webm", POLICY).status is Status.INTACT


def test_no_damage_makes_it_fail(signed: Path) -> None:
    data, chance = signed.read_bytes(), random.Random(1)
    start = data.index(b"jumb") - 64
    for _ in range(150):
        damaged = bytearray(data[: chance.choice((len(data), chance.randrange(16, len(data))))])
        for _ in range(chance.randrange(1, 8)):
            damaged[chance.randrange(start, start + 4600) % len(damaged)] = chance.randrange(256)
        signed.write_bytes(damaged)
        verdict = verify(signed, POLICY)
        assert verdict.status is not Status.TRUSTED
        assert said(verdict).isprintable() or "\n" in said(verdict)


def test_a_damaged_sidecar(tmp_path: Path, write_video: WriteVideo) -> None:
    path = write_video(tmp_path / "a.webm")
    for junk in (b"", b"junk", b"\0" * 4096):
        sidecar_of(path).write_bytes(junk)
        assert verify(path, POLICY).status in (Status.DOUBTFUL, Status.UNSIGNED)


def test_somebody_else_under_our_name(signed: Path, settings: Path) -> None:
    (settings / "development.pem").unlink()
    development_credentials()  # this machine is another one now, with the same names
    verdict = verify(signed, POLICY)
    assert (verdict.status, verdict.is_own) == (Status.INTACT, False)
    assert "this machine" not in said(verdict)
    assert "nobody you trust vouches" in said(verdict)


def other_maker(
    path: Path, definition: dict[str, Any], source: str, target: Path, remote: str = ""
) -> None:
    """Sign ``path`` as a program of another maker would."""
    mine = development_credentials()
    context = c2pa.Context(c2pa.Settings.from_dict(settings_of()))
    described = c2pa.C2paSignerInfo(mine.algorithm, mine.chain, mine.key, None)
    builder = c2pa.Builder(definition, context)
    if remote:
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.HUMAN_EDITS)
        builder.set_no_embed()
        builder.set_remote_url(remote)
    with (
        c2pa.Signer.from_info(described) as signer,
        path.open("rb") as given,
        target.open("w+b") as out,
    ):
        builder.sign(signer, source, given, out)


@pytest.mark.parametrize(
    ("source", "is_generated"), [("trainedAlgorithmicMedia", True), ("digitalCapture", False)]
)
def test_a_picture_of_another_maker(source: str, is_generated: bool, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain.jpg", tmp_path / "out.jpg"
    Image.new("RGB", (64, 64), "teal").save(plain)
    kind = f"http://cv.iptc.org/newscodes/digitalsourcetype/{source}"
    action = {"action": "c2pa.created", "digitalSourceType": kind}
    definition = {
        "claim_generator_info": [{"name": "Other\x1b[31m", "version": "2"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    other_maker(plain, definition, "image/jpeg", out)
    verdict = verify(out, POLICY)
    assert (verdict.status, verdict.is_generated) == (Status.INTACT, is_generated)
    assert verdict.generator == "Other?[31m 2"  # nothing a terminal would obey


def test_a_generated_part_makes_the_whole_generated(signed: Path, tmp_path: Path) -> None:
    out = tmp_path / "edited.mp4"
    mine = development_credentials()
    builder = c2pa.Builder({"claim_generator_info": [{"name": "Editor", "version": "1"}]})
    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    described = c2pa.C2paSignerInfo(mine.algorithm, mine.chain, mine.key, None)
    with (
        c2pa.Signer.from_info(described) as signer,
        signed.open("rb") as given,
        out.open("w+b") as target,
    ):
        builder.sign(signer, "video/mp4", given, target)
    verdict = verify(out, POLICY)
    assert (verdict.generator, verdict.is_generated) == ("Editor 1", True)


def test_what_metadata_say_without_a_signature(tmp_path: Path) -> None:
    picture, video = tmp_path / "a.png", tmp_path / "a.mp4"
    said_by = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    packet = f"<x:xmpmeta><a DigitalSourceType='{said_by}'/></x:xmpmeta>"
    Image.new("RGB", (8, 8)).save(picture, pnginfo=xmp(packet))
    assert verify(picture, POLICY).is_generated is True
    with av.open(str(video), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(tags(POLICY, "id-9"))
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    verdict = verify(video, POLICY)
    assert (verdict.status, verdict.is_generated) == (Status.UNSIGNED, True)
    assert "id-9" in verdict.label


def xmp(packet: str) -> Any:
    """Return the chunk of a PNG picture that holds ``packet``."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet)
    return chunks


def test_nothing_is_fetched_from_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        plain, out = tmp_path / "plain.jpg", tmp_path / "out.jpg"
        Image.new("RGB", (64, 64), "teal").save(plain)
        other_maker(plain, {}, "image/jpeg", out, f"http://127.0.0.1:{listener.getsockname()[1]}/m")
        verdict = verify(out, POLICY)
        assert (verdict.status, verdict.exit_code) == (Status.UNSIGNED, 3)
        assert "not fetched" in said(verdict)
        with pytest.raises(BlockingIOError):  # nobody called
            listener.accept()


@pytest.mark.parametrize("given", ["missing.mp4", ".", "http://x/y.mp4", "/dev/null"])
def test_what_is_no_file(given: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        verify(given if "/" in given else tmp_path / given, POLICY)


def test_what_is_no_media(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no media", "utf-8")
    assert verify(text, POLICY).status is Status.UNSIGNED
