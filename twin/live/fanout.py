"""One session, any number of watchers: each has a bounded buffer of its own, and none slows the rest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest
from twin.live.frames import Frame, joined

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MOST_FRAMES = 64


class Subscription:
    """A bounded buffer of frames; from a slow reader's the oldest fall out.

    Attributes
    ----------
    dropped : int
        Frames that fell out unread.
    error : str or None
        Why its callback was given up.
    closed : bool
    """

    def __init__(self, frames: int = MOST_FRAMES, callback: Callable[[Frame], object] | None = None) -> None:
        if not isinstance(frames, int) or isinstance(frames, bool) or not 1 <= frames <= 100_000:
            raise BadRequest(f"frames must be a whole number from 1 to 100000, got {frames!r}")
        self._frames: deque[Frame] = deque()
        self._most = frames
        self._changed = threading.Condition()
        self._callback = callback
        self.dropped = 0
        self.error: str | None = None
        self.closed = False
        self._thread: threading.Thread | None = None
        if callback is not None:
            self._thread = threading.Thread(target=self._call, name="twin-subscriber", daemon=True)
            self._thread.start()

    def put(self, frame: Frame) -> None:
        """Take a frame; never waits."""
        with self._changed:
            if self.closed:
                return
            if len(self._frames) == self._most:
                self._frames.popleft()
                self.dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> list[Frame]:
        """Return the frames that wait, oldest first; wait for one up to `timeout_s` (None: as long as it takes)."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self.closed, timeout=timeout_s)
            frames = list(self._frames)
            self._frames.clear()
            return frames

    def close(self) -> None:
        """Take no more frames; what waits can still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until a closed subscription's callback has had all frames."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _call(self) -> None:
        assert self._callback is not None
        while frames := self.take():
            for frame in frames:
                try:
                    self._callback(frame)
                except Exception as error:
                    self.error = f"{type(error).__name__}: {error}"
                    self.close()
                    return


class Fanout:
    """The subscriptions of a session."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._lock = threading.Lock()

    def add(self, subscription: Subscription) -> Subscription:
        """Let a subscription have the frames from now on."""
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def put(self, frame: Frame) -> None:
        """Give a frame to all who still want it."""
        with self._lock:
            self._subscriptions = [s for s in self._subscriptions if not s.closed]
            listening = list(self._subscriptions)
        for subscription in listening:
            subscription.put(frame)

    def close(self) -> None:
        """Close all subscriptions."""
        with self._lock:
            closing, self._subscriptions = self._subscriptions, []
        for subscription in closing:
            subscription.close()


class ParquetSink:
    """A callback that writes frames to a Parquet file as they come.

    Parameters
    ----------
    path : path
        The file to write; its directory must exist.
    ticks : int
        Readings of each machine that are gathered before they are written.
    """

    def __init__(self, path: str | Path, ticks: int = 600) -> None:
        self._path = Path(path)
        if not self._path.parent.is_dir():
            raise BadRequest(f"there is no directory {self._path.parent} to write {self._path.name} into")
        self._ticks = ticks
        self._frames: list[Frame] = []
        self._writer: pq.ParquetWriter | None = None

    def __call__(self, frame: Frame) -> None:
        """Take a frame."""
        self._frames.append(frame)
        if sum(f.ticks for f in self._frames) >= self._ticks:
            self._write()

    def close(self) -> None:
        """Write what is left, and end the file."""
        self._write()
        if self._writer is not None:
            self._writer.close()

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole, self._frames = joined(self._frames), []
        if whole is None or not whole.ticks:
            return
        columns: dict[str, Any] = {
            "machine_id": pa.array(np.repeat(whole.machine_ids, whole.ticks)),
            "ts": pa.array(np.tile(whole.ts_us, whole.machine_ids.size), pa.timestamp("us")),
        }
        for c, name in enumerate(CHANNELS):
            column = whole.values[c].ravel()
            columns[name] = pa.array(column, mask=np.isnan(column))
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)
