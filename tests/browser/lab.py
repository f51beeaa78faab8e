"""JupyterLab and Voila in a real browser, as the tests of this folder use them.

The servers themselves are those of the benchmark: what is measured is what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

from twin.bench_browser import Lab, LabPage, Page, Voila

__all__ = ["Lab", "LabPage", "Page", "Voila", "opened", "stored"]


@contextmanager
def opened(server: Lab | Voila, browser: Any, name: str, **options: Any) -> Iterator[Any]:
    """Open a notebook, and close its page at the end."""
    page = server.open(browser, name, **options)
    try:
        yield page
    finally:
        page.close()


def stored(server: Lab, name: str) -> tuple[int, list[Any]]:
    """Return the size of a saved notebook in bytes, and its cells."""
    path: Path = server.folder / name
    return path.stat().st_size, nbformat.read(path, as_version=4).cells
