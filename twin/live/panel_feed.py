"""The threads that keep panels up to date with a session."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from twin.live.panel_choices import Choices

IDLE_S = 0.2
"""How often panels are drawn while no frame comes: answers arrive also when time stands still."""

CHOICES_EVERY_S = 2.5
"""How often the plant's tables are read for what can be chosen."""

_OVER = ("stopped", "failed")


class Feed:
    """Keeps panels up to date: one thread draws what a session sends, another reads the plant's tables.

    A panel that fails is told of in the log, and tried again with the next frame.

    Parameters
    ----------
    session : LiveSession
    panels : sequence of Panel
    """

    def __init__(self, session: Any, panels: Sequence[Any]) -> None:
        self.session = session
        self.panels = tuple(panels)
        self.notices = self.panels[0].notices
        self._subscription = session.subscribe()
        self._over = threading.Event()
        self._drawing = threading.Lock()
        self._told: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; both threads end with the session, or with `close`, and hold up no process."""
        self._threads = [
            threading.Thread(target=work, name=f"twin-{name}", daemon=True)
            for work, name in ((self._draw, "panels"), (self._choose, "choices"))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads; what is shown stays."""
        self._over.set()
        self._subscription.close()

    @property
    def alive(self) -> bool:
        """Whether panels are drawn by themselves."""
        return any(thread.is_alive() for thread in self._threads)

    def draw(self, frames: Sequence[Any], *, at_once: bool = False) -> None:
        """Let each panel show frames, and what else has changed."""
        with self._drawing:
            for panel in self.panels:
                try:
                    panel.update(frames, at_once=at_once)
                except Exception as error:
                    self._tell(f"{panel.title}: {type(error).__name__}: {error}")

    def draw_now(self) -> None:
        """Take the frames that wait and draw all, in the caller's thread."""
        self.draw(self._subscription.take(0.0), at_once=True)

    def choose(self) -> None:
        """Let each panel offer what the plant's tables hold now."""
        try:
            choices = Choices.of(self.session)
            for panel in self.panels:
                if choices != panel.choices:
                    panel.refresh(choices)
        except Exception as error:
            self._tell(f"the plant's tables cannot be read now: {error}")

    def _draw(self) -> None:
        while not self._over.is_set():
            self.draw(self._subscription.take(IDLE_S))
            if self.session.status in _OVER:
                break
            if self._subscription.closed and not self._over.wait(IDLE_S):
                self._subscription = self.session.subscribe()
        self._over.set()
        self.draw_now()

    def _choose(self) -> None:
        while not self._over.wait(CHOICES_EVERY_S):
            self.choose()

    def _tell(self, text: str) -> None:
        """Put a fault into the log, once: it may come back with each frame."""
        if text not in self._told:
            self._told.add(text)
            self.notices.add(self.session, text)
