"""What has been read before a prognosis looks on: from the plant's file, and from the session's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.errors import TwinError
from twin.live.frames import Frame
from twin.prognosis.live import Prognosis
from twin.store.thinned import thinned


def take_past(session: Any, prognosis: Prognosis) -> None:
    """Let a prognosis take in what a session has read so far, as far as it is kept.

    Where the session's file cannot be read now, its memory has to do.
    """
    spec, stored = prognosis.spec, None
    memory = session.history(session.now_us - session.start_us + session.interval_us)
    reaches_back = memory.ticks and int(memory.ts_us[0]) <= session.start_us
    if session.run_id is not None and not reaches_back:
        until_us = session.start_us + spec.baseline_us + spec.cadence_us
        after_us = session.now_us - spec.window_us - spec.cadence_us * 50
        try:
            stored = _stored(session, prognosis.readings_us, until_us, after_us)
        except TwinError:
            stored = None
    for frame in (stored, memory):
        if frame is not None and frame.ticks:
            prognosis.take(frame, session.interval_us)


def _stored(session: Any, readings_us: int, until_us: int, after_us: int) -> Frame | None:
    """Return what the file holds of a session, as one frame."""
    rows = thinned(session.plant.store, session.run_id, session.interval_us, readings_us, until_us, after_us)
    ids = np.array(sorted(machine.machine_id for machine in session.machines), np.int16)
    ticks = len(rows) // ids.size
    if not ticks or len(rows) != ticks * ids.size:
        return None
    ts = rows["ts"].to_numpy().astype("datetime64[us]").astype(np.int64).reshape(ticks, ids.size)[:, 0]
    values = np.stack([rows[name].to_numpy(np.float32).reshape(ticks, ids.size).T for name in CHANNELS])
    order = np.argsort(np.argsort([machine.machine_id for machine in session.machines]))
    own = np.array([machine.machine_id for machine in session.machines], np.int16)
    return Frame(0, ticks, ts, own, values[:, order])
