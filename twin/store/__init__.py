"""The plant's file: the only place in the package that knows DuckDB."""

from __future__ import annotations

from twin.store.catalog_tables import Transaction
from twin.store.events import add_events
from twin.store.live import grow_run, replace_events
from twin.store.runs import RunRow
from twin.store.schema import SCHEMA_VERSION
from twin.store.store import Store
from twin.store.writer import RunWriter

__all__ = [
    "SCHEMA_VERSION",
    "RunRow",
    "RunWriter",
    "Store",
    "Transaction",
    "add_events",
    "grow_run",
    "replace_events",
]
