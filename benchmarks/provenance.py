"""What provenance and the outputs of a live session cost, on real frames of the demo portrait.

    python benchmarks/provenance.py [--seconds 6] [--large-mb 200]

Per frame of 512 x 512: the badge, a JPEG, H.264 and AAC as fMP4, recording and RTMP encode them.
Per file: signing (which copies it once more) and verifying, and the memory that took. Times are the
processor's, so that a busy machine measures alike. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from visavis.api import frames
from visavis.machine import cpu_name
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH
from visavis.provenance.badge import make_badge
from visavis.provenance.policy import Policy
from visavis.provenance.sign import Facts, sign_file
from visavis.provenance.verify import Status, verify
from visavis.serve.outputs import fmp4, push, record
from visavis.serve.outputs.mjpeg import jpeg
from visavis.serve.outputs.mux import Encoding, LiveMuxer, Pieces
from visavis.stream.moments import Moment
from visavis.timing import percentile
from visavis.types import MOTION_FPS, Phase

RATE = 48_000
BIT_RATE = 2_500_000


def moments(seconds: int) -> list[Moment]:
    """Return real frames, each with a frame's length of noise as sound."""
    noise = np.random.default_rng(0)
    shown = islice(frames(DEMO_PORTRAIT, DEMO_SPEECH), seconds * MOTION_FPS)
    return [
        Moment(
            frame.index,
            frame.image,
            noise.normal(0, 0.05, RATE // MOTION_FPS).astype(np.float32),
            RATE,
            Phase.SPEAKING,
        )
        for frame in shown
    ]


def cpu_ms(call: Callable[[], object]) -> float:
    """Return the processor time ``call`` takes; other programs hardly change that."""
    begin = time.process_time_ns()
    call()
    return (time.process_time_ns() - begin) / 1e6


def per_call(call: Callable[[Moment], object], given: list[Moment]) -> dict[str, float]:
    """Return the median and 95th percentile of ``call`` on each moment, in CPU milliseconds."""
    spent = [cpu_ms(lambda m=moment: call(m)) for moment in given]
    return {"p50_ms": round(percentile(spent, 50), 3), "p95_ms": round(percentile(spent, 95), 3)}


def encoded(encoding: Encoding, given: list[Moment], target: str = "") -> dict[str, float]:
    """Return what encoding costs a frame, and the bits per second that came out."""
    pieces = Pieces()
    muxer = LiveMuxer(target or pieces, encoding, given[0])
    cost = per_call(muxer.write, given)
    muxer.finish()
    size = Path(target).stat().st_size if target else len(pieces.take())
    return {**cost, "kbit_s": round(size * 8 * MOTION_FPS / len(given) / 1000)}


def grown(path: Path, source: Path, megabytes: int) -> None:
    """Write ``source`` to ``path`` with ``megabytes`` of noise after it, as one more media box."""
    size = megabytes * 2**20
    with path.open("wb") as file:
        file.write(source.read_bytes())
        file.write((size + 8).to_bytes(4, "big") + b"mdat")
        for _ in range(megabytes):
            file.write(os.urandom(2**20))


def signed(folder: Path, source: Path, megabytes: int) -> dict[str, float]:
    """Return what signing and verifying a file of about ``megabytes`` costs."""
    plain, out = folder / "plain.mp4", folder / "signed.mp4"
    grown(plain, source, megabytes)
    policy = Policy()
    sign_ms = cpu_ms(lambda: sign_file(plain, out, Facts(DEMO_PORTRAIT), policy))
    verdicts = []
    verify_ms = cpu_ms(lambda: verdicts.append(verify(out, policy)))
    assert verdicts[0].status is Status.INTACT
    size = out.stat().st_size / 2**20
    return {
        "mb": round(size, 1),
        "sign_ms": round(sign_ms, 1),
        "verify_ms": round(verify_ms, 1),
        "sign_ms_per_mb": round(sign_ms / size, 2),
        "added_bytes": out.stat().st_size - plain.stat().st_size,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def import_ms() -> float:
    """Return what importing c2pa costs a fresh process, the median of five."""
    code = (
        "import time, json, ctypes; t = time.perf_counter(); import c2pa;"
        "print((time.perf_counter() - t) * 1e3)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    return round(percentile(runs, 50), 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--large-mb", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = name
        source = folder / "source.mp4"
        shown = moments(given.seconds)
        recorded = encoded(record.encoding(Policy(), "bench"), shown, str(source))
        height, width = shown[0].image.shape[:2]
        badge = make_badge((width, height), Policy())
        large = make_badge((1080, 1080), Policy())
        picture = np.resize(shown[0].image, (1080, 1080, 3))
        result = {
            "benchmark": "provenance",
            "machine": cpu_name(),
            "frames": len(shown),
            "size": [width, height],
            "badge": per_call(lambda m: badge.draw(m.image, m.index), shown),
            "badge_1080": per_call(lambda m: large.draw(picture, m.index), shown),
            "jpeg_80": per_call(lambda m: jpeg(m.image, 80), shown),
            "h264_fmp4": encoded(fmp4.encoding(BIT_RATE), shown),
            "h264_record": recorded,
            "h264_rtmp": encoded(push.encoding(BIT_RATE), shown),
            "c2pa_import_ms": import_ms(),
            "first_sign_ms": signed(folder, source, 1)["sign_ms"],
            "signing": [signed(folder, source, size) for size in (1, 20, given.large_mb)],
        }
    for name, value in result.items():
        print(f"{name}: {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
