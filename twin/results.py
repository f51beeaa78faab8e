"""A run as it lies in the plant: its rows, its truth, its plan, what it cost."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin.catalog.parameters import CHANNELS
from twin.digest import as_text, join, row_digest
from twin.errors import BadRequest, shown, unknown
from twin.events import Events
from twin.plan import Plan
from twin.store import RunRow, Store
from twin.transport import RECEIVED, Transport

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_READABLE = ("machine_id", "ts", *CHANNELS)
_IDENTITY = {"run_id", "name", "policy", "status", "telemetry", "seed", "base_run_id", "world_sha256"}


@dataclass(frozen=True)
class Telemetry:
    """Readings of a run, not yet read: choose the form."""

    _store: Store
    _run_id: int
    _machines: Sequence[int] | None
    _columns: Sequence[str] | None
    _start_us: int | None
    _end_us: int | None
    _transport: Transport | None = None

    def df(self) -> pd.DataFrame:
        """Return a DataFrame, ordered by machine and time (as received: by arrival)."""
        if self._transport is not None:
            return self._received(self._transport).to_pandas()
        return self._store.run_frame(self._run_id, self._machines, self._columns, self._start_us, self._end_us)

    def arrow(self) -> pa.Table:
        """Return an Arrow table, ordered by machine and time (as received: by arrival)."""
        if self._transport is not None:
            return self._received(self._transport)
        return self._store.run_arrow(self._run_id, self._machines, self._columns, self._start_us, self._end_us)

    def _received(self, transport: Transport) -> pa.Table:
        """Return the rows that arrive; what befalls them depends on machine and time, asked for or not."""
        given = list(_READABLE if self._columns is None else self._columns)
        asked = given if RECEIVED in given else [*given, RECEIVED]
        stored = [name for name in dict.fromkeys([*asked, "machine_id", "ts"]) if name != RECEIVED]
        stored = stored if given else []  # which the store refuses
        clean = self._store.run_arrow(self._run_id, self._machines, stored, self._start_us, self._end_us)
        return transport.receive(clean).select(asked)


class RunRecord:
    """A run of the plant: its rows, its truth and its plan.

    Attributes
    ----------
    id : int
        Its number in the plant.
    resumed, reused : bool
        Whether this call went on with an interrupted run, or found the run complete.
    """

    def __init__(self, store: Store, run_id: int, resumed: bool = False, reused: bool = False) -> None:
        self._store = store
        self.id = run_id
        self.resumed, self.reused = resumed, reused

    def __repr__(self) -> str:
        row = self.row
        size = f"{row.committed_rows:,} rows" if row.telemetry else "events"
        return f"<Run {self.id}: {size} of {row.machines} machines, {row.status}>"

    @property
    def row(self) -> RunRow:
        """What the table `runs` says now."""
        return self._store.get_run(self.id)

    @property
    def rows(self) -> int:
        """Rows that are stored."""
        return self.row.committed_rows

    @property
    def status(self) -> str:
        """``running``, ``interrupted``, ``failed`` or ``complete``."""
        return self.row.status

    @property
    def seconds(self) -> float:
        """Time that the simulation took, s (0 while incomplete)."""
        return self.row.wall_s or 0.0

    @property
    def plan(self) -> Plan:
        """What the run was asked to do (of a session that goes on: up to its last stored reading)."""
        row = self.row
        plan = Plan.from_json(row.plan)
        grows = row.live and not row.complete
        return plan.model_copy(update={"end_us": row.start_us + row.ticks * row.interval_us}) if grows else plan

    def digest(self) -> str:
        """Return the digest that was stored when the run was complete."""
        row = self.row
        if row.digest is None:
            raise BadRequest(f"run {self.id} is {row.status}: only a complete run has a digest; simulate it to its end")
        return row.digest

    def recomputed_digest(self) -> str:
        """Return the digest of the rows that are stored now (of a run without telemetry: of its events)."""
        if not self.row.telemetry:
            return self.recomputed_events_digest()
        total = 0
        for table in self._store.read_batches(self.id):
            total = join(total, _table_digest(table))
        return as_text(total)

    def telemetry(
        self,
        machines: Any = None,
        columns: Sequence[str] | None = None,
        start: Any = None,
        end: Any = None,
        transport: Transport | str | None = None,
    ) -> Telemetry:
        """Return telemetry of the run, to be read with ``.df()`` or ``.arrow()``.

        Parameters
        ----------
        machines : str, int or sequence of them, optional
            Names or numbers; all when not given.
        columns : sequence of str, optional
            ``machine_id``, ``ts`` and channels; all when not given.
        start, end : time, optional
            Span of ``ts``, UTC; the end is not included.
        transport : Transport or str, optional
            Return the rows as received, with ``received_at``: some lost, late, twice or out of order,
            for example ``"drop=0.01,delay=5s,seed=7"`` (see `twin.transport`). The stored rows stay clean.
        """
        from twin.times import parse_time

        travelled = Transport.of(transport)
        allowed = _READABLE if travelled is None else (*_READABLE, RECEIVED)
        columns = [columns] if isinstance(columns, str) else columns
        for name in columns or ():
            if name not in allowed:
                raise unknown("column", name, allowed)
        span = [None if t is None else parse_time(t, what) for t, what in ((start, "start"), (end, "end"))]
        if span[0] is not None and span[1] is not None and span[1] <= span[0]:
            raise BadRequest(f"end must be later than start, got {shown(start)} until {shown(end)}")
        return Telemetry(self._store, self.id, self._machine_ids(machines), columns, span[0], span[1], travelled)

    def _machine_ids(self, machines: Any) -> list[int] | None:
        if machines is None or (isinstance(machines, str) and machines == "all"):
            return None
        fleet = self.plan.machines
        if not isinstance(machines, (str, int, Iterable)) or isinstance(machines, (bytes, Mapping)):
            raise BadRequest(f"machines must be a name, an id, a list of them or 'all', got {shown(machines)}")
        wanted = [machines] if isinstance(machines, str | int) else list(machines)
        numbers: dict[str | int, int] = {m.name: m.machine_id for m in fleet}
        numbers |= {m.machine_id: m.machine_id for m in fleet}
        for name in wanted:
            if not isinstance(name, Hashable) or name not in numbers:
                raise unknown("machine of this run", name, (m.name for m in fleet))
        return sorted({numbers[name] for name in wanted})

    def recomputed_events_digest(self) -> str:
        """Return the digest of the failures, the work and the lives that are stored now."""
        events = Events()
        for name, table in (("failures", "failures"), ("log", "maintenance_log"), ("lives", "lives")):
            rows = self._store.rows(table, {"run_id": self.id})
            getattr(events, name).extend({k: v for k, v in row.items() if k != "run_id"} for row in rows)
        return as_text(events.digest())

    def _table(self, table: str, machines: Any = None) -> pd.DataFrame:
        """Return rows of a table of the run by machine and time, with the machines' names."""
        frame = self._store.run_table(self.id, table, self._machine_ids(machines))
        if "machine" not in frame:
            names = {m.machine_id: m.name for m in self.plan.machines}
            frame.insert(1, "machine", frame["machine_id"].map(names).astype("str"))
        return frame

    def truth(self, machines: Any = None) -> pd.DataFrame:
        """Return the hidden condition: operating state, damage, health, remaining useful life."""
        return self._table("ground_truth", machines)

    def failures(self, machines: Any = None) -> pd.DataFrame:
        """Return the functional failures: when, mode, cause."""
        return self._table("failures", machines)

    def alarms(self, machines: Any = None) -> pd.DataFrame:
        """Return what the control systems reported."""
        return self._table("alarms", machines)

    def maintenance(self, machines: Any = None) -> pd.DataFrame:
        """Return the work that was done: when, by whom, for how much."""
        return self._table("maintenance_log", machines)

    def work_orders(self, machines: Any = None) -> pd.DataFrame:
        """Return all tasks of the run, done or not: those that people planned, and those raised in it."""
        return self._table("work_orders", machines)

    def lifetimes(self, machines: Any = None) -> pd.DataFrame:
        """Return the lives of parts as survival libraries read them.

        One row for each machine, failure mode and renewal: ``start, stop`` (age in effective hours;
        start is above 0 for parts that were not new: left truncation), ``event`` (whether this mode
        failed; else censored), ``cause``, and covariates.
        """
        return self._table("lifetimes", machines)

    def machine_lifetimes(self, machines: Any = None) -> pd.DataFrame:
        """Return the times between failures: recurrent, with competing causes, in calendar hours."""
        return self._table("machine_lifetimes", machines)

    def labels(self, machines: Any = None) -> pd.DataFrame:
        """Return for each row of the truth what fails next, in how many hours, and whether within a day or week."""
        return self._table("failure_labels", machines)

    def kpis(self, machines: Any = None) -> pd.DataFrame:
        """Return availability, failures, MTBF, MTTR and costs of each machine."""
        return self._table("kpis", machines)

    def summary(self) -> dict[str, Any]:
        """Return the figures of the whole fleet: failures, downtime, availability, costs."""
        rows = self._store.rows("run_kpis", {"run_id": self.id})
        return {key: value for key, value in rows[0].items() if key not in _IDENTITY} if rows else {}

    def alarm_limits(self) -> pd.DataFrame:
        """Return the limit of each alarm rule on each machine, in the channel's unit."""
        import pandas as pd

        from twin.timeline import compile_plan
        from twin.wearing import compile_wearing

        plan = self.plan
        limits = compile_wearing(plan, compile_plan(plan))[0].rule_limit
        rows = [
            {"machine_id": m.machine_id, "machine": m.name, "code": rule.name, "channel": rule.channel, "limit": limit}
            for m, row in zip(plan.machines, limits.tolist(), strict=True)
            for rule, limit in zip(plan.alarm_rules.values(), row, strict=True)
        ]
        return pd.DataFrame(rows, columns=["machine_id", "machine", "code", "channel", "limit"])

    def energy_kwh(self) -> float:
        """Return the electric energy of the fleet by its reported power, kWh; NaN without telemetry."""
        return self._store.run_energy_kwh(self.id)

    def parting(self, other: RunRecord) -> dict[str, Any]:
        """Return the first moment at which each machine's telemetry differs from another run's, by name.

        Machines whose telemetry agrees bit for bit are left out.
        """
        return self._store.run_parting(self.id, other.id)

    def paired_rows(self) -> list[dict[str, Any]]:
        """Return what `paired` returns, as dicts."""
        row = self.row
        if row.world_sha256 is None:
            return []
        return self._store.rows("run_kpis", {"world_sha256": row.world_sha256, "status": "complete"}, "run_id")

    def paired(self) -> pd.DataFrame:
        """Return the figures of this run and of those that share its fleet, span, seed and conditions, by run."""
        import pandas as pd

        hidden = {"world_sha256", "status", "seed", "machines"}
        rows = [{k: v for k, v in row.items() if k not in hidden} for row in self.paired_rows()]
        return pd.DataFrame(rows).set_index("run_id") if rows else pd.DataFrame()


def _table_digest(table: pa.Table) -> int:
    import numpy as np

    values = np.stack([table[name].to_numpy(zero_copy_only=False) for name in CHANNELS]).astype(np.float32, copy=False)
    ids = table["machine_id"].to_numpy().astype(np.int16, copy=False)
    ts = table["ts"].cast("int64").to_numpy()
    return row_digest(ids, ts, np.ascontiguousarray(values))
