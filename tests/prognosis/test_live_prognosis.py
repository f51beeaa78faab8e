"""Prognosis of a stream: the same features as of a stored run, and a state wherever a number would mislead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest
from twin.live import LiveSession
from twin.live.frames import Frame
from twin.plant import Plant
from twin.prognosis.features import FrameReader, features
from twin.prognosis.fitted import FittedModel
from twin.prognosis.live import GATHERING, OK, OUT_OF_RANGE, REPAIR, SPARSE, STALE, STANDING, Prognosis
from twin.prognosis.saved import save
from twin.prognosis.spec import FeatureSpec
from twin.prognosis.stream import Stream
from twin.prognosis.training import train

MINUTE, HOUR = 60_000_000, 3_600_000_000
START = 1_767_571_200_000_000
SPEC = FeatureSpec.of(
    channels=("vibration_g", "temperature_c"), statistics=("mean", "max"), windows=("3h",), cadence="1h",
    residuals=("vibration_g",), baseline="4h", maintenance=False,
)  # fmt: skip
READY = 5
"""Hours of the first row after the baseline of four, which begins with the reading ten minutes after the start."""
IDS = np.array([1, 2, 3], np.int16)


def frame(hours: float, since: float = 0.0, seed: int = 0, every: int = 10 * MINUTE) -> Frame:
    """Return readings of three machines after some hours, the last one on the full hour."""
    ts = np.arange(START + int(since * HOUR) + every, START + int((since + hours) * HOUR) + 1, every, dtype=np.int64)
    rng = np.random.default_rng([seed, int(since * 60)])
    values = rng.normal(10.0, 1.0, (len(CHANNELS), IDS.size, ts.size)).astype(np.float32)
    return Frame(0, ts.size, ts, IDS, values)


def taught(task: str = "failure", spec: Any = SPEC, **options: Any) -> FittedModel:
    """Return a model of noise: what it says is worth nothing, what it may say is the matter here."""
    made = spec if isinstance(spec, FeatureSpec) else SPEC
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_product([range(8), pd.date_range("2026-01-01", periods=40, freq="h")])
    X = pd.DataFrame(rng.normal(10.0, 3.0, (320, len(made.columns))), index=index, columns=made.columns)
    X.index.names = ["machine_id", "ts"]
    X[[name for name in X if "alarms" in name or "residual" in name]] -= 10.0
    fails = X.iloc[:, 0] > 13.0
    labels = pd.DataFrame(
        {
            "fails": fails, "usable": True, "mode": np.where(X.iloc[:, 1] > 10.0, "a", "b"),
            "rul_h": 24.0 - X.iloc[:, 0], "censored": False,
        },
        index=index,
    )  # fmt: skip
    labels["mode"] = labels["mode"].astype(object)
    name = {"failure": "logistic", "diagnosis": "logistic", "rul": "linear"}[task]
    given = {"spec": spec, "horizon_h": 24.0, "data": {"readings": "10min"}} | options
    return train(X, labels, task, name, **given)


@pytest.fixture(scope="module")
def models() -> dict[str, FittedModel]:
    return {task: taught(task) for task in ("failure", "rul", "diagnosis")}


@pytest.fixture
def prognosis(models: dict[str, FittedModel]) -> Prognosis:
    return Prognosis(**models)


def states(prognosis: Prognosis, **given: Any) -> list[str]:
    return [o.state for o in prognosis.score(**given)]


def test_a_live_row_is_the_row_of_the_stored_run(tmp_path: Path, models: dict[str, FittedModel]) -> None:
    plant = Plant.create(tmp_path / "plant.duckdb", machines=3)
    prognosis = Prognosis(**models)
    with LiveSession(plant, interval="10min", seed=5) as session:
        prognosis.take(session.advance(6 * 12 + 1), session.interval_us)
        alarms = pd.DataFrame({"machine_id": pd.Series(dtype="int64"), "ts": pd.Series(dtype="datetime64[us]")})
        for alarm in session.alarms():
            alarms.loc[len(alarms)] = [alarm["machine_id"], pd.Timestamp(alarm["ts"])]
        told = prognosis.score(alarms)
    stored = features(plant.runs.get(session.run_id or 0), SPEC)
    at = pd.Timestamp(prognosis.scored_us, unit="us")
    same = models["failure"].score(stored[stored.index.get_level_values("ts") == at])
    assert at == pd.Timestamp("2026-01-05 12:00")
    assert len(told) == 3
    assert [o.probability for o in told] == pytest.approx(same.tolist(), rel=1e-6)


def test_a_leap_is_scored_row_by_row_as_if_it_had_come_in_steps(models: dict[str, FittedModel]) -> None:
    step, leap = Prognosis(**models), Prognosis(**models)
    parts = [frame(1, since=k) for k in range(12)]
    for part in parts:
        step.take(part, 10 * MINUTE)
        step.score()
    whole = Frame(
        0, 72, np.concatenate([p.ts_us for p in parts]), IDS, np.concatenate([p.values for p in parts], axis=2)
    )
    leap.take(whole, 10 * MINUTE)
    leap.score()
    for machine in IDS.tolist():
        (at, shares, sure), (at_once, shares_at_once, sure_at_once) = (
            zip(*each.trends[machine], strict=True) for each in (step, leap)
        )
        assert at == at_once
        assert len(at) == 12 - READY + 1
        assert shares == pytest.approx(shares_at_once)
        assert sure == sure_at_once
    assert [o.probability for o in step.outlooks()] == pytest.approx([o.probability for o in leap.outlooks()])


def test_readings_are_thinned_to_those_of_the_training_and_none_counts_twice() -> None:
    stream = Stream(SPEC.query().channels(), 10 * MINUTE, 3 * HOUR, 0)
    fine = frame(2, every=MINUTE)
    stream.take(fine.ts_us, IDS, fine.values, MINUTE)
    stream.take(fine.ts_us, IDS, fine.values, MINUTE)
    kept = stream.recent(0, START + 2 * HOUR)
    assert kept["ts"].nunique() == 13  # the first, and each full ten minutes
    assert len(kept) == 3 * 13
    first = kept[kept["machine_id"] == 1].iloc[1]
    assert first["ts"] == pd.Timestamp(START + 10 * MINUTE, unit="us")
    assert first["vibration_g"] == fine.values[CHANNELS.index("vibration_g"), 0, 9]


def test_memory_does_not_grow(prognosis: Prognosis) -> None:
    for k in range(60):
        prognosis.take(frame(1, since=k), 10 * MINUTE)
        prognosis.score()
    stream = prognosis.stream
    assert len(stream.recent(0, START + 100 * HOUR)) <= 3 * 6 * (3 + 1)
    assert stream.early().empty


def test_no_number_before_the_baseline_and_the_window_are_full(prognosis: Prognosis) -> None:
    assert prognosis.score() == []
    prognosis.take(frame(READY - 1), 10 * MINUTE)
    told = prognosis.score()
    assert [o.state for o in told] == [GATHERING] * 3
    assert told[0].reason == "baseline and window full in 1 h"
    assert told[0].probability is None
    prognosis.take(frame(2, since=READY - 1), 10 * MINUTE)
    assert states(prognosis) == [OK] * 3


def ready(prognosis: Prognosis, hours: int = 10) -> None:
    prognosis.take(frame(hours), 10 * MINUTE)
    assert states(prognosis) == [OK] * 3


def test_all_models_speak_and_a_mode_is_named_where_a_failure_is_likely(prognosis: Prognosis) -> None:
    ready(prognosis)
    told = prognosis.score()
    high = frame(3, since=10)
    high.values[CHANNELS.index("vibration_g"), 1] += 5.0
    prognosis.take(high, 10 * MINUTE)
    told += prognosis.score()
    for o in told:
        assert o.probability is not None
        assert 0.0 <= o.probability <= 1.0
        assert o.low_h <= o.rul_h <= o.high_h  # type: ignore[operator]
        assert (o.mode in ("a", "b")) == (o.probability >= 0.2)
        assert (o.mode is None) == (o.mode_share is None)
    assert {o.mode is None for o in told} == {True, False}


def test_the_features_that_speak_for_it_are_told(prognosis: Prognosis) -> None:
    ready(prognosis)
    high = frame(3, since=10)
    high.values[CHANNELS.index("vibration_g"), 1] += 5.0
    prognosis.take(high, 10 * MINUTE)
    told = prognosis.score()[1]
    assert told.probability > 0.5  # type: ignore[operator]
    assert told.speaks[0].feature == "vibration_g_mean_3h"
    assert told.speaks[0].value > told.speaks[0].median
    assert all(s.effect > 0 for s in told.speaks)


def test_a_machine_that_is_silent_is_stale_and_then_gathers_anew(prognosis: Prognosis) -> None:
    ready(prognosis)
    for k in range(3):
        silent = frame(1, since=10 + k)
        silent.values[:, 2] = np.nan
        prognosis.take(silent, 10 * MINUTE)
        told = prognosis.score()
    assert [o.state for o in told] == [OK, OK, STALE]
    assert told[2].reason == "no reading for 3 h"
    assert told[2].probability is None
    prognosis.take(frame(1, since=13), 10 * MINUTE)
    told = prognosis.score()
    assert (told[2].state, told[2].reason) == (GATHERING, "6 of 18 readings in the window")


def test_a_channel_that_is_gone_or_beyond_the_training_is_out_of_range(prognosis: Prognosis) -> None:
    ready(prognosis)
    odd = frame(3, since=10)
    odd.values[CHANNELS.index("temperature_c"), 0] = np.nan
    odd.values[CHANNELS.index("temperature_c"), 1] = 400.0
    prognosis.take(odd, 10 * MINUTE)
    told = prognosis.score()
    assert [o.state for o in told] == [OUT_OF_RANGE, OUT_OF_RANGE, OK]
    assert "temperature_c_mean_3h missing (trained on" in told[0].reason
    assert "temperature_c_mean_3h 400 (trained on" in told[1].reason
    assert [sure for _, _, sure in prognosis.trends[2]][-1] is False


def test_a_machine_that_stands_gets_no_number(prognosis: Prognosis) -> None:
    ready(prognosis)
    told = prognosis.outlooks({1: "maintenance", 2: "failed", 3: "running"})
    assert [o.state for o in told] == [REPAIR, STANDING, OK]
    assert [o.probability is None for o in told] == [True, True, False]


def test_a_failure_and_the_work_after_it_open_a_window_anew(prognosis: Prognosis) -> None:
    ready(prognosis)
    begun, done = pd.Timestamp(START + 11 * HOUR, unit="us"), pd.Timestamp(START + 13 * HOUR, unit="us")
    failures = pd.DataFrame({"machine_id": [2], "ts": [begun]})
    log = pd.DataFrame({"machine_id": [2], "end_at": [done]})
    found = []
    for k in range(8):
        prognosis.take(frame(1, since=10 + k), 10 * MINUTE)
        found.append(prognosis.score(log=log, failures=failures)[1].state)
    assert found == [STANDING] * 2 + [GATHERING] * 3 + [OK] * 3
    times = [(at - START) // HOUR for at, _, _ in prognosis.trends[2]]
    assert times == [*range(READY, 11), 16, 17, 18]


def test_a_stream_that_is_sparser_than_the_training_is_told_of(prognosis: Prognosis) -> None:
    prognosis.take(frame(12, every=30 * MINUTE), 30 * MINUTE)
    told = prognosis.score()
    assert [o.state for o in told] == [SPARSE] * 3
    assert told[0].reason == "a reading each 0.5 h; trained on 0.167 h"


def test_a_restart_forgets(prognosis: Prognosis) -> None:
    ready(prognosis)
    prognosis.restart()
    assert prognosis.outlooks() == []
    assert prognosis.trends == {}
    ready(prognosis, 6)


OTHER = FeatureSpec.of(**{**SPEC.model_dump(), "windows": ("6h",)})


UNFIT: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "task": (lambda: {"failure": taught("rul")}, "the model given for failure is one for rul: give it as rul="),
    "windows": (
        lambda: {"failure": taught(), "rul": taught("rul", OTHER)}, r"different features \(windows\): train them alike"
    ),
    "no spec": (lambda: {"failure": taught(spec=None)}, "has no feature spec: train it with spec="),
    "schema": (lambda: {"failure": taught(spec={"windows": ["6h"]})}, "trained on other features than its spec gives"),
    "channel": (lambda: {"failure": taught(spec={"channels": ["warmth"]})}, "no usable feature spec: .*'warmth'"),
    "none": (lambda: {"failure": None}, "needs a model of failure"),
    "no model": (lambda: {"failure": object()}, "failure must be what train"),
    "no file": (lambda: {"failure": "nowhere.model"}, "no file 'nowhere.model'"),
    "sparse": (lambda: {"failure": taught(), "readings": "2h"}, "readings '2h' are further apart than the .* 1h"),
    "no duration": (lambda: {"failure": taught(), "readings": "often"}, "readings must be"),
    "intervals": (
        lambda: {"failure": taught(), "rul": taught("rul", data={"readings": "1min"})},
        r"different intervals \(failure: 10min, rul: 1min\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_models_that_do_not_fit_are_refused_with_one_line(case: str) -> None:
    given, said = UNFIT[case]
    with pytest.raises(BadRequest, match=said) as told:
        Prognosis(**given())
    assert "\n" not in str(told.value)


def test_a_file_that_was_changed_is_refused(models: dict[str, FittedModel], tmp_path: Path) -> None:
    path = save(models["failure"], tmp_path / "failure.model")
    assert Prognosis(path).card == models["failure"].card
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadRequest, match="damaged|changed"):
        Prognosis(path)


def test_without_a_word_in_the_card_the_interval_is_a_guess() -> None:
    guess = Prognosis(taught(data={}))
    assert (guess.readings_us, guess.assumed) == (HOUR, True)
    told = Prognosis(taught(data={}), readings="10min")
    assert (told.readings_us, told.assumed) == (10 * MINUTE, False)


def test_its_features_are_those_of_the_reader(prognosis: Prognosis) -> None:
    whole = frame(10)
    prognosis.take(whole, 10 * MINUTE)
    told = prognosis.score()
    columns = {name: whole.values[i].ravel().astype(float) for i, name in enumerate(CHANNELS)}
    keys = {"machine_id": np.repeat(IDS.astype(int), 60), "ts": np.tile(whole.ts_us.astype("datetime64[us]"), 3)}
    made = FrameReader(SPEC).features(pd.DataFrame({**keys, **columns}))
    newest = made[made.index.get_level_values("ts") == pd.Timestamp(START + 10 * HOUR, unit="us")]
    assert [o.probability for o in told] == pytest.approx(prognosis.models["failure"].score(newest).tolist())
