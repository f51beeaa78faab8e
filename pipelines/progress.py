"""How a sweep shows where it stands: a bar for people, lines of JSON for machines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Say = Callable[[dict[str, Any]], None]


class Progress:
    """Where a sweep stands.

    Parameters
    ----------
    total, done, failed : int
        Runs in all, and of these complete and failed before this sweep began.
    bar : bool
        Whether to draw a bar, in terminal or notebook.
    say : callable, optional
        Is given one mapping for the start, for each run and for the end.
    """

    def __init__(self, total: int, done: int, failed: int, bar: bool, say: Say | None = None) -> None:
        from tqdm.auto import tqdm

        self.total, self.done, self.failed, self.running = total, done, failed, 0
        self._began, self._made = time.monotonic(), 0
        self._say = say or (lambda _: None)
        self._bar = tqdm(desc="sweep", total=total, initial=done + failed, unit="run", leave=True, disable=not bar)
        self._show()

    def event(self, kind: str, **more: Any) -> None:
        """Tell a machine."""
        self._say({"event": kind, **more})

    def run_ended(self, outcome: dict[str, Any]) -> None:
        """Count a run that ended, and tell of it."""
        self._made += 1
        self.done += outcome["status"] == "complete"
        self.failed += outcome["status"] == "failed"
        self._bar.update(1)
        self._show()
        self.event("run", **outcome, **self.state())

    def others(self, done: int, failed: int) -> None:
        """Take over what another sweep has done meanwhile."""
        if (done, failed) != (self.done, self.failed):
            self._bar.update(done + failed - self.done - self.failed)
            self.done, self.failed = done, failed
            self._show()

    def at_work(self, running: int) -> None:
        """Note how many runs are under way."""
        if running != self.running:
            self.running = running
            self._show()

    def state(self) -> dict[str, Any]:
        """Return the numbers: counts, rate in runs/s, and seconds left."""
        elapsed = time.monotonic() - self._began
        rate = self._made / elapsed if elapsed > 0 and self._made else None
        left = self.total - self.done - self.failed
        return {
            "runs": self.total,
            "done": self.done,
            "running": self.running,
            "failed": self.failed,
            "rate_per_s": None if rate is None else round(rate, 3),
            "left_s": None if rate is None else round(left / rate, 1),
        }

    def _show(self) -> None:
        self._bar.set_postfix_str(f"done {self.done}, running {self.running}, failed {self.failed}", refresh=False)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.refresh() if not self._bar.disable else None
        self._bar.close()
