"""From an experiment to the parameters of its runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from pipelines.experiment import Experiment, Range, Sample, Seeds
from twin.errors import BadRequest

MOST_RUNS = 10_000
"""More runs than this are refused unless asked for: a grid grows faster than one thinks."""


def count(experiment: Experiment) -> int:
    """Return how many runs an experiment asks for, without making them."""
    number = math.prod(len(values) for values in experiment.grid.values())
    number *= 1 if experiment.runs is None else len(experiment.runs)
    number *= 1 if experiment.sample is None else experiment.sample.count
    return number * len(_seeds(experiment))


def refuse_too_many(experiment: Experiment, most: int = MOST_RUNS) -> int:
    """Return how many runs an experiment asks for; refuse more than `most`."""
    number = count(experiment)
    if number > most:
        raise BadRequest(
            f"experiment {experiment.name} asks for {number:,} runs, more than {most:,}: "
            f"shorten a list, or say --max-runs {number}"
        )
    return number


def points(experiment: Experiment) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each run, in an order that does not change; the seed runs fastest."""
    names = list(experiment.grid)
    samples = [{}] if experiment.sample is None else _samples(experiment.sample)
    for values in itertools.product(*experiment.grid.values()):
        for run, sample, seed in itertools.product(experiment.runs or [{}], samples, _seeds(experiment)):
            chosen = dict(zip(names, values, strict=True))
            yield {**experiment.fixed, **chosen, **run, **sample, **seed}


def _seeds(experiment: Experiment) -> list[dict[str, Any]]:
    seeds = experiment.seeds
    if seeds is None:
        return [{}]
    numbers = range(seeds.first, seeds.first + seeds.count) if isinstance(seeds, Seeds) else seeds
    return [{"seed": number} for number in numbers]


def _samples(sample: Sample) -> list[dict[str, Any]]:
    """Return the random sets of parameters; the same for the same seed."""
    import numpy as np
    from scipy.stats import qmc

    names = list(sample.ranges)
    if sample.method == "latin_hypercube":
        units = qmc.LatinHypercube(len(names), rng=sample.seed).random(sample.count)
    else:
        units = np.random.default_rng(sample.seed).random((sample.count, len(names)))
    return [
        {name: _value(sample.ranges[name], unit) for name, unit in zip(names, row, strict=True)}
        for row in units.tolist()
    ]


def _value(choice: Range | list[Any], unit: float) -> Any:
    """Return the value that stands at a share, 0 to 1, of a range or list."""
    if isinstance(choice, list):
        return choice[int(unit * len(choice))]
    high = choice.high + choice.integer  # of whole numbers, each has the room up to the next
    if choice.scale == "log":
        value = math.exp(math.log(choice.low) + unit * math.log(high / choice.low))
    else:
        value = choice.low + unit * (high - choice.low)
    return min(int(value), int(choice.high)) if choice.integer else value
