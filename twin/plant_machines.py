"""The machines of a plant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin.catalog.checks import check_name, check_text
from twin.errors import BadRequest, shown
from twin.plant_base import Collection, Row, Rows, find, in_use, number_of, one_machine, only, public

if TYPE_CHECKING:
    import pandas as pd

    from twin.store import Transaction

MAX_MACHINES = 32_767
_FIELDS = ("name", "machine_type", "location", "description", "unit_seed")


class MachineCollection(Collection):
    """The machines: ``plant.machines``."""

    def rows(self) -> Rows:
        with self._store.reading() as tx:
            return [public(row) for row in tx.rows("machines")]

    def list(self) -> pd.DataFrame:
        """Return the machines as a DataFrame, by id."""
        return super().list()

    def get(self, machine: str | int) -> Row:
        """Return one machine.

        Parameters
        ----------
        machine : str or int
            Its name or its id.
        """
        with self._store.reading() as tx:
            return public(one_machine(tx, machine))

    def create(
        self,
        name: str,
        machine_type: str | None = None,
        location: str = "",
        description: str = "",
        unit_seed: int | None = None,
    ) -> Row:
        """Add a machine.

        Parameters
        ----------
        name : str
            Not yet in use; not ``all`` and not digits only, which stand for all machines and for an id.
        machine_type : str, optional
            A type of the catalog; the default type (spindle) when not given.
        location, description : str
            Free text.
        unit_seed : int, optional
            Seed of its unit-to-unit variation, 0 to 2**63 - 1; its number when not given.

        Returns
        -------
        dict
            The machine's row.
        """
        with self._store.writing() as tx:
            number = add_machine(tx, name, machine_type, location, description, unit_seed)
            return public(one_machine(tx, number))

    def update(self, machine: str | int, **changes: Any) -> Row:
        """Change a machine's ``name``, ``machine_type``, ``location``, ``description`` or ``unit_seed``.

        Runs that exist keep what they were simulated with.
        """
        only(changes, _FIELDS, "machine")
        with self._store.writing() as tx:
            row = one_machine(tx, machine)
            merged = {field: row[field] for field in _FIELDS} | changes
            values = _checked(tx, **merged, own=row["name"])
            tx.update("machines", row["machine_id"], values)
            return public(one_machine(tx, row["machine_id"]))

    def delete(self, machine: str | int) -> None:
        """Delete a machine that no activation, injection, task or run refers to."""
        with self._store.writing() as tx:
            row = one_machine(tx, machine)
            users = tx.references("machines", row["machine_id"])
            if users:
                raise in_use(f"machine {row['name']}", users, "delete those first")
            tx.delete("machines", row["machine_id"])


def add_machine(
    tx: Transaction,
    name: str,
    machine_type: str | None = None,
    location: str = "",
    description: str = "",
    unit_seed: int | None = None,
) -> int:
    """Insert a machine in a running transaction and return its id (see `MachineCollection.create`)."""
    if max((row["machine_id"] for row in tx.rows("machines")), default=0) >= MAX_MACHINES:
        raise BadRequest(f"a plant holds up to {MAX_MACHINES} machines")
    seed = 0 if unit_seed is None else unit_seed
    values = _checked(tx, name, machine_type or _default_type(tx), location, description, seed)
    number = int(tx.insert("machines", values))
    if unit_seed is None:
        tx.update("machines", number, {"unit_seed": number})
    return number


def _checked(
    tx: Transaction,
    name: Any,
    machine_type: Any,
    location: Any,
    description: Any,
    unit_seed: Any,
    own: str | None = None,
) -> Row:
    name = check_name(name, "machine name")
    if name == "all" or number_of(name) is not None:
        raise BadRequest(f"a machine cannot be called {shown(name)}: that stands for all machines, or for an id")
    if "," in name and name != own:
        raise BadRequest(f"a machine name cannot have a comma, which separates names on the command line, got {name!r}")
    taken = {row["name"] for row in tx.rows("machines")} - {own}
    if name in taken:
        raise BadRequest(f"there is a machine {name!r} already; choose another name or update it")
    find(tx.rows("machine_types"), machine_type, "machine type")
    seed = number_of(unit_seed) if not isinstance(unit_seed, str) else None
    if seed is None or not 0 <= seed < 2**63:
        raise BadRequest(f"unit_seed must be an integer from 0 to 2**63 - 1, got {shown(unit_seed)}")
    return {
        "name": name,
        "machine_type": machine_type,
        "location": check_text(location, "location"),
        "description": check_text(description, "description"),
        "unit_seed": seed,
    }


def _default_type(tx: Transaction) -> str:
    for row in tx.rows("machine_types"):
        if row["definition"].get("default"):
            return str(row["name"])
    return "spindle"
