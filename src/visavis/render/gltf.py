"""A talking face as glTF 2.0 (.glb), for Blender, three.js, Babylon.js, Godot and Unreal.

One mesh carries the 52 ARKit shapes as morph targets under their own names, with the motion as
their weights; the bone ``head`` turns, moves and scales, and the eyeballs hang on it. Space:
metres, y up, z to the viewer, the origin at the top of the spine. Morph targets add up; that lips
and lids touch without crossing in any sum is render/rig.py's business and left out here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.media.glb import INDICES, VERTICES, Glb
from visavis.media.place import whole_file
from visavis.render.face_mesh import Eyeball, FaceMesh, generic_mesh, portrait_mesh
from visavis.render.solve import turn
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion, Portrait

_CLAY = (0.62, 0.46, 0.37, 1.0)
_FLIP = np.array([1.0, -1.0, -1.0], np.float32)  # the camera's axes to glTF's
_K = {name: i for i, name in enumerate(ARKIT_NAMES)}
_KINDS: dict[str, dict[str, Any]] = {
    "surround": {"alphaMode": "BLEND"},
    "mouth": {"alphaMode": "MASK", "doubleSided": True},
    "skin": {},
}
_UNLIT = "KHR_materials_unlit"
_LOOK_DEG = 35.0  # turn of an eye at coefficient 1, as in render/rig.py


def write_glb(path: Path | str, motion: Motion, portrait: Portrait | None = None) -> None:
    """Write ``motion`` on the face of ``portrait``, or on a generic one, to ``path`` (.glb).

    Raises:
        OutputError: the file cannot be written.
    """
    mesh = generic_mesh() if portrait is None else portrait_mesh(portrait)
    with whole_file(path) as place:
        place.write_bytes(to_glb(mesh, motion))


def to_glb(mesh: FaceMesh, motion: Motion) -> bytes:
    """Return the glTF file of ``mesh`` moving as ``motion`` says."""
    glb = Glb("Visavis")
    materials = _add_materials(glb, mesh)
    face = _add_face(glb, mesh, materials)
    eyes = [_add_eye(glb, mesh, eye, materials) for eye in mesh.eyes]
    head = glb.add("nodes", name="head", children=eyes)
    body = glb.add("nodes", name="body", children=[head])
    glb.add("skins", joints=[body, head], skeleton=body)
    face_node = glb.add("nodes", name="face", mesh=face, skin=0)
    glb.add("scenes", name="Visavis", nodes=[body, face_node])
    glb.set(scene=0, **({"extensionsUsed": [_UNLIT]} if mesh.is_photo else {}))
    _add_animation(glb, mesh, motion, face_node, head, eyes)
    return glb.to_bytes()


def _place(mesh: FaceMesh, points: FloatArray) -> FloatArray:
    """Return ``points`` (..., 3) in pixels as glTF positions in metres."""
    return _length(mesh, points - mesh.pivot)


def _length(mesh: FaceMesh, vectors: FloatArray) -> FloatArray:
    """Return ``vectors`` (..., 3) in pixels as glTF vectors in metres."""
    return (vectors * _FLIP * (0.01 / mesh.px_per_cm)).astype(np.float32)


def _add_face(glb: Glb, mesh: FaceMesh, materials: dict[str, int]) -> int:
    """Append the skinned mesh with its morph targets; all parts share their vertices."""
    positions = _place(mesh, mesh.points)
    normals = _normals(positions, np.concatenate([part.triangles for part in mesh.parts]))
    joints = np.zeros((len(positions), 4), np.uint8)
    joints[:, 1] = mesh.follow > 0
    weights = np.zeros((len(positions), 4), np.float32)
    weights[:, 0], weights[:, 1] = 1 - mesh.follow, mesh.follow
    attributes = {
        "POSITION": glb.array(positions, VERTICES, bounds=True),
        "NORMAL": glb.array(normals, VERTICES),
        "TEXCOORD_0": glb.array(mesh.uv, VERTICES),
        "JOINTS_0": glb.array(joints, VERTICES),
        "WEIGHTS_0": glb.array(weights, VERTICES),
    }
    shapes = _length(mesh, mesh.shapes)
    targets = [{"POSITION": glb.array(shape, VERTICES, bounds=True)} for shape in shapes]
    primitives = [
        {
            "attributes": attributes,
            "targets": targets,
            "indices": glb.array(part.triangles.astype(np.uint16).ravel(), INDICES),
            "material": materials[part.material],
        }
        for part in mesh.parts
    ]
    return glb.add(
        "meshes",
        name="face",
        primitives=primitives,
        weights=[0.0] * len(ARKIT_NAMES),
        extras={"targetNames": list(ARKIT_NAMES)},
    )


def _add_eye(glb: Glb, mesh: FaceMesh, eye: Eyeball, materials: dict[str, int]) -> int:
    """Append one eyeball as a node of its own, to be hung on the head."""
    points = _length(mesh, eye.points - eye.centre)
    primitive = {
        "attributes": {
            "POSITION": glb.array(points, VERTICES, bounds=True),
            "NORMAL": glb.array(points / np.linalg.norm(points, axis=1, keepdims=True), VERTICES),
            "TEXCOORD_0": glb.array(eye.uv, VERTICES),
        },
        "indices": glb.array(eye.triangles.astype(np.uint16).ravel(), INDICES),
        "material": materials[eye.name],
    }
    shape = glb.add("meshes", name=eye.name, primitives=[primitive])
    place = _place(mesh, eye.centre).tolist()
    return glb.add("nodes", name=eye.name, mesh=shape, translation=place)


def _add_materials(glb: Glb, mesh: FaceMesh) -> dict[str, int]:
    """Append textures and materials; return the index of each material."""
    textures = {name: glb.picture(_png(p), name) for name, p in mesh.pictures.items()}
    found = {}
    for name in dict.fromkeys(part.material for part in mesh.parts):
        look: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.75}
        texture = textures.get("skin" if name == "surround" else name)
        if texture is None:
            look["baseColorFactor"] = _CLAY
        else:
            look["baseColorTexture"] = {"index": texture}
        extra = _KINDS.get(name, {"doubleSided": True})
        if mesh.is_photo:  # light and shade are in the photograph
            extra = extra | {"extensions": {_UNLIT: {}}}
        found[name] = glb.add("materials", name=name, pbrMetallicRoughness=look, **extra)
    return found


def _png(picture: ImageArray) -> bytes:
    """Return ``picture`` (h, w, 3 or 4) as a PNG file."""
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".png", cv2.cvtColor(picture, order))[1].tobytes()


def _normals(points: FloatArray, triangles: NDArray[np.int32]) -> FloatArray:
    """Return smooth unit normals (v, 3); points of no triangle face the viewer."""
    corners = points[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(points)
    for corner in triangles.T:
        np.add.at(total, corner, faces)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-20), (0, 0, 1)).astype(np.float32)


def _add_animation(
    glb: Glb, mesh: FaceMesh, motion: Motion, face: int, head: int, eyes: list[int]
) -> None:
    """Append the motion: weights of the face, pose of the head, turn of the eyes."""
    times = glb.array(np.arange(len(motion), dtype=np.float32) / motion.fps, bounds=True)
    weights = np.clip(motion.coefficients, 0, 1)
    close, jaw = _K["mouthClose"], _K["jawOpen"]
    weights[:, close] = np.minimum(weights[:, close], weights[:, jaw])  # as render/rig.py has it
    shift = np.zeros((len(motion), 3), np.float32)
    shift[:, :2] = motion.translation * mesh.unit
    tracks = [
        (face, "weights", weights.ravel()),
        (head, "rotation", _quaternions(np.stack([turn(*r) for r in motion.rotation]))),
        (head, "translation", _length(mesh, shift)),
        (head, "scale", np.repeat(motion.scale[:, None], 3, axis=1)),
    ]
    for node, eye in zip(eyes, mesh.eyes, strict=True):
        tracks.append((node, "rotation", _quaternions(_gaze(eye, weights))))
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for node, path, values in tracks:
        output = glb.array(values.astype(np.float32))
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
    glb.add("animations", name="speech", samplers=samplers, channels=channels)


def _gaze(eye: Eyeball, weights: FloatArray) -> FloatArray:
    """Return the rotations (t, 3, 3) of one eyeball in the camera's axes."""
    side = eye.name.removeprefix("eye_").title()
    inward = weights[:, _K[f"eyeLookIn{side}"]] - weights[:, _K[f"eyeLookOut{side}"]]
    down = weights[:, _K[f"eyeLookDown{side}"]] - weights[:, _K[f"eyeLookUp{side}"]]
    yaw = _LOOK_DEG * inward * (1 if side == "Right" else -1)
    local = [turn(pitch, y, 0.0) for pitch, y in zip(-_LOOK_DEG * down, yaw, strict=True)]
    return eye.axes @ np.stack(local) @ eye.axes.T


def _quaternions(rotations: FloatArray) -> FloatArray:
    """Return glTF's unit quaternions (t, 4) x, y, z, w of rotations (t, 3, 3), camera's axes."""
    r = rotations * _FLIP[:, None] * _FLIP
    w = np.sqrt(np.maximum(1 + np.trace(r, axis1=1, axis2=2), 0)) / 2
    axis = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]], 1)
    q = np.concatenate([axis / (4 * np.maximum(w, 1e-3))[:, None], w[:, None]], axis=1)
    return (q / np.linalg.norm(q, axis=1, keepdims=True)).astype(np.float32)
