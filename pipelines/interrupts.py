"""Ctrl-C in a sweep: once, and what is under way is finished; twice, and it is abandoned."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Self


class CtrlC:
    """While it holds, the first Ctrl-C is noted and the second raises `KeyboardInterrupt`.

    Parameters
    ----------
    wake : callable
        Called at the first Ctrl-C, in the signal's handler.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self.pressed = False
        self._wake = wake
        self._event = threading.Event()
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
        print("\nfinishing the runs under way; Ctrl-C again abandons them", file=sys.stderr)
        self._event.set()
        self._wake()

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until Ctrl-C."""
        self._event.wait(seconds)
