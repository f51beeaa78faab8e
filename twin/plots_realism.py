"""Figures of simulated machines beside the bands of real ones, in the look of `twin.plots`.

Functions from the trials of `twin.realism` to Bokeh models; nothing here simulates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin import plots
from twin.catalog.parameters import CHANNELS

if TYPE_CHECKING:
    import pandas as pd

    from twin.realism_runs import BearingRun, Steps

Floats = NDArray[np.float64]
BAND = "#009e73"
"""Where real machines lie: shaded, in every figure."""
SUDDEN, GRADUAL, BETWEEN = "#0072b2", "#d55e00", "#999999"
LATE, EARLY = 0.95, 0.80  # of life: where a run counts as sudden, as gradual
POINTS = 240  # of a line
COOLED = {"sound": "#0072b2", "high": "#e69f00", "critical": "#d55e00"}


def growth(runs: Sequence[BearingRun], *, title: str = "", height: int = 380) -> Any:
    """Return the RMS of bearing runs over the share of life, relative to its baseline.

    Parameters
    ----------
    runs : sequence of BearingRun
    title : str
        Stands above the figure.
    height : int
        Pixels.

    Returns
    -------
    bokeh.models.LayoutDOM
        A line a run, coloured by when it leaves 3 sigma; the bands of its end at the right.
    """
    panel = _panel("Share of life", "RMS / baseline", height, title, y_axis_type="log", x_range=(0.0, 1.06))
    panel.yaxis.ticker = [1, 1.4, 2, 3, 5, 10, 14, 28]
    items: dict[str, list[Any]] = {}
    for label, color, own in _kinds(runs):
        lines = [_thinned(run.share, run.rms_g / run.baseline_g) for run in own]
        if own:
            items[label] = [panel.multi_line([x for x, _ in lines], [y for _, y in lines], color=color, alpha=0.6)]
    for low, high, alpha in ((1.4, 28.0, 0.12), (3.0, 14.0, 0.3)):
        glyph = panel.quad(left=1.01, right=1.06, bottom=low, top=high, color=BAND, alpha=alpha, line_color=None)
        items.setdefault("real bearings at the end: median, and 10 to 90 %", []).append(glyph)
    ends = [run.growth for run in runs]
    panel.scatter([1.035], [float(np.median(ends))], marker="diamond", size=11, color="#222222")
    panel.segment([1.035], [np.quantile(ends, 0.1)], [1.035], [np.quantile(ends, 0.9)], color="#222222", line_width=2)
    return _legend(panel, items)


def exits(runs: Sequence[BearingRun], *, title: str = "", height: int = 300) -> Any:
    """Return when bearing runs leave 3 sigma for good, as the share of runs that have left; see `growth`."""
    panel = _panel(
        "Share of life", "Runs that have left 3 sigma", height, title, x_range=(0.0, 1.0), y_range=(-0.02, 1.04)
    )
    left = np.sort([run.exit_share for run in runs])
    share = np.arange(left.size + 1) / left.size
    asked = [
        panel.segment([EARLY], [0.15], [EARLY], [1.04], color=BAND, line_width=7, alpha=0.35),
        panel.segment([LATE], [-0.02], [LATE], [0.70], color=BAND, line_width=7, alpha=0.35),
        panel.segment([0.75], [0.5], [0.98], [0.5], color=BAND, line_width=7, alpha=0.35),
    ]
    line = panel.step([0.0, *left, 1.0], [0.0, *share[1:], 1.0], mode="after", color=SUDDEN, line_width=2.2)
    return _legend(panel, {"simulated": [line], "where the line must cross, by real bearings": asked})


def kurtosis(runs: Sequence[BearingRun], *, title: str = "", height: int = 340) -> Any:
    """Return the kurtosis of bearing runs over the share of life; see `growth`."""
    panel = _panel("Share of life", "Kurtosis", height, title, x_range=(0.0, 1.01))
    items: dict[str, list[Any]] = {}
    for label, color, own in _kinds(runs):
        lines = [_thinned(run.share[4:], run.smooth_kurtosis) for run in own]
        if own:
            items[label] = [panel.multi_line([x for x, _ in lines], [y for _, y in lines], color=color, alpha=0.6)]
    peaks = [(run.share[4:][int(run.smooth_kurtosis.argmax())], run.kurtosis_peak) for run in runs]
    items["peaks"] = [panel.scatter([x for x, _ in peaks], [y for _, y in peaks], size=4, color="#222222", alpha=0.6)]
    band = panel.hstrip(y0=[2.7], y1=[4.0], color=BAND, alpha=0.2, line_color=None, level="underlay")
    items["healthy real bearings"] = [band]
    return _legend(panel, items)


def warm_up(steps: Mapping[str, Steps], machine: int = 0, *, title: str = "", height: int = 340) -> Any:
    """Return the temperature of one machine after a step of the load, with sound and with impaired cooling.

    Parameters
    ----------
    steps : mapping of str to Steps
        By the state of the cooling: ``sound``, ``high``, ``critical``.
    machine : int
        Its position in the fleet.
    title, height
        See `growth`.
    """
    panel = _panel("Minutes since the step from standby to high load", "Temperature (°C)", height, title)
    items: dict[str, list[Any]] = {}
    for name, color in COOLED.items():
        trial, fit = steps[name], steps[name].fits[machine]
        label = f"{name} cooling" if name == "sound" else f"{name} cooling loss"
        said = f"{label}: +{fit.rise_k:.1f} K, tau {fit.tau_min:.1f} min"
        line = panel.line(trial.minutes, trial.temperature_c[machine], color=color, line_width=2.5, alpha=0.5)
        law = panel.line(trial.minutes, fit.at(trial.minutes), color="#222222", line_dash="dashed", line_width=1.2)
        items[said] = [line]
        items.setdefault("one exponential", []).append(law)
    items["one exponential"] = items.pop("one exponential")
    return _legend(panel, items, columns=2)


def time_constants(steps: Steps, kinds: Sequence[str], *, title: str = "", height: int = 230) -> Any:
    """Return the time constants of a fleet by machine type, one point a machine; see `strip`."""
    return strip(
        steps.values("tau_min"), kinds, (5.0, 35.0), "Time constant of the warm-up (min)", title=title, height=height
    )


def strip(
    values: Floats, kinds: Sequence[str], band: tuple[float, float], label: str, *, title: str = "", height: int = 230
) -> Any:
    """Return one value a machine as points in rows, one row a kind, with the band of real machines.

    Parameters
    ----------
    values : array (machines,)
    kinds : sequence of str
        The kind of each machine.
    band : tuple of float
        The limits.
    label : str
        Of the axis.
    title, height
        See `growth`.
    """
    names = list(dict.fromkeys(kinds))
    panel = _panel(label, "", height, title, y_range=names[::-1])
    panel.vstrip(x0=[band[0]], x1=[band[1]], color=BAND, alpha=0.15, line_color=None, level="underlay")
    for name, color in zip(names, plots._cycle(plots.COLORS, len(names)), strict=True):
        own = values[np.array([kind == name for kind in kinds])]
        places = [(name, offset) for offset in _fan(own.size)]
        panel.scatter(own, places, size=6, color=color, alpha=0.6, line_color=None)
    panel.ygrid.grid_line_color = None
    return panel


def settled(
    states: Mapping[str, Floats],
    limits: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    *,
    height: int = 250,
) -> Any:
    """Return the settled values of machines under several conditions beside their bands, a panel a channel.

    Parameters
    ----------
    states : mapping of str to array (channels, machines)
        Means of each machine, by the condition in words.
    limits : sequence of (channel, unit, bands)
        A band for each condition, in the same order.
    height : int
        Pixels.
    """
    from bokeh.layouts import gridplot

    figures: list[Any] = []
    for channel, unit, bands in limits:
        label = f"{plots.NAMES[channel]} ({'°C' if unit == 'C' else unit})"
        panel = _panel("", label, height, "", x_range=list(states))
        for (name, means), band, color in zip(states.items(), bands, (SUDDEN, GRADUAL), strict=False):
            own = means[CHANNELS.index(channel)]
            places = [(name, offset) for offset in _fan(own.size, 0.3)]
            box = {"x": [name], "y": [sum(band) / 2.0], "width": 0.8, "height": band[1] - band[0]}
            panel.rect(**box, color=BAND, alpha=0.2, line_color=None)
            panel.scatter(places, own, size=5, color=color, alpha=0.6, line_color=None)
        panel.xgrid.grid_line_color = None
        figures.append(panel)
    options: Any = {"toolbar_options": {"logo": None}, "toolbar_location": None}
    return gridplot([figures], merge_tools=True, sizing_mode="stretch_width", **options)


def autocorrelation(
    series: Mapping[str, Floats], step_min: float = 1.0, lags: int = 60, *, title: str = "", height: int = 280
) -> Any:
    """Return the autocorrelation of one machine a kind; the diamond is what real temperatures reach at 5 min.

    Parameters
    ----------
    series : mapping of str to array (readings,)
        Temperatures at even intervals, by kind.
    step_min : float
        Minutes between two.
    lags : int
        How far it goes.
    title, height
        See `growth`.
    """
    panel = _panel("Lag (min)", "Autocorrelation of temperature", height, title)
    items: dict[str, list[Any]] = {}
    shifts = np.arange(1, lags + 1)
    for (name, values), color in zip(series.items(), plots._cycle(plots.COLORS, len(series)), strict=True):
        rho = [float(np.corrcoef(values[:-k], values[k:])[0, 1]) for k in shifts.tolist()]
        items[name] = [panel.line(shifts * step_min, rho, color=color, line_width=2)]
    least = panel.segment([5.0], [0.95], [5.0], [1.0], color=BAND, line_width=7, alpha=0.35)
    return _legend(panel, items | {"real machines at 5 min": [least]}, columns=6)


def matrix(shifts: pd.DataFrame, *, title: str = "", height: int = 330) -> Any:
    """Return how far each fault moves each channel, in standard deviations, as a table of shades.

    Parameters
    ----------
    shifts : pandas.DataFrame
        Failure modes by channels.
    title, height
        See `growth`.
    """
    from bokeh.palettes import Blues256
    from bokeh.transform import linear_cmap

    modes = [plots._in_words(str(name)) for name in shifts.index]
    names = [plots.NAMES[str(channel)] for channel in shifts.columns]
    values = shifts.to_numpy(np.float64)
    shown = [f"{x:.0f}" if x >= 9.95 else f"{x:.1f}" for x in values.ravel()]
    cells = {
        "x": names * len(modes),
        "y": np.repeat(modes, len(names)).tolist(),
        "sigma": np.minimum(values.ravel(), 100.0),
        "text": ["" if x == 0.0 else text for x, text in zip(values.ravel(), shown, strict=True)],
        "ink": ["#ffffff" if x > 30.0 else "#222222" for x in values.ravel()],
    }
    panel = _panel("", "", height, title, x_range=names, y_range=modes[::-1], x_axis_location="above")
    shade = linear_cmap("sigma", list(Blues256)[::-1][:220], 0.0, 60.0)
    panel.rect("x", "y", width=0.97, height=0.94, source=cells, fill_color=shade, line_color=None)
    panel.text(
        "x", "y", text="text", source=cells, text_align="center", text_baseline="middle", text_color="ink",
        text_font_size="12px",
    )  # fmt: skip
    panel.grid.grid_line_color = None
    return panel


def lives(
    lifetimes: pd.DataFrame,
    laws: Mapping[str, tuple[float, float]],
    fits: Mapping[str, tuple[float, float]],
    *,
    until: float | None = None,
    title: str = "",
    height: int = 360,
) -> Any:
    """Return the share of parts that survive each age, with the law that was drawn from and the one that was fitted.

    Parameters
    ----------
    lifetimes : pandas.DataFrame
        With ``mode``, ``start``, ``stop`` and ``event``, see `twin.plots_outcomes.survival`.
    laws, fits : mapping of str to tuple of float
        By failure mode: shape and scale (effective hours) of the catalog's Weibull law, and of the fitted one.
    until : float, optional
        Age at which the picture ends, effective hours.
    title, height
        See `growth`.
    """
    from bokeh.models.annotations import LegendItem

    from twin.plots_outcomes import survival

    panel = survival(lifetimes, laws=laws, until=until, title=title, height=height)
    ages = np.linspace(0.0, lifetimes["stop"].max() if until is None else until, 200)
    lines = [
        panel.line(ages, np.exp(-((ages / life_h) ** shape)), color="#cc3311", line_dash="dotted", line_width=2)
        for mode, (shape, life_h) in fits.items()
        if (lifetimes["mode"] == mode).any()
    ]
    panel.legend[0].items.append(LegendItem(label="the law fitted to it", renderers=lines))
    return panel


def _kinds(runs: Sequence[BearingRun]) -> list[tuple[str, str, list[BearingRun]]]:
    """Return runs by when they leave 3 sigma, with label and colour."""
    left = [run.exit_share for run in runs]
    return [
        (f"leave 3 sigma before {EARLY:g}", GRADUAL, [r for r, x in zip(runs, left, strict=True) if x < EARLY]),
        ("between", BETWEEN, [r for r, x in zip(runs, left, strict=True) if EARLY <= x <= LATE]),
        (f"after {LATE:g} of life", SUDDEN, [r for r, x in zip(runs, left, strict=True) if x > LATE]),
    ]


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return a line of a few hundred readings: every so-manieth, denser towards the end."""
    if x.size <= POINTS:
        return x, y
    whole = np.linspace(0, x.size - 1, POINTS // 2)
    end = np.linspace(0.8 * (x.size - 1), x.size - 1, POINTS // 2)
    chosen = np.unique(np.concatenate([whole, end]).astype(np.int64))
    return x[chosen], y[chosen]


def _fan(number: int, reach: float = 0.3) -> list[float]:
    """Return offsets that keep points of one row apart: always the same ones."""
    return [reach * (2.0 * ((i * 0.6180339887498949) % 1.0) - 1.0) for i in range(1, number + 1)]


def _panel(x_label: str, y_label: str, height: int, title: str, **options: Any) -> Any:
    """Return an empty figure."""
    from bokeh.plotting import figure

    panel: Any = figure(
        height=height,
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,box_zoom,reset,save",
        active_drag="box_zoom",
        min_border_left=plots._LEFT_PX,
        min_border_right=24,
        **options,
    )
    panel.xaxis.axis_label, panel.yaxis.axis_label = x_label or None, y_label or None
    panel.axis.axis_label_text_font_style = "normal"
    panel.axis.axis_label_text_font_size = "12px"
    panel.axis.major_label_text_font_size = "11px"
    panel.axis.axis_line_color = panel.axis.major_tick_line_color = "#888888"
    panel.axis.minor_tick_line_color = None
    panel.grid.grid_line_color = "#e6e6e6"
    panel.outline_line_color = panel.toolbar.logo = None
    if title:
        panel.title.text = title
        panel.title.text_font_size = "14px"
    return panel


def _legend(panel: Any, items: Mapping[str, list[Any]], columns: int = 4) -> Any:
    """Put a legend above a figure, and return the figure."""
    from bokeh.models.annotations import Legend, LegendItem

    entries = [LegendItem(label=label, renderers=glyphs) for label, glyphs in items.items()]
    panel.add_layout(Legend(items=entries, **{**plots._LEGEND, "ncols": columns}), "above")
    panel.height += plots._LEGEND_ROW_PX * -(-len(entries) // columns)
    return panel
