"""Bokeh figures that stay live in JupyterLab and Voila: a widget that mirrors one document, one way.

The figures live in the kernel. A page that shows the widget asks for a snapshot of the document, draws it, and from
then on applies the patches it is sent, one a frame. A page that misses a patch, was hidden, or could not keep up
asks for a new snapshot, so that every page has the full history and none holds up the kernel. BokehJS comes out of
the installed package through the widget's own channel: nothing is fetched from a network. The widget's traits stay
small, and so does a saved notebook.

The module knows nothing of the rest of this package; with ``bridge.js`` beside it, it can be used alone.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh
import traitlets
from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Buffer, Serializer
from bokeh.document import Document
from bokeh.document.events import DocumentChangedEvent, DocumentPatchedEvent
from bokeh.models.ui import UIElement

ACKNOWLEDGED_EVERY = 20
"""A page confirms each so many patches: more would make the kernel look busy."""
UNACKNOWLEDGED_MOST = 60
"""A page that owes this many patches is left behind until it asks for a snapshot."""
PING_EVERY_S = 1.0
"""How often pages left behind are told that there is news."""
MAX_RATE_HZ = 60.0
"""Changes that come faster share a message; a Jupyter server drops messages from 1,000 a second on."""

_MODULES = {"bokeh.models.widgets": "bokeh-widgets", "bokeh.models.widgets.tables": "bokeh-tables"}
_MATH = {"TeX", "MathML", "Ascii"}
_LIBRARIES = ("bokeh", "bokeh-widgets", "bokeh-tables", "bokeh-gl", "bokeh-mathjax")


@cache
def library(name: str) -> bytes:
    """Return a script of the installed BokehJS, gzipped.

    Parameters
    ----------
    name : str
        Such as ``bokeh`` or ``bokeh-widgets``.

    Returns
    -------
    bytes
        The minified script.
    """
    if name not in _LIBRARIES:
        raise ValueError(f"BokehJS has no part {name!r}; it has {', '.join(_LIBRARIES)}")
    script = Path(bokeh.__file__).parent / "server" / "static" / "js" / f"{name}.min.js"
    return gzip.compress(script.read_bytes(), 6)


def libraries(document: Document) -> list[str]:
    """Return the parts of BokehJS that the models of a document need, in the order of loading."""
    needed = {"bokeh"}
    for model in document.models:
        module = type(model).__module__
        needed |= {name for prefix, name in _MODULES.items() if module == prefix or module.startswith(f"{prefix}.")}
        if type(model).__name__ in _MATH:
            needed.add("bokeh-mathjax")
        if getattr(model, "output_backend", None) == "webgl":
            needed.add("bokeh-gl")
    return [name for name in _LIBRARIES if name in needed]


@dataclass(slots=True)
class _Client:
    """What is known of one view in one page."""

    acknowledged: int
    """The newest patch or snapshot that it is known to have drawn, by sequence number."""
    drawn: bool = False
    hidden: bool = False

    def follows(self, sequence: int) -> bool:
        return not self.hidden and sequence - self.acknowledged <= UNACKNOWLEDGED_MOST


class Mirror(anywidget.AnyWidget):
    """A Bokeh figure or layout as a widget, kept up to date in every page that shows it.

    Parameters
    ----------
    root : bokeh.models.UIElement
        A figure, or a layout of figures, that belongs to no document yet. It is shown as given; with
        ``sizing_mode="stretch_width"`` it is as wide as its place.
    height : int, optional
        Height of the place in pixels, for roots that stretch over it (``sizing_mode="stretch_both"``), or to keep
        the page from moving while the figure is drawn.
    max_rate_hz : float
        Messages a second at most; faster changes are gathered. Nothing is lost by it.

    Attributes
    ----------
    root : bokeh.models.UIElement
        The figure or layout.
    document : bokeh.document.Document
        What is mirrored.

    Examples
    --------
    >>> source = ColumnDataSource({"x": [], "y": []})
    >>> plot = figure(height=200, sizing_mode="stretch_width")
    >>> plot.line("x", "y", source=source)
    >>> mirror = Mirror(plot)  # the last line of a cell shows it
    >>> with mirror.update():  # from any thread
    ...     source.stream({"x": [1.0], "y": [2.0]}, rollover=600)

    Notes
    -----
    The mirror is one way: what a reader does in the page (zoom, hide a line) stays in that page, and is gone with its
    next snapshot. A change outside of ``update()`` is sent as well, as a frame of its own, but only ``update()``
    keeps other threads from reading the document half changed.
    """

    _esm = Path(__file__).with_name("bridge.js")
    _about = traitlets.Dict().tag(sync=True)
    _closed = True  # until it is complete: a mirror that was refused is closed by the collector as well

    def __init__(self, root: UIElement, height: int | None = None, *, max_rate_hz: float = MAX_RATE_HZ) -> None:
        if root.document is not None:
            raise ValueError("the figure belongs to a document already: a mirror needs one that is shown nowhere else")
        self.root = root
        self.document = Document()
        self.document.add_root(root)
        self._lock = threading.RLock()
        self._depth = 0
        self._events: list[DocumentPatchedEvent] = []
        self._sequence = 0
        self._sent_s = self._pinged_s = float("-inf")
        self._least_s = 1.0 / max_rate_hz
        self._timer: threading.Timer | None = None
        self._pages: dict[str, _Client] = {}
        self._drawn = 0
        self._closed = False
        about = {"version": bokeh.__version__, "libraries": libraries(self.document), "height": height}
        super().__init__(_about=about | {"acknowledge_every": ACKNOWLEDGED_EVERY})
        self.document.on_change(self._changed)
        self.on_msg(self._received)

    @property
    def clients(self) -> int:
        """How many views were drawn so far, those of closed pages included."""
        return self._drawn

    @property
    def followers(self) -> int:
        """How many views are sent patches now."""
        with self._lock:
            return sum(page.follows(self._sequence) for page in self._pages.values())

    @property
    def sequence(self) -> int:
        """The number of the newest frame."""
        return self._sequence

    @contextmanager
    def update(self) -> Iterator[None]:
        """Gather the changes of a frame: they leave as one message at the end of the block.

        Other threads that change or read the document through this mirror wait for the end of the block. Blocks may
        be nested; the outermost sends. What was changed before an exception is sent as well.
        """
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._flush()

    def close(self) -> None:
        """Take the widget out of all pages; the figure is free to be shown elsewhere."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            self.document.remove_on_change(self._changed)
            self._events.clear()
            self._pages.clear()
            self.document.clear()
        super().close()

    # from the document

    def _changed(self, event: DocumentChangedEvent) -> None:
        if not isinstance(event, DocumentPatchedEvent):
            return  # periodic callbacks belong to a Bokeh server
        with self._lock:
            self._events.append(event)
            if not self._depth:
                self._flush()

    def _flush(self, *, at_once: bool = False) -> None:
        """Send what was gathered, now or as soon as the rate allows."""
        if not self._events or self._closed:
            return
        wait_s = self._sent_s + self._least_s - time.monotonic()
        if wait_s > 0 and not at_once:
            self._flush_in(wait_s)
            return
        events, self._events = self._events, []
        self._sequence += 1  # a frame that nobody is sent, or that fails, leaves a gap: who returns sees it
        self._sent_s = time.monotonic()
        if self.followers:
            self._send_patch(events)
        else:
            self.document.models.flush_synced()
            self._ping()

    def _flush_in(self, wait_s: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(wait_s, self._flush_late)
            self._timer.daemon = True
            self._timer.start()

    def _flush_late(self) -> None:
        with self._lock:
            self._timer = None
            self._flush(at_once=True)

    def _send_patch(self, events: Sequence[DocumentPatchedEvent]) -> None:
        message = {"kind": "patch", "sequence": self._sequence, "sent_at_ms": time.time() * 1e3}
        serializer = Serializer(references=self.document.models.synced_references)
        try:
            content = {"events": serializer.encode(list(events))}
        except Exception:
            self.document.models.flush_synced()  # nobody follows any more: all will ask for a snapshot
            raise
        self.document.models.flush_synced(lambda model: not serializer.has_ref(model))
        self._send_document(message, content, serializer.buffers)

    def _send_document(self, message: Mapping[str, Any], content: Any, buffers: Sequence[Buffer]) -> None:
        """Send a message with a part of the document, its arrays as binary buffers."""
        text, names = serialize_json(content), [buffer.id for buffer in buffers]
        # copies: the arrays may change while another thread still writes the message out
        self.send({**message, "content": text, "buffers": names}, [buffer.to_bytes() for buffer in buffers])

    def _ping(self) -> None:
        """Tell pages that were left behind, now and then, that there is news: one that is awake asks for it."""
        now_s = time.monotonic()
        if now_s - self._pinged_s >= PING_EVERY_S and any(not page.hidden for page in self._pages.values()):
            self._pinged_s = now_s
            self.send({"kind": "ping", "sequence": self._sequence})

    # from the pages

    def _received(self, _: Any, message: Any, __: Any) -> None:
        """Answer a page; a failure is told to it, since a kernel shows none of a callback."""
        if not isinstance(message, dict) or not isinstance(client := message.get("client"), str):
            return
        answers = {
            "library": self._library_asked,
            "snapshot": self._snapshot_asked,
            "acknowledge": self._acknowledged,
            "hidden": self._hid,
            "bye": self._left,
        }
        try:
            with self._lock:
                if not self._closed and message.get("kind") in answers:
                    answers[message["kind"]](client, message)
        except Exception as error:
            self.send({"kind": "error", "to": client, "text": f"{type(error).__name__}: {error}"})

    def _library_asked(self, client: str, message: Mapping[str, Any]) -> None:
        name = str(message.get("name"))
        self.send({"kind": "library", "to": client, "name": name}, [library(name)])

    def _snapshot_asked(self, client: str, message: Mapping[str, Any]) -> None:
        self._flush(at_once=True)
        page = self._pages.setdefault(client, _Client(self._sequence))
        page.acknowledged, page.hidden = self._sequence, False
        answer = {"kind": "snapshot", "to": client, "sequence": self._sequence}
        if message.get("has") == self._sequence:  # nothing happened while the tab was hidden
            self.send(answer | {"kind": "current"})
            return
        document = self.document.to_json()
        answer |= {"sent_at_ms": time.time() * 1e3, "libraries": libraries(self.document)}
        self._send_document(answer, document.content, document.buffers)

    def _acknowledged(self, client: str, message: Mapping[str, Any]) -> None:
        page = self._pages.get(client)
        sequence = message.get("sequence")
        if page is None or not isinstance(sequence, int):
            return
        if not page.follows(self._sequence):  # it has caught up with what was sent, not with what was left out
            self.send({"kind": "ping", "sequence": self._sequence})
        page.acknowledged = max(page.acknowledged, min(sequence, self._sequence))
        if not page.drawn:
            page.drawn = True
            self._drawn += 1

    def _hid(self, client: str, _: Mapping[str, Any]) -> None:
        if client in self._pages:
            self._pages[client].hidden = True

    def _left(self, client: str, _: Mapping[str, Any]) -> None:
        self._pages.pop(client, None)
