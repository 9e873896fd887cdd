"""The container of glTF 2.0 in one file (.glb): JSON, then one buffer of arrays and pictures.

Khronos, glTF 2.0 specification (ISO/IEC 12113:2022): chunks and accessors start at multiples of
four bytes; positions and times carry their bounds.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERTICES, INDICES = 34962, 34963
"""What an array is for: attributes of vertices, or corners of triangles."""

_MAGIC, _VERSION = b"glTF", 2
_JSON, _BINARY = b"JSON", b"BIN\0"
_COMPONENTS = {"uint8": 5121, "uint16": 5123, "float32": 5126}
_SHAPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class Glb:
    """A glTF file while it is being put together; every ``add`` returns the new thing's index."""

    def __init__(self, generator: str) -> None:
        """Start an empty file made by ``generator``."""
        self._content: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator}}
        self._buffer = bytearray()

    def add(self, section: str, **item: Any) -> int:
        """Append ``item`` to the list ``section`` (nodes, meshes, materials, ...)."""
        items = self._content.setdefault(section, [])
        items.append(item)
        return len(items) - 1

    def set(self, **values: Any) -> None:
        """Set values of the file itself: scene, extensionsUsed."""
        self._content.update(values)

    def array(self, values: NDArray[Any], target: int | None = None, bounds: bool = False) -> int:
        """Append an accessor of ``values`` (n,) or (n, 2..4): uint8, uint16 or float32.

        ``target`` says what it is for (``VERTICES``, ``INDICES`` or neither), ``bounds`` asks for
        its smallest and largest values.
        """
        rows = np.ascontiguousarray(values.reshape(len(values), -1))
        view = self._view(rows.astype(rows.dtype.newbyteorder("<")).tobytes(), target)
        limits = {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()} if bounds else {}
        return self.add(
            "accessors",
            bufferView=view,
            componentType=_COMPONENTS[rows.dtype.name],
            count=len(rows),
            type=_SHAPES[rows.shape[1]],
            **limits,
        )

    def picture(self, png: bytes, name: str) -> int:
        """Append a texture of the PNG file ``png``, smooth and held at its edges."""
        image = self.add(
            "images", bufferView=self._view(png, None), mimeType="image/png", name=name
        )
        if "samplers" not in self._content:
            self.add("samplers", magFilter=9729, minFilter=9987, wrapS=33071, wrapT=33071)
        return self.add("textures", source=image, sampler=0)

    def _view(self, data: bytes, target: int | None) -> int:
        start = len(self._buffer)
        self._buffer += data + bytes(-len(data) % 4)
        purpose = {} if target is None else {"target": target}
        return self.add("bufferViews", buffer=0, byteOffset=start, byteLength=len(data), **purpose)

    def to_bytes(self) -> bytes:
        """Return the whole file."""
        content = self._content | {"buffers": [{"byteLength": len(self._buffer)}]}
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = b"".join(
            struct.pack("<I", len(chunk)) + kind + chunk
            for kind, chunk in ((_JSON, text), (_BINARY, bytes(self._buffer)))
        )
        return _MAGIC + struct.pack("<II", _VERSION, 12 + len(chunks)) + chunks
