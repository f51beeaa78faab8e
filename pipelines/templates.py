"""What a run carries out: a notebook, or a plain function."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.experiment import OURS, ROOT, Experiment
from twin.errors import BadRequest, shown, unknown

UNKNOWN = object()
"""The default of a parameter that is not a plain value, or that has none."""


@dataclass(frozen=True)
class Template:
    """A notebook or function, as an experiment uses it.

    Attributes
    ----------
    kind, name : str
        ``notebook`` or ``function``; the path below the project, or ``module:name``.
    parameters : mapping
        Name to default, or to `UNKNOWN`.
    needed : tuple of str
        Parameters without a default.
    sha256 : str
        Hash of what decides the results: the cells' source, or the function's module.
    content : bytes
        The notebook without outputs, as it is handed to the workers; empty for a function.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any]
    needed: tuple[str, ...]
    sha256: str
    content: bytes = b""

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse parameters that the template does not have, lacks, or has of another kind."""
        known = [name for name in self.parameters if name not in OURS]
        for name, value in parameters.items():
            if name not in known:
                raise unknown(f"parameter of {self.name}:", name, known)
            default = self.parameters[name]
            if not _alike(default, value):
                raise BadRequest(
                    f"parameter {name} of {self.name} is {_kind(default)} there (default {shown(default)}), "
                    f"got {shown(value)}"
                )
        for name in self.needed:
            if name not in parameters:
                raise BadRequest(f"parameter {name} of {self.name} has no default: give it in the experiment")


def template_of(experiment: Experiment) -> Template:
    """Return the template of an experiment.

    Raises
    ------
    BadRequest
        If there is none, or it has no parameters; one line.
    """
    if experiment.notebook is not None:
        return _notebook(experiment.notebook)
    return _function(experiment.function or "")


def _notebook(name: str) -> Template:
    import nbformat

    path = _notebook_path(name)
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat has many ways to say that a file is no notebook
        raise BadRequest(f"{path} is not a notebook: {str(error).splitlines()[0][:120]}") from None
    found = _tagged(notebook, path)
    if "out" not in found:
        raise BadRequest(
            f'{path} has no parameter out: add out = "" to its parameters, and '
            "pipelines.returned.give(out, results) at its end"
        )
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    source = [(cell["cell_type"], cell["source"], cell["metadata"].get("tags", [])) for cell in notebook.cells]
    resolved = path.resolve()
    return Template(
        "notebook",
        resolved.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT) else str(path),
        found,
        (),
        hashlib.sha256(json.dumps(source).encode()).hexdigest(),
        nbformat.writes(notebook).encode(),
    )


def _notebook_path(name: str) -> Path:
    for place in (Path(name), ROOT / name):
        if place.is_file():
            return place
    where = "" if (ROOT / "notebooks").is_dir() else "; the project's notebooks lie in a checkout of it, not in a wheel"
    raise BadRequest(f"there is no notebook at {ROOT / name}{where}; give its path from the project's folder, or whole")


def _function(name: str) -> Template:
    function = load_function(name)
    try:
        signature = inspect.signature(function)
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (TypeError, ValueError, OSError):
        raise BadRequest(f"{name} has no Python source: a function of an experiment is written in Python") from None
    names = {}
    for key, parameter in signature.parameters.items():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise BadRequest(f"{name} takes {parameter}: a function of an experiment names all its parameters")
        names[key] = UNKNOWN if parameter.default is parameter.empty else parameter.default
    needed = tuple(key for key, value in names.items() if value is UNKNOWN and key not in OURS)
    return Template("function", name, names, needed, hashlib.sha256(f"{name}\n{source}".encode()).hexdigest())


def load_function(name: str) -> Callable[..., Any]:
    """Return the function that ``module:name`` names."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise BadRequest(
            f"a function is named as module:name, for example pipelines.functions:monte_carlo, not {name!r}"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise BadRequest(f"cannot import {module}: {error}; it must be importable from where the sweep runs") from None
    except AttributeError:
        raise BadRequest(f"module {module} has no function {attribute}") from None
    except Exception as error:  # whatever a module does when it is imported
        said = (str(error).splitlines() or [""])[0]
        raise BadRequest(f"cannot import {module}: {type(error).__name__}: {said}") from None
    if not callable(found):
        raise BadRequest(f"{name} is not a function but {shown(found)}")
    return found


def _tagged(notebook: Any, path: Path) -> dict[str, Any]:
    """Return the parameters of a notebook: what its tagged cell assigns."""
    cell = next((c for c in notebook.cells if "parameters" in c["metadata"].get("tags", [])), None)
    try:
        tree = ast.parse(cell["source"] if cell is not None else "")
    except SyntaxError as error:
        raise BadRequest(f"the parameters of {path} are not Python: {error.msg} in line {error.lineno}") from None
    found: dict[str, Any] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = _literal(getattr(node, "value", None))
    if not found:
        raise BadRequest(f"{path} has no parameters: tag a cell with 'parameters' (in JupyterLab: property inspector)")
    return found


def _literal(node: ast.expr | None) -> Any:
    try:
        return UNKNOWN if node is None else ast.literal_eval(node)
    except (ValueError, SyntaxError):
        return UNKNOWN


def _alike(default: Any, value: Any) -> bool:
    """Return whether a value is of the kind of a default: a whole number can stand for any number."""
    if default is UNKNOWN or default is None or value is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value), f"a {type(value).__name__}")
