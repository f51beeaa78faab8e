"""Functions that the tests sweep over; workers import them by name."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd


def spin(x: float = 1.0, seed: int = 0, rounds: int = 2_000) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Work a little, and return figures and a table that depend on nothing but the parameters."""
    state = f"{x!r} {seed}".encode()
    for _ in range(rounds):
        state = hashlib.sha256(state).digest()
    figures = {"x2": x * x, "hash": state.hex(), "nested": {"seed": seed, "odd": bool(seed % 2), "none": None}}
    return figures, {"curve": pd.DataFrame({"i": range(3), "y": [x, 2 * x, 3 * x]})}


def echo(value: Any = None) -> dict[str, Any]:
    return {"text": json.dumps(value, sort_keys=True), "value": value}


def moody(what: str = "fine", flag: str = "", number: int = 0) -> dict[str, Any]:
    """Go wrong in a way of choice; with a flag only while that file is not there."""
    if flag and Path(flag).exists():
        what = "fine"
    elif flag:
        Path(flag).touch()
    print(f"in the mood to {what}")
    if what == "raise":
        raise ValueError("no such luck\nsecond line")
    if what == "exit":
        os._exit(3)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    while what == "hang":
        pass
    return {"number": number} if what != "keep silent" else {}


def memory(i: int = 0) -> dict[str, Any]:
    import numpy as np
    import psutil

    return {"pid": os.getpid(), "i": i, "sum": float(np.ones(100_000).sum()), "rss": psutil.Process().memory_info().rss}


def count_rows(db: str) -> dict[str, Any]:
    from twin.plant import Plant

    return Plant.open(db, read_only=True).counts()
