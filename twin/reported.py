"""What a policy's function is shown: what has been reported so far, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class Reported:
    """The plant as its operators see it at a time; the frames are made when they are asked for, and are copies.

    Attributes
    ----------
    now : datetime
        The time of the decision, UTC.
    began : datetime
        When the run began, UTC.
    """

    def __init__(self, now: dt.datetime, began: dt.datetime, makers: Mapping[str, Callable[..., pd.DataFrame]]) -> None:
        self.now, self.began = now, began
        self._makers = dict(makers)

    @cached_property
    def machines(self) -> pd.DataFrame:
        """``machine_id, machine, machine_type, iso_class``."""
        return self._makers["machines"]()

    @cached_property
    def telemetry(self) -> pd.DataFrame:
        """Readings of the rule's `history` before now: ``machine_id, ts`` and channels; none without telemetry."""
        return self._makers["telemetry"]()

    @cached_property
    def hourly(self) -> pd.DataFrame:
        """Hourly means as the control system keeps them, since the run's start: ``machine_id, ts`` and channels."""
        return self._makers["hourly"]()

    def hourly_between(self, since: dt.datetime, until: dt.datetime | None = None) -> pd.DataFrame:
        """Return the hourly means after a time and up to another (by default now), without making the others."""
        return self._makers["hourly"](since, until)

    @cached_property
    def alarms(self) -> pd.DataFrame:
        """``machine_id, ts, code, level, value``, since the run's start."""
        return self._makers["alarms"]()

    @cached_property
    def log(self) -> pd.DataFrame:
        """Work that is done: ``machine_id, start_at, end_at, action, technician_id, cost``."""
        return self._makers["log"]()

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """Work that is planned or under way: ``machine_id, action, due_at, status, priority, origin``."""
        return self._makers["tasks"]()
