"""Real JupyterLab and Voila servers, and their pages in a real Chromium, for benchmarks and tests.

Nothing here reads or writes a user's own Jupyter settings, and each wait is for a condition.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError

import nbformat

from twin.errors import BadRequest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--enable-precise-memory-info",
)  # fmt: skip
START_S = 90.0
"""A busy machine may take long to start a server or a kernel."""
STARTS_MOST = 3
"""Another process may take the port between its choice and its use."""
VOILA_PAGE = Path(__file__).parent / "live" / "page"
"""Where Voila finds the page of the plant, which asks no other machine for anything."""
VIEWPORT = {"width": 1400, "height": 1000}
_OVERRIDES = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
_INSIDE = ("data:", "blob:", "about:", "chrome")


def chromium_path() -> str | None:
    """Return the path of an installed Chromium or Chrome, if there is one."""
    return next((path for path in map(shutil.which, CHROMIUM) if path), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """Open a headless Chromium; a clear line says what is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BadRequest("this needs playwright: pip install playwright (part of the extra 'dev')") from error
    path = chromium_path()
    if path is None:
        raise BadRequest("this needs Chromium on the path (Debian, Ubuntu: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


class Page:
    """A page of a server: what it shows, what it complains about and whom it asks.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        Where to open it.
    url : str
        What to open.
    viewport : mapping
        Width and height in pixels.

    Attributes
    ----------
    page : playwright.sync_api.Page
        Playwright's own.
    errors : list of str
        Errors of the console and of scripts.
    outside : list of str
        Addresses of other servers that were asked for something.
    """

    def __init__(self, browser: Any, url: str, viewport: Mapping[str, int] = VIEWPORT) -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        self._host = url.split("/")[2]
        self.page = browser.new_page(viewport=dict(viewport))
        self.page.set_default_timeout(START_S * 1e3)
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("websocket", lambda channel: self._asked(channel.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(url)

    def _asked(self, url: str) -> None:
        if not url.startswith(_INSIDE) and url.split("/")[2] != self._host:
            self.outside.append(url)

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Evaluate JavaScript in the page; a promise is awaited."""
        return self.page.evaluate(script, argument)

    def wait(self, condition: str, argument: Any = None, timeout_s: float = START_S) -> None:
        """Wait until JavaScript is true in the page."""
        self.page.wait_for_function(condition, arg=argument, timeout=timeout_s * 1e3)

    def now_ms(self) -> float:
        """Return the page's own clock."""
        return float(self.evaluate("performance.now()"))

    def mirror(self, view: int = 0) -> dict[str, Any]:
        """Return the counters of a mirrored figure (see ``twin/live/bridge.js``)."""
        counted: dict[str, Any] = self.evaluate(_COUNTERS, view)
        return counted

    def wait_drawn(self, views: int = 1, timeout_s: float = START_S) -> None:
        """Wait until that many mirrored figures are drawn."""
        self.wait(_DRAWN, views, timeout_s)

    def rate_hz(self, frames: int = 30, view: int = 0, timeout_s: float = START_S) -> float:
        """Return the frames a second that bring data into a mirrored figure, by the page's clock, over so many."""
        self.wait("([i, n]) => __twin_mirror.views[i].data_frames >= n", [view, self.mirror(view)["data_frames"] + 1])
        before = self.mirror(view)
        self.wait(
            "([i, n]) => __twin_mirror.views[i].data_frames >= n", [view, before["data_frames"] + frames], timeout_s
        )
        after = self.mirror(view)
        took_ms = after["data_at_ms"] - before["data_at_ms"]
        return float(1e3 * (after["data_frames"] - before["data_frames"]) / took_ms)

    def applied_hz(self, seconds: float = 5.0, view: int = 0) -> float:
        """Return the patches a second that reach a mirrored figure, by the page's clock, over so many seconds.

        Patches that a busy page applies together, and paints once for, count one by one.
        """
        before, since_ms = self.mirror(view)["frames"], self.now_ms()
        self.wait("until => performance.now() >= until", since_ms + 1e3 * seconds, START_S + seconds)
        frames, now_ms = self.evaluate("i => [__twin_mirror.views[i].frames, performance.now()]", view)
        return float(1e3 * (frames - before) / (now_ms - since_ms))

    def close(self) -> None:
        """Close the page."""
        self.page.close(run_before_unload=False)


_COUNTERS = """i => {
  const view = __twin_mirror.views[i];
  const numbers = Object.entries(view).filter(([, value]) => ["number", "boolean"].includes(typeof value));
  return {...Object.fromEntries(numbers), latencies_ms: view.latencies_ms};
}"""
_DRAWN = "n => window.__twin_mirror?.views.filter(v => v.snapshots > 0 && v.document.is_idle).length >= n"


class LabPage(Page):
    """A notebook in JupyterLab."""

    def wait_idle(self, timeout_s: float = START_S) -> None:
        """Wait for the notebook, and for its kernel to be idle."""
        self.wait(_IDLE, timeout_s=timeout_s)

    def run_all(self, *, wait: bool = True, timeout_s: float = START_S) -> None:
        """Run all cells, to their end unless told not to wait."""
        self._command("notebook:run-all-cells", wait, timeout_s)

    def run(self, cell: int, *, wait: bool = True, timeout_s: float = START_S) -> None:
        """Run one cell, by its number from 0."""
        self.evaluate("i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", cell)
        self._command("notebook:run-cell", wait, timeout_s)

    def running(self) -> bool:
        """Whether what was started last still runs; the kernel's own status turns idle with each answer to a widget."""
        return bool(self.evaluate("window.__rig_done === null"))

    def wait_done(self, timeout_s: float = START_S) -> None:
        """Wait for the end of what was started last."""
        self.wait("window.__rig_done !== null", timeout_s=timeout_s)

    def save(self) -> None:
        """Save the notebook."""
        self._command("docmanager:save", True, START_S)

    def reload(self) -> None:
        """Load the page again, and wait for the notebook in it."""
        self.page.reload()
        self.wait("window.jupyterapp?.shell.currentWidget?.context?.isReady")

    def outputs(self) -> list[dict[str, Any]]:
        """Return the outputs of all cells, as a notebook stores them."""
        found: list[dict[str, Any]] = self.evaluate(_OUTPUTS)
        return found

    def failed(self) -> list[str]:
        """Return the exceptions that cells show."""
        return [f"{out['ename']}: {out['evalue']}" for out in self.outputs() if out["output_type"] == "error"]

    def _command(self, name: str, wait: bool, timeout_s: float) -> None:
        self.evaluate(_START_COMMAND, name)
        if wait:
            self.wait_done(timeout_s)
            error = self.evaluate("window.__rig_done")
            if error:
                raise RuntimeError(f"{name}: {error}")


_IDLE = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return Boolean(panel?.context?.isReady && panel.sessionContext?.session?.kernel?.status === "idle");
}"""
_START_COMMAND = """name => {
  window.__rig_done = null;
  const mine = window.__rig_turn = (window.__rig_turn ?? 0) + 1;
  const done = said => { if (window.__rig_turn === mine) window.__rig_done = said; };
  jupyterapp.commands.execute(name).then(() => done(""), error => done(String(error)));
}"""
_OUTPUTS = """() => [...jupyterapp.shell.currentWidget.content.model.cells]
  .filter(cell => cell.type === "code").flatMap(cell => cell.outputs.toJSON())"""


class Server:
    """A Jupyter server of its own settings, in a folder of its own.

    Parameters
    ----------
    folder : Path
        Where notebooks are written, and settings below it.
    environment : mapping, optional
        More variables for the server and its kernels.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        self.port = 0
        self.log = folder / ".server.log"
        self._environment = {**os.environ, **_settings(folder), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def arguments(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def ready_url(self) -> str:
        """Return an address that answers when the server is up."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        for _ in range(STARTS_MOST):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self.arguments(), cwd=self.folder, env=self._environment, stdout=log, stderr=log
                )
            if self._answers():
                return
            self.close()
        raise RuntimeError(f"the server did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def _answers(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(self.ready_url(), timeout=5) as answer:
                    return bool(answer.status == 200)
            except (URLError, OSError):
                try:
                    self._process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
                return False
        return False

    def close(self) -> None:
        """Stop the server, and with it its kernels."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook of code cells into the server's folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _settings(folder: Path) -> dict[str, str]:
    """Return variables that keep a server away from the user's settings, and write the settings it has."""
    place = folder / ".jupyter"
    config = place / "config"
    (config / "labconfig").mkdir(parents=True, exist_ok=True)
    (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(_OVERRIDES))
    own = ("data", "runtime", "ipython", "lab-settings", "lab-workspaces")
    for name in own:
        (place / name).mkdir(exist_ok=True)
    return {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(place / "data"),
        "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
        "IPYTHONDIR": str(place / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(place / "lab-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "lab-workspaces"),
        "JUPYTER_PLATFORM_DIRS": "1",
    }


class Lab(Server):
    """A JupyterLab; each page has a workspace of its own."""

    _pages = 0

    def arguments(self) -> list[str]:
        return [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
            f"--port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.folder}", "--expose-app-in-browser", "--LabApp.news_url=''",
        ]  # fmt: skip

    def ready_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/status?token={self.token}"

    def open(self, browser: Any, name: str, viewport: Mapping[str, int] = VIEWPORT) -> LabPage:
        """Open a notebook in a page of its own, and wait for its idle kernel (a second page shares it)."""
        self._pages += 1
        place = f"lab/workspaces/page{self._pages}/tree/{name}"
        page = LabPage(browser, f"http://127.0.0.1:{self.port}/{place}?token={self.token}&reset", viewport)
        page.wait_idle()
        return page


class Voila(Server):
    """A Voila server of the notebooks in its folder, with the plant's own page, as ``make app`` serves it."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, {"JUPYTER_PATH": str(VOILA_PAGE), **(environment or {})})

    def arguments(self) -> list[str]:
        return [
            sys.executable, "-m", "voila", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={self.port}",
            "--Voila.port_retries=0", "--show_tracebacks=True", "--template=plant", str(self.folder),
        ]  # fmt: skip

    def ready_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def open(self, browser: Any, name: str, viewport: Mapping[str, int] = VIEWPORT) -> Page:
        """Open a notebook as a page; it runs for this page alone."""
        return Page(browser, f"http://127.0.0.1:{self.port}/voila/render/{name}", viewport)
