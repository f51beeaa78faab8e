"""What a prognosis says in words: a machine's outlook, a feature, and the models' cards."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from twin import plots
from twin.catalog.parameters import CHANNELS
from twin.live import panel_base as base
from twin.prognosis.live import EXPLAINED_FROM, OK, OUT_OF_RANGE, Outlook, Prognosis

_STATISTICS = {"mean": "mean", "sd": "standard deviation", "slope": "slope", "min": "lowest", "max": "highest"}
_STATISTICS |= {"kurtosis": "kurtosis", "residual": "off its baseline"}
_NAME = re.compile(rf"({'|'.join(sorted(CHANNELS, key=len, reverse=True))})_([a-z0-9]+)_(.+)")


def feature_words(name: str) -> str:
    """Return a feature as people read it: ``vibration_g_max_12h`` as ``Vibration, highest of 12h``."""
    found = _NAME.fullmatch(name)
    if found is None:
        return base.in_words(name)
    channel, statistic, window = found.groups()
    return f"{plots.NAMES[channel]}, {_STATISTICS.get(statistic, statistic)} of {window}"


def horizon_words(prognosis: Prognosis) -> str:
    """Return how far ahead failures are foretold."""
    ahead_h = prognosis.card.horizon_h
    return "the model's horizon" if ahead_h is None else f"{ahead_h:g} h"


def hours_words(o: Outlook, prognosis: Prognosis) -> str:
    """Return a remaining life with its interval; one at the model's cap reads as that or more."""
    if o.rul_h is None or o.low_h is None or o.high_h is None:
        return "–"
    rul = prognosis.models["rul"]
    cap = float(getattr(rul.estimator, "cap_h", None) or rul.card.horizon_h or "inf")
    digits = 1 if cap < 10 else 0
    middle, low, high = (f"{h:.{digits}f}" + ("+" if h >= cap - 1e-6 else "") for h in (o.rul_h, o.low_h, o.high_h))
    return f"{middle} h ({low}+)" if middle == high else f"{middle} h ({low}–{high})"


def outlook_words(machine: str, o: Outlook, prognosis: Prognosis, titles: Mapping[str, str]) -> str:
    """Return a machine's outlook as HTML: the numbers and what speaks for them, or why there are none."""
    name = f"<b>{html.escape(machine)}</b>"
    if o.state != OK or o.probability is None:
        text = f"{name}: {html.escape(o.state)}"
        text += f", {html.escape(_plain(o.reason))}" if o.reason else ""
        if o.state == OUT_OF_RANGE:
            text += f". The model says {o.probability:.0%}, but has seen nothing like this: do not rely on it."
        return f'<div class="twin-note">{text}</div>'
    parts = [f"{o.probability:.0%} within {horizon_words(prognosis)}"]
    if o.rul_h is not None:
        parts.append(f"life left {hours_words(o, prognosis)}")
    if o.mode is not None and o.probability >= EXPLAINED_FROM:
        parts.append(f"leading mode {titles.get(o.mode, base.in_words(o.mode))} ({o.mode_share:.0%})")
    lines = [f'<div class="twin-note">{name}: {html.escape("; ".join(parts))}</div>']
    if o.speaks:
        said = "; ".join(
            f"{feature_words(s.feature)} {s.value:.3g} (usually {s.median:.3g}): +{100 * s.effect:.0f} points"
            for s in o.speaks
        )
        lines.append(f'<div class="twin-note">What speaks for it: {html.escape(said)}</div>')
    return "".join(lines)


def _plain(reason: str) -> str:
    return re.sub(r"[a-z_]+_\d*[a-z0-9_]*", lambda m: feature_words(m[0]) if _NAME.fullmatch(m[0]) else m[0], reason)


def card_words(prognosis: Prognosis) -> str:
    """Return when and on what the models were trained, as HTML."""
    spec = prognosis.spec
    windows, every = ", ".join(spec.windows), f"{prognosis.readings_us / 60e6:g} min"
    made = f"{len(spec.columns)} of windows of {windows}, each {spec.cadence}, of readings each {every}"
    rows = [f"<b>Features</b>: {made}"]
    for task, model in prognosis.models.items():
        card = model.card
        source = {name: value for name, value in card.data.items() if name != "validation"}
        ahead = "" if card.horizon_h is None else f", {card.horizon_h:g} h ahead"
        seen = "whose failure was seen" if task == "rul" else "before a failure"
        text = (
            f"<b>{task}</b>: {html.escape(card.model)}{ahead}; trained {html.escape(card.created_at[:16])} UTC on "
            f"{card.rows:,} rows of {card.machines} machines, {card.positives:,} of them {seen}, from "
            f"{card.span[0][:10]} to {card.span[1][:10]}"
        )
        if task == "failure":
            text += f". Data: {_listed(source) or 'not told'}"
            text += f". On machines held out: {_listed(card.data['validation'])}" if "validation" in card.data else ""
            text += f". Versions: {_listed(card.versions)}"
        rows.append(text)
    return "".join(f'<div class="twin-note twin-card-line">{row}</div>' for row in rows)


def _listed(values: Any) -> str:
    """Return a mapping in words; hashes are shortened."""
    if not isinstance(values, Mapping):
        return html.escape(str(values))
    return html.escape(", ".join(f"{base.in_words(str(k))} {_short(v)}" for k, v in values.items()))


def _short(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
