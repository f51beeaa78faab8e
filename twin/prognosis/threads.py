"""How many threads models use: one where the work is small, as waking and waiting for another takes longer."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from threadpoolctl import ThreadpoolController

FEW_TO_SCORE = 1_000
"""Rows up to which a score is made by one thread. [choice, measured: 1.3 ms instead of 10.5 for one row]"""
FEW_TO_TRAIN = 200_000
"""Rows up to which one thread trains: two are hardly faster, and on a busy machine many times slower. [choice]"""


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finding the libraries of a process takes milliseconds: once


def alone(rows: int, few: int) -> Any:
    """Return a context in which libraries use one thread where rows are few, and as many as they like otherwise."""
    return _libraries().limit(limits=1) if rows <= few else contextlib.nullcontext()
