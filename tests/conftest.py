"""What all tests share: the marker `fast`, and how hypothesis runs."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", **_COMMON)
settings.register_profile("ci", derandomize=True, print_blob=True, **_COMMON)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast whatever is neither slow nor in need of a browser."""
    for item in items:
        if not any(item.iter_markers("slow")) and not any(item.iter_markers("browser")):
            item.add_marker(pytest.mark.fast)
