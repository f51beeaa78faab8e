"""A real browser for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab, Voila

from twin import bench_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if bench_browser.chromium_path() is None:
        reason = "no Chromium on the path (Debian, Ubuntu: apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with bench_browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Lab]:
    """Start a JupyterLab of its own settings; `browser` comes first, which says why there is none."""
    with Lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def voila(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Voila]:
    with Voila(tmp_path_factory.mktemp("voila")) as server:
        yield server
