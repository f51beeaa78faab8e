"""One run of a notebook: papermill, with a time limit on the whole and no trust in the notebook's own word."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import papermill
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from pipelines.kernels import START_TIMEOUT_S, SharedKernel, own_kernel
from twin.errors import TwinError

ENGINE = "pdm-twin"
MOST_OUTPUT = 200_000
"""Characters of one printed output that a notebook keeps: it is there to be read."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BEGIN = """
import os
os.chdir({folder!r})
get_ipython().run_line_magic("reset", "-f")
get_ipython().execution_count = 1
import random as _random, numpy as _numpy
_random.seed({seed}); _numpy.random.seed({seed})
del _random, _numpy
"""
"""Each run begins alike: its own folder (that of the run before is gone, and IPython stumbles over that), no
variables, and the same state of the global generators."""


class KernelLost(TwinError):
    """The kernel died, and not by the notebook's own exit: the run can be tried again."""


class TimedOut(TwinError):
    """The notebook took longer than it may."""


class _Client(PapermillNotebookClient):
    """Begins each run with a clean kernel."""

    begin = ""
    started: Callable[[], None] = staticmethod(lambda: None)

    def papermill_execute_cells(self) -> None:
        reply = self.wait_for_reply(self.kc.execute(self.begin, silent=True, store_history=False))
        if reply is None or reply["content"]["status"] != "ok":
            raise RuntimeError(f"the kernel could not be cleaned: {reply and reply['content'].get('evalue')}")
        self.started()
        super().papermill_execute_cells()


class _Engine(NBClientEngine):
    """Executes in a kernel that is given, and leaves it alive."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        manager: Any = None,
        begin: str = "",
        timeout_s: float = 0.0,
        started: Callable[[], None] = lambda: None,
        **_: Any,
    ) -> Any:
        client = _Client(
            nb_man,
            km=manager,
            timeout=max(1, round(timeout_s)),
            startup_timeout=START_TIMEOUT_S,
            kernel_name=kernel_name,
            interrupt_on_timeout=False,
            shell_timeout_interval=1,
            log=logging.getLogger("papermill"),
        )
        client.begin, client.started = begin, started
        try:
            return client.execute()
        finally:
            if client.kc is not None:
                client.kc.stop_channels()


papermill_engines.register(ENGINE, _Engine)


def execute(
    template: Path, executed: Path, parameters: dict[str, Any], timeout_s: float, runs_per_kernel: int, seed: int
) -> None:
    """Execute a notebook in this worker's kernel.

    Parameters
    ----------
    template, executed : Path
        What to execute; where to write it with its outputs, also when it fails.
    parameters : dict
        For the cell tagged ``parameters``.
    timeout_s : float
        For the whole of it.
    runs_per_kernel : int
        After how many runs the kernel is replaced.
    seed : int
        For the global generators of `random` and numpy, which a template had better not use.

    Raises
    ------
    TwinError
        If it did not come to its end, in one line; `KernelLost` if that is worth another try.
    """
    kernel = own_kernel()
    manager = kernel.take(runs_per_kernel)
    begin = _BEGIN.format(folder=str(executed.parent), seed=seed)
    began = time.monotonic()
    with _limit(kernel, timeout_s) as (late, started), _log(executed.with_name("log.txt")):
        try:
            papermill.execute_notebook(
                str(template),
                str(executed),
                parameters=parameters,
                engine_name=ENGINE,
                manager=manager,
                begin=begin,
                timeout_s=timeout_s,
                started=started,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                autosave_cell_every=0,
            )
        except PapermillExecutionError as error:
            trace = _ANSI.sub("", "\n".join(error.traceback))
            executed.with_name("traceback.txt").write_text(trace, encoding="utf-8")
            said = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
            raise TwinError(f"cell {error.exec_count}: {said}") from None
        except Exception as error:
            kernel.close()  # whatever state it is in
            if late.is_set() or "CellTimeout" in type(error).__name__:
                raise TimedOut(f"took longer than {timeout_s:g} s and was ended") from None
            said = (str(error).strip().splitlines() or [""])[0]
            ended = f"the kernel died after {time.monotonic() - began:.0f} s ({type(error).__name__}: {said})"
            raise KernelLost(ended) from error
        finally:
            shorten(executed)
        if late.is_set():
            kernel.close()
            raise TimedOut(f"took longer than {timeout_s:g} s and was ended")


@contextlib.contextmanager
def _limit(kernel: SharedKernel, timeout_s: float) -> Iterator[tuple[threading.Event, Callable[[], None]]]:
    """End the kernel when the time is over: a time limit on each cell does not limit the whole.

    Gives an event that says so, and what starts the clock: once the kernel is there.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        kernel.kill()

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    try:
        yield late, timer.start
    finally:
        timer.cancel()


@contextlib.contextmanager
def _log(path: Path) -> Iterator[None]:
    """Keep what papermill says of the run, in a file."""
    logger = logging.getLogger("papermill")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        handler.close()


def shorten(executed: Path) -> None:
    """Cut outputs that nobody would read to their beginning and end, and let the file name the usual kernel."""
    import nbformat

    if not executed.exists():
        return
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.get("text", "")
            if len(text) > MOST_OUTPUT:
                half = MOST_OUTPUT // 2
                cut = f"\n... {len(text) - MOST_OUTPUT:,} characters are left out ...\n"
                output["text"] = text[:half] + cut + text[-half:]
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python",
    }  # fmt: skip
    nbformat.write(notebook, executed)
