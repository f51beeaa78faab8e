"""Machine types, maintenance actions and technicians: the plant's copies of the catalog's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from twin.catalog.checks import checked
from twin.catalog.models import AlarmRule, MachineType, MaintenanceAction, Technician
from twin.errors import BadRequest, shown
from twin.plant_base import Collection, Row, Rows, find, in_use, only

if TYPE_CHECKING:
    from twin.store import Transaction

_Model = TypeVar("_Model", bound=BaseModel)


class CatalogCollection(Collection, Generic[_Model]):
    """Rows that are one checked model each."""

    table: str
    kind: str
    key = "name"
    columns: tuple[str, ...]
    model: type[_Model]

    def rows(self) -> Rows:
        with self._store.reading() as tx:
            return [self._listed(row) for row in tx.rows(self.table)]

    def get(self, name: str) -> Row:
        """Return one row as a dict with all its fields."""
        with self._store.reading() as tx:
            return self._row(self._find(tx, name))

    def definition(self, name: str) -> _Model:
        """Return one row as its checked model."""
        with self._store.reading() as tx:
            return self._find(tx, name)

    def create(self, name: str, /, **fields: Any) -> Row:
        """Add a row; the fields are those of the model (see `twin.catalog.models`)."""
        row = checked(self.model, {self.key: name, **fields}, f"{self.kind} {shown(name)}")
        with self._store.writing() as tx:
            if any(other[self.key] == getattr(row, self.key) for other in tx.rows(self.table)):
                raise BadRequest(f"there is a {self.kind} {shown(name)} already; choose another name or update it")
            self._check(tx, row)
            tx.insert(self.table, self._values(row))
        return self._row(row)

    def update(self, name: str, /, **changes: Any) -> Row:
        """Change a row; what is not given stays. The name itself cannot change: others refer to it."""
        only(changes, [field for field in self.model.model_fields if field != self.key], self.kind)
        with self._store.writing() as tx:
            row = checked(self.model, dict(self._find(tx, name)) | changes, f"{self.kind} {shown(name)}")
            self._check(tx, row)
            values = self._values(row)
            tx.update(self.table, values.pop(self.key), values)
        return self._row(row)

    def delete(self, name: str) -> None:
        """Delete a row that nothing refers to."""
        with self._store.writing() as tx:
            self._find(tx, name)
            users = tx.references(self.table, name)
            if users:
                raise in_use(f"{self.kind} {name}", users, "change or delete those first")
            tx.delete(self.table, name)

    def _find(self, tx: Transaction, name: str) -> _Model:
        return self._load(find(tx.rows(self.table), name, self.kind, self.key))

    def _load(self, row: Row) -> _Model:
        return self.model.model_validate(row["definition"])

    def _row(self, model: _Model) -> Row:
        return model.model_dump(mode="json")

    def _listed(self, row: Row) -> Row:
        fields = self._row(self._load(row))
        return {column: fields[column] for column in self.columns}

    def _values(self, model: _Model) -> Row:
        raise NotImplementedError

    def _check(self, tx: Transaction, model: _Model) -> None:
        """Refuse what does not agree with the plant's other rows."""


class MachineTypeCollection(CatalogCollection[MachineType]):
    """The machine types: ``plant.machine_types``."""

    table, kind, model = "machine_types", "machine type", MachineType
    columns = ("name", "title", "description", "default", "rated_power_w", "rated_speed_rpm")

    def _values(self, model: MachineType) -> Row:
        fields = {"name": model.name, "title": model.title, "description": model.description}
        return {**fields, "definition": model.model_dump(mode="json")}


class MaintenanceActionCollection(CatalogCollection[MaintenanceAction]):
    """The maintenance actions: ``plant.maintenance_actions``."""

    table, kind, model = "maintenance_actions", "maintenance action", MaintenanceAction
    columns = ("name", "title", "description", "duration_min", "parts_cost", "skill", "restores")

    def _values(self, model: MaintenanceAction) -> Row:
        fields = {column: getattr(model, column) for column in self.columns if column != "restores"}
        return {**fields, "definition": model.model_dump(mode="json")}

    def _check(self, tx: Transaction, model: MaintenanceAction) -> None:
        for mode in model.restores:
            find(tx.rows("failure_modes"), mode, "failure mode")


class AlarmRuleCollection(CatalogCollection[AlarmRule]):
    """The alarm rules: ``plant.alarm_rules``."""

    table, kind, model = "alarm_rules", "alarm rule", AlarmRule
    columns = ("name", "title", "channel", "level", "limit", "relative", "iso_zone", "trip")

    def _values(self, model: AlarmRule) -> Row:
        fields = {column: getattr(model, column) for column in ("name", "title", "description", "channel", "level")}
        return {**fields, "definition": model.model_dump(mode="json")}


class TechnicianCollection(CatalogCollection[Technician]):
    """The technicians: ``plant.technicians``."""

    table, kind, model, key = "technicians", "technician", Technician, "technician_id"
    columns = ("technician_id", "name", "skills", "hourly_cost", "shift_start_h", "shift_end_h", "weekdays")

    def create(self, technician_id: str, /, **fields: Any) -> Row:
        """Add a technician.

        Parameters
        ----------
        technician_id : str
            Short and not yet in use, for example ``T-05``.
        **fields
            ``name``, ``skills`` (a sequence of snake_case words), ``hourly_cost`` (the plant's currency
            an hour), ``shift_start_h``, ``shift_end_h`` (hours of the day, UTC) and ``weekdays`` (such as
            ``"12345"``).
        """
        return super().create(technician_id, **fields)

    def _load(self, row: Row) -> Technician:
        return checked(Technician, {**row, "skills": tuple(row["skills"])}, f"technician {row['technician_id']}")

    def _values(self, model: Technician) -> Row:
        return {**dict(model), "skills": list(model.skills)}
