"""docs/catalog.md and the catalog cannot disagree."""

from __future__ import annotations

import re
from pathlib import Path

from twin.catalog.document import TABLES, document
from twin.catalog.loader import load_catalog

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"


def test_the_page_shows_the_catalog_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    assert document(page) == page, "write it anew: python -m twin.catalog.document docs/catalog.md"


def test_the_page_has_every_table_once() -> None:
    assert sorted(re.findall(r"<!-- table: (\w+) -->", PAGE.read_text("utf-8"))) == sorted(TABLES)


def test_every_row_is_on_the_page() -> None:
    page, catalog = PAGE.read_text("utf-8"), load_catalog()
    for table in (catalog.channels, catalog.machine_types, catalog.failure_modes, catalog.maintenance_actions):
        assert all(f"`{name}`" in page for name in table)
    assert all(f"| {name} |" in page for name in catalog.scenarios)


def test_cells_do_not_break_the_tables() -> None:
    for name, write in TABLES.items():
        lines = write(load_catalog()).splitlines()
        assert len({line.count("|") for line in lines}) == 1, name
