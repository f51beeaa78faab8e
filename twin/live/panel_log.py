"""The panel of the log: each command with its answer, alarms, failures, and what went wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import ipywidgets

from twin.live import panel_base as base
from twin.live.panel_table import Row, Table
from twin.times import to_datetime

MOST = 150
"""Lines that are shown; all commands stay in ``session.log()``."""

_TONES = {"refused": "bad", "waiting": "warn", "done": ""}
ALARM_TONES = {"alarm": "bad", "warning": "warn"}
ALL, COMMANDS, EVENTS = "all", "commands", "alarms and failures"


class LogPanel(base.Panel):
    """What was asked and what came of it, newest first."""

    title = "Log"

    def build(self) -> Any:
        self._told: deque[dict[str, Any]] = deque(maxlen=MOST)
        self._tick = 0
        self._error: str | None = None
        self.shown = ipywidgets.Dropdown(options=[ALL, COMMANDS, EVENTS], value=ALL)
        self.shown.observe(self._on_shown, "value")
        self.table = Table(
            None, "twin-log", empty="Nothing has been asked yet.", max_height="600px",
            columns=[
                {"key": "at", "label": "Time (UTC)", "kind": "text", "width": "98px"},
                {"key": "tick", "label": "Tick", "kind": "text", "width": "52px"},
                {"key": "what", "label": "What", "kind": "text", "width": "34%"},
                {"key": "result", "label": "Result", "kind": "text"},
            ],
        )  # fmt: skip
        head = base.row(base.heading(self.title), base.gap(), base.beside("Show", self.shown, "twin-log-shown"))
        return base.column(head, self.table)

    @base.guarded
    def _on_shown(self, change: Any) -> None:
        self.draw_rows()

    def draw(self, frames: Sequence[Any]) -> None:
        if frames and frames[0].tick < self._tick:
            self._told.clear()  # the session began anew
        for frame in frames:
            self._tick = frame.tick
            self._told.extend(event for event in frame.events if event["kind"] == "work" or "code" in event)
        if self.session.error and self.session.error != self._error:
            self.notices.add(self.session, self.session.error)
        self._error = self.session.error

    def draw_rows(self) -> None:
        """Show the newest lines."""
        lines: list[tuple[int, int, Row]] = []
        if self.shown.value != EVENTS:
            lines += [*self._commands(), *self._notices()]
        if self.shown.value != COMMANDS:
            lines += self._events()
        lines.sort(key=lambda line: line[:2], reverse=True)
        self.table.show([row for _, _, row in lines[:MOST]])

    def _commands(self) -> Iterator[tuple[int, int, Row]]:
        now = self.session.now_us
        for command in self.session.log()[-MOST:]:
            at = now if command.at_us is None else command.at_us
            yield (
                at,
                command.number,
                {
                    "id": f"command {command.number}",
                    "at": f"{to_datetime(at):%d %b %H:%M:%S}",
                    "tick": "" if command.tick is None else f"{command.tick:,}",
                    "what": _in_words(command),
                    "result": f"{command.status}: {command.message}" if command.message else command.status,
                    "tone": _TONES.get(command.status, ""),
                },
            )

    def _notices(self) -> Iterator[tuple[int, int, Row]]:
        for notice in self.notices.lines():
            line = _line(f"notice {notice.number}", to_datetime(notice.at_us), "not done", notice.text, "bad")
            yield notice.at_us, notice.after, line

    def _events(self) -> Iterator[tuple[int, int, Row]]:
        """Return what the control systems and the plant have told of, and limits crossed as one watched."""
        for alarm in self.session.alarms()[-MOST:]:
            key = f"alarm {alarm['machine']} {alarm['code']} {alarm['at_us']}"
            tone = ALARM_TONES.get(alarm["level"], "")
            line = _line(key, alarm["ts"], f"{alarm['level']} {alarm['machine']}", alarm["message"], tone)
            yield alarm["at_us"], 0, line
        titles = {name: title for title, name in self.choices.modes}
        for failure in self.session.failures()[-MOST:]:
            text = f"{titles.get(failure['mode'], base.in_words(str(failure['mode'])))} ({failure['cause']})"
            key = f"failure {failure['machine']} {failure['mode']} {failure['at_us']}"
            yield failure["at_us"], 0, _line(key, failure["failed_at"], f"failure {failure['machine']}", text, "bad")
        names = {machine.machine_id: machine.name for machine in self.session.machines}
        for event in self._told:
            what = f"{event.get('level', event['kind'])} {names.get(event['machine_id'], '')}"
            key = f"{what} {event['at_us']} {event['text']}"
            tone = ALARM_TONES.get(event.get("level", ""), "")
            yield event["at_us"], 0, _line(key, to_datetime(event["at_us"]), what, event["text"], tone)


def _line(key: str, at: datetime, what: str, result: str, tone: str) -> Row:
    return {"id": key, "at": f"{at:%d %b %H:%M:%S}", "tick": "", "what": what, "result": result, "tone": tone}


def _in_words(command: Any) -> str:
    """Return a command as one line: its verb and what it was given."""
    given = [_short(value) for value in command.arguments.values() if value not in (None, "", [])]
    return f"{base.in_words(command.verb)} {', '.join(given)}".strip()


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value[:3])) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    return base.in_words(str(value))
