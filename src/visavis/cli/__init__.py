"""The commands, each a short call into the library: what people and scripts type.

Everything for people goes to the standard error stream or to the terminal; a command's data (raw
frames, the JSON line that ends ``bench`` and ``evaluate``) goes to the standard output.
"""

from visavis.cli import live, making, measuring, models  # each adds its commands
from visavis.cli.app import app, main

__all__ = ["app", "live", "main", "making", "measuring", "models"]
