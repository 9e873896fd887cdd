"""The sizes of networks, frozen dataclasses, as JSON beside their weights."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, TypeVar

from visavis.errors import WeightsMismatch

T = TypeVar("T")


def written(sizes: Any) -> str:
    """Return the dataclass ``sizes`` as JSON."""
    return json.dumps(asdict(sizes))


def read(kind: type[T], text: str, remedy: str) -> T:
    """Return the dataclass of ``kind`` that ``written`` wrote; lists become tuples.

    Raises:
        WeightsMismatch: ``text`` holds something else; ``remedy`` says what to do.
    """
    try:
        given: dict[str, Any] = json.loads(text)
        if not isinstance(given, dict) or set(given) != {f.name for f in fields(kind)}:  # type: ignore[arg-type]
            raise ValueError("its names are others")
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    except (ValueError, TypeError) as reason:
        raise WeightsMismatch(
            f"The sizes of the network cannot be read ({reason}): {text[:80]!r}. {remedy}"
        ) from reason
