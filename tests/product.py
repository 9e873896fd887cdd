"""Where things are, and the command line as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def visavis(*words: str, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``visavis`` with ``words`` in ``folder``."""
    command = [sys.executable, "-m", "visavis", *words]
    options = {"text": True, "timeout": 120} | options
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, **options)
