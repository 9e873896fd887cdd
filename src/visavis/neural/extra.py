"""What the neural path needs besides the plain install, and what to do if it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from visavis.errors import MissingExtra

_PACKAGES = ("torch", "safetensors", "onnx", "onnxscript")


@contextmanager
def extra() -> Iterator[None]:
    """Say which extra to install if an import in the block finds a package missing.

    Raises:
        MissingExtra: it belongs to the neural path.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise MissingExtra(
            f'The published networks need {error.name}: pip install "visavis[neural]".'
        ) from error
