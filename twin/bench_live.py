"""How lively the live notebook is: the control room in a real JupyterLab and a real Chromium, measured by the page.

``python -m twin.bench_live`` takes two to four minutes; ``--soak 30`` watches memory for half an hour.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from twin.bench_browser import Lab, LabPage, chromium
from twin.errors import TwinError

SPEED = 60.0
FRAMES = 100
"""Frames that a rate or a latency at 10 Hz is taken over, about ten seconds."""
CLICKS = 20
BUSY_S = 10
SETTLE_FRAMES = 30
"""Frames after the first drawing that are not measured: BokehJS and the kernel warm up."""
SOAK_START_S, SOAK_EVERY_S = 120.0, 10.0

TARGETS: dict[str, tuple[str, float]] = {
    "page_updates_hz": (">=", 9.5),
    "kernel_to_page_p50_ms": ("<=", 30),
    "kernel_to_page_p95_ms": ("<=", 100),
    "click_to_data_p50_ms": ("<=", 200),
    "click_to_data_p95_ms": ("<=", 400),
    "kernel_cpu_percent": ("<=", 15),
    "page_updates_5_machines_at_30_hz": (">=", 28.5),
    "fleet_updates_100_machines_hz": (">=", 9.5),
    "page_updates_100_machines_hz": (">=", 9.5),
    "page_updates_while_sleeping_hz": (">=", 9),
    "page_updates_while_computing_hz": (">=", 9),
    "page_updates_two_tabs_hz": (">=", 9),
    "page_updates_after_reload_hz": (">=", 9),
    "history_after_reload_points": (">=", 100),
    "saved_notebook_kb": ("<=", 100),
    "kernel_rss_growth_percent": ("<=", 5),
    "page_heap_growth_percent": ("<=", 5),
    "backlog_messages": ("<=", 5),
    "outside_requests": ("<=", 0),
    "console_errors": ("<=", 0),
}
"""What is to be reached, of those figures that were taken."""

_NOTEBOOK = """
import os
import twin

plant = twin.open("plant-{machines}.duckdb", machines={machines})
room = plant.live(speed={speed}, rate_hz={rate_hz})
room.failures.machine.value, room.failures.mode.value = "M-003", "rotor_imbalance"
room.controls.selected_index = 1
print("pid", os.getpid())
room
"""
_SLEEP = f"import time\ntime.sleep({BUSY_S})"
_COMPUTE = f"import time\nuntil = time.monotonic() + {BUSY_S}\nwhile time.monotonic() < until:\n    sum(range(10_000))"
_STATE = "print('state', room.session.status, room.session.error)"
ROOM, SLEEP, COMPUTE, STATE = range(4)

_LINE = """() => {
  window.__bench_line = channel => {
    const doc = __twin_mirror.views[0].document;
    const figures = [...doc._all_models.values()].filter(model => model.type === "Figure");
    const drawn = figures.flatMap(figure => figure.renderers).filter(one => one.glyph?.type === "Line");
    return drawn.find(line => line.name === "M-003" && line.glyph.y.field === channel).data_source.data[channel];
  };
  window.__bench_newest = channel => Math.max(...__bench_line(channel).slice(-2));
}"""
_WATCH_CLICK = """([selector, limit]) => {
  window.__bench_click_ms = null;
  const asked = event => {
    if (!event.target.closest(selector)) return;
    document.removeEventListener("click", asked, true);
    const from = performance.now();
    const look = () => {
      if (__bench_newest("vibration_g") > limit) window.__bench_click_ms = performance.now() - from;
      else requestAnimationFrame(look);
    };
    look();
  };
  document.addEventListener("click", asked, true);
}"""
_WATCH_FLEET = """() => {
  const watched = window.__bench_fleet = {updates: 0, at_ms: 0};
  new MutationObserver(changes => {
    if (!changes.some(change => change.target.classList?.contains("twin-number"))) return;
    watched.updates += 1;
    watched.at_ms = performance.now();
  }).observe(document.querySelector(".twin-fleet tbody"), {childList: true, subtree: true});
}"""
_HEAP = "performance.memory.usedJSHeapSize / 1e6"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]


class Room:
    """A control room in a page, and the kernel behind it.

    Parameters
    ----------
    lab : Lab
        The server.
    browser : playwright.sync_api.Browser
        The browser.
    machines : int
        Machines of the plant; the store is written.
    rate_hz : float
        Frames a second that are asked for.
    """

    def __init__(self, lab: Lab, browser: Any, machines: int, rate_hz: float) -> None:
        self.name = f"room-{machines}-{rate_hz:.0f}.ipynb"
        self.lab, self.browser, self.rate_hz = lab, browser, rate_hz
        first = _NOTEBOOK.format(machines=machines, speed=SPEED, rate_hz=rate_hz)
        lab.write(self.name, [first, _SLEEP, _COMPUTE, _STATE])
        self.page = self.open()
        self.page.run(ROOM)
        self.raise_failed()
        self.page.wait_drawn()
        self.page.rate_hz(SETTLE_FRAMES)
        self.kernel = psutil.Process(int(self._printed("pid")[0]))

    def open(self) -> LabPage:
        """Open the notebook in one more page."""
        return self.lab.open(self.browser, self.name)

    def raise_failed(self) -> None:
        """Raise what a cell has raised."""
        if self.page.failed():
            raise TwinError(f"the notebook failed: {self.page.failed()[0]}")

    def _printed(self, word: str) -> list[str]:
        texts = [out["text"] for out in self.page.outputs() if out["output_type"] == "stream"]
        lines = "".join("".join(text) for text in texts).splitlines()
        return next(line.split()[1:] for line in lines if line.startswith(f"{word} "))

    def state(self) -> str:
        """Return the session's status and its error."""
        self.page.run(STATE)
        return " ".join(self._printed("state"))

    @contextmanager
    def cpu(self) -> Iterator[list[float]]:
        """Measure the kernel's share of a core, in percent, over the block."""
        found: list[float] = []
        before, since = self.kernel.cpu_times(), time.monotonic()
        yield found
        after, took_s = self.kernel.cpu_times(), time.monotonic() - since
        found.append(100.0 * (after.user - before.user + after.system - before.system) / took_s)

    def busy_rate_hz(self, cell: int) -> float:
        """Return the rate in the page while a cell is busy."""
        self.page.run(cell, wait=False)
        rate = self.page.rate_hz(round(0.7 * BUSY_S * self.rate_hz))
        if not self.page.running():
            raise TwinError("the cell was over before its rate was taken: too many others use this machine")
        self.page.wait_done()
        return rate

    def clicks_ms(self, number: int) -> list[float]:
        """Return how long after each click on "Inject" the machine's vibration rises in the page."""
        page = self.page
        page.evaluate(_LINE)
        calm = max(page.evaluate("Array.from(__bench_line('vibration_g')).slice(-8)"))
        taken = []
        for _ in range(number):
            page.evaluate(_WATCH_CLICK, [".twin-inject", 1.4 * calm])
            page.page.click(".twin-inject")
            page.wait("window.__bench_click_ms !== null", timeout_s=20)
            taken.append(float(page.evaluate("window.__bench_click_ms")))
            page.page.click(".twin-injected .twin-clear")
            page.wait("limit => __bench_newest('vibration_g') < limit", 1.2 * calm, 20)
        return taken

    def fleet_rate_hz(self, updates: int) -> float:
        """Return how often a second the fleet's numbers change in the page."""
        page = self.page
        page.evaluate(_WATCH_FLEET)
        page.wait("window.__bench_fleet.updates >= 1")
        before = page.evaluate("({...window.__bench_fleet})")
        page.wait("n => window.__bench_fleet.updates >= n", before["updates"] + updates)
        after = page.evaluate("({...window.__bench_fleet})")
        return float(1e3 * (after["updates"] - before["updates"]) / (after["at_ms"] - before["at_ms"]))

    def close(self) -> None:
        """Shut the kernel down, so that rooms do not share the processor."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        psutil.wait_procs([self.kernel], timeout=30)
        self.page.close()


def _main_room(room: Room, say: Callable[[str], None]) -> dict[str, float]:
    """Measure 20 machines at 10 Hz: rates, latencies, clicks, two tabs, reload, the saved notebook."""
    page = room.page
    with room.cpu() as cpu:
        rate = page.rate_hz(FRAMES)
    latencies = page.mirror()["latencies_ms"][-FRAMES:]
    found = {
        "page_updates_hz": rate,
        "kernel_to_page_p50_ms": percentile(latencies, 50),
        "kernel_to_page_p95_ms": percentile(latencies, 95),
        "kernel_cpu_percent": cpu[0],
        "kernel_rss_mb": room.kernel.memory_info().rss / 1e6,
    }
    say("clicks")
    clicks = room.clicks_ms(CLICKS)
    found |= {"click_to_data_p50_ms": percentile(clicks, 50), "click_to_data_p95_ms": percentile(clicks, 95)}
    say("busy cells")
    found |= {
        "page_updates_while_sleeping_hz": room.busy_rate_hz(SLEEP),
        "page_updates_while_computing_hz": room.busy_rate_hz(COMPUTE),
    }
    say("two tabs, reload")
    page.save()
    second = room.open()
    second.wait_drawn()
    second.rate_hz(SETTLE_FRAMES)
    found["page_updates_two_tabs_hz"] = min(second.rate_hz(FRAMES // 2), page.rate_hz(FRAMES // 2))
    errors, outside = list(second.errors), list(second.outside)
    second.close()
    page.reload()
    page.wait_drawn()
    page.evaluate(_LINE)
    found["history_after_reload_points"] = page.evaluate("__bench_line('vibration_g').length")
    found["page_updates_after_reload_hz"] = page.rate_hz(FRAMES // 2)
    page.wait_idle()
    page.save()
    found["saved_notebook_kb"] = (room.lab.folder / room.name).stat().st_size / 1e3
    found |= {"outside_requests": len(outside + page.outside), "console_errors": len(errors + page.errors)}
    for line in dict.fromkeys([*errors, *page.errors, *outside, *page.outside]):
        say(f"! {line}")
    return found


def _checked(room: Room) -> None:
    """Close a room whose session is whole."""
    state = room.state()
    room.close()
    if state != "playing None":
        raise TwinError(f"the session did not stay well: {state}")


def bench(say: Callable[[str], None] = lambda text: None) -> dict[str, float]:
    """Measure the live notebook.

    Parameters
    ----------
    say : callable
        Told what is measured now.

    Returns
    -------
    dict
        Figures by name, each with its unit.
    """
    with chromium() as browser, tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        say("20 machines at 10 Hz")
        room = Room(lab, browser, 20, 10.0)
        found = _main_room(room, say)
        _checked(room)
        say("5 machines at 30 Hz")
        room = Room(lab, browser, 5, 30.0)
        found["page_updates_5_machines_at_30_hz"] = room.page.rate_hz(3 * FRAMES)
        _checked(room)
        say("100 machines at 10 Hz")
        room = Room(lab, browser, 100, 10.0)
        with room.cpu() as cpu:
            found["fleet_updates_100_machines_hz"] = room.fleet_rate_hz(FRAMES)
        found["kernel_cpu_100_machines_percent"] = cpu[0]
        found["page_updates_100_machines_hz"] = room.page.rate_hz(FRAMES // 2)
        _checked(room)
    return found


def soak(minutes: float, say: Callable[[str], None] = lambda text: None) -> dict[str, float]:
    """Let 20 machines run at 10 Hz and speed 60, and watch the memory of the kernel and of the page.

    Parameters
    ----------
    minutes : float
        How long; growth is counted from two minutes after the start, or from a third of a short soak.
    say : callable
        Told each minute.

    Returns
    -------
    dict
        Figures by name, each with its unit.
    """
    start_s, length_s = min(SOAK_START_S, 20.0 * minutes), 60.0 * minutes
    with chromium() as browser, tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        room = Room(lab, browser, 20, 10.0)
        collector = room.page.page.context.new_cdp_session(room.page.page)
        began, samples, first = time.monotonic(), [], room.page.mirror()
        while (past_s := time.monotonic() - began) < length_s:
            room.page.rate_hz(round(SOAK_EVERY_S * room.rate_hz))
            collector.send("HeapProfiler.collectGarbage")
            rss_mb, heap_mb = room.kernel.memory_info().rss / 1e6, float(room.page.evaluate(_HEAP))
            latency_ms = percentile(room.page.mirror()["latencies_ms"][-round(SOAK_EVERY_S * room.rate_hz) :], 95)
            samples.append((past_s, rss_mb, heap_mb, latency_ms))
            if int(past_s // 60) != int((past_s - SOAK_EVERY_S) // 60):
                say(f"{past_s / 60:.0f} min: kernel {rss_mb:.0f} MB, page {heap_mb:.1f} MB, p95 {latency_ms:.0f} ms")
        last, took_s = room.page.mirror(), time.monotonic() - began
        _checked(room)
    settled = [sample for sample in samples if sample[0] >= start_s] or samples
    rates = {"soak_updates_hz": (last["frames"] - first["frames"]) / took_s, "soak_minutes": took_s / 60}
    return rates | {
        "kernel_rss_growth_percent": _growth_percent([sample[1] for sample in settled]),
        "page_heap_growth_percent": _growth_percent([sample[2] for sample in settled]),
        "kernel_rss_mb": settled[-1][1],
        "page_heap_mb": settled[-1][2],
        "backlog_messages": max(sample[3] for sample in settled) / 1e3 * 10.0,
        "lost_messages": last["gaps"] - first["gaps"],
        "snapshots": last["snapshots"],
    }


def _growth_percent(values: Sequence[float]) -> float:
    """Return the growth from the first to the last tenth of the samples."""
    part = max(1, len(values) // 10)
    first, last = sum(values[:part]) / part, sum(values[-part:]) / part
    return 100.0 * (last / first - 1.0)


def missed(found: dict[str, float]) -> list[str]:
    """Return what was not reached, in words."""
    return [
        f"{name} is {found[name]:.4g}, to be {sign} {limit:g}"
        for name, (sign, limit) in TARGETS.items()
        if name in found and (found[name] < limit if sign == ">=" else found[name] > limit)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status is 1 where something was not reached or could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m twin.bench_live", description="Measure the live notebook.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--soak", type=float, metavar="MIN", help="instead, watch memory for so many minutes")
    options = parser.parse_args(argv)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        found = bench(say) if options.soak is None else soak(options.soak, say)
    except TwinError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    rounded = {name: float(f"{value:.4g}") for name, value in found.items()}
    behind = missed(found)
    if options.json:
        print(json.dumps({**rounded, "missed": behind}, indent=2))
    else:
        print("\n".join(f"{name:40} {value:>10.4g}" for name, value in rounded.items()))
    for line in behind:
        print(f"not reached: {line}", file=sys.stderr)
    return int(bool(behind))


if __name__ == "__main__":
    sys.exit(main())
