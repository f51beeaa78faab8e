"""The figure of what maintenance policies are worth: what each saves, how sure that is, and what is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twin import plots
from twin.errors import BadRequest, unknown
from twin.hindsight import ORACLE
from twin.plots_outcomes import _dress, _shortened
from twin.plots_world import _add_hover, _entitle

if TYPE_CHECKING:
    from twin.worth import Evaluation

SAVES, COSTS, EACH, SURE, POSSIBLE = "saves", "costs more", "one world", "95 % of the mean", "all that is possible"
_GOOD, _BAD, _GREY = "#009e73", "#d55e00", "#9a9a9a"
_ROW_PX = 54


def savings(
    evaluation: Evaluation, baseline: str = "run-to-failure", *, policies: Sequence[str] | None = None, title: str = ""
) -> Any:
    """Return what each policy saves against another on the same worlds, a machine and a year.

    Parameters
    ----------
    evaluation : Evaluation
        From ``plant.evaluate``.
    baseline : str
        The policy with which the others are compared; it has no row of its own.
    policies : sequence of str, optional
        Which of the others are shown; all by default.
    title : str
        Stands above.

    Returns
    -------
    bokeh.models.LayoutDOM
        A row for each policy: a small dot for each world, a large one for the mean, a bar for its paired 95 %
        interval, and in brackets the share of the oracle's saving; a line where the oracle is.
    """
    from bokeh.models import FactorRange, Range1d
    from bokeh.models.annotations import Span
    from bokeh.models.formatters import NumeralTickFormatter
    from bokeh.plotting import figure

    for name in (baseline, *(policies or ())):
        if name not in evaluation.policies:
            raise unknown("policy", name, evaluation.policies)
    scale = evaluation.machines * evaluation.years
    wide, table = evaluation.by_replication() / scale, evaluation.table(baseline)
    figures = table[["saving", "saving_low", "saving_high"]] / scale
    shares = table["oracle_share"].astype(float).to_dict()
    names = [name for name in evaluation.policies if name != baseline and (policies is None or name in policies)]
    if not names:
        raise BadRequest(f"there is nothing to compare {baseline} with: evaluate another policy beside it")
    rows = [_shortened(name) for name in names]
    saved = {name: (wide[baseline] - wide[name]).to_numpy() for name in names}
    every = np.concatenate([*saved.values(), [0.0]])
    room = max(float(np.ptp(every)), 1.0)
    panel: Any = figure(
        height=plots._AXIS_PX + 40 + _ROW_PX * len(rows),
        sizing_mode="stretch_width",
        y_range=FactorRange(factors=rows[::-1], range_padding=0.2),
        x_range=Range1d(start=float(every.min()) - 0.06 * room, end=float(every.max()) + 0.24 * room),
        tools="save",
        min_border_right=12,
    )
    items: dict[str, list[Any]] = {EACH: [], SURE: [], SAVES: [], COSTS: []}
    rng = np.random.default_rng(0)
    for name, row in zip(names, rows, strict=True):
        mean, low, high = (float(x) for x in figures.loc[name].to_numpy(np.float64))
        spread = [(row, float(x)) for x in rng.uniform(-0.2, 0.2, saved[name].size)]
        items[EACH].append(panel.scatter(saved[name], spread, size=5, color=_GREY, alpha=0.55, line_color=None))
        good = mean >= 0.0
        items[SURE].append(
            panel.segment([low], [row], [high], [row], line_width=7, color=_GOOD if good else _BAD, alpha=0.4)
        )
        data = {"x": [mean], "y": [row], "low": [low], "high": [high], "share": [shares[name]]}
        dot = panel.scatter("x", "y", source=data, size=11, color=_GOOD if good else _BAD, line_color="#ffffff")
        items[SAVES if good else COSTS].append(dot)
        tips = [
            ("", row),
            ("saves", "@x{0,0}"),
            ("95 %", "@low{0,0} to @high{0,0}"),
            ("of the oracle's", "@share{0 %}"),
        ]
        _add_hover(panel, [dot], tips)
        panel.text(
            [float(every.max()) + 0.04 * room], [row], text=[_in_words(mean, shares[name])],
            text_baseline="middle", text_font_size="12px", text_color="#333333",
        )  # fmt: skip
    panel.add_layout(Span(location=0.0, dimension="height", line_color="#555555", line_width=1))
    if ORACLE in names:
        best = float(figures["saving"].to_dict()[ORACLE])
        items[POSSIBLE] = [
            panel.line([best, best], [rows[0], rows[-1]], color="#444444", line_dash="dashed", width=1.5)
        ]
    share = "; in brackets: share of what is possible" if ORACLE in names else ""
    _dress(panel, "", f"Saved against {baseline}, each machine and year{share}")
    panel.xaxis.formatter = NumeralTickFormatter(format="0,0")
    panel.ygrid.grid_line_color = None
    _entitle([panel], items, title)
    return panel


def _in_words(mean: float, share: float) -> str:
    amount = f"{mean:,.0f}"
    return amount if np.isnan(share) else f"{amount}  ({share:.0%})"
