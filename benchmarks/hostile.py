"""Broken, mislabelled and extreme files for benchmarks/fuzz.py, all made from a seed.

``cases(folder, portrait, speech, port)`` writes them into ``folder`` and yields one ``Case`` each:
the words that follow ``visavis animate``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pillow_heif
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from extremes import extreme_pictures, extreme_sounds
from numpy.typing import NDArray
from PIL import Image

PICTURES = ("jpg", "png", "webp", "heic", "avif", "bmp", "tiff", "gif", "jp2")
SOUNDS = {  # suffix: (codec, sample format, muxer)
    "wav": ("pcm_s16le", "s16", None),
    "mp3": ("libmp3lame", None, None),
    "m4a": ("aac", None, "ipod"),
    "opus": ("libopus", "flt", None),
    "flac": ("flac", "s16", None),
    "mp4": ("aac", None, None),
    "webm": ("libopus", "flt", None),
    "aiff": ("pcm_s16be", None, None),
}
RATE = 48_000


@dataclass(frozen=True)
class Case:
    """One run: ``arguments`` after ``animate``; ``out`` is a name inside a fresh folder."""

    name: str
    arguments: list[str]
    out: str = "out.mp4"


@dataclass(frozen=True)
class Kit:
    """A folder, intact pictures and sounds by suffix, and a port that nobody may connect to."""

    folder: Path
    pictures: dict[str, bytes]
    sounds: dict[str, bytes]
    port: int

    def put(self, name: str, content: bytes) -> str:
        """Write ``content`` to a file called ``name`` in a folder of its own; return its path."""
        place = self.folder / f"{len(list(self.folder.iterdir())):04d}"
        place.mkdir()
        (place / name).write_bytes(content)
        return str(place / name)

    def picture(self) -> str:
        """Return the path of an intact picture."""
        return str(self.folder / "good.jpg")

    def sound(self) -> str:
        """Return the path of an intact sound."""
        return str(self.folder / "good.wav")


def make_kit(folder: Path, portrait: Path, speech: Path, port: int) -> Kit:
    """Write intact files made from ``portrait`` and 0.4 s of ``speech``."""
    picture = Image.open(portrait).convert("RGB").resize((320, 320))
    pictures = {}
    for suffix in PICTURES:
        file = folder / f"good.{suffix}"
        if suffix == "heic":
            pillow_heif.from_pillow(picture).save(file)
        else:
            picture.save(file)
        pictures[suffix] = file.read_bytes()
    with av.open(str(speech)) as container:
        pieces = [f.to_ndarray() for f in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    mono = np.concatenate(pieces, axis=1)[0].astype(np.float32) / 32_768
    mono = np.repeat(mono, RATE // rate)[RATE // 2 : RATE // 2 + RATE * 2 // 5]
    sounds = {}
    for suffix, (codec, sample_format, muxer) in SOUNDS.items():
        file = folder / f"good.{suffix}"
        _encode(file, mono, codec, sample_format, muxer, with_video=suffix in ("mp4", "webm"))
        sounds[suffix] = file.read_bytes()
    return Kit(folder, pictures, sounds, port)


def _encode(
    file: Path,
    mono: NDArray[np.float32],
    codec: str,
    sample_format: str | None,
    muxer: str | None,
    with_video: bool,
) -> None:
    """Write ``mono`` at RATE with ``codec``, and ten black pictures if asked."""
    with av.open(str(file), "w", format=muxer) as container:
        sound = container.add_stream(codec, rate=RATE, layout="mono")
        if sample_format:
            sound.codec_context.format = sample_format
        video = None
        if with_video:
            video = container.add_stream("libvpx" if file.suffix == ".webm" else "libx264", rate=25)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            for n in range(10):
                picture = VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
                picture.pts, picture.time_base = n, Fraction(1, 25)
                container.mux(video.encode(picture))
        for i in range(0, len(mono), 1024):
            frame = AudioFrame.from_ndarray(mono[None, i : i + 1024].copy(), "flt", "mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), i
            container.mux(sound.encode(frame))
        for stream in (sound, video):
            if stream is not None:
                container.mux(stream.encode(None))


def cases(kit: Kit) -> Iterator[Case]:
    """Yield all cases."""
    for make in (_intact, _mislabelled, _extremes, _sources, _paths, _outputs, _damaged):
        yield from make(kit)


def _intact(kit: Kit) -> Iterator[Case]:
    """Every kind of picture and sound as it should be."""
    for suffix, data in kit.pictures.items():
        yield Case(f"intact {suffix}", [kit.put(f"p.{suffix}", data), kit.sound()])
    for suffix, data in kit.sounds.items():
        yield Case(f"intact {suffix}", [kit.picture(), kit.put(f"s.{suffix}", data)])


def _damaged(kit: Kit) -> Iterator[Case]:
    """Flipped bits, cut ends, cut beginnings, zeroed and repeated stretches."""
    rng = np.random.default_rng(20261120)
    for is_picture, files in ((True, kit.pictures), (False, kit.sounds)):
        for suffix, data in files.items():
            for n, (how, broken) in enumerate(_damage(data, rng)):
                path = kit.put(f"broken{n}.{suffix}", broken)
                pair = [path, kit.sound()] if is_picture else [kit.picture(), path]
                yield Case(f"{how} {suffix}", pair)


def _damage(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield damaged copies of ``data``."""
    for flips in (1, 2, 8, 32, 128, 1024):
        for part in (len(data), min(len(data), 600)):
            broken = np.frombuffer(data, np.uint8).copy()
            where = rng.integers(0, part, flips)
            broken[where] ^= (1 << rng.integers(0, 8, flips)).astype(np.uint8)
            yield f"{flips} flips in {part}", broken.tobytes()
    for share in (0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.99):
        yield f"first {share:.1%}", data[: max(int(len(data) * share), 1)]
    yield "second half", data[len(data) // 2 :]
    middle = len(data) // 2
    yield "zeroed middle", data[:middle] + bytes(2_000) + data[middle + 2_000 :]
    yield "repeated", data + data
    yield "random tail", data[:middle] + rng.bytes(len(data) - middle)
    yield "all ones", data[:64] + b"\xff" * (len(data) - 64)


def _mislabelled(kit: Kit) -> Iterator[Case]:
    """Files of one kind under the name of another, given as picture and as sound."""
    others = {
        "text": b"Dear reader,\nthis is a letter.\n" * 40,
        "latin": "Grüße aus Köln\n".encode("latin-1") * 40,
        "web page": b"<!DOCTYPE html><html><body>404</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400"/>',
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n" + bytes(500),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 400 400\n(/etc/passwd) run\n",
        "zip": b"PK\x03\x04" + bytes(300),
        "elf": b"\x7fELF" + bytes(300),
        "json": b'{"portrait": [1, 2, 3]}',
        "zeros": bytes(10_000),
        "noise": np.random.default_rng(3).bytes(20_000),
        "one byte": b"x",
        "empty": b"",
        "python": b"import os\nos.system('touch /tmp/owned')\n",
        "pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94",
    }
    for name, data in others.items():
        yield Case(f"{name} as picture", [kit.put("p.jpg", data), kit.sound()])
        yield Case(f"{name} as sound", [kit.picture(), kit.put("s.mp3", data)])
    for suffix, data in kit.sounds.items():
        yield Case(f"{suffix} as picture", [kit.put("p.png", data), kit.sound()])
        yield Case(f"{suffix} named ogg", [kit.picture(), kit.put("s.ogg", data)])
    for suffix, data in kit.pictures.items():
        yield Case(f"{suffix} as sound", [kit.picture(), kit.put("s.wav", data)])
        yield Case(f"{suffix} named png", [kit.put("p.png", data), kit.sound()])


def _extremes(kit: Kit) -> Iterator[Case]:
    """Well-formed pictures and sounds at the edge, and headers that promise the impossible."""
    for name, data in extreme_pictures(kit.pictures):
        yield Case(name, [kit.put(name.replace(" ", "."), data), kit.sound()])
    for name, data in extreme_sounds(kit.sounds):
        yield Case(f"wav {name}", [kit.picture(), kit.put("s.wav", data)])


def _sources(kit: Kit) -> Iterator[Case]:
    """Playlists and addresses that would reach the network or other files."""
    address, secret = f"http://127.0.0.1:{kit.port}/a.wav", kit.sound()
    name = Path(secret).name
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n",
        "local.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
        "m3u": f"{secret}\n",
        "pls": f"[playlist]\nFile1={address}\nNumberOfEntries=1\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "relative.ffconcat": f"ffconcat version 1.0\nfile '../{name}'\n",
        "remote.ffconcat": f"ffconcat version 1.0\nfile '{address}'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
               f"m=audio {kit.port} RTP/AVP 0\n",
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
               f"<Period><AdaptationSet><Representation id='1' bandwidth='1' "
               f"mimeType='audio/mp4'><BaseURL>{address}</BaseURL></Representation>"
               f"</AdaptationSet></Period></MPD>",
        "asx": f'<asx version="3.0"><entry><ref href="{address}"/></entry></asx>',
        "ram": f"rtsp://127.0.0.1:{kit.port}/a\n",
        "ffmeta": ";FFMETADATA1\ntitle=x\n",
    }  # fmt: skip
    for suffix, text in lists.items():
        for given in (suffix, "wav"):
            path = kit.put(f"list.{given}", text.encode())
            yield Case(f"list {suffix} named {given}", [kit.picture(), path])
        yield Case(f"list {suffix} as picture", [kit.put("p.png", text.encode()), secret])
    for source in (
        address, f"concat:{secret}|{secret}", f"file:{secret}",
        f"subfile,,start,0,end,99,,:{secret}",
        f"async:{secret}", f"cache:{secret}", f"crypto:{secret}", "lavfi:sine", "pipe:0", "fd:0",
        "-",
        f"tcp://127.0.0.1:{kit.port}", f"udp://127.0.0.1:{kit.port}",
        "data:audio/wav;base64,UklGRg==",
        "/dev/video0", "hw:0", "", " ", ".", "~", "*.wav", "%d.wav",
    ):  # fmt: skip
        yield Case(f"sound {source}", ["--", kit.picture(), source])
        yield Case(f"picture {source}", ["--", source, secret])


def _paths(kit: Kit) -> Iterator[Case]:
    """Folders, devices, pipes, links, and names that are hard to print or to parse."""
    folder = kit.folder / "paths"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "broken").symlink_to(folder / "nothing")
    (folder / "zero.wav").symlink_to("/dev/zero")
    places = [
        folder, folder / "pipe", folder / "loop", folder / "broken", folder / "zero.wav",
        "/dev/zero", "/dev/null", "/dev/random", "/dev/full", "/dev/stdin", "/dev/fd/0",
        "/proc/self/mem", "/proc/self/maps", "/proc/kmsg", "/sys/kernel/notes", "/",
        f"{kit.sound()}/x", "a" * 300, "a/" * 3_000,
    ]  # fmt: skip
    for place in places:
        yield Case(f"sound at {str(place)[:60]}", [kit.picture(), str(place)])
        yield Case(f"picture at {str(place)[:60]}", [str(place), kit.sound()])
    (folder / "link.jpg").symlink_to(kit.picture())
    yield Case("link to a picture", [str(folder / "link.jpg"), kit.sound()])
    names = [
        "-o.jpg", "--help.jpg", "sp ace.jpg", "ü中文🙂.jpg", "new\nline.jpg", "tab\t.jpg",
        "%d%s%n.jpg",
        "'quote\".jpg", "b" * 250 + ".jpg", "esc\x1b[31m.jpg", "\udcff\udcfe.jpg", "noending",
        ".jpg",
        "http:.jpg", "a:b.jpg", "[bold]x[red].jpg", "$(touch x).jpg", "\u202egpj.exe", "nul.JPG",
    ]  # fmt: skip
    for name in names:
        picture, sound = folder / name, folder / name.replace("jpg", "wav").replace("JPG", "WAV")
        picture.write_bytes(kit.pictures["jpg"])
        yield Case(f"picture called {name!a}", ["--", str(picture), kit.sound()])
        sound.write_bytes(kit.sounds["wav"])
        yield Case(f"sound called {name!a}", ["--", kit.picture(), str(sound)])
        yield Case(f"broken {name!a}", [f"{picture}.none", str(sound)])


def _outputs(kit: Kit) -> Iterator[Case]:
    """Every kind of result, and places that cannot be written to."""
    pair = [kit.picture(), kit.sound()]
    for out in (
        "a.mov", "a.mkv", "a.webm", "a.gif", "a.rgb", "frames/", "x%03d.png", "A.MP4", "ü🙂.mp4",
        "-x.mp4", "new\nline.mp4", "%d.mp4", "a.avi", "a.png", "a", "a.mp4.exe", "none/a.mp4", "",
        ".mp4", "c" * 300 + ".mp4", "c" * 251 + ".mp4", "a\udcff.mp4", "x%s.png", "%5000d.png",
    ):  # fmt: skip
        yield Case(f"to {out[:40]!a}", pair, out)
    for out in ("/dev/full", "/dev/null", "/proc/a.mp4", "/sys/a.mp4", "/dev/full/a.mp4", "/proc/"):
        yield Case(f"to {out}", pair, out)
    options = [
        ("--size", "0"), ("--size", "-2"), ("--size", "65"), ("--size", "10000000"), ("--size",
        "x"),
        ("--fps", "0"), ("--fps", "-1"), ("--fps", "100000"), ("--fps", "nan"), ("--seed", "-1"),
        ("--seed", "9" * 40), ("--trim", "5:9"), ("--trim", "-1:2"), ("--trim", "nan:nan"),
        ("--trim", "2:1"), ("--trim", "a:b"), ("--trim", ":"), ("--trim", "0:1e300"),
        ("--trim", "inf:"), ("--trim", "0.399:"), ("--face", "0"), ("--face", "99"),
        ("--fps", "240"), ("--size", "64"), ("--trim", "0.1:0.2"),
    ]  # fmt: skip
    for option, value in options:
        yield Case(f"{option} {value[:20]}", [*pair, f"{option}={value}"])
    motions = {
        "m.csv": b"Timecode,BlendshapeCount\n1,2,3\n", "m.json": b'{"fps": 1e999, "frames": [[]]}',
        "m.npz": b"PK\x03\x04" + bytes(50), "n.csv": b"", "n.json": b"[[[[[[",
        "deep.json": b"[" * 99_999,
        "m.txt": b"hello", "bin.csv": bytes(range(256)) * 9,
    }  # fmt: skip
    for name, data in motions.items():
        yield Case(f"motion {name}", [kit.picture(), f"--motion={kit.put(name, data)}"])
