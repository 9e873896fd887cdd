"""A talking face in glTF: what Blender and three.js will read, read here by hand."""

import json
import struct
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pytest

from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.render.face_mesh import FaceMesh, generic_mesh, portrait_mesh
from visavis.render.gltf import to_glb
from visavis.render.rig import load_rig
from visavis.types import ARKIT_NAMES, Motion

K = {name: i for i, name in enumerate(ARKIT_NAMES)}
TYPES = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass
class Read:
    """A .glb file taken apart again, by the specification and not by the writer's code."""

    content: dict
    buffer: bytes

    def view(self, index: int) -> bytes:
        view = self.content["bufferViews"][index]
        return self.buffer[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]

    def array(self, index: int) -> np.ndarray:
        accessor = self.content["accessors"][index]
        flat = np.frombuffer(self.view(accessor["bufferView"]), TYPES[accessor["componentType"]])
        return flat.reshape(accessor["count"], WIDTHS[accessor["type"]])

    def node(self, name: str) -> int:
        return [node.get("name") for node in self.content["nodes"]].index(name)

    def track(self, node: str, path: str) -> np.ndarray:
        animation = self.content["animations"][0]
        wanted = {"node": self.node(node), "path": path}
        (channel,) = (c for c in animation["channels"] if c["target"] == wanted)
        return self.array(animation["samplers"][channel["sampler"]]["output"])

    @property
    def face(self) -> dict:
        return self.content["meshes"][self.content["nodes"][self.node("face")]["mesh"]]

    def attribute(self, name: str) -> np.ndarray:
        return self.array(self.face["primitives"][0]["attributes"][name])


def read(data: bytes) -> Read:
    (length,) = struct.unpack_from("<I", data, 12)
    return Read(json.loads(data[20 : 20 + length]), data[28 + length :])


@cache
def mesh_of(kind: str) -> FaceMesh:
    return generic_mesh() if kind == "generic" else portrait_mesh(open_portrait(DEMO_PORTRAIT))


def written(kind: str, motion: Motion | None = None) -> Read:
    return read(to_glb(mesh_of(kind), motion or Motion.rest(2)))


def rotate(quaternion: np.ndarray, vector: tuple[float, float, float]) -> np.ndarray:
    axis, w = quaternion[:3].astype(float), float(quaternion[3])
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * np.asarray(vector))


@pytest.fixture(params=["generic", "portrait"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_morph_targets_are_arkits(kind: str) -> None:
    glb = written(kind)
    assert glb.face["extras"]["targetNames"] == list(ARKIT_NAMES)
    assert glb.face["weights"] == [0.0] * 52
    assert {len(p["targets"]) for p in glb.face["primitives"]} == {52}
    count = len(glb.attribute("POSITION"))
    for target in glb.face["primitives"][0]["targets"]:
        accessor = glb.content["accessors"][target["POSITION"]]
        values = glb.array(target["POSITION"])
        assert len(values) == count
        np.testing.assert_array_equal(values.min(0), np.float32(accessor["min"]))
        np.testing.assert_array_equal(values.max(0), np.float32(accessor["max"]))


def test_attributes_obey_the_specification(kind: str) -> None:
    glb = written(kind)
    count = len(glb.attribute("POSITION"))
    lengths = np.linalg.norm(glb.attribute("NORMAL"), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)
    weights, joints = glb.attribute("WEIGHTS_0"), glb.attribute("JOINTS_0")
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert ((joints == 0) | (weights > 0)).all()
    assert joints.max() < len(glb.content["skins"][0]["joints"])
    for mesh in glb.content["meshes"]:
        for primitive in mesh["primitives"]:
            corners = glb.array(primitive["indices"])
            assert len(corners) % 3 == 0
            assert corners.max() < len(glb.array(primitive["attributes"]["POSITION"]))
    assert all(view["byteOffset"] % 4 == 0 for view in glb.content["bufferViews"])
    assert count < 2**16


def test_size_and_place_are_a_persons(kind: str) -> None:
    points = written(kind).attribute("POSITION")[:468]
    low, high = points.min(0), points.max(0)
    assert 0.11 < high[0] - low[0] < 0.17  # metres
    assert 0.13 < high[1] - low[1] < 0.20
    assert points[10, 1] > points[152, 1]  # forehead above chin
    assert points[1, 2] > points[[234, 454], 2].max() + 0.04  # the nose nearest to the viewer
    assert points[454, 0] > points[234, 0]  # the person's left at the viewer's right


def test_skin_faces_the_viewer(kind: str) -> None:
    glb = written(kind)
    points = glb.attribute("POSITION")
    corners = points[glb.array(glb.face["primitives"][0]["indices"]).reshape(-1, 3)]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normal[:, 2] > 0).mean() > 0.93


def test_weights_are_the_motions(kind: str) -> None:
    motion = Motion.rest(3, 30)
    motion.coefficients[1, K["jawOpen"]] = 0.5
    motion.coefficients[1, K["mouthClose"]] = 0.8  # counts up to jawOpen
    motion.coefficients[2, K["tongueOut"]] = 1.5
    glb = written(kind, motion)
    weights = glb.track("face", "weights").reshape(3, 52)
    assert weights[1, K["jawOpen"]] == weights[1, K["mouthClose"]] == 0.5
    assert weights[2, K["tongueOut"]] == 1
    assert weights.sum() == 2
    times = glb.content["animations"][0]["samplers"][0]["input"]
    np.testing.assert_allclose(glb.array(times)[:, 0], [0, 1 / 30, 2 / 30], rtol=1e-6)
    assert glb.content["accessors"][times]["min"] == [0]


def test_head_turns_as_the_motion_space_says(kind: str) -> None:
    motion = Motion.rest(5)
    motion.rotation[1:4] = np.diag([10.0, 10.0, 10.0])
    motion.translation[4], motion.scale[4] = (1, 1), 1.25
    glb = written(kind, motion)
    turns = glb.track("head", "rotation")
    np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(turns[0], (0, 0, 0, 1), atol=1e-6)
    sine = np.sin(np.radians(10))
    assert rotate(turns[1], (0, 0, 1))[1] == pytest.approx(sine)  # pitch raises the chin
    assert rotate(turns[2], (0, 0, 1))[0] == pytest.approx(sine)  # yaw: to the viewer's right
    assert rotate(turns[3], (0, 1, 0))[0] == pytest.approx(sine)  # roll: clockwise
    moved = glb.track("head", "translation")[4]
    assert 0.05 < moved[0] < 0.07  # the distance of the pupils
    assert moved[1] == pytest.approx(-moved[0])
    np.testing.assert_allclose(glb.track("head", "scale")[4], 1.25)


def test_eyes_hang_on_the_head_and_look_where_they_should(kind: str) -> None:
    motion = Motion.rest(3)
    motion.coefficients[1, K["eyeLookOutLeft"]] = 1
    motion.coefficients[2, [K["eyeLookDownLeft"], K["eyeLookDownRight"]]] = 1
    glb = written(kind, motion)
    head = glb.content["nodes"][glb.node("head")]
    assert sorted(head["children"]) == sorted([glb.node("eye_left"), glb.node("eye_right")])
    left, right = (glb.track(f"eye_{side}", "rotation") for side in ("left", "right"))
    assert rotate(left[1], (0, 0, 1))[0] > 0.5  # the person's left
    np.testing.assert_allclose(right[1], (0, 0, 0, 1), atol=1e-6)
    assert rotate(left[2], (0, 0, 1))[1] < -0.5
    places = [glb.content["nodes"][glb.node(f"eye_{s}")]["translation"] for s in ("right", "left")]
    assert places[0][0] < 0 < places[1][0]


def test_lids_close_over_the_eyeballs_and_hide_them(kind: str) -> None:
    glb = written(kind)
    names = {"eyeBlinkLeft": "left", "eyeBlinkRight": "right"}
    shapes = glb.face["primitives"][0]["targets"]
    points = glb.attribute("POSITION").copy()
    for name in names:
        points += glb.array(shapes[K[name]]["POSITION"])
    for side, contact in zip(("right", "left"), load_rig().contacts[1:], strict=True):
        assert np.abs(points[contact.upper] - points[contact.lower]).max() < 1e-3
        node = glb.content["nodes"][glb.node(f"eye_{side}")]
        ball = glb.array(
            glb.content["meshes"][node["mesh"]]["primitives"][0]["attributes"]["POSITION"]
        )
        radius = np.linalg.norm(ball, axis=1).max()
        lids = np.linalg.norm(points[contact.upper] - np.float32(node["translation"]), axis=1)
        assert lids.min() > radius


def test_photograph_is_on_the_face() -> None:
    glb = written("portrait")
    assert glb.content["extensionsUsed"] == ["KHR_materials_unlit"]
    names = [image["name"] for image in glb.content["images"]]
    pictures = {
        name: cv2.imdecode(np.frombuffer(glb.view(image["bufferView"]), np.uint8), -1)
        for name, image in zip(names, glb.content["images"], strict=True)
    }
    assert set(names) == {"skin", "eye_right", "eye_left", "mouth"}
    skin = pictures["skin"]
    assert skin.shape == (1024, 1024, 4)
    uv = glb.attribute("TEXCOORD_0")[:468]
    assert uv.min() > 0
    assert uv.max() < 1
    at = np.round(uv * 1023).astype(int)
    assert (skin[at[:, 1], at[:, 0], 3] == 255).mean() > 0.98
    lips, cheek = (skin[at[i, 1], at[i, 0], :3].astype(int) for i in (17, 205))
    assert lips[2] - lips[1] > cheek[2] - cheek[1] + 10  # lips are redder


def test_hair_and_shoulders_hold_on_to_face_and_body() -> None:
    glb = written("portrait")
    surround = glb.face["primitives"][1]
    assert glb.content["materials"][surround["material"]]["alphaMode"] == "BLEND"
    follow = glb.attribute("WEIGHTS_0")[:, 1]
    assert (follow[:478] == 1).all()
    corners = np.unique(glb.array(surround["indices"]))
    from_below = corners[np.argsort(glb.attribute("POSITION")[corners, 1])]
    assert follow[from_below[:20]].max() < 0.6
    assert follow[[478, 478 + 36]].min() > 0.9  # just above the forehead


def test_generic_face_is_the_rigs() -> None:
    rig, mesh = load_rig(), mesh_of("generic")
    points = (mesh.points[:468] - mesh.points[1]) / mesh.px_per_cm
    expected = rig.neutral[:468] - rig.neutral[1]
    np.testing.assert_allclose(points, expected, atol=0.05)
