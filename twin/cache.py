"""Where compiled kernels are kept between processes.

Numba's cache does not notice a change of a helper in another file, so its folder is named by a
hash of the package's sources; where the user's cache cannot be written, a temporary one serves.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

SOURCES = (
    "portable.py",
    "borrow.py",
    "noise.py",
    "physics.py",
    "layout.py",
    "inputs.py",
    "instruments.py",
    "kernel.py",
    "wear.py",
    "life_layout.py",
    "parts.py",
    "monitor.py",
    "lives.py",
    "digest.py",
    "catalog/parameters.py",
)
_TEMPORARY = Path(tempfile.gettempdir())


def source_hash() -> str:
    """Return a hash of the sources that are compiled."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in SOURCES)).hexdigest()[:16]


@cache
def folder() -> str:
    """Return the folder for compiled kernels; it exists and can be written.

    ``NUMBA_CACHE_DIR`` is taken where it is set, then the user's cache, then a temporary folder.
    """
    from platformdirs import user_cache_dir

    chosen = os.environ.get("NUMBA_CACHE_DIR")
    bases = [Path(chosen)] if chosen else []
    bases += [Path(user_cache_dir("pdm-twin")), _TEMPORARY / f"pdm-twin-{os.environ.get('USER', 'user')}"]
    for base in bases:
        place = base / f"numba-{source_hash()}"
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return str(place)
    return tempfile.mkdtemp(prefix="pdm-twin-")


def is_warm() -> bool:
    """Return whether the kernel has been compiled for this version before."""
    return any(Path(folder()).rglob("*.nbc"))


def cached_njit(function: Callable[..., Any]) -> Any:
    """Compile a function once for all processes: `numba.njit` without the GIL, kept in `folder`."""
    import numba
    from numba import config

    before = config.CACHE_DIR
    config.CACHE_DIR = folder()  # read when the function is wrapped; restored for the user's own
    try:
        return numba.njit(error_model="numpy", nogil=True, cache=True)(function)
    finally:
        config.CACHE_DIR = before
