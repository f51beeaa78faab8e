"""What is recorded for training is what a policy sees, world by world."""

from __future__ import annotations

import pandas as pd
import pytest

from twin.errors import BadRequest
from twin.plant import Plant
from twin.policy import decided_by
from twin.prognosis.features import FrameReader
from twin.prognosis.history import APART, recorded
from twin.prognosis.policies import Recorder
from twin.prognosis.spec import FeatureSpec

SPEC = FeatureSpec.of(channels=("vibration_mm_s",), residuals=("vibration_mm_s",), cadence="24h")


def test_worlds_are_told_apart_and_equal_what_a_recorder_sees(plant: Plant) -> None:
    X, y = recorded(plant, [None, "periodic:60d"], "120d", spec=SPEC, seed=7, progress=False)
    assert X.index.equals(y.index)
    assert list(X.columns) == SPEC.columns
    machines = X.index.get_level_values("machine_id")
    assert set(machines) == {k * APART + m for k in (0, 1) for m in range(1, 7)}
    recorder = Recorder()
    run = plant.simulate(
        "2026-01-05", "2026-05-05", "1h", seed=8, wear="used", tasks=False, events_only=True, progress=False,
        policy=["periodic:60d", (decided_by(recorder, "1d", name="recorder"), recorder)],
    )  # fmt: skip
    assert recorder.seen is not None
    mine = FrameReader(SPEC).features(recorder.seen.hourly, recorder.seen.alarms, recorder.seen.log)
    second = X[machines >= APART].rename(lambda m: m - APART, level="machine_id")
    pd.testing.assert_frame_equal(second, mine, rtol=1e-9, atol=1e-9)
    assert len(run.failures())
    assert (y["fails"] & (machines >= APART)).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"policies": "periodic:60d"}, "a list"), ({"policies": []}, "a list"), ({"span": "3h"}, "longer|shorter|day")],
)
def test_what_cannot_be_recorded_is_refused(plant: Plant, change: dict[str, object], said: str) -> None:
    given = {"policies": [None], "span": "30d", "spec": SPEC, "progress": False} | change
    with pytest.raises(BadRequest, match=said):
        recorded(plant, **given)  # type: ignore[arg-type]
