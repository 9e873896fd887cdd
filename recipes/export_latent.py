"""Writes a trained latent model as a folder for ``visavis animate --model FOLDER``.

    python recipes/export_latent.py --networks networks.safetensors --codec codec.safetensors \
        --out latent [--steps 1] [--start previous --strength 0.9] [--context 0.05]

``networks.safetensors`` is what ``visavis train video`` and its stages leave beside ``state.pt``,
``codec.safetensors`` what ``visavis train vae`` leaves. How clips begin must be as in training.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path

from visavis.train.export_video import export_latent
from visavis.video.rolling import Rolling


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("networks", "codec", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--speech", type=float, default=1.0, help="guidance of a base model: 2")
    parser.add_argument("--longest", type=int, default=16, help="frames of the longest clips")
    for field in fields(Rolling):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default)
    args = vars(parser.parse_args())
    rolling = Rolling(**{field.name: args[field.name] for field in fields(Rolling)})
    paths = (args[name] for name in ("networks", "codec", "out"))
    files = export_latent(*paths, rolling, args["longest"], args["speech"])
    print(json.dumps({"files": {str(path): path.stat().st_size for path in files}}))


if __name__ == "__main__":
    main()
