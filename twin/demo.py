"""What ``make demo`` runs: a sample plant, the executed quickstart notebook and its page.

A notebook's own record cannot be trusted (a kernel that died leaves its cells marked as completed),
so success is judged by what the notebook wrote last and by the rows in the plant.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.errors import BadRequest, StoreFault, TwinError

if TYPE_CHECKING:
    from twin.plant import Plant
    from twin.run import Run

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks" / "01_quickstart.ipynb"
RESULT = "quickstart_effects.csv"
"""What the notebook writes last, beside the plant."""

START_TIMEOUT_S = 120
CELL_TIMEOUT_S = 600
PICTURE_WIDTH_PX = 960
TOOLBAR_WIDTH_PX = 36

_OFFLINE_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_requirejs %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
"""
"""The page as usual, without the scripts that it would fetch from the network and does not need."""


@dataclass(frozen=True)
class Demo:
    """Where a demonstration left its results.

    Attributes
    ----------
    db, notebook, html, effects : Path
        The plant, the executed notebook, the same as a page, and the table of effect sizes.
    rows : int
        Rows of telemetry in the notebook's two runs.
    seconds : float
        Time that all took, s.
    """

    db: Path
    notebook: Path
    html: Path
    effects: Path
    rows: int
    seconds: float


def demo(out: Path, parameters: dict[str, Any] | None = None) -> Demo:
    """Make the sample plant where it is missing, execute the quickstart, and check what came of it.

    Parameters
    ----------
    out : Path
        Folder for the plant and all results; what an earlier demonstration left there is used (the
        plant) or written anew (the rest).
    parameters : dict, optional
        The notebook's parameters ``start``, ``span``, ``interval``, ``seed`` and ``machine``.

    Returns
    -------
    Demo
        Where the results lie.

    Raises
    ------
    TwinError
        If anything is not as it should be, in one line.
    """
    from twin.plant import Plant

    began = time.monotonic()
    if not NOTEBOOK.exists():
        raise BadRequest(f"there is no notebook at {NOTEBOOK}; the demonstration runs in a clone of the project")
    out = out.resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFault(f"cannot write into {out}: {error.strerror}") from error
    db, executed, effects = out / "plant.duckdb", out / NOTEBOOK.name, out / RESULT
    plant = Plant.open(db)
    effects.unlink(missing_ok=True)
    execute(NOTEBOOK, executed, {"db": str(db), **(parameters or {})})
    rows = sum(run.rows for run in _checked_runs(plant, effects))
    html = write_html(executed, executed.with_suffix(".html"))
    return Demo(db, executed, html, effects, rows, time.monotonic() - began)


def execute(notebook: Path, executed: Path, parameters: dict[str, Any]) -> None:
    """Execute a notebook with this very interpreter; the result is trusted by JupyterLab.

    Parameters
    ----------
    notebook, executed : Path
        What to execute, and where to write it with its outputs.
    parameters : dict
        Values for the cell tagged ``parameters``, as JSON knows them.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    known = papermill.inspect_notebook(str(notebook))
    for name in parameters:
        if name not in known:
            raise BadRequest(f"{notebook.name} has no parameter {name!r}; it has {', '.join(known)}")
    with _kernel() as options:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters=parameters,
                cwd=str(executed.parent),
                progress_bar=False,
                start_timeout=START_TIMEOUT_S,
                execution_timeout=CELL_TIMEOUT_S,
                language="python",
                **options,
            )
        except PapermillExecutionError as error:
            kind = BadRequest if error.ename in {"BadRequest", "UnknownName", "NotAPlant"} else TwinError
            reason = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
            raise kind(f"cell {error.exec_count} of {notebook.name} failed: {reason} (see {executed})") from error
        except (RuntimeError, TimeoutError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise TwinError(f"{notebook.name} did not come to its end: {said[0]} (see {executed})") from error
    _trust(executed)


@contextlib.contextmanager
def _kernel() -> Iterator[dict[str, Any]]:
    """Describe a kernel of this interpreter that finds this package, for the time of an execution.

    A kernel named ``python3`` may belong to another environment. Where the system has them, sockets
    are files: TCP ports of several kernels clash now and then.
    """
    from traitlets.config import Config

    name = "twin-demo"
    # not tempfile.TemporaryDirectory(dir=out): the path of a socket has 100 characters at most
    with tempfile.TemporaryDirectory(prefix="twin-") as folder:
        spec = Path(folder) / "kernels" / name
        spec.mkdir(parents=True)
        content = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "env": {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        }
        (spec / "kernel.json").write_text(json.dumps(content))
        sockets = {"transport": "ipc", "ip": str(Path(folder) / uuid.uuid4().hex[:8])}
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield {"kernel_name": name, "config": Config({"KernelManager": sockets if os.name == "posix" else {}})}
        finally:
            del os.environ["JUPYTER_PATH"]
            if before is not None:
                os.environ["JUPYTER_PATH"] = before


def _trust(executed: Path) -> None:
    """Sign a notebook that was just executed here, as JupyterLab does when it saves one.

    Without the signature Lab shows no plot until told to trust the file.
    """
    import nbformat
    from nbformat.sign import NotebookNotary

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.get("kernelspec", {})["name"] = "python3"
    nbformat.write(notebook, executed)
    with contextlib.suppress(OSError):  # a home that cannot be written: the file must be trusted by hand
        NotebookNotary().sign(nbformat.read(executed, as_version=4))


def _checked_runs(plant: Plant, effects: Path) -> list[Run]:
    """Return the notebook's runs, after a look at their rows rather than at the notebook's word."""
    from twin.catalog.parameters import CHANNELS

    lines: list[dict[str, str]] = []
    if effects.exists():
        with effects.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    if [line["channel"] for line in lines] != list(CHANNELS):
        raise TwinError(f"the notebook did not write {effects}: it stopped before its end; run the same again")
    runs = [plant.runs.get(int(lines[0][column])) for column in ("normal_run", "faulty_run")]
    for run in runs:
        if run.rows != run.plan.rows or run.recomputed_digest() != run.digest():
            raise TwinError(f"run {run.id} in {plant.path} does not hold the rows that its plan makes")
    return runs


def write_html(executed: Path, html: Path) -> Path:
    """Write an executed notebook as a page that needs no network.

    Parameters
    ----------
    executed, html : Path
        The notebook with its outputs, and the page to write.

    Returns
    -------
    Path
        The page.
    """
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)  # progress bars: a page would fetch a widget library for them
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if not _is_widget(output)]
    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline.html.j2": _OFFLINE_TEMPLATE})])
    exporter.template_file = "offline.html.j2"
    text, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": "Quickstart"}})
    html.write_text(text, encoding="utf-8")
    return html


def _is_widget(output: Any) -> bool:
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def picture(html: Path, image: Path, figure: int = 1) -> Path:
    """Take a picture of one figure of a page, with Chromium and without the network.

    Parameters
    ----------
    html, image : Path
        The page, and the PNG to write.
    figure : int
        Which figure, from 0: the quickstart's second one compares the two days.

    Returns
    -------
    Path
        The picture.
    """
    from twin.bench_browser import chromium

    with chromium() as browser:
        size: Any = {"width": PICTURE_WIDTH_PX, "height": 800}
        page = browser.new_page(viewport=size, device_scale_factor=1.5, offline=True)
        page.goto(html.resolve().as_uri())
        page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents.every(d => d.is_idle)")
        image.parent.mkdir(parents=True, exist_ok=True)
        place = page.locator(".bk-GridPlot").nth(figure)
        place.scroll_into_view_if_needed()
        box: Any = place.bounding_box()
        page.screenshot(path=str(image), clip=box | {"width": box["width"] - TOOLBAR_WIDTH_PX})
    return image


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m twin.demo", description="Simulate a sample plant and execute the quickstart notebook."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "demo", help="folder for all results")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="also write the picture of the README")
    parser.add_argument("--start", help="first reading, UTC")
    parser.add_argument("--span", help="length of the simulated time, such as 1d")
    parser.add_argument("--interval", help="time between two readings, such as 1s")
    parser.add_argument("--seed", type=int, help="address of the noise")
    parser.add_argument("--machine", help="the machine that gets into trouble")
    return parser.parse_args(argv)


def _shown(path: Path) -> str:
    """Return a path as seen from here, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit status is 0, or 1 or 2 after one line on standard error."""
    options = vars(_arguments(argv))
    out, image = options.pop("out"), options.pop("picture")
    print(f"executing {NOTEBOOK.name} (under a minute) ...", flush=True)
    try:
        made = demo(out, {name: value for name, value in options.items() if value is not None})
        if image is not None:
            picture(made.html, image)
    except TwinError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("demo: stopped; the same command goes on", file=sys.stderr)
        return 130
    print(f"done in {made.seconds:.0f} s: {made.rows:,} rows of telemetry in two runs")
    print(f"  page      {_shown(made.html)}")
    print(f"  notebook  {_shown(made.notebook)}")
    print(f"  plant     {_shown(made.db)}")
    print(f"  effects   {_shown(made.effects)}")
    if image is not None:
        print(f"  picture   {_shown(image.resolve())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
