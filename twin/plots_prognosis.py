"""Figures of predictions: how good they are, and what they said of one machine as time went by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twin import plots
from twin.errors import BadRequest, unknown
from twin.plots_outcomes import _dress
from twin.plots_world import _add_hover, _entitle, _need

if TYPE_CHECKING:
    import pandas as pd

CHANCE, FAILURE, WORK, LIMIT = "probability of failure", "failure", "work done", "act from here"
PERFECT, BASE = "as stated", "guessing"
TRUE, MIDDLE, BAND = "true remaining life", "predicted", "interval"
_RED, _GREEN, _BLUE = "#d55e00", "#009e73", "#0072b2"


def precision_recall(scores: Mapping[str, Any], fails: Any, *, title: str = "", height: int = 360) -> Any:
    """Return how many alarms are right, for each share of the failures that is found: one curve a model.

    Parameters
    ----------
    scores : mapping of str to array
        By model, the probability of failure of each row.
    fails : array of bool
        Whether the row fails within the horizon.
    title, height
        See `twin.plots.signals`.

    Returns
    -------
    bokeh.models.LayoutDOM
        With average precision in the legend; a dotted line for guessing.
    """
    from sklearn.metrics import precision_recall_curve

    from twin.prognosis.metrics import average_precision

    fails = np.asarray(fails, dtype=bool)
    panel = _square(height)
    items: dict[str, list[Any]] = {}
    for (name, score), color in zip(scores.items(), plots._cycle(plots.COLORS, len(scores)), strict=True):
        precision, recall, _ = precision_recall_curve(fails, score)
        keep = np.unique(np.linspace(0, recall.size - 1, 400).astype(int))  # a page needs no more points
        data = {"recall": recall[keep], "precision": precision[keep]}
        line = panel.step("recall", "precision", source=data, mode="before", color=color, width=2)
        items[f"{name}: {average_precision(fails, score):.2f}"] = [line]
        _add_hover(panel, [line], [("", name), ("found", "@recall{0 %}"), ("right", "@precision{0 %}")])
    base = float(fails.mean())
    items[f"{BASE}: {base:.2f}"] = [panel.line([0, 1], [base, base], color="#777777", line_dash="dotted", width=1.5)]
    _dress(panel, "Share of alarms that are right", "Share of rows before a failure that are found")
    _entitle([panel], items, title)
    return panel


def calibration(scores: Mapping[str, Any], fails: Any, *, bins: int = 10, title: str = "", height: int = 360) -> Any:
    """Return how often rows fail of which a model said so: on the diagonal, it is as often as it said.

    Parameters
    ----------
    scores, fails, title, height
        See `precision_recall`.
    bins : int
        Of equal width.
    """
    from twin.prognosis.metrics import calibration_curve

    panel = _square(height)
    items: dict[str, list[Any]] = {
        PERFECT: [panel.line([0, 1], [0, 1], color="#777777", line_dash="dotted", width=1.5)]
    }
    for (name, score), color in zip(scores.items(), plots._cycle(plots.COLORS, len(scores)), strict=True):
        curve = calibration_curve(fails, score, bins)
        data = {column: curve[column].to_numpy(np.float64) for column in curve}
        line = panel.line("predicted", "observed", source=data, color=color, width=2)
        dots = panel.scatter("predicted", "observed", source=data, color=color, size=7, line_color="#ffffff")
        items[name] = [line, dots]
        _add_hover(panel, [dots], [("", name), ("said", "@predicted{0 %}"), ("came true", "@observed{0 %}")])
    _dress(panel, "Share that failed", "Probability that was predicted")
    _entitle([panel], items, title)
    return panel


def before_failures(
    features: pd.DataFrame, labels: pd.DataFrame, *, days: int = 30, title: str = "", height: int = 320
) -> Any:
    """Return how features move as failures come near: for each day before, the middle of all that failed.

    Parameters
    ----------
    features : DataFrame
        Some columns of features that can share an axis, such as residuals.
    labels : DataFrame
        Of the same rows, with ``rul_h`` and ``censored``; only lives that ended in a failure count.
    days : int
        How far back, 2 to 365.
    title, height
        See `twin.plots.signals`.
    """
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    _need(labels, ("rul_h", "censored"), "labels", "plant.labels(run, X)")
    left = labels["rul_h"].to_numpy(np.float64) / 24.0
    known = ~labels["censored"].to_numpy(bool) & (left <= days)
    if not known.any() or not 2 <= days <= 365:
        raise BadRequest(f"no failure has readings in the {days} days before it: take a longer run, or 2 to 365 days")
    middle = features[known].groupby(np.ceil(left[known])).median()
    panel: Any = figure(
        height=height, sizing_mode="stretch_width", x_range=Range1d(start=days, end=0.0), tools="save",
        min_border_left=plots._LEFT_PX, min_border_right=24,
    )  # fmt: skip
    items: dict[str, list[Any]] = {}
    for name, color in zip(middle, plots._cycle(plots.COLORS, middle.shape[1]), strict=True):
        data = {"day": middle.index.to_numpy(), "value": middle[name].to_numpy(np.float64)}
        line = panel.line("day", "value", source=data, color=color, width=2)
        items[plots._in_words(str(name))] = [line]
        _add_hover(panel, [line], [("", str(name)), ("days before", "@day"), ("middle", "@value{0.00}")])
    _dress(panel, "Middle of the fleet", "Days before the failure")
    _entitle([panel], items, title)
    return panel


def chances(
    probability: pd.Series,
    machine: int,
    failures: pd.DataFrame,
    work: pd.DataFrame | None = None,
    *,
    threshold: float | None = None,
    title: str = "",
    height: int = 300,
) -> Any:
    """Return what a model said of one machine as time went by, with its failures and the work on it.

    Parameters
    ----------
    probability : Series
        Indexed by ``machine_id`` and ``ts``.
    machine : int
        The machine's number.
    failures, work : DataFrame
        From ``run.failures()`` and ``run.maintenance()``.
    threshold : float, optional
        From which probability somebody would act.
    title, height
        See `twin.plots.signals`.
    """
    _need(failures, ("machine_id", "failed_at", "mode"), "failures", "run.failures()", empty=True)
    mine = _of_machine(probability, machine)
    panel = _timed(height, (-0.03, 1.05))
    steps = panel.line(mine.index.to_numpy(), mine.to_numpy(), color=_BLUE, width=1.6)
    area = panel.varea(mine.index.to_numpy(), np.zeros(len(mine)), mine.to_numpy(), color=_BLUE, alpha=0.15)
    items: dict[str, list[Any]] = {CHANCE: [steps, area]}
    ends = failures[failures["machine_id"] == machine]
    items[FAILURE] = [_marks(panel, ends["failed_at"], 1.0, "x", _RED, [("failed", ends["mode"])])]
    if work is not None:
        _need(work, ("machine_id", "end_at", "action"), "work", "run.maintenance()", empty=True)
        done = work[work["machine_id"] == machine]
        items[WORK] = [_marks(panel, done["end_at"], 0.0, "triangle", _GREEN, [("work", done["action"])])]
    if threshold is not None:
        ends_at = [mine.index[0], mine.index[-1]]
        items[LIMIT] = [panel.line(ends_at, [threshold] * 2, color="#777777", line_dash="dashed", width=1.3)]
    _dress(panel, "Probability of failure", "")
    _entitle([panel], items, title)
    return panel


def remaining_life(
    truth_h: pd.Series,
    predicted_h: pd.Series,
    interval_h: pd.DataFrame,
    machine: int,
    *,
    title: str = "",
    height: int = 300,
) -> Any:
    """Return the remaining life of one machine as it was, and as it was predicted, days over time.

    Parameters
    ----------
    truth_h, predicted_h : Series
        Indexed by ``machine_id`` and ``ts``, h.
    interval_h : DataFrame
        ``low_h`` and ``high_h`` on the same index.
    machine : int
        The machine's number.
    title, height
        See `twin.plots.signals`.
    """
    _need(interval_h, ("low_h", "high_h"), "the interval", "model.predict_interval(X)")
    true, middle = _of_machine(truth_h, machine) / 24.0, _of_machine(predicted_h, machine) / 24.0
    low, high = (_of_machine(interval_h[name], machine) / 24.0 for name in ("low_h", "high_h"))
    top = float(np.nanmax([high.max(), true.max(), 1.0]))
    panel = _timed(height, (-0.03 * top, 1.05 * top))
    items = {
        BAND: [panel.varea(low.index.to_numpy(), low.to_numpy(), high.to_numpy(), color=_BLUE, alpha=0.18)],
        MIDDLE: [panel.line(middle.index.to_numpy(), middle.to_numpy(), color=_BLUE, width=1.8)],
        TRUE: [panel.line(true.index.to_numpy(), true.to_numpy(), color="#222222", width=1.6, line_dash="dashed")],
    }
    _dress(panel, "Remaining life (days)", "")
    _entitle([panel], items, title)
    return panel


def _of_machine(values: pd.Series, machine: int) -> pd.Series:
    if list(values.index.names) != ["machine_id", "ts"]:
        raise BadRequest("predictions must be indexed by machine_id and ts, as features are")
    known = values.index.get_level_values("machine_id")
    if machine not in known:
        raise unknown("machine of these predictions", machine, [str(m) for m in sorted(set(known))])
    return values[known == machine].droplevel("machine_id")


def _square(height: int) -> Any:
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    return figure(
        height=height, sizing_mode="stretch_width", x_range=Range1d(start=-0.01, end=1.01),
        y_range=Range1d(start=-0.01, end=1.03), tools="save", min_border_left=plots._LEFT_PX, min_border_right=24,
    )  # fmt: skip


def _timed(height: int, limits: tuple[float, float]) -> Any:
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    return figure(
        height=height, sizing_mode="stretch_width", x_axis_type="datetime",
        y_range=Range1d(start=limits[0], end=limits[1]), tools="xpan,xwheel_zoom,box_zoom,reset,save",
        active_drag="box_zoom", min_border_left=plots._LEFT_PX, min_border_right=24,
    )  # fmt: skip


def _marks(panel: Any, at: pd.Series, y: float, marker: str, color: str, said: list[tuple[str, pd.Series]]) -> Any:
    texts = {name: values.map(plots._in_words).to_numpy() for name, values in said}
    data = {"ts": at.to_numpy(), "y": np.full(len(at), y), **texts}
    marks = panel.scatter("ts", "y", source=data, marker=marker, size=11, color=color, line_width=2.5)
    _add_hover(panel, [marks], [(name, f"@{name}") for name in texts])
    return marks
