"""The folders of a worker on its own machine: named after its process, so that whoever sees it die can remove them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

_GONE = ".gone"
_TRIES = 5


_door, _left = threading.Lock(), threading.Event()  # of this process, which ends once


def new_folder() -> Path:
    """Make a folder for this process; a short path, since that of a socket has 100 characters at most.

    Raises
    ------
    FileNotFoundError
        If the process is about to end: nobody would remove it.
    """
    with _door:
        if _left.is_set():
            raise FileNotFoundError("this worker is ending: it makes no folders any more")
        return Path(tempfile.mkdtemp(prefix=_prefix(os.getpid())))


def leave() -> None:
    """End this process's kernels and remove its folders; for ends that run nothing else."""
    with _door:
        _left.set()
    kernels = sys.modules.get("pipelines.kernels")
    if kernels is not None:
        kernels.end_all()
    left_behind(os.getpid())


def left_behind(pid: int) -> None:
    """Remove the folders of a worker that has ended, or is about to.

    They are renamed first: a thread that is still at work finds no place to write into while they are removed.
    """
    home = Path(tempfile.gettempdir())
    for _ in range(_TRIES):
        found = list(home.glob(f"{_prefix(pid)}*"))
        if not found:
            return
        for place in found:
            gone = place if place.name.endswith(_GONE) else place.with_name(f"{place.name}{_GONE}")
            with contextlib.suppress(OSError):
                place.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def _prefix(pid: int) -> str:
    return f"twin-w{pid}-"
