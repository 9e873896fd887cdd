"""Would asking the networks for several sessions at once save work on this machine?

``python benchmarks/batching.py [--times 20]``: processor milliseconds per item of each packaged
network of a live session, for 1, 2, 4 and 8 items a call. JSON last.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import onnxruntime

from visavis.hub import asset
from visavis.machine import cpu_name

NETWORKS = ("motion.onnx", "refiner_mouth.onnx", "refiner_eye.onnx")
SIZES = (1, 2, 4, 8)
FRAMES = 20
"""Frames of a motion window: twelve of context, six new, two ahead."""


def inputs_of(network: Any, items: int) -> dict[str, Any]:
    """Return random inputs for ``items`` items."""
    rng, out = np.random.default_rng(0), {}
    for given in network.get_inputs():
        first, *rest = given.shape
        shape = [items, *(FRAMES if isinstance(side, str) else side for side in rest)]
        out[given.name] = rng.standard_normal(shape).astype(np.float32)
    return out


def item_ms(network: Any, items: int, times: int) -> float:
    """Return processor milliseconds per item."""
    inputs = inputs_of(network, items)
    network.run(None, inputs)
    begin = time.process_time()
    for _ in range(times):
        network.run(None, inputs)
    return 1000 * (time.process_time() - begin) / times / items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    result: dict[str, Any] = {"machine": cpu_name()}
    for name in NETWORKS:
        network = onnxruntime.InferenceSession(
            str(asset(name)), options, providers=["CPUExecutionProvider"]
        )
        result[name] = {str(n): round(item_ms(network, n, args.times), 3) for n in SIZES}
        print(name, result[name], flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
