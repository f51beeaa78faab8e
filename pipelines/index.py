"""The index of a sweep: one page with a card for each run, which opens from disk without a network."""

from __future__ import annotations

import html
import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipelines.output import Output, folder
from pipelines.pages import PICTURES
from pipelines.reading import pages_of, results_of
from twin.store import Store

PAGE = "index.html"
MOST_RESULTS = 4
_MOST_CHOICES = 30

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
"""
_FOOT = """</main>
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
    style, script = (files("pipelines").joinpath(file).read_text("utf-8") for file in ("index.css", "index.js"))
    choices = _choices(store, name)
    with tempfile.TemporaryDirectory(prefix="twin-") as scratch:
        draft = Path(scratch) / PAGE
        with draft.open("w", encoding="utf-8") as page:
            page.write(_HEAD.format(title=html.escape(name), style=style))
            page.write(_top(store.rows("experiment_progress", {"name": name})[0]) + _form(choices) + "<main>\n")
            for rows in pages_of(store, name):
                results = results_of(store, name, (rows[0]["number"], rows[-1]["number"]))
                page.writelines(_card(row, results.get(row["run_id"], {}), list(choices), output) for row in rows)
            page.write(_FOOT.format(script=script))
        output.write(PAGE, draft)


def _top(experiment: dict[str, Any]) -> str:
    states = ("complete", "failed", "running", "pending")
    said = ", ".join(f"{experiment[state]} {state}" for state in states if experiment[state])
    return (
        f"<h1>{html.escape(experiment['name'])}</h1>\n<p>{html.escape(experiment['description'])}</p>\n"
        f'<p class="soft">{experiment["runs"]} runs of {html.escape(experiment["template"])}: {said}; '
        f"{experiment['work_s']:,.0f} s of work</p>\n"
    )


def _choices(store: Store, name: str) -> dict[str, list[str]]:
    """Return the parameters that are not the same in all runs, each with its first values as they are shown."""
    seen: dict[str, dict[str, None]] = {}
    runs = 0
    for rows in pages_of(store, name):
        for row in rows:
            for key in (*seen, *(key for key in row["parameters"] if key not in seen)):
                values = seen.setdefault(key, {} if runs == 0 else {_shown(None): None})
                if len(values) <= _MOST_CHOICES:
                    values[_shown(row["parameters"].get(key))] = None
            runs += 1
    return {key: list(values) for key, values in seen.items() if len(values) > 1}


def _form(choices: dict[str, list[str]]) -> str:
    """Return a list to choose from for each parameter that has few values."""
    parts = ["<form>\n"]
    for name, values in choices.items():
        if len(values) > _MOST_CHOICES:
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
    links = {"page.html": "page", "notebook.ipynb": "notebook"}
    links |= {"traceback.txt": "traceback"} if row["status"] == "failed" else {}  # not that of a try before
    there = {name: output.exists(f"{place}/{name}") for name in links}
    shown = [f'<a href="{place}/{file}">{label}</a>' for file, label in links.items() if there[file]]
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
