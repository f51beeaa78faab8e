"""Modules import only from floors below their own, in no circle, and SQL has one door (law 7)."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS: tuple[tuple[int, str], ...] = (
    (0, r"twin\.(catalog|errors|times|portable|cache|borrow|interrupts)"),
    (1, r"twin\.(noise|physics|wear|parts|monitor|digest|layout|life_layout|inputs|instruments|transport)"),
    (2, r"twin\.(kernel|lives)"),
    (3, r"twin\.(plan|policy|timeline)"),
    (4, r"twin\.(simulation|stretches|agenda|foresight|world|workshop|wearing|events|decisions|reported|truth)"),
    (5, r"twin\.store"),
    (6, r"twin\.(run|run_rows|recording|results|pacing|what_if|plant|plant_\w+)"),
    (7, r"twin\.(prognosis|worth|hindsight)"),
    (7, r"twin\.benchmark"),
    (8, r"twin\.(live|plots|plots_\w+|bench|bench_\w+|realism|realism_\w+|cli|cli_\w+)"),
    (9, r"(twin\.workbench|twin\.demo|twin\.__main__|pipelines)"),
)
FACADE = "twin"
"""The package itself: it imports nothing until asked, and others may take only its version."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for place in ("twin", "pipelines") for path in sorted((ROOT / place).rglob("*.py"))}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(), str(MODULES[module]))


def floor_of(module: str) -> int:
    floors = [floor for floor, pattern in FLOORS if re.fullmatch(rf"{pattern}(\..*)?", module)]
    assert floors, f"{module} stands on no floor: give it one in FLOORS and in docs/architecture.md"
    return floors[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def statements(node: ast.AST, *, typing_too: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports below a node, in functions as well; those for type checkers only on request."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif typing_too or not is_type_checking(child):
            yield from statements(child, typing_too=typing_too)


def imports(module: str, *, typing_too: bool = True) -> set[str]:
    """Return the full names of what a module imports (``twin.plan`` for ``from twin import plan``)."""
    found = set()
    for node in statements(tree_of(module), typing_too=typing_too):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{module} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
    return found


def own_imports(module: str, *, typing_too: bool = True) -> set[str]:
    """Return the project's modules that a module imports."""
    return {name for name in imports(module, typing_too=typing_too) if name in MODULES and name != FACADE} - {module}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {FACADE}))
def test_imports_come_from_no_higher_floor(module: str) -> None:
    own = floor_of(module)
    assert sorted(name for name in own_imports(module) if floor_of(name) > own) == []


def test_no_module_imports_itself_round_a_circle() -> None:
    sorter = graphlib.TopologicalSorter({name: own_imports(name, typing_too=False) for name in MODULES})
    sorter.prepare()  # raises CycleError, which names the circle


def test_only_the_version_is_taken_from_the_facade() -> None:
    taken = {
        f"{module}: {alias.name}"
        for module in set(MODULES) - {FACADE}
        for node in statements(tree_of(module), typing_too=True)
        if isinstance(node, ast.ImportFrom) and node.module == FACADE
        for alias in node.names
        if f"{FACADE}.{alias.name}" not in MODULES and alias.name != "__version__"
    }
    assert taken == set()


def test_only_the_store_knows_duckdb() -> None:
    users = {module for module in MODULES if any(name.split(".")[0] == "duckdb" for name in imports(module))}
    assert users
    assert sorted(module for module in users if not re.match(r"twin\.store(\.|$)", module)) == []


def test_no_notebook_imports_duckdb() -> None:
    found = []
    for path in [*(ROOT / "notebooks").rglob("*.ipynb"), *(ROOT / "pipelines").rglob("*.ipynb")]:
        cells = json.loads(path.read_text())["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        if re.search(r"^\s*(import|from)\s+duckdb\b", code, re.MULTILINE):
            found.append(path.name)
    assert found == []


def test_only_the_simulation_calls_the_kernel() -> None:
    users = {module for module in MODULES if "twin.kernel" in imports(module, typing_too=False)}
    assert users <= {"twin.simulation", "twin.lives"}  # lives share the law of the machine's losses
    assert "advance" not in {node.id for node in ast.walk(tree_of("twin.lives")) if isinstance(node, ast.Name)}


def test_only_the_world_walks_the_lives() -> None:
    users = {module for module in MODULES if "twin.lives" in imports(module, typing_too=False)}
    assert users == {"twin.world", "twin.wearing"}


def docstrings(tree: ast.Module) -> set[int]:
    """Return the ids of the constants that are docstrings, of modules, classes, functions and values."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


SQL = re.compile(
    r"\s*(select\b.*\bfrom\b|insert\s+into\b|update\b.*\bset\b|delete\s+from\b|create\s+(or\s+replace\s+)?(table|view)\b"
    r"|copy\b.*\bto\b\s*['(]|attach\b\s*'|with\b.*\bas\s*\(\s*select\b)",
    re.IGNORECASE | re.DOTALL,
)


def sql_lines(tree: ast.Module) -> list[int]:
    """Return the lines on which a text begins that reads as an SQL statement."""
    prose = docstrings(tree)
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.lineno for node in texts if id(node) not in prose and SQL.match(str(node.value))]


def test_sql_is_recognised_and_prose_is_not() -> None:
    said = [
        "SELECT a FROM b",
        "insert into t values (1)",
        "CREATE OR REPLACE TABLE t AS",
        "COPY t TO 'x'",
        "DELETE FROM t",
    ]
    prose = [
        "Delete a scenario from the plant",
        "update",
        "Select machines.",
        "copy the plant to a file",
        "Create a plant",
    ]
    assert [sql_lines(ast.parse(f"x = {text!r}")) for text in said] == [[1]] * len(said)
    assert [sql_lines(ast.parse(f"x = {text!r}")) for text in prose] == [[]] * len(prose)


def test_sql_text_stands_only_in_the_store() -> None:
    outside = [module for module in MODULES if module == FACADE or floor_of(module) != 5]
    assert [f"{module}:{line}" for module in outside for line in sql_lines(tree_of(module))] == []


def test_importing_twin_loads_nothing_heavy() -> None:
    heavy = {"numpy", "pandas", "numba", "duckdb", "bokeh", "pyarrow", "pydantic", "ipywidgets", "click"}
    code = "import sys, twin; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert set(loaded.split()) & heavy == set()
