"""What makes a run the same run: hashes of parameters, template, catalog and code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import twin
from twin.store import Store
from twin.store.experiments import definitions_text

ID_LENGTH = 16
_SURFACE = re.compile(r"((cli|bench)(_\w+)?|demo|__main__)\.py|live/.*")
"""Modules of the package that no result depends on; not ``lives.py``, which is a kernel."""


@cache
def code_sha256(package: Path | None = None) -> str:
    """Return a hash of the package, but for its command line, its measurements and its live session."""
    root = package or Path(twin.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix in {".py", ".toml", ".sql"} and not _SURFACE.fullmatch(name):
            total.update(name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def catalog_sha256(store: Store) -> str:
    """Return a hash of all that simulations of a plant depend on: fleet, catalog and what is planned."""
    return hashlib.sha256(definitions_text(store).encode()).hexdigest()


def run_id(experiment: str, parameters: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """Return the name of a run.

    Parameters
    ----------
    experiment : str
        The experiment, so that to remove one never takes a run away from another.
    parameters, hashes : mapping
        The run's parameters; ``template_sha256``, ``catalog_sha256`` and ``code_sha256``.
    """
    text = json.dumps([experiment, parameters, dict(hashes)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
