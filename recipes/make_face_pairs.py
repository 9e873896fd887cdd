"""Make pictures of one made-up person with several expressions, to learn painting from.

``python recipes/make_face_pairs.py --shared ../shared --python VENV/bin/python --out PAIRS`` calls
``../shared/tools/synthetic_faces.py`` (its first lines name the packages it needs, in an
environment of their own: OpenVINO and random-face). The faces belong to nobody. About 0.4 s a
picture on two cores: 400 persons open the mouth, 90 smile and stop smiling, 100 shut and widen the
eyes; 2,500 pictures in 20 minutes. Numbers ending in 0 are never trained on, those in 5 validate.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """``count`` persons from number ``seed`` on, changed by ``amounts`` of the expression ``name``
    in the style layers ``layers`` (first, last + 1).
    """

    folder: str
    name: str
    seed: int
    count: int
    amounts: tuple[float, ...]
    layers: tuple[int, int]


EDITS = (
    Edit("jaw", "jawOpen", 31_000, 400, (1.5, 3, 4.5), (4, 12)),
    Edit("smile", "mouthSmileLeft", 33_000, 90, (-1.3, 1.3), (4, 12)),
    Edit("blink", "eyeBlinkLeft", 34_000, 100, (-2.5, 3, 5), (6, 10)),
)
SIZE = 1024


def command(edit: Edit, shared: Path, python: str, out: Path) -> list[str]:
    """Return the call that makes all pictures of ``edit``."""
    amounts, layers = ([f"{v:g}" for v in values] for values in (edit.amounts, edit.layers))
    return [
        python, str(shared / "tools/synthetic_faces.py"), str(out / edit.folder),
        "--count", str(edit.count), "--size", str(SIZE), "--seed", str(edit.seed),
        "--edit", edit.name, "--amount", *amounts, "--layers", *layers,
    ]  # fmt: skip


def main() -> None:
    """Make all pictures from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--python", default="python", help="an interpreter with OpenVINO")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for edit in EDITS:
        subprocess.run(command(edit, args.shared, args.python, args.out), check=True)


if __name__ == "__main__":
    main()
