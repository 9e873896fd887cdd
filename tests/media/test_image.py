"""Pictures of every kind arrive upright, in sRGB, as RGB; failures are one clear line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from clips import photograph
from numpy.typing import NDArray
from PIL import Image, ImageCms

from visavis.errors import InputError, OutputError, UnreadableMedia
from visavis.media.image import MAX_PIXELS, read_image, write_image

PHOTO = photograph(320, 240)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def difference(image: NDArray[np.uint8], other: NDArray[np.uint8] = PHOTO) -> float:
    assert image.shape == other.shape
    assert image.dtype == np.uint8
    return float(np.abs(image.astype(float) - other).mean())


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("a.png", 0), ("a.bmp", 0), ("a.tiff", 0), ("a.ppm", 0), ("a.jpg", 1.5), ("a.webp", 1.5),
        ("a.avif", 2.5), ("a.jp2", 1.5), ("a.gif", 9),
    ],
)  # fmt: skip
def test_every_kind(tmp_path: Path, name: str, tolerance: float) -> None:
    path = saved(Image.fromarray(PHOTO), tmp_path / name)
    assert difference(read_image(path)) <= tolerance
    assert difference(read_image(path.read_bytes())) <= tolerance
    assert difference(read_image(path.rename(tmp_path / "wrong.dat"))) <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff", "a.heic"])
def test_orientation_is_applied_once(tmp_path: Path, name: str, orientation: int) -> None:
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    upright = Image.fromarray(PHOTO)
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    tag = Image.Exif()
    tag[0x0112] = orientation
    if name.endswith("heic"):
        pillow_heif.from_pillow(stored).save(tmp_path / name, exif=tag.tobytes(), quality=95)
    else:
        stored.save(tmp_path / name, exif=tag)
    image = read_image(tmp_path / name)
    if name.endswith("heic") and image.shape != PHOTO.shape:
        pytest.skip("this libheif writes the tag without the transformation")
    assert difference(image) < 2.5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(PHOTO).convert("L")
    expected = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    values = np.asarray(grey).astype(float)
    if mode == "I;16":
        image = Image.fromarray((values * 257).astype(np.uint16))
    elif mode == "I":
        image = Image.fromarray((values * 257).astype(np.int32))
    elif mode == "F":
        image = Image.fromarray((values / 255).astype(np.float32))
    else:
        image = Image.fromarray(PHOTO).convert(mode)
    path = saved(image, tmp_path / "a.tiff")
    coloured = mode in ("P", "RGBA", "CMYK")
    limit = {"P": 25.0, "1": 130.0}.get(mode, 2.0)
    assert difference(read_image(path), PHOTO if coloured else expected) < limit


def test_transparency_lies_on_light_grey(tmp_path: Path) -> None:
    cut_out = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
    cut_out[:, :100, 3] = 0
    cut_out[:, :100, :3] = 0
    for mode in ("RGBA", "P", "LA"):
        image = Image.fromarray(cut_out).convert(mode)
        result = read_image(saved(image, tmp_path / f"{mode}.png"))
        assert (result[:, :100] == 224).all(), mode
        assert result[:, 100:].std() > 10


def test_sixteen_bit_png(tmp_path: Path) -> None:
    import cv2

    wide = PHOTO.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "rgb16.png"), wide[..., ::-1])
    cv2.imwrite(str(tmp_path / "rgb16.tiff"), wide[..., ::-1])
    assert difference(read_image(tmp_path / "rgb16.png")) == 0
    assert difference(read_image(tmp_path / "rgb16.tiff")) == 0


def test_colour_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    lab = Image.fromarray(PHOTO).convert("RGB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), profile, "RGB", "LAB")
    stored = ImageCms.applyTransform(lab, to_lab)
    path = tmp_path / "lab.tiff"
    stored.save(path, icc_profile=profile.tobytes())
    assert difference(read_image(path)) < 2.0
    plain = tmp_path / "odd.png"
    Image.fromarray(PHOTO).save(plain, icc_profile=b"not a profile at all")
    assert difference(read_image(plain)) == 0


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    white = Image.new("CMYK", (240, 240), (0, 0, 0, 0))
    assert read_image(saved(white, tmp_path / "a.jpg")).min() > 250


def test_small_and_large(tmp_path: Path) -> None:
    small = saved(Image.new("RGB", (640, 199)), tmp_path / "small.png")
    with pytest.raises(InputError, match="640x199 pixels; the smaller side needs at least 200"):
        read_image(small)
    assert read_image(small, min_side=1).shape == (199, 640, 3)
    big = Image.new("L", (8_000, 8_000), 90)
    with pytest.raises(InputError, match="8000x8000 pixels; up to 51 megapixels"):
        read_image(saved(big, tmp_path / "big.png", compress_level=1))
    reduced = read_image(saved(big, tmp_path / "big.jpg"))
    assert reduced.shape == (4_000, 4_000, 3)
    assert reduced.size // 3 <= MAX_PIXELS
    bomb = bytearray(small.read_bytes())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(InputError):
        read_image(bytes(bomb))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "is an empty file"),
        ("a.jpg", b"just a note\n", "seems to be text"),
        ("a.jpg", b"<!DOCTYPE html><html>404</html>", "seems to be a web page"),
        ("a.jpg", b"\x00\x00\x00\x18ftypmp42" + bytes(64), "seems to be an MP4 or QuickTime"),
        ("a.jpg", b"ID3\x04" + bytes(64), "seems to be an MP3 recording"),
        ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n", "seems to be a PostScript document"),
        ("a.heic", b"\x00\x00\x00\x18ftypheic" + bytes(64), "seems to be a HEIC picture"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(64), "seems to be a JPEG picture"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableMedia, match=message) as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff", "a.gif", "a.avif"])
def test_cut_off_files(tmp_path: Path, name: str) -> None:
    data = saved(Image.fromarray(PHOTO), tmp_path / name).read_bytes()
    with pytest.raises(UnreadableMedia, match=r"damaged|cut off"):
        read_image(data[: len(data) // 2])


def test_animation_gives_its_first_picture(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (300, 300), c) for c in ("red", "blue"))
    for name in ("a.gif", "a.webp", "a.png"):
        red.save(tmp_path / name, save_all=True, append_images=[blue])
        assert read_image(tmp_path / name)[0, 0, 0] > 240


def test_writing_is_whole_or_nothing(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", PHOTO)
    assert difference(read_image(tmp_path / "a.png")) == 0
    with pytest.raises(OutputError, match="unknown ending"):
        write_image(tmp_path / "a.xyz", PHOTO)
    with pytest.raises(OutputError, match="does not exist"):
        write_image(tmp_path / "none" / "a.png", PHOTO)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).format == "PNG"
