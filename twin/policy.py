"""Maintenance policies as part of a plan: when which work is asked for, beside what people scheduled.

A policy is a tuple of rules. Without any, machines run to failure and are then repaired. The rules see
what is reported, never the truth.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import re
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from twin.catalog.checks import Frozen, Number, as_number, check_name
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, shown, unknown
from twin.times import parse_duration, parse_time

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
RUN_TO_FAILURE = "run-to-failure"
PRIORITIES = ("low", "medium", "high", "critical")
TASK_TYPES = ("preventive", "corrective", "predictive")
_ACTIONS = {"temperature_c": "clean_cooling", "power_w": "overhaul", "current_a": "overhaul", "torque_nm": "overhaul"}
_CONDITION = re.compile(r"\s*(\w+)\s*(?:>\s*([^@>\s]+)\s*)?(?:@\s*([^@]+?)\s*)?")
_FORMS = (
    "run-to-failure, periodic:30d[:ACTION], running:500h[:ACTION] or "
    "condition:CHANNEL[>LIMIT][@DURATION][:ACTION] (without a limit: ISO 10816-1, zone C/D)"
)


class Rule(Frozen):
    """One rule of a policy.

    Attributes
    ----------
    kind : str
        ``periodic`` (by the calendar), ``running`` (by running hours), ``condition`` (an hourly mean of a
        reported channel above a limit for a time) or ``callable`` (a Python function at decision times).
    action : str
        The maintenance action that it asks for; empty for a callable, which names its own.
    every_us : int
        Period, running time or time between decisions, microseconds; whole hours but for ``periodic``.
    channel, limit : str, float or None
        Of a condition; a limit of ``None`` on vibration_mm_s is the C/D limit of ISO 10816-1.
    hold_us : int
        How long the channel must stay above the limit, whole hours.
    lead_us : int
        From a condition to when the work is due.
    priority, task_type : str
        Of the tasks it raises.
    start_us, end_us : int or None
        When the rule applies, microseconds since 1970 UTC; ``None``: open.
    name, fingerprint : str
        Of a callable: its name, and a hash of its code.
    history_us : int
        How much telemetry a callable is shown.
    """

    kind: Literal["periodic", "running", "condition", "callable"]
    action: str = ""
    every_us: int = Field(default=0, ge=0, lt=2**62)
    channel: str = ""
    limit: Annotated[Number, Field(gt=0.0, le=1e6)] | None = None
    hold_us: int = Field(default=0, ge=0, lt=2**62)
    lead_us: int = Field(default=DAY_US, ge=0, lt=2**62)
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    task_type: Literal["preventive", "predictive"] = "preventive"
    start_us: int | None = None
    end_us: int | None = None
    name: str = ""
    fingerprint: str = ""
    history_us: int = Field(default=0, ge=0, lt=2**62)

    def text(self) -> str:
        """Return the rule as people write it."""
        if self.kind == "callable":
            return f"callable:{self.name}"
        if self.kind == "condition":
            limit = "" if self.limit is None else f">{self.limit:g}"
            hold = f"@{_hours(self.hold_us)}" if self.hold_us else ""
            return f"condition:{self.channel}{limit}{hold}:{self.action}"
        return f"{self.kind}:{_hours(self.every_us)}:{self.action}"


def _hours(us: int) -> str:
    """Return a duration of days or hours as people write it."""
    return f"{us // DAY_US}d" if us % DAY_US == 0 else f"{us / HOUR_US:g}h"


PolicyLike = str | Rule | Callable[[Any], Any] | Iterable[Any] | None


def periodic(
    every: Any, action: str = "service", *, running_hours: bool = False, priority: str = "medium", **span: Any
) -> Rule:
    """Return a rule that asks for work again and again, spread over the fleet so that not all falls on one day.

    Parameters
    ----------
    every : duration
        Such as ``"30d"``; with `running_hours`, hours that the machine ran, whole hours such as ``"500h"``.
    action : str
        The maintenance action.
    priority : str
        ``low``, ``medium``, ``high`` or ``critical``.
    **span : time
        ``start`` and ``end``: when the rule applies.
    """
    every_us = parse_duration(every, "every")
    if every_us < HOUR_US or (running_hours and every_us % HOUR_US):
        raise BadRequest(f"every must be 1 h or longer{' and whole hours' * running_hours}, got {shown(every)}")
    kind = "running" if running_hours else "periodic"
    return Rule(kind=kind, action=action, every_us=every_us, priority=_priority(priority), **_span(span))


def condition(
    channel: str,
    above: float | None = None,
    hold: Any = "2h",
    action: str | None = None,
    lead: Any = "1d",
    *,
    priority: str = "high",
    **span: Any,
) -> Rule:
    """Return a rule that asks for work when a channel's hourly mean stays above a limit.

    Parameters
    ----------
    channel : str
        A telemetry channel.
    above : float, optional
        The limit, in the channel's unit; of vibration_mm_s by default the C/D limit of ISO 10816-1.
    hold : duration
        How long it must stay above, whole hours; may be ``"0h"``.
    action : str, optional
        The maintenance action; by default ``repair`` for vibration and kurtosis, ``clean_cooling`` for
        temperature, ``overhaul`` for the rest.
    lead : duration
        From there to when the work is due.
    priority : str
        ``low``, ``medium``, ``high`` or ``critical``.
    **span : time
        ``start`` and ``end``: when the rule applies.
    """
    if channel not in CHANNELS:
        raise unknown("channel", channel, CHANNELS)
    limit = None if above is None else as_number(above)
    if above is None and channel != "vibration_mm_s":
        raise BadRequest(f"a condition on {channel} needs a limit; only vibration_mm_s has one by ISO 10816-1")
    if above is not None and (limit is None or not 0.0 < limit <= 1e6):
        raise BadRequest(f"a condition's limit must be above 0 and at most 1e6, got {shown(above)}")
    hold_us = parse_duration(hold, "hold", allow_zero=True)
    if hold_us % HOUR_US:
        raise BadRequest(f"hold must be whole hours, got {shown(hold)}")
    return Rule(
        kind="condition",
        action=_ACTIONS.get(channel, "repair") if action is None else action,
        channel=channel,
        limit=limit,
        hold_us=hold_us,
        lead_us=parse_duration(lead, "lead", allow_zero=True),
        priority=_priority(priority),
        task_type="predictive",
        **_span(span),
    )


def decided_by(
    function: Callable[[Any], Any], every: Any = "1d", history: Any = "1d", name: str | None = None, **span: Any
) -> Rule:
    """Return a rule whose tasks a Python function decides (see `twin.reported.Reported` for what it sees).

    Parameters
    ----------
    function : callable
        Takes what has been reported so far; returns a list of tasks, each a dict with ``machine``,
        ``action`` and, if wanted, ``at``, ``duration``, ``priority``, ``technician``.
    every : duration
        Time between two decisions, whole hours.
    history : duration
        How much telemetry it is shown.
    name : str, optional
        What to call it; the function's own name by default. With a name, what the function depends on may
        lack a content that can be hashed: the name tells it from others.
    **span : time
        ``start`` and ``end``: when the rule applies.
    """
    if not callable(function):
        raise BadRequest(f"a policy must be a text, a rule, a function or a list of them, got {shown(function)}")
    every_us = parse_duration(every, "every")
    if every_us < HOUR_US or every_us % HOUR_US:
        raise BadRequest(f"every must be whole hours, 1 h or longer, got {shown(every)}")
    label = name or getattr(function, "__name__", type(function).__name__)
    return Rule(
        kind="callable",
        every_us=every_us,
        task_type="predictive",
        name=check_name(label, "policy name"),
        fingerprint=fingerprint(function, named=name is not None),
        history_us=parse_duration(history, "history"),
        **_span(span),
    )


def fingerprint(function: Callable[..., Any], named: bool = False) -> str:
    """Return a hash of a function's code and of all that it closes over: equal hash, equal decisions.

    Parameters
    ----------
    function : callable
        A function, method, `functools.partial` or object with ``__call__``.
    named : bool
        Whether values without a stable content may be left out, because a name tells them apart.

    Raises
    ------
    BadRequest
        If it depends on a value that has no content to hash, and is not named.
    """
    digest = hashlib.sha256()
    _describe(function, digest.update, set(), named)
    return digest.hexdigest()[:16]


def _describe(value: Any, tell: Callable[[bytes], Any], seen: set[int], named: bool) -> None:
    """Tell the content of a value: code and closure of functions, state of objects, else its pickle."""
    if id(value) in seen:
        return
    if isinstance(value, functools.partial):
        for part in (value.func, value.args, sorted(value.keywords.items())):
            _describe(part, tell, seen, named)
    elif isinstance(value, types.MethodType):
        _describe(value.__func__, tell, seen, named)
        _describe(value.__self__, tell, seen, named)
    elif isinstance(value, types.FunctionType):
        seen.add(id(value))
        tell(_code(value))
        used = [value.__globals__.get(name) for name in _names(value.__code__)]
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()]
        for part in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *cells, *used):
            _describe(part, tell, seen, named)
    elif isinstance(value, types.ModuleType | type | types.BuiltinFunctionType):
        tell(getattr(value, "__qualname__", value.__name__).encode())
    elif isinstance(value, tuple | list):
        for part in value:
            _describe(part, tell, seen, named)
    else:
        _describe_object(value, tell, seen, named)


def _describe_object(value: Any, tell: Callable[[bytes], Any], seen: set[int], named: bool) -> None:
    call = vars(type(value)).get("__call__")
    if isinstance(call, types.FunctionType):
        seen.add(id(value))
        _describe(call, tell, seen, named)
    try:
        tell(pickle.dumps(value))
    except Exception:
        if not named:
            raise BadRequest(
                f"the policy depends on {shown(value)}, which has no content to tell it by; "
                "give it a name of its own: decided_by(function, name=...)"
            ) from None


def _names(code: types.CodeType) -> list[str]:
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in _names(const)]
    return sorted({*code.co_names, *inner})


def _code(function: types.FunctionType) -> bytes:
    try:
        return inspect.getsource(function).encode()
    except (OSError, TypeError):
        return repr((function.__code__.co_code, function.__code__.co_consts)).encode()


def parse(policy: PolicyLike) -> tuple[tuple[Rule, ...], dict[str, Callable[[Any], Any]]]:
    """Return the rules of a policy, and its functions by name.

    Parameters
    ----------
    policy : str, Rule, callable, iterable of these, or None
        Texts as on the command line: ``run-to-failure``, ``periodic:30d``, ``running:500h:lubricate``,
        ``condition:vibration_mm_s>4.5@2h``.
    """
    if policy is None:
        return (), {}
    if isinstance(policy, Rule):
        if policy.kind == "callable":
            raise BadRequest("a callable rule needs its function: give the function, or (rule, function)")
        return (policy,), {}
    if isinstance(policy, str):
        rule = _parse_text(policy)
        return (() if rule is None else (rule,)), {}
    if callable(policy):
        rule = decided_by(policy)
        return (rule,), {rule.name: policy}
    if not isinstance(policy, Iterable) or isinstance(policy, (bytes, dict)):
        raise BadRequest(f"a policy must be a text, a rule, a function or a list of them, got {shown(policy)}")
    parts = list(policy)
    if len(parts) == 2 and isinstance(parts[0], Rule) and parts[0].kind == "callable" and callable(parts[1]):
        return (parts[0],), {parts[0].name: parts[1]}
    rules: list[Rule] = []
    functions: dict[str, Callable[[Any], Any]] = {}
    for part in parts:
        more, named = parse(part)
        if set(named) & set(functions):
            raise BadRequest(f"two functions of the policy are called {next(iter(named))!r}; name them apart")
        rules += more
        functions |= named
    return tuple(rules), functions


def _parse_text(text: str) -> Rule | None:
    kind, _, rest = text.strip().partition(":")
    if kind == RUN_TO_FAILURE and not rest:
        return None
    argument, _, action = rest.partition(":")
    if kind in ("periodic", "running") and argument:
        extra = {"action": action.strip()} if action else {}
        return periodic(argument, running_hours=kind == "running", **extra)
    match = _CONDITION.fullmatch(argument) if kind == "condition" and argument else None
    if match is None:
        raise BadRequest(f"not a policy: {shown(text)}; write {_FORMS}")
    channel, limit, hold = match.groups()
    above: float | None = None
    if limit is not None:
        try:
            above = float(limit)
        except ValueError:
            raise BadRequest(f"a condition's limit must be a number, got {shown(limit)}; write {_FORMS}") from None
    extra = {"hold": hold} if hold else {}
    return condition(channel, above, action=action.strip() or None, **extra)


def _priority(priority: str) -> Any:
    if priority not in PRIORITIES:
        raise unknown("priority", priority, PRIORITIES)
    return priority


def _span(span: dict[str, Any]) -> dict[str, int]:
    for key in span:
        if key not in ("start", "end"):
            raise unknown("argument of a rule", key, ("start", "end"))
    times = {f"{key}_us": parse_time(value, key) for key, value in span.items() if value is not None}
    if "start_us" in times and times.get("end_us", 2**62) <= times["start_us"]:
        raise BadRequest("a rule must end after it starts")
    return times
