"""Bytes for floats: an ONNX network of convolutions -> the same with 8-bit weights and activations.

``python -m visavis.train.quantize --run RUN --data ROWS --part mouth --out refiner_mouth.onnx``
takes what ``visavis train renderer`` wrote. Ranges are those of held-out patches; the last
convolution, whose output is seen, stays in floats. Logs how far the result is off.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from visavis.nn.quantize import to_bytes
from visavis.render.refiner import NO_GATES, compose
from visavis.train.renderer_rows import Patches
from visavis.train.tasks.renderer import KINDS
from visavis.types import FloatArray

log = logging.getLogger(__name__)

CALIBRATED_ON, JUDGED_ON, AT_A_TIME = 64, 64, 4


def quantize(source: Path, out: Path, inputs: FloatArray) -> None:
    """Write the network ``source`` to ``out`` in bytes, with the ranges seen on ``inputs``."""
    parts = np.array_split(inputs, -(-len(inputs) // AT_A_TIME))
    to_bytes(source, out, [{"inputs": part} for part in parts])


def apart(a: Path, b: Path, inputs: FloatArray) -> dict[str, float]:
    """Return how far what ``a`` and ``b`` make of patches is apart, in grey levels."""
    first, second = (np.concatenate(list(_run(path, inputs))) for path in (a, b))
    off = (first - second) * 127.5
    return {
        "painted_rms": round(float(np.sqrt((first**2).mean()) * 127.5), 3),
        "off_rms": round(float(np.sqrt((off**2).mean())), 3),
        "off_most": round(float(np.abs(off).max()), 2),
    }


def _run(path: Path, inputs: FloatArray) -> Iterator[Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for part in np.array_split(inputs, -(-len(inputs) // AT_A_TIME)):
        paint, gates = (*session.run(None, {"inputs": part}), NO_GATES)[:2]
        yield compose(part, paint, gates)


def main() -> None:
    """Quantize from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=sorted(KINDS), required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    held = Patches(args.data, args.part, "validation")
    rows = held.draw(np.random.default_rng(0), CALIBRATED_ON + JUDGED_ON, 0.5)
    inputs = held.batch(rows, None)["inputs"].numpy()
    inputs = np.random.default_rng(1).permutation(inputs)
    quantize(args.run / "model.onnx", args.out, inputs[:CALIBRATED_ON])
    log.info("%s", json.dumps(apart(args.run / "model.onnx", args.out, inputs[CALIBRATED_ON:])))


if __name__ == "__main__":
    main()
