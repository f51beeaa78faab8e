"""A process that drives a plant by the clock until it is killed: says what it has stored."""

from __future__ import annotations

import sys

from twin.live import LiveSession
from twin.plant import Plant

if __name__ == "__main__":
    session = LiveSession(Plant.open(sys.argv[1]), speed=1200.0, seed=4, wear="used")
    session.start()
    session.inject("bearing_degradation", "M-001", severity="high").wait(60)
    session.activate("High load manufacturing", ["M-002"]).wait(60)
    while True:
        stored = session.tick
        if session.flush():
            print(session.run_id, stored, flush=True)
