"""The mirror of a Bokeh document, without a browser: a copy in Python stands for a page."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import ipywidgets
import numpy as np
import pytest
from bokeh.core.serialization import Buffer, Serialized
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource, DataTable, Range1d, Span
from bokeh.plotting import figure
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.live import bridge
from twin.live.bridge import Mirror


class Wired(Mirror):
    """A mirror whose messages are kept, and handed to the pages that listen."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        self.pages: list[Page] = []
        super().__init__(*args, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        assert len(json.dumps(content)) > 0
        self.sent.append((content, list(buffers or [])))
        for page in self.pages:
            page.received(content, list(buffers or []))

    def kinds(self) -> list[str]:
        return [content["kind"] for content, _ in self.sent]


class Page:
    """What bridge.js does, with Bokeh's Python document in the place of BokehJS."""

    def __init__(self, mirror: Wired, client: str = "a") -> None:
        self.mirror, self.client = mirror, client
        self.document: Document | None = None
        self.sequence = -1
        self.follows, self.frozen = False, False
        self.frames = self.snapshots = self.pings = self.current = 0
        self.errors: list[str] = []
        mirror.pages.append(self)
        self.ask()

    def say(self, kind: str, **more: Any) -> None:
        self.mirror._received(self.mirror, {"kind": kind, "client": self.client, **more}, [])

    def ask(self, has: int | None = None) -> None:
        self.say("snapshot", has=has)

    def acknowledge(self) -> None:
        self.say("acknowledge", sequence=self.sequence)

    def received(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        if self.frozen or message.get("to", self.client) != self.client:
            return
        getattr(self, f"on_{message['kind']}")(message, buffers)

    def on_snapshot(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        self.document = Document.from_json(self._decoded(message, buffers))
        self.sequence, self.follows = message["sequence"], True
        self.snapshots += 1
        self.acknowledge()

    def on_patch(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        if not self.follows:
            return
        if message["sequence"] != self.sequence + 1:
            self.follows = False
            return
        assert self.document is not None
        self.document.apply_json_patch(self._decoded(message, buffers))
        self.sequence = message["sequence"]
        self.frames += 1

    def on_ping(self, message: dict[str, Any], _: Any) -> None:
        self.pings += 1
        if message["sequence"] > self.sequence:
            self.ask()

    def on_current(self, message: dict[str, Any], _: Any) -> None:
        self.current += 1

    def on_error(self, message: dict[str, Any], _: Any) -> None:
        self.errors.append(message["text"])

    def on_library(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        self.script = gzip.decompress(buffers[0]).decode()

    @staticmethod
    def _decoded(message: dict[str, Any], buffers: list[bytes]) -> Any:
        named = [Buffer(name, data) for name, data in zip(message["buffers"], buffers, strict=True)]
        return Serialized(content=json.loads(message["content"]), buffers=named)

    def source(self) -> ColumnDataSource:
        assert self.document is not None
        return self.document.select_one({"name": "source"})


def plot(points: int = 3) -> tuple[Any, ColumnDataSource]:
    source = ColumnDataSource({"x": np.arange(float(points)), "y": np.arange(float(points)) ** 2}, name="source")
    panel = figure(height=200, sizing_mode="stretch_width", name="panel", x_range=Range1d(0, 10))
    panel.line("x", "y", source=source)
    return panel, source


def more(source: ColumnDataSource, value: float = 7.0, rollover: int = 100) -> None:
    source.stream({"x": np.array([value]), "y": np.array([-value])}, rollover=rollover)


@pytest.fixture
def wired() -> Iterator[tuple[Wired, ColumnDataSource]]:
    panel, source = plot()
    mirror = Wired(panel, max_rate_hz=1e9)
    yield mirror, source
    mirror.close()


Live = tuple[Wired, ColumnDataSource]


def same(page: Page, source: ColumnDataSource) -> None:
    copy = page.source().data
    assert set(copy) == set(source.data)
    for name, values in source.data.items():
        np.testing.assert_array_equal(copy[name], values)


def test_a_frame_is_one_message_with_binary_arrays_and_the_next_number(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    mirror.sent.clear()
    for number in (1, 2, 3):
        with mirror.update():
            more(source, float(number))
            mirror.root.title.text = f"frame {number}"
            mirror.root.x_range.end = 10.0 + number
        message, buffers = mirror.sent[-1]
        assert message["kind"] == "patch"
        assert message["sequence"] == number
        assert [len(buffer) for buffer in buffers] == [8, 8]
        assert len(json.loads(message["content"])["events"]) == 3
    assert mirror.kinds() == ["patch"] * 3
    same(page, source)
    assert page.document is not None
    assert page.document.select_one({"name": "panel"}).title.text == "frame 3"
    assert page.document.select_one({"name": "panel"}).x_range.end == 13


def test_blocks_may_be_nested_and_an_empty_one_sends_nothing(wired: Live) -> None:
    mirror, source = wired
    Page(mirror)
    mirror.sent.clear()
    with mirror.update():
        pass
    assert mirror.sent == []
    with mirror.update():
        with mirror.update():
            more(source)
        assert mirror.sent == []
        more(source)
    assert mirror.kinds() == ["patch"]


def test_a_change_outside_a_block_is_a_frame_of_its_own(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    more(source)
    more(source)
    assert page.frames == 2
    same(page, source)


def test_without_a_page_nothing_is_sent_and_a_page_that_comes_has_the_history(wired: Live) -> None:
    mirror, source = wired
    for value in range(50):
        with mirror.update():
            more(source, value)
    assert mirror.sent == []
    assert mirror.clients == mirror.followers == 0
    page = Page(mirror)
    assert len(page.source().data["x"]) == 53
    same(page, source)
    assert mirror.clients == mirror.followers == 1


def test_every_page_has_its_own_snapshot_and_all_share_the_patches(wired: Live) -> None:
    mirror, source = wired
    pages = []
    for client in "abc":
        pages.append(Page(mirror, client))
        with mirror.update():
            more(source)
    assert mirror.clients == mirror.followers == 3
    assert mirror.kinds().count("patch") == 3
    for page in pages:
        assert page.snapshots == 1
        same(page, source)


def test_models_that_are_added_later_reach_old_and_new_pages(wired: Live) -> None:
    mirror, source = wired
    with mirror.update():
        mirror.root.add_layout(Span(location=1.0, dimension="height", name="before"))
    first = Page(mirror, "first")
    with mirror.update():
        mirror.root.add_layout(Span(location=2.0, dimension="height", name="after"))
    second = Page(mirror, "second")
    with mirror.update():
        mirror.root.select_one({"name": "before"}).location = 5.0
        mirror.root.select_one({"name": "after"}).location = 6.0
    for page in (first, second):
        assert page.document is not None
        assert page.document.select_one({"name": "before"}).location == 5
        assert page.document.select_one({"name": "after"}).location == 6


def test_a_page_that_does_not_acknowledge_is_left_behind_and_returns_by_a_ping(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    for _ in range(bridge.UNACKNOWLEDGED_MOST + 1):
        with mirror.update():
            more(source)
    assert page.frames == bridge.UNACKNOWLEDGED_MOST
    assert mirror.followers == 1  # the ping brought it back with a new snapshot
    assert page.pings == 1
    assert page.snapshots == 2
    page.acknowledge()
    with mirror.update():
        more(source)
    same(page, source)


def test_a_page_that_never_answers_costs_a_ping_a_second(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    page.frozen = True
    for _ in range(500):
        with mirror.update():
            more(source)
    assert mirror.kinds().count("patch") == bridge.UNACKNOWLEDGED_MOST
    assert mirror.kinds().count("ping") <= 2
    assert mirror.followers == 0
    page.frozen = False
    page.acknowledge()  # late, of what it had drawn: it is told that there is more
    assert page.snapshots == 2
    same(page, source)


def test_a_slow_page_does_not_hold_up_another(wired: Live) -> None:
    mirror, source = wired
    slow, quick = Page(mirror, "slow"), Page(mirror, "quick")
    slow.frozen = True
    for _ in range(300):
        with mirror.update():
            more(source)
        quick.acknowledge()
    assert quick.frames == 300
    assert quick.snapshots == 1
    same(quick, source)


def test_a_hidden_page_is_sent_nothing_and_asks_when_it_is_seen_again(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    page.say("hidden")
    mirror.sent.clear()
    for _ in range(100):
        with mirror.update():
            more(source)
    assert mirror.sent == []
    page.ask(has=page.sequence)
    assert page.snapshots == 2
    same(page, source)


def test_a_hidden_page_that_missed_nothing_keeps_its_drawing(wired: Live) -> None:
    mirror, _ = wired
    page = Page(mirror)
    page.say("hidden")
    page.ask(has=page.sequence)
    assert page.current == 1
    assert page.snapshots == 1
    assert mirror.followers == 1


def test_a_page_that_leaves_is_forgotten(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    page.say("bye")
    assert mirror.followers == 0
    assert mirror.clients == 1
    mirror.sent.clear()
    with mirror.update():
        more(source)
    assert mirror.sent == []


def test_fast_changes_share_messages_and_none_is_lost() -> None:
    panel, source = plot()
    mirror = Wired(panel, max_rate_hz=20.0)
    page = Page(mirror)
    for value in range(200):
        with mirror.update():
            more(source, value, rollover=1000)
    timer = mirror._timer
    if timer is not None:
        timer.join(10)
    assert page.frames < 40
    assert len(page.source().data["x"]) == 203
    same(page, source)
    mirror.close()


def test_a_snapshot_holds_what_still_waits_for_its_turn() -> None:
    panel, source = plot()
    mirror = Wired(panel, max_rate_hz=0.01)
    first = Page(mirror, "first")
    more(source)
    more(source)
    more(source)
    second = Page(mirror, "second")
    same(first, source)
    same(second, source)
    mirror.close()


def test_threads_that_draw_and_pages_that_come_agree_in_the_end(wired: Live) -> None:
    mirror, source = wired
    pages: list[Page] = []
    start = threading.Barrier(4)

    def draw() -> None:
        start.wait()
        for value in range(100):
            with mirror.update():
                more(source, value, rollover=10_000)
                more(source, value, rollover=10_000)

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    start.wait()
    for client in "abcdef":
        pages.append(Page(mirror, client))
        pages[-1].acknowledge()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert mirror.sequence == 300
    for page in pages:
        if page.sequence != mirror.sequence:
            page.ask()
        assert len(page.source().data["x"]) == 603
        same(page, source)


def test_what_was_changed_before_an_exception_is_sent_and_the_exception_passes(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    with pytest.raises(RuntimeError, match="mine"), mirror.update():
        more(source)
        raise RuntimeError("mine")
    same(page, source)
    with mirror.update():
        more(source)
    same(page, source)


def test_values_that_cannot_be_sent_fail_where_they_are_set_and_the_mirror_lives_on(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    with pytest.raises(Exception, match="can't serialize"), mirror.update():
        source.stream({"x": [object()], "y": [1.0]})
    page.ask()
    assert page.errors != []  # told to the page: nothing else would show it
    with mirror.update():
        source.data = {"x": np.arange(2.0), "y": np.arange(2.0)}
    page.ask()
    same(page, source)


def test_nonsense_from_a_page_does_no_harm(wired: Live) -> None:
    mirror, source = wired
    page = Page(mirror)
    for message in (None, 3, {}, {"kind": "snapshot"}, {"kind": "x", "client": "a"}, {"kind": "bye", "client": "z"}):
        mirror._received(mirror, message, [])
    for sequence in (None, "9", 10**9, -5):
        page.say("acknowledge", sequence=sequence)
    page.say("library", name="../../../etc/passwd")
    assert "BokehJS has no part" in page.errors[0]
    with mirror.update():
        more(source)
    same(page, source)


def test_bokehjs_comes_from_the_installed_package(wired: Live) -> None:
    page = Page(wired[0])
    page.say("library", name="bokeh")
    assert "Bokeh[bokeh.version]" in page.script.replace(" ", "") or "register_plugin" in page.script
    assert len(bridge.library("bokeh")) < 500_000


def test_the_parts_of_bokehjs_that_a_document_needs() -> None:
    panel, source = plot()
    needs = {
        panel: ["bokeh"],
        column(figure(), Button()): ["bokeh", "bokeh-widgets"],
        column(DataTable(source=ColumnDataSource())): ["bokeh", "bokeh-widgets", "bokeh-tables"],
        figure(output_backend="webgl"): ["bokeh", "bokeh-gl"],
    }
    for root, parts in needs.items():
        mirror = Wired(root)
        assert mirror._about["libraries"] == parts
        mirror.close()


def test_the_state_that_a_notebook_stores_is_small() -> None:
    panel, source = plot(100_000)
    mirror = Wired(panel)
    for _ in range(10):
        more(source, rollover=200_000)
    assert len(json.dumps(mirror.get_state())) < 20_000
    assert mirror.layout is not None  # DOMWidget's own, which no attribute of a mirror may hide
    assert isinstance(ipywidgets.VBox([mirror]).children[0], Mirror)
    mirror.close()


def test_closing_frees_the_figure_and_may_be_repeated() -> None:
    panel, source = plot()
    mirror = Wired(panel)
    Page(mirror)
    with pytest.raises(ValueError, match="belongs to a document already"):
        Mirror(panel)
    mirror.close()
    mirror.close()
    mirror.sent.clear()
    with mirror.update():
        more(source)
    assert mirror.sent == []
    again = Wired(panel)
    same(Page(again), source)
    again.close()


CHANGES = ("stream", "patch", "replace", "title", "span", "page", "hide", "lose")


@given(st.lists(st.sampled_from(CHANGES), max_size=20))
@settings(max_examples=40)
def test_whatever_happens_every_page_that_follows_shows_what_the_kernel_has(changes: list[str]) -> None:
    panel, source = plot()
    mirror = Wired(panel, max_rate_hz=1e9)
    pages = [Page(mirror, "0")]
    for number, change in enumerate(changes, 1):
        with mirror.update():
            if change == "stream":
                more(source, number, rollover=5)
            elif change == "patch":
                source.patch({"y": [(0, float(number))]})
            elif change == "replace":
                source.data = {"x": np.arange(float(number)) + 1, "y": np.full(number, np.nan)}
            elif change == "title":
                panel.title.text = str(number)
            elif change == "span":
                panel.add_layout(Span(location=float(number), name=f"span {number}"))
        if change == "page":
            pages.append(Page(mirror, str(number)))
        elif change == "hide":
            pages[-1].say("hidden")
        elif change == "lose":
            pages[-1].frozen = not pages[-1].frozen
    for page in pages:
        page.frozen = False
        page.ask(has=page.sequence)
        same(page, source)
        assert page.document is not None
        copy = page.document.select_one({"name": "panel"})
        assert copy.title.text == panel.title.text
        assert sorted(s.location for s in copy.select(Span)) == sorted(s.location for s in panel.select(Span))
    mirror.close()
