"""What the machine is and how much memory this process holds."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cpu_threads() -> int:
    """Return how many processor threads this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident_mb() -> float:
    """Return this process's resident memory in MiB (its peak where the system tells no more)."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_mb()
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Return the largest resident memory this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
