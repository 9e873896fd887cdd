"""Lets the tests of this folder import what they share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what is seen in a real browser a second try: two cores run it, the server and x264.

    A try that fails is shown as R; look at it when the same one comes up again.
    """
    for item in items:
        if {"browser", "visit", "page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.flaky(reruns=1))
