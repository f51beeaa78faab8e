"""The folders of a worker go, also while one of its threads is still writing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path

import pytest

from pipelines import scratch


def test_a_folder_goes_while_somebody_writes_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(20):
        place, begun, over = scratch.new_folder(), threading.Event(), threading.Event()

        def write(place: Path = place, begun: threading.Event = begun, over: threading.Event = over) -> None:
            number = 0
            while not over.is_set():
                with contextlib.suppress(OSError):
                    inner = place / f"run-{number}"
                    inner.mkdir()
                    (inner / "part").write_text("x")
                number += 1
                if number == 50:
                    begun.set()

        thread = threading.Thread(target=write)
        thread.start()
        assert begun.wait(30)
        scratch.left_behind(os.getpid())
        left = list(tmp_path.iterdir())
        over.set()
        thread.join()
        assert left == []


def test_folders_of_other_processes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine, other = scratch.new_folder(), tmp_path / f"twin-w{os.getpid() + 1}-abc"
    other.mkdir()
    scratch.left_behind(os.getpid())
    assert not mine.exists()
    assert other.exists()
