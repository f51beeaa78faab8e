"""Random plans for the laws: whatever is asked of them, they must hold."""

from __future__ import annotations

import plans
from hypothesis import strategies as st

from twin.plan import Activation, Injection, Plan


@st.composite
def activations(draw: st.DrawFn, ids: tuple[int, ...], seconds: float) -> list[Activation]:
    """Draw activations; one scenario is active once at a time on a machine."""
    names = draw(st.lists(st.sampled_from(sorted(plans.scenarios())), max_size=4, unique=True))
    return [_span(draw, plans.active, name, ids, seconds) for name in names]


@st.composite
def injections(draw: st.DrawFn, ids: tuple[int, ...], seconds: float) -> list[Injection]:
    names = draw(st.lists(st.sampled_from(sorted(plans.modes())), max_size=4))
    levels = st.sampled_from([0.001, 0.25, 0.5, 0.75, 0.95])
    return [
        _span(draw, plans.injected, name, ids, seconds).model_copy(update={"level": draw(levels), "injection_id": i})
        for i, name in enumerate(names, start=1)
    ]


def _span(draw: st.DrawFn, make, name: str, ids: tuple[int, ...], seconds: float):  # type: ignore[no-untyped-def]
    start = draw(st.floats(-0.2 * seconds, 0.95 * seconds))
    length = draw(st.none() | st.floats(0.001, seconds))
    return make(name, draw(st.sampled_from(ids)), start, None if length is None else start + length)


@st.composite
def random_plans(draw: st.DrawFn, ticks: int = 60) -> Plan:
    """Draw a plan of a few machines with random activations and injections."""
    ids = tuple(draw(st.lists(st.integers(1, 10), min_size=1, max_size=3, unique=True)))
    interval_us = draw(st.sampled_from([1_000, 100_000, 1_000_000, 7_300_001, 60_000_000, 900_000_000]))
    seconds = draw(st.integers(1, ticks)) * interval_us * 1e-6
    return plans.make(
        ids,
        seconds,
        interval_us,
        seed=draw(st.integers(0, 2**63 - 1)),
        start_us=plans.START_US + draw(st.integers(-(10**9), 10**9)),
        activations=draw(activations(ids, seconds)),
        injections=draw(injections(ids, seconds)),
        settled=draw(st.booleans()),
    )
