"""Remaining useful life: when each machine would fail next if no more work began.

Time falls into epochs: in each, no work begins on a machine, so its future is one and its next failure is
known once it has come or was looked for. A repair begins another epoch; what would have happened without
it is looked up before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.layout import NEVER_US
from twin.life_layout import FAILED, FAILURE, Wearing

if TYPE_CHECKING:
    from twin.world import World

HORIZON_US = 10 * 8766 * 3_600_000_000
"""Beyond ten years no failure is foreseen. [choice] Looks go twice as far, so that they serve ten years of rows."""


@dataclass
class _Epoch:
    """A time without intervention, when the machine fails in it, and for rows up to when that is known."""

    start_us: int
    failure_us: int = NEVER_US  # not within the looks so far
    known_us: int = -1


class Foresight:
    """The futures of a world's machines.

    Parameters
    ----------
    world : World
        Whose lives are walked ahead and put back.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._blind = _blind(world.wearing)
        self._epochs = [[_Epoch(world.plan.start_us)] for _ in world.ids]

    @property
    def wanted(self) -> bool:
        """Whether remaining useful lives are wanted."""
        return self._world.wearing.truth_us > 0

    def fulfil(self, m: int, now: int) -> None:
        """Take note that a machine has failed."""
        epoch = self._epochs[m][-1]
        epoch.failure_us, epoch.known_us = now, NEVER_US

    def part(self, m: int, at: int) -> None:
        """Begin another future for a machine on which work begins."""
        self.look([m])
        self._epochs[m].append(_Epoch(at))

    def forget(self) -> None:
        """Forget the futures that are over."""
        self._epochs = [epochs[-1:] for epochs in self._epochs]

    def remaining_h(self, m: int, ts_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the remaining useful life of a machine at times, h; NaN: no failure is foreseen, or none was asked."""
        epochs = self._epochs[m]
        starts = np.array([e.start_us for e in epochs], np.int64)
        failures = np.array([e.failure_us for e in epochs], np.int64)
        left_us = np.maximum(failures[np.searchsorted(starts, ts_us, side="right") - 1] - ts_us, 0)
        foreseen = (left_us <= HORIZON_US) & self.wanted
        return np.where(foreseen, left_us / 3.6e9, np.nan)

    def look(self, machines: list[int]) -> None:
        """Find when machines would fail next where that is not known, and leave them as they were."""
        now, held, w = self._world.lives.state["t_us"], self._world.lives, self._blind
        machines = [m for m in machines if self._epochs[m][-1].known_us < now[m]] if self.wanted else []
        if not machines:
            return
        rows = np.array(machines, np.int64)
        began = dict(zip(machines, held.state["t_us"][rows].tolist(), strict=True))
        faults = np.concatenate([np.arange(*w.fault_first[m : m + 2]) for m in machines]).astype(np.int64)
        kept = [array[faults if array is held.faults else rows].copy() for array in held]
        for m, failure_us in self._failures_ahead(machines).items():
            known_us = began[m] + HORIZON_US if failure_us == NEVER_US else NEVER_US
            self._epochs[m][-1].failure_us, self._epochs[m][-1].known_us = failure_us, known_us
        for array, before in zip(held, kept, strict=True):
            array[faults if array is held.faults else rows] = before

    def _failures_ahead(self, machines: list[int]) -> dict[int, int]:
        """Walk machines on, finishing what is under way, until they fail or the horizon is reached."""
        world, state = self._world, self._world.lives.state
        working = [m for m in machines if m in world.working]
        self._walk(working, [world.free_us[m] for m in working])
        for m in working:
            world.restore(m, world.working[m].action, world.free_us[m])
            world.stand_up(m)
        going = [m for m in machines if state[m]["state"] != FAILED]
        stops = self._walk(going, [int(state[m]["t_us"]) + 2 * HORIZON_US for m in going])
        survive = {m for m, stop in zip(going, stops, strict=True) if stop != FAILURE}
        failed = {m: world.failed_us[m] for m in machines if m not in going}  # long ago, and not repaired since
        ahead = {m: NEVER_US if m in survive else int(state[m]["t_us"]) for m in going}
        return {**failed, **ahead}

    def _walk(self, machines: list[int], targets: list[int]) -> list[int]:
        if not machines:
            return []
        stops = self._world.walk(np.array(machines, np.int64), np.array(targets, np.int64), self._blind)
        return [int(stop) for stop in stops]


def _blind(w: Wearing) -> Wearing:
    """Return the walk without notes and conditions: what would happen if nobody did anything."""
    none = np.empty(0, np.int64)
    trips = np.flatnonzero(w.rule_trip_h > 0)
    return w._replace(
        rule_channel=w.rule_channel[trips],
        rule_limit=w.rule_limit[:, trips],
        rule_back=w.rule_back[trips],
        rule_trip_h=w.rule_trip_h[trips],
        condition_channel=none,
        condition_limit=w.condition_limit[:, :0],
        condition_hold_h=none,
        condition_from_us=none,
        condition_until_us=none,
        truth_us=0,
        keep_truth=False,
        keep_segments=False,
        keep_readings=False,
    )
