"""The rows of a session on their way into the file: on a thread of its own, so that no disk slows the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twin.errors import TwinError
from twin.events import Events
from twin.live.frames import Frame, joined
from twin.plan import Plan
from twin.recording import Recording
from twin.store import Store, Transaction, replace_events

COMMIT_S = 0.8
"""Longest time between two commits, s: rows that were seen are stored within a second."""
MOST_ROWS = 4_000_000
"""Rows that may wait for a file that others hold, before the session pauses."""


@dataclass
class Batch:
    """What is stored together.

    Attributes
    ----------
    frames, commands : list
        Readings, and the rows of the commands that came before the last of them.
    state : bytes
        The simulation's state after the readings.
    plan : Plan or None
        What the plan has become, if commands have changed it.
    events : Events or None
        All that has happened up to then, if that is to be written again.
    """

    frames: list[Frame] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    state: bytes = b""
    plan: Plan | None = None
    events: Events | None = None
    modes: tuple[str, ...] = ()
    event_plan: Plan | None = None

    def rows(self) -> int:
        """Return how many readings it holds."""
        return sum(frame.ticks * frame.machine_ids.size for frame in self.frames)

    def add(self, later: Batch) -> None:
        """Take over what came after."""
        self.frames += later.frames
        self.commands += later.commands
        self.state = later.state
        self.plan = later.plan or self.plan
        if later.events is not None:
            self.events, self.modes, self.event_plan = later.events, later.modes, later.event_plan


class Recorder:
    """Stores what a session makes, batch by batch.

    Parameters
    ----------
    store : Store
        The plant's file.
    plan : Plan
        What the session begins with.
    name : str
        What people call the run.
    trouble : callable
        Told, on the recorder's thread, why rows could not be stored.
    resume : int, optional
        Go on with this run.
    """

    def __init__(
        self, store: Store, plan: Plan, name: str, trouble: Callable[[str], None], resume: int | None = None
    ) -> None:
        self._store, self._name, self._trouble = store, name, trouble
        self._recording = Recording(store, plan, name, resume)
        self._waiting = Batch()
        self._changed = threading.Condition()
        self._closing = False
        self._stuck = self._busy = False
        self._began = time.monotonic()
        self.events_s = 0.0  # what writing the events took last
        self.stored = self._recording.tick
        self._thread = threading.Thread(target=self._work, name="twin-recorder", daemon=True)
        self._thread.start()

    @property
    def run_id(self) -> int:
        """Number of the run."""
        return self._recording.run_id

    @property
    def state(self) -> bytes | None:
        """The simulation's state where a run stands that is gone on with."""
        return self._recording.state

    def put(self, batch: Batch) -> bool:
        """Store a batch soon, and return whether there is room for more."""
        with self._changed:
            self._waiting.add(batch)
            self._changed.notify_all()
            return self._waiting.rows() < MOST_ROWS

    def retry(self) -> None:
        """Try again what could not be stored."""
        with self._changed:
            self._stuck = False
            self._changed.notify_all()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that was put is stored, and return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle() or self._stuck, timeout_s) and not self._stuck

    def close(self, timeout_s: float = 90.0) -> str | None:
        """Store what is left and complete the run; return why that could not be done, if so."""
        with self._changed:
            self._closing, self._stuck = True, False
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return f"run {self.run_id} is still waiting for its file"
        try:
            if not self._idle():
                return f"run {self.run_id} keeps {self.stored} ticks; the rest could not be stored"
            self._recording.close(time.monotonic() - self._began, self._waiting.commands)
        except TwinError as error:
            return str(error)
        return None

    def _idle(self) -> bool:
        return not self._waiting.frames and not self._busy

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or (self._waiting.frames and not self._stuck))
                if not self._waiting.frames:
                    return
                batch, self._waiting, self._busy = self._waiting, Batch(), True
            failed = self._store_batch(batch)
            with self._changed:
                self._busy = False
                if failed is not None:
                    batch.add(self._waiting)
                    self._waiting, self._stuck = batch, True
                self._changed.notify_all()
                if failed is not None and self._closing:
                    return
            if failed is not None:
                self._trouble(failed)

    def _store_batch(self, batch: Batch) -> str | None:
        frame = joined(batch.frames)
        assert frame is not None

        def happened(tx: Transaction, run_id: int) -> None:
            if batch.events is not None and batch.event_plan is not None:
                began = time.monotonic()
                replace_events(tx, run_id, batch.events, batch.event_plan, batch.modes)
                self.events_s = time.monotonic() - began

        try:
            self._recording.append(
                frame.values, frame.machine_ids, frame.ts_us, batch.state, batch.plan, batch.commands, happened
            )
        except TwinError as error:
            return str(error)
        except Exception as error:  # whatever it is, the session goes on and says so
            return f"internal error: {type(error).__name__}: {error}"
        self.stored = self._recording.tick
        return None
