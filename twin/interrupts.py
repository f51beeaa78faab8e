"""Ctrl-C while work goes on: noted the first time, so that nothing is left half done; not waiting the second time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, Self


class CtrlC:
    """While it holds, the first Ctrl-C is noted and the second raises `KeyboardInterrupt`.

    In the middle of a statement DuckDB would make an error of its own of it, and in the middle of a
    queue's bookkeeping it could leave a lock behind.

    Attributes
    ----------
    pressed : bool
        Whether there was one.
    wake : callable
        Called at the first, in the signal's handler.
    """

    def __init__(self, wake: Callable[[], object] = bool) -> None:
        self.pressed = False
        self.wake = wake
        self._noted = threading.Event()
        self._before: Any = None

    def __enter__(self) -> Self:
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self._noted.set()
        self.wake()

    def check(self) -> None:
        """Raise if Ctrl-C was pressed."""
        if self.pressed:
            raise KeyboardInterrupt

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until Ctrl-C."""
        self._noted.wait(seconds)
