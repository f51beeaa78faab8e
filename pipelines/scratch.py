"""The folders of a worker on its own machine: named after its process, so that whoever sees it die can remove them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path


def new_folder() -> Path:
    """Make a folder for this process; a short path, since that of a socket has 100 characters at most."""
    return Path(tempfile.mkdtemp(prefix=_prefix(os.getpid())))


def leave() -> None:
    """End this process's kernels and remove its folders; for ends that run nothing else."""
    kernels = sys.modules.get("pipelines.kernels")
    if kernels is not None:
        kernels.end_all()
    left_behind(os.getpid())


def left_behind(pid: int) -> None:
    """Remove the folders of a worker that has ended, or is about to."""
    for place in Path(tempfile.gettempdir()).glob(f"{_prefix(pid)}*"):
        shutil.rmtree(place, ignore_errors=True)


def _prefix(pid: int) -> str:
    return f"twin-w{pid}-"
