"""Puts an exported latent model into the package, as small as it is shipped.

    python recipes/pack_latent.py --model FOLDER [--out src/visavis/assets/latent]

``FOLDER`` is what recipes/export_latent.py or visavis.train.quantize_video wrote. The manifest
beside ``--out`` is told the new SHA-256 of each file. Measure first (benchmarks/video.py), and
write the card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from visavis.train.export_video import pack_latent

ASSETS = Path(__file__).parent.parent / "src/visavis/assets"


def main() -> None:
    """Pack from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ASSETS / "latent")
    args = parser.parse_args()
    files = pack_latent(args.model, args.out)
    manifest = args.out.parent / "manifest.json"
    known = json.loads(manifest.read_text("utf-8")) if manifest.is_file() else {}
    for path in files:
        known[f"{args.out.name}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", "utf-8")
    print(json.dumps({"bytes": {path.name: path.stat().st_size for path in files}}))


if __name__ == "__main__":
    main()
