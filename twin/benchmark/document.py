"""The tables of docs/benchmark.md, made of what is frozen: ``python -m twin.benchmark.document docs/benchmark.md``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from twin.benchmark.frozen import frozen
from twin.benchmark.tasks import EDITION, tasks

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
_FIGURES = {  # heading, and how a row says it
    "detection": (("ROC AUC", "{roc_auc:.2f}"),),
    "diagnosis": (("accuracy", "{accuracy:.2f}"),),
    "rul": (
        ("mean absolute error", "{mae_h:.0f} h"),
        ("coverage of the 90 % interval", "{coverage:.1%} ({coverage_low:.1%} to {coverage_high:.1%})"),
        ("its width", "{width_h:.0f} h"),
    ),
    "survival": (),
    "policy": (
        ("failures", "{failures:.0f}"),
        ("cost", "{cost:,.0f}"),
        (
            "cost against run-to-failure",
            "{vs_run_to_failure:,.0f} ({vs_run_to_failure_low:,.0f} to {vs_run_to_failure_high:,.0f})",
        ),
        ("cost against periodic", "{vs_periodic:,.0f} ({vs_periodic_low:,.0f} to {vs_periodic_high:,.0f})"),
    ),
}


def score_table(kind: str) -> str:
    """Return the scores of a kind's tasks as a table: one row a task and baseline."""
    figures = _FIGURES[kind]
    paired = [] if kind == "policy" else ["behind boosting"]

    def gap(row: Mapping[str, Any]) -> list[str]:
        known = "behind" in row
        text = f"{row['behind']:.3f} ({row['behind_low']:.3f} to {row['behind_high']:.3f})" if known else ""
        return [text] if paired else []

    lines = [["task", "baseline", "score", "95 % interval", "room", *paired, *(heading for heading, _ in figures)]]
    for name, task in tasks().items():
        for row in frozen()["tasks"].get(name, {}).get("baselines", ()) if task.kind == kind else ():
            title = f"*{row['baseline']}*" if row["bound"] else row["baseline"]
            interval = f"{row['low']:.2f} to {row['high']:.2f}"
            cells = [text.format_map(row) for _, text in figures]
            lines.append([f"`{name}`", title, f"{row['score']:.3f}", interval, f"{row['room']:.2f}", *gap(row), *cells])
    return _markdown(lines)


def task_table() -> str:
    """Return the tasks with their sizes and digests."""
    lines = [["task", "machines", "of them held out", "rows", "of them held out", "failures", "digest"]]
    for name, found in frozen()["tasks"].items():
        sizes = found["sizes"]
        if "rows" in sizes:
            counts = [sizes[key] for key in ("machines", "test_machines", "rows", "test_rows", "failures")]
            cells = [f"{count:,}" for count in counts]
        else:
            cells = [f"{sizes['machines']}", f"{sizes['worlds']} worlds of a year", "", "", ""]
        lines.append([f"`{name}`", *cells, f"`{found['digest'][:12]}`"])
    return _markdown(lines)


def dial_table() -> str:
    """Return what the difficulties set."""
    lines = [["difficulty", "signal", "duty", "turns", "units", "wander", "instrument faults", "lives", "gradual"]]
    for difficulty in dict.fromkeys(task.difficulty for task in tasks().values()):
        world = tasks()[f"detection-{difficulty}"].world
        short, long = world.turn_days
        lines.append(
            [
                difficulty, f"x {world.signal:g}", f"{world.duty:g}",
                f"{short:g} to {long:g} d" if world.duty else "none", f"x {world.variation:g}", f"x {world.wander:g}",
                f"{world.faults:g} a machine-year", f"x {world.life:g}", f"x {world.gradual:g}",
            ]
        )  # fmt: skip
    return _markdown(lines)


def version_table() -> str:
    """Return the versions that the scores come from."""
    versions = frozen()["versions"]
    return (
        f"Edition {EDITION}; scores made with "
        + ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
        + "."
    )


def claims() -> str:
    """Return what the medium tasks were made to answer, in sentences with their figures."""
    rows = {name: {r["baseline"]: r for r in found["baselines"]} for name, found in frozen()["tasks"].items()}
    detection, rul, policy = (rows[f"{kind}-medium"] for kind in ("detection", "rul", "policy"))
    ahead = "{behind:.3f} ({behind_low:.3f} to {behind_high:.3f}) ahead of {baseline}"
    covers = "{baseline} {coverage:.1%} ({coverage_low:.1%} to {coverage_high:.1%})"
    saved = []
    for name in ("periodic", "run-to-failure"):
        mean, least, most = (-policy["predictive"][f"vs_{name.replace('-', '_')}{s}"] for s in ("", "_high", "_low"))
        saved.append(f"{mean:,.0f} ({least:,.0f} to {most:,.0f}) less than under {name}")
    return "\n".join(
        [
            f"- `detection-medium`: boosting, with {detection['boosting']['score']:.3f}, is "
            + " and ".join(ahead.format_map(detection[name]) for name in ("logistic", "threshold"))
            + ".",
            "- `rul-medium`: the conformal intervals, stated for 90 %, cover on machines held out: "
            + ", ".join(covers.format_map(rul[name]) for name in ("boosting", "linear"))
            + ".",
            f"- `policy-medium`: under the predictive policy a year of the fleet costs {' and '.join(saved)}.",
        ]
    )


def _tables() -> dict[str, Callable[[], str]]:
    kinds = {kind: lambda kind=kind: score_table(kind) for kind in _FIGURES}
    return {"tasks": task_table, "dials": dial_table, "versions": version_table, "claims": claims, **kinds}


def filled(page: str) -> str:
    """Return the page with its tables as they are frozen."""
    known = _tables()

    def table(match: re.Match[str]) -> str:
        return match[1] + known[match[2]]() + match[3]

    return _TABLE.sub(table, page)


def _markdown(lines: Iterable[list[Any]]) -> str:
    head, *rows = lines
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def main(path: str) -> None:
    """Write the tables of a page anew."""
    place = Path(path)
    place.write_text(filled(place.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
