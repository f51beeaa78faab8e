"""What the panels of the live plant share: their form, and how they say no."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import ipywidgets

from twin.catalog.parameters import SEVERITIES
from twin.errors import TwinError
from twin.live.panel_choices import Choices, Notices, Option
from twin.live.panel_feed import Feed
from twin.plant_maintenance import PRIORITIES, TASK_TYPES
from twin.times import parse_duration, parse_time, to_datetime

CSS = Path(__file__).with_name("panels.css")
ROWS_EVERY_S = 0.35
"""Lists and states are read no faster than people read them."""

WIDE = ipywidgets.Layout(width="100%", min_width="0")


SEVERITY_OPTIONS: tuple[Option, ...] = tuple((f"{name} ({level:.0%})", name) for name, level in SEVERITIES.items())
PRIORITY_OPTIONS: tuple[str, ...] = PRIORITIES
TYPE_OPTIONS: tuple[str, ...] = TASK_TYPES


class Panel:
    """A part of the dashboard that can also be used alone.

    Parameters
    ----------
    session : LiveSession
        What it shows and whom it commands.
    notices : Notices, optional
        Where faults are told; the dashboard's, or its own.
    choices : Choices, optional
        What it offers at first; read from the plant when not given.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The panel's root.
    choices : Choices
        What it offers.
    """

    title = ""

    def __init__(self, session: Any, notices: Notices | None = None, choices: Choices | None = None) -> None:
        self.session = session
        self.notices = notices or Notices()
        self.choices = choices or Choices.of(session)
        self.answer = ipywidgets.HTML(layout=WIDE)
        self.answer.add_class("twin-answer")
        self._asked: Any = None
        self._rows_due_s = 0.0
        self._said = ""
        self._feed: Feed | None = None
        self.widget: Any = self.build()
        self.refresh(self.choices)

    def build(self) -> Any:
        """Return the panel's root widget; called once."""
        raise NotImplementedError

    def refresh(self, choices: Choices) -> None:
        """Take new rows of the plant's tables into the lists to choose from."""
        self.choices = choices

    def update(self, frames: Sequence[Any], *, at_once: bool = False) -> None:
        """Show what has changed.

        Parameters
        ----------
        frames : sequence of Frame
            Those that have come since the last time, perhaps none.
        at_once : bool
            Show lists and states now, too, and not only a few times a second.
        """
        if self._asked is not None:
            self._show_answer(self._asked)
        self.draw(frames)
        if at_once or time.monotonic() >= self._rows_due_s:
            self._rows_due_s = time.monotonic() + ROWS_EVERY_S
            self.draw_rows()

    def draw(self, frames: Sequence[Any]) -> None:
        """Show what changes with each frame."""

    def draw_rows(self) -> None:
        """Show what changes less often: lists and states."""

    def asked(self, command: Any) -> Any:
        """Show a command's answer below the controls, when it comes."""
        self._asked = command
        if command is not None:
            self._show_answer(command)
        return command

    def refuse(self, text: str) -> None:
        """Say that something was not done, here and in the log."""
        self._asked = None
        self.notices.add(self.session, text)
        self._say(text, "bad")

    def _show_answer(self, command: Any) -> None:
        words = {"waiting": "waiting for the next tick", "done": "done", "refused": "refused"}
        text = f"{command.verb}: {words[command.status]}"
        if command.status == "refused":
            text = f"{command.verb} refused: {command.message}"
        elif command.status == "done":
            text = command.message or text
        self._say(text, {"refused": "bad", "done": "good"}.get(command.status, ""))
        if command.status != "waiting":
            self._asked, self._rows_due_s = None, 0.0

    def _say(self, text: str, tone: str) -> None:
        self._said = text
        value = f'<div class="twin-says {tone}">{html.escape(text)}</div>'
        if self.answer.value != value:
            self.answer.value = value

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Show the panel alone: it then takes frames by itself."""
        if self._feed is None:
            self._feed = Feed(self.session, [self])
            self._feed.start()
        return ipywidgets.VBox([sheet(), self.widget])._repr_mimebundle_(**kwargs)


def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a panel's callback tell in the log what it would have raised where nobody looks."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except TwinError as error:
            self.refuse(str(error))
        except Exception as error:
            self.refuse(f"{type(error).__name__}: {error}")
        return None

    return call


def sheet() -> Any:
    """Return a widget that carries the panels' style."""
    style = ipywidgets.HTML(f"<style>{CSS.read_text()}</style>", layout=ipywidgets.Layout(height="0", margin="0"))
    style.add_class("twin-sheet")
    return style


def offer(control: Any, options: Sequence[Any]) -> None:
    """Give a control other options and keep what is chosen, where it is still there."""
    if tuple(control.options) == tuple(options):
        return
    chosen = control.value
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    with control.hold_sync():
        control.options = tuple(options)
        if isinstance(chosen, tuple):
            control.value = tuple(value for value in chosen if value in values)
        elif chosen in values:
            control.value = chosen
        elif values:
            control.value = values[0]


def moment(text: str, now_us: int, what: str) -> Any:
    """Return the time that a person typed, as a datetime of UTC; None where nothing was typed.

    Parameters
    ----------
    text : str
        A time, or a duration from now on such as ``+2h``; ``now`` is like nothing.
    now_us : int
        The simulated time.
    what : str
        To begin a refusal with.
    """
    text = text.strip()
    if text.lower() in ("", "now"):
        return None
    if text.startswith("+"):
        return to_datetime(now_us + parse_duration(text[1:], what))
    return to_datetime(parse_time(text, what))


def heading(text: str) -> Any:
    """Return a panel's title."""
    layout = ipywidgets.Layout(flex="0 0 auto", width="auto")
    return ipywidgets.HTML(f'<div class="twin-heading">{html.escape(text)}</div>', layout=layout)


def button(label: str, css_class: str, tip: str, pressed: Callable[[], Any], style: str = "", icon: str = "") -> Any:
    """Return a button with a stable CSS class."""
    made = ipywidgets.Button(
        description=label, tooltip=tip, button_style=style, icon=icon, layout=ipywidgets.Layout(width="auto")
    )
    made.add_class(css_class)
    made.on_click(lambda _: pressed())
    return made


def labelled(label: str, control: Any, css_class: str, basis: str = "130px") -> Any:
    """Return a control below its label; fields in a row wrap and share its width."""
    control.layout = ipywidgets.Layout(width="100%", min_width="0", margin="0")
    control.add_class(css_class)
    text = ipywidgets.HTML(f'<div class="twin-label">{html.escape(label)}</div>', layout=WIDE)
    return ipywidgets.VBox([text, control], layout=ipywidgets.Layout(flex=f"1 1 {basis}", min_width="0"))


def beside(label: str, control: Any, css_class: str, width: str = "190px") -> Any:
    """Return a control with its label at its left, no wider than it must be."""
    control.layout = ipywidgets.Layout(flex="1 1 90px", width="auto", min_width="0", margin="0")
    control.add_class(css_class)
    text = ipywidgets.HTML(
        f'<div class="twin-label">{html.escape(label)}</div>', layout=ipywidgets.Layout(width="auto")
    )
    layout = ipywidgets.Layout(flex=f"0 1 {width}", align_items="center", grid_gap="6px", min_width="0")
    return ipywidgets.HBox([text, control], layout=layout)


def gap() -> Any:
    """Return what takes the space that is left in a row."""
    return ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 0", width="auto"))


def row(*children: Any, align: str = "flex-end") -> Any:
    """Return controls side by side that wrap where the page is narrow."""
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items=align, grid_gap="6px", width="100%")
    return ipywidgets.Box(list(children), layout=layout)


def column(*children: Any, css_class: str = "twin-panel") -> Any:
    """Return controls below each other."""
    box = ipywidgets.VBox(list(children), layout=ipywidgets.Layout(width="100%", min_width="0", grid_gap="6px"))
    box.add_class(css_class)
    return box


def in_words(name: str) -> str:
    """Return a code as people read it: ``bearing_degradation`` as ``bearing degradation``."""
    return name.replace("_", " ")


def stamp(us: int | None, *, date: bool = True) -> str:
    """Return a simulated time as short text."""
    if us is None:
        return ""
    return f"{to_datetime(us):{'%Y-%m-%d %H:%M:%S' if date else '%d %b %H:%M:%S'}}"
