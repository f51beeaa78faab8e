"""What a policy's function is shown: what has been reported so far, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd


@dataclass(frozen=True)
class Reported:
    """The plant as its operators see it at a time; the frames are copies.

    Attributes
    ----------
    now : datetime
        The time of the decision, UTC.
    machines : DataFrame
        ``machine_id, machine, machine_type, iso_class``.
    telemetry : DataFrame
        Readings of the rule's `history` before now (``machine_id, ts`` and channels); empty in a run
        without telemetry.
    hourly : DataFrame
        Hourly means as the control system keeps them, since the run's start.
    alarms : DataFrame
        ``machine_id, ts, code, level, value``, since the run's start.
    log : DataFrame
        Work that is done: ``machine_id, start_at, end_at, action, cost`` and more.
    tasks : DataFrame
        Work that is planned or under way: ``machine_id, action, due_at, status``.
    """

    now: dt.datetime
    machines: pd.DataFrame
    telemetry: pd.DataFrame
    hourly: pd.DataFrame
    alarms: pd.DataFrame
    log: pd.DataFrame
    tasks: pd.DataFrame
