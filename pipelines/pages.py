"""An executed notebook as a page and a small picture, for the index of a sweep."""

from __future__ import annotations

import base64
import html
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

PAGE, PICTURES = "page.html", ("thumbnail.svg", "thumbnail.png")
_KINDS = {"image/svg+xml": PICTURES[0], "image/png": PICTURES[1]}


def write(executed: Path, title: str) -> None:
    """Write the page of an executed notebook beside it, and its first picture.

    Parameters
    ----------
    executed : Path
        The notebook.
    title : str
        Of the page.
    """
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)
    picture = _first_picture(notebook)
    if picture is not None:
        name, data = picture
        (executed.parent / name).write_bytes(data)
    body, _ = _exporter().from_notebook_node(notebook)
    style = files("pipelines").joinpath("page.css").read_text("utf-8")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><body>{body}</body></html>"
    )
    (executed.parent / PAGE).write_text(page, encoding="utf-8")


@cache
def _exporter() -> Any:
    """Return a converter to plain HTML; the template of JupyterLab would add 300 kB of style to every page."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(config=Config({"HTMLExporter": {"template_name": "basic"}}))
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    return exporter


def _first_picture(notebook: Any) -> tuple[str, bytes] | None:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, name in _KINDS.items():
                data = output.get("data", {}).get(kind)
                if data is not None:
                    text = "".join(data)
                    return name, text.encode() if kind.endswith("xml") else base64.b64decode(text)
    return None
