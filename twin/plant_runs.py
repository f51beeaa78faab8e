"""The runs that a plant holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin.catalog.checks import check_name
from twin.errors import BadRequest, shown
from twin.plant_base import Collection, Row, Rows, by_number, number_of, only, public

if TYPE_CHECKING:
    from twin.run import Run
    from twin.store import Transaction

_COLUMNS = (
    "run_id", "name", "status", "start_at", "end_at", "interval", "seed", "machines", "ticks", "rows",
    "committed_rows", "digest", "policy", "base_run_id", "wall_s", "created_at", "finished_at", "error",
)  # fmt: skip


class RunCollection(Collection):
    """The runs: ``plant.runs``. They are created by ``plant.simulate``."""

    def rows(self) -> Rows:
        with self._store.reading() as tx:
            return [_public(row) for row in tx.rows("runs")]

    def row(self, run: int | str) -> Row:
        """Return the row of one run; ``"latest"`` is the newest."""
        with self._store.reading() as tx:
            return _public(_run_row(tx, run))

    def get(self, run: int | str) -> Run:
        """Return one run; ``"latest"`` is the newest."""
        from twin.run import Run

        with self._store.reading() as tx:
            number = int(_run_row(tx, run)["run_id"])
        return Run(self._store, number)

    def create(self, *_: Any, **__: Any) -> Run:
        """Refuse: a run comes from ``plant.simulate``."""
        raise BadRequest("runs are created by plant.simulate(start=..., end=..., interval=..., seed=...)")

    def update(self, run: int | str, **changes: Any) -> Row:
        """Change a run's ``name``, the only thing about it that may change."""
        only(changes, ("name",), "run")
        name = changes["name"] if changes["name"] == "" else check_name(changes["name"], "run name")
        with self._store.writing() as tx:
            number = _run_row(tx, run)["run_id"]
            tx.update("runs", number, {"name": name})
            return _public(_run_row(tx, number))

    def delete(self, run: int | str) -> int:
        """Delete a run with its telemetry, and return its id."""
        with self._store.reading() as tx:
            number = int(_run_row(tx, run)["run_id"])
        self._store.delete_run(number)
        return number


def _run_row(tx: Transaction, run: object) -> Row:
    rows = tx.rows("runs")
    if isinstance(run, str) and run == "latest":
        if not rows:
            raise BadRequest("the plant has no runs yet; plant.simulate (twin simulate) makes one")
        return rows[-1]
    if number_of(run) is None:
        raise BadRequest(f"a run is named by its id or by 'latest', got {shown(run)}")
    return by_number(rows, run, "run", "run_id")


def _public(row: Row) -> Row:
    interval = row["interval_us"] / 1e6
    return public(row | {"interval": f"{interval:g}s"}, _COLUMNS)
