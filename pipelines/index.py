"""The index of a sweep: one page with a card for each run, which opens from disk without a network."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import Any

from pipelines.output import Output, folder
from pipelines.pages import PICTURES
from pipelines.reading import results_of, run_rows, varied
from twin.store import Store
from twin.store.experiments import experiment_row

PAGE = "index.html"
MOST_RESULTS = 4

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
<script>
{script}</script>
</body>
</html>
"""


def write(store: Store, name: str, output: Output) -> None:
    """Write the index of an experiment to its output location.

    Parameters
    ----------
    store : Store
        The plant.
    name : str
        The experiment.
    output : Output
        Where the runs' folders lie.
    """
    rows, results = run_rows(store, name), results_of(store, name)
    names = varied(rows)
    cards = [_card(row, results.get(row["run_id"], {}), names, output) for row in rows]
    top = _top(experiment_row(store, name), rows) + _choices(rows, names)
    style, script = (files("pipelines").joinpath(name).read_text("utf-8") for name in ("index.css", "index.js"))
    body = f"{top}<main>\n{''.join(cards)}</main>"
    output.write(PAGE, _PAGE.format(title=html.escape(name), style=style, script=script, body=body).encode())


def _top(experiment: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    states = [row["status"] for row in rows]
    said = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "failed", "running", "pending") if s in states)
    seconds = sum(row["wall_s"] or 0.0 for row in rows)
    return (
        f"<h1>{html.escape(experiment['name'])}</h1>\n<p>{html.escape(experiment['description'])}</p>\n"
        f'<p class="soft">{len(rows)} runs of {html.escape(experiment["template"])}: {said}; '
        f"{seconds:,.0f} s of work</p>\n"
    )


def _choices(rows: list[dict[str, Any]], names: list[str]) -> str:
    """Return a list to choose from for each parameter that has few values."""
    parts = ["<form>\n"]
    for name in names:
        values = list(dict.fromkeys(_shown(row["parameters"].get(name)) for row in rows))
        if len(values) > 30:
            continue
        options = "".join(f'<option value="{html.escape(v)}">{html.escape(v)}</option>' for v in values)
        title = html.escape(name)
        parts.append(
            f'<label>{title.replace("_", " ")}<select name="{title}"><option value="">all</option>'
            f"{options}</select></label>\n"
        )
    return "".join([*parts, "<output></output>\n</form>\n"])


def _card(row: dict[str, Any], results: dict[str, Any], names: list[str], output: Output) -> str:
    place = folder(row["run_id"])
    chosen = {name: _shown(row["parameters"].get(name)) for name in names}
    there = {name: output.exists(f"{place}/{name}") for name in ("page.html", "notebook.ipynb", "traceback.txt")}
    links = [("page.html", "page"), ("notebook.ipynb", "notebook"), ("traceback.txt", "traceback")]
    shown = [f'<a href="{place}/{file}">{label}</a>' for file, label in links if there[file]]
    shown += [f'<a href="{place}/results.json">results</a>'] if row["status"] == "complete" else []
    numbers = [(key, value) for key, value in results.items() if "." not in key][:MOST_RESULTS]
    terms = "".join(f"<dt>{html.escape(k.replace('_', ' '))}</dt><dd>{html.escape(_shown(v))}</dd>" for k, v in numbers)
    error = f'<div class="error">{html.escape(row["error"])}</div>' if row["error"] else ""
    title = ", ".join(chosen.values()) or row["run_id"]
    return (
        f'<article class="{row["status"]}" data-parameters="{html.escape(json.dumps(chosen))}">\n'
        f"{_picture(place, there['page.html'], title, output)}"
        f'<div class="text"><h2>{row["number"]}. {html.escape(title)}</h2>{error}<dl>{terms}</dl>'
        f"<nav>{''.join(shown)}</nav></div>\n</article>\n"
    )


def _picture(place: str, has_page: bool, title: str, output: Output) -> str:
    picture = next((name for name in PICTURES if output.exists(f"{place}/{name}")), None)
    if picture is None:
        return ""
    link = f' href="{place}/page.html"' if has_page else ""
    return f'<a class="picture"{link}><img src="{place}/{picture}" loading="lazy" alt="{html.escape(title)}"></a>\n'


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
