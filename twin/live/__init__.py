"""The plant by the clock: sessions that people drive, watch and replay."""

from __future__ import annotations

from twin.live.commands import Command
from twin.live.fanout import ParquetSink, Subscription
from twin.live.follow import Follower
from twin.live.frames import Frame
from twin.live.session import LiveSession
from twin.live.status import Span
from twin.live.watching import Clock

__all__ = ["Clock", "Command", "Follower", "Frame", "LiveSession", "ParquetSink", "Span", "Subscription"]
