"""The plant: what a person holds in a notebook, and what the command line calls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from twin.errors import BadRequest, shown
from twin.plant_base import Machines, Row, Rows
from twin.plant_catalog import (
    AlarmRuleCollection,
    MachineTypeCollection,
    MaintenanceActionCollection,
    TechnicianCollection,
)
from twin.plant_failures import FailureModeCollection
from twin.plant_machines import MAX_MACHINES, MachineCollection
from twin.plant_maintenance import MaintenanceCollection
from twin.plant_runs import RunCollection
from twin.plant_scenarios import ScenarioCollection
from twin.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from twin.catalog.models import Profile
    from twin.plan import Plan
    from twin.policy import PolicyLike
    from twin.run import Run
    from twin.transport import Transport

DEFAULT_PATH = "data/plant.duckdb"
COUNTED = ("machines", "scenarios", "failure_modes", "technicians", "maintenance_tasks")


class Plant:
    """A fleet of machines with all that is planned for it and all that was simulated.

    Made by `Plant.open` (or `twin.open`). Nothing keeps the file open between two calls, so that
    other processes can use it too.

    Attributes
    ----------
    machines, machine_types, scenarios, failure_modes, maintenance, maintenance_actions, technicians, alarm_rules, runs
        Collections with ``list``, ``get``, ``create``, ``update`` and ``delete``.
    path : Path
        The DuckDB file.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(
        cls,
        path: str | Path = DEFAULT_PATH,
        machines: int = 12,
        sample: bool = True,
        read_only: bool = False,
        create: bool = True,
    ) -> Self:
        """Open a plant.

        Parameters
        ----------
        path : path
            A DuckDB file. If it does not exist, a plant is created there.
        machines : int
            Machines of a new sample plant.
        sample : bool
            Whether a new plant is the sample plant, or has no machines, tasks and technicians.
        read_only : bool
            Refuse every change, and do not create.
        create : bool
            Whether to create a plant that does not exist.
        """
        place = _path(path)
        if place.exists():
            return cls(Store.open(place, read_only=read_only))
        if read_only or not create:
            raise BadRequest(f"there is no plant at {place}; create one with: twin init --db {place}")
        return cls.create(place, machines=machines, sample=sample)

    @classmethod
    def create(cls, path: str | Path = DEFAULT_PATH, machines: int = 12, sample: bool = True) -> Self:
        """Create a plant; an existing file is not touched.

        Parameters
        ----------
        path : path
            The DuckDB file to make; its directory is made where missing.
        machines : int
            Machines of the sample plant, 1 to 32,767.
        sample : bool
            False: no machines, tasks and technicians, only the catalog.
        """
        place = _path(path)
        if isinstance(machines, bool) or not isinstance(machines, int) or not 1 <= machines <= MAX_MACHINES:
            raise BadRequest(f"machines must be an integer from 1 to {MAX_MACHINES}, got {shown(machines)}")
        if place.exists():
            raise BadRequest(f"{place} exists already; choose another path, or delete it first")
        from twin.plant_sample import fill

        return cls(Store.create(place, fill=lambda tx: fill(tx, machines if sample else 0)))

    @property
    def path(self) -> Path:
        """The plant's DuckDB file."""
        return self.store.path

    @cached_property
    def machines(self) -> MachineCollection:
        """The machines."""
        return MachineCollection(self.store)

    @cached_property
    def machine_types(self) -> MachineTypeCollection:
        """The kinds of machines."""
        return MachineTypeCollection(self.store)

    @cached_property
    def scenarios(self) -> ScenarioCollection:
        """What machines can be asked to do, and when they are."""
        return ScenarioCollection(self.store)

    @cached_property
    def failure_modes(self) -> FailureModeCollection:
        """Ways in which machines fail, and where they do."""
        return FailureModeCollection(self.store)

    @cached_property
    def maintenance(self) -> MaintenanceCollection:
        """Maintenance tasks."""
        return MaintenanceCollection(self.store)

    @cached_property
    def maintenance_actions(self) -> MaintenanceActionCollection:
        """What technicians can do to a machine."""
        return MaintenanceActionCollection(self.store)

    @cached_property
    def technicians(self) -> TechnicianCollection:
        """The people who carry out maintenance tasks."""
        return TechnicianCollection(self.store)

    @cached_property
    def alarm_rules(self) -> AlarmRuleCollection:
        """What the control systems of the machines watch."""
        return AlarmRuleCollection(self.store)

    @cached_property
    def runs(self) -> RunCollection:
        """The simulated runs."""
        return RunCollection(self.store)

    def plan(
        self,
        start: Any,
        end: Any,
        interval: Any = "1s",
        seed: int = 0,
        machines: Machines = "all",
        profiles: Sequence[str | Path | Profile] = (),
        profile_interpolation: str = "hold",
        profile_end: str = "repeat",
        wear: str = "new",
        policy: PolicyLike = None,
        truth_interval: Any = "auto",
        events_only: bool = False,
        response: Any = "4h",
        fleet: int | None = None,
        tasks: bool = True,
    ) -> Plan:
        """Return the plan that `simulate` would carry out, without carrying it out.

        The parameters are those of `simulate`.
        """
        from twin.plant_compile import Asked, Span, compile_tables, read_profiles

        span = Span(start, end, interval)
        recorded = read_profiles(profiles, profile_interpolation, profile_end)
        asked, _ = Asked.of(span, wear, policy, truth_interval, events_only, response, fleet, tasks)
        with self.store.reading() as tx:
            return compile_tables(tx, span, seed, machines, recorded, asked)

    def simulate(
        self,
        start: Any,
        end: Any,
        interval: Any = "1s",
        seed: int = 0,
        machines: Machines = "all",
        profiles: Sequence[str | Path | Profile] = (),
        profile_interpolation: str = "hold",
        profile_end: str = "repeat",
        wear: str = "new",
        policy: PolicyLike = None,
        truth_interval: Any = "auto",
        events_only: bool = False,
        response: Any = "4h",
        fleet: int | None = None,
        tasks: bool = True,
        name: str | None = None,
        new: bool = False,
        progress: bool = True,
    ) -> Run:
        """Simulate a span of time and store its telemetry.

        An equal request after an interruption resumes the run; after a complete run it returns that
        run.

        Parameters
        ----------
        start, end : time
            First reading, and end of the span (not itself a reading), UTC.
        interval : duration
            Time between two readings, 1 ms or longer, such as ``"1s"``.
        seed : int
            The address of all noise, 0 to 2**63 - 1.
        machines : str, int or iterable
            A name, an id, several of them, or ``"all"``.
        profiles : sequence of path or Profile
            Recorded inputs that every machine follows from the start on, whatever else is active.
        profile_interpolation, profile_end : str
            How CSV profiles are read: ``hold`` or ``linear``; ``repeat`` or ``end``.
        wear : str
            ``new``: machines wear, and begin with new parts; ``used``: with parts of random age;
            ``off``: nothing comes by itself.
        policy : str, rule, function or list of them, optional
            When maintenance is asked for beside what is scheduled: ``"run-to-failure"`` (the
            default), ``"periodic:30d"``, ``"running:500h:lubricate"``,
            ``"condition:vibration_mm_s>4.5"``, a rule of `twin.policy`, or a function that sees what
            has been reported (`twin.reported.Reported`) and returns tasks. ``"no-repair"``: what fails
            stays failed.
        truth_interval : duration or None
            Whole hours between rows of the truth beside those at changes; ``"auto"``: 1 h, 1 d in runs
            beyond 60 days, 7 d in runs of events only; ``None``: at changes only, and no remaining useful life.
        events_only : bool
            No readings: failures, work, alarms and truth only, in seconds for a thousand machine-years.
        response : duration
            From a failure to when its repair can begin at the soonest.
        tasks : bool
            Whether the plant's open maintenance tasks are carried out.
        fleet : int, optional
            Simulate that many machines: those asked for, and as many more like them as are missing.
        name : str, optional
            A name for the run.
        new : bool
            Start another run even where an equal one exists or was interrupted.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        Run
            The complete run.
        """
        from twin.catalog.checks import check_name
        from twin.plant_compile import Asked, Span, refuse_absurd_size
        from twin.run import simulate

        if name is not None:
            check_name(name, "run name")
        asked = (wear, policy, truth_interval, events_only, response, fleet, tasks)
        _, functions = Asked.of(Span(start, end, interval), *asked)
        plan = self.plan(start, end, interval, seed, machines, profiles, profile_interpolation, profile_end, *asked)
        begun = None if new else self.store.find_run(plan.sha256)
        refuse_absurd_size(plan, self.path.resolve().parent, begun.committed_rows if begun is not None else 0)
        run = simulate(self.store, plan, new=new, progress=progress, name=name or "", functions=functions)
        if name is not None and run.row.name != name:
            self.runs.update(run.id, name=name)
        return run

    def sql(self, statement: str, params: Sequence[Any] | None = None) -> pd.DataFrame:
        """Return the rows of a reading SQL statement.

        Parameters
        ----------
        statement : str
            A single ``select``; ``?`` stands for a parameter.
        params : sequence, optional
            The parameters' values.
        """
        return self.store.sql(statement, params)

    def sql_rows(self, statement: str, params: Sequence[Any] | None = None) -> Rows:
        """Return what `sql` returns, as dicts; a map, such as the damage, is a dict too."""
        table = self.store.sql_arrow(statement, params)
        return list(table.rename_columns(_distinct(table.column_names)).to_pylist(maps_as_pydicts="strict"))

    def export(
        self,
        out: str | Path,
        format: str = "parquet",
        run: int | str | None = None,
        layout: str = "tables",
        transport: Transport | str | None = None,
    ) -> list[Path]:
        """Write a run and the plant's tables as files, one a table.

        Parameters
        ----------
        out : path
            Directory to write into; it is made where missing.
        format : str
            ``csv``, ``json`` (an array; telemetry: one object a line, ``.jsonl``) or ``parquet``.
        run : int or str, optional
            A run's id, or ``"latest"``; the newest, if any, when not given.
        layout : str
            ``tables``: the plant's own; ``five_tables``: telemetry, errors, maint, failures and
            machines, as predictive-maintenance courses use them.
        transport : Transport or str, optional
            Write telemetry as received, with ``received_at`` and in its order, for example
            ``"drop=0.01,delay=5s,seed=7"`` (see `twin.transport`). The stored rows stay clean.

        Returns
        -------
        list of Path
            The files that were written.
        """
        if transport is not None:
            from twin.transport import Transport

            transport = Transport.of(transport)
        number = None if run is None else int(self.runs.row(run)["run_id"])
        return self.store.export(_path(out), format=format, run_id=number, layout=layout, transport=transport)

    def counts(self) -> dict[str, int]:
        """Return how many rows the plant's tables of the fleet have."""
        with self.store.reading() as tx:
            return {table: tx.count(table) for table in COUNTED}

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {table.replace('_', ' ')}" for table, number in self.counts().items())
        return f"<Plant {self.path}: {counts}>"


def _path(path: Any) -> Path:
    if not isinstance(path, (str, Path)) or not str(path) or "\0" in str(path):
        raise BadRequest(f"a path must be a text or a Path, got {shown(path)}")
    place = Path(path)
    try:
        place.exists()
    except (OSError, UnicodeError) as error:  # a name that is too long, or a directory that may not be entered
        reason = getattr(error, "strerror", None) or "not a file name"
        raise BadRequest(f"cannot use the path {shown(str(path))}: {reason}; choose another place") from None
    return place


def _distinct(names: Sequence[str]) -> list[str]:
    """Return column names of which none hides another: the second ``a`` is called ``a_1``."""
    taken: list[str] = []
    for name in names:
        free, number = name, 0
        while free in taken or (number > 0 and free in names):
            number += 1
            free = f"{name}_{number}"
        taken.append(free)
    return taken


__all__ = ["DEFAULT_PATH", "Plant", "Row"]
