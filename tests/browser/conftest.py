"""A real browser for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab, Voila

from twin import demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = demo.chromium_path()
    if path is None:
        reason = "no Chromium on the path (Debian, Ubuntu: apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=[*demo.CHROMIUM_ARGUMENTS])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Lab]:
    """Start a JupyterLab of its own settings; `browser` comes first, which says why there is none."""
    with Lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def voila(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Voila]:
    with Voila(tmp_path_factory.mktemp("voila")) as server:
        yield server
