"""The container follows the specification of glTF 2.0."""

import json
import struct

import numpy as np
import pytest

from visavis.media.glb import INDICES, VERTICES, Glb


def parsed(data: bytes) -> tuple[dict, bytes]:
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    content = json.loads(data[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0"
    assert length % 4 == size % 4 == 0
    assert 28 + length + size == len(data)
    return content, data[28 + length :]


def test_chunks_and_arrays() -> None:
    glb = Glb("test")
    points = np.arange(9, dtype=np.float32).reshape(3, 3) - 4
    assert glb.array(points, VERTICES, bounds=True) == 0
    assert glb.array(np.array([0, 1, 2], np.uint16), INDICES) == 1
    assert glb.array(np.array([[1, 0, 0, 0]] * 3, np.uint8), VERTICES) == 2
    assert glb.add("nodes", name="ä") == 0
    glb.set(scene=0)
    content, buffer = parsed(glb.to_bytes())
    assert content["asset"] == {"version": "2.0", "generator": "test"}
    assert (content["scene"], content["nodes"]) == (0, [{"name": "ä"}])
    first, second, third = content["accessors"]
    assert (first["componentType"], first["type"], first["count"]) == (5126, "VEC3", 3)
    assert (first["min"], first["max"]) == ([-4, -3, -2], [2, 3, 4])
    assert (second["componentType"], second["type"], second["count"]) == (5123, "SCALAR", 3)
    assert (third["componentType"], third["type"]) == (5121, "VEC4")
    views = content["bufferViews"]
    assert all(view["byteOffset"] % 4 == 0 for view in views)
    assert [view["target"] for view in views] == [VERTICES, INDICES, VERTICES]
    assert content["buffers"] == [{"byteLength": len(buffer)}]
    view = views[0]
    back = buffer[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    np.testing.assert_array_equal(np.frombuffer(back, "<f4").reshape(3, 3), points)


def test_pictures_share_a_sampler_that_holds_the_edges() -> None:
    glb = Glb("test")
    assert [glb.picture(b"one", "a"), glb.picture(b"three", "b")] == [0, 1]
    content, buffer = parsed(glb.to_bytes())
    assert len(content["samplers"]) == 1
    assert content["samplers"][0]["wrapS"] == 33071
    assert [image["name"] for image in content["images"]] == ["a", "b"]
    assert buffer[:3] == b"one"
    assert buffer[4:9] == b"three"


def test_numbers_that_json_has_not_are_refused() -> None:
    glb = Glb("test")
    glb.array(np.array([np.nan], np.float32), bounds=True)
    with pytest.raises(ValueError, match="not JSON compliant"):
        glb.to_bytes()
