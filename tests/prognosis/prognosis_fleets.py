"""Synthetic fleets with a known answer: machines whose vibration grows as their life runs out."""

from __future__ import annotations

import numpy as np
import pandas as pd

START = pd.Timestamp("2026-01-05")
STEP_H = 12.0
MODES = ("bearing_degradation", "cooling_loss")


def fleet(
    machines: int, seed: int, *, horizon_h: float = 168.0, noise: float = 0.3
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features and labels: bearings raise vibration, cooling temperature; every fifth life is censored."""
    rng = np.random.default_rng(seed)
    frames = []
    for machine in range(machines):
        life_h = float(rng.uniform(500.0, 1200.0))
        mode = MODES[int(rng.integers(2))]
        censored = machine % 5 == 4
        end_h = life_h * (0.6 if censored else 1.0)
        t = np.arange(0.0, end_h, STEP_H)
        left = life_h - t
        damage = np.exp(-left / 150.0)
        hit = np.array([mode == name for name in MODES], dtype=float)
        n = rng.normal(size=(4, len(t)))
        frame = pd.DataFrame(
            {
                "machine_id": machine + 1,
                "ts": START + pd.to_timedelta(t, unit="h"),
                "vibration_mm_s_mean_24h": 0.6 * np.exp(2.5 * damage * hit[0] + 0.3 * noise * n[0]),
                "temperature_c_mean_24h": 45.0 + 20.0 * damage * hit[1] + 4.0 * noise * n[1],
                "power_w_mean_24h": 140.0 + 10.0 * n[2],
                "time_since_maintenance_h": t,
                "fails": (left <= horizon_h) & (not censored),
                "mode": np.where((left <= horizon_h) & (not censored), mode, None),
                "rul_h": end_h - t if censored else left,
                "censored": censored,
                "usable": True,
            }
        )
        frame.loc[n[3] > 2.0, "temperature_c_mean_24h"] = np.nan
        frames.append(frame)
    whole = pd.concat(frames).set_index(["machine_id", "ts"])
    whole["mode"] = whole["mode"].astype(object)
    return whole.iloc[:, :4].astype(np.float64), whole.iloc[:, 4:]


def failures(labels: pd.DataFrame) -> pd.DataFrame:
    """Return when each uncensored machine failed, and by what."""
    seen = labels[~labels["censored"]].reset_index()
    last = seen.groupby("machine_id").last().reset_index()
    last["ts"] = last["ts"] + pd.to_timedelta(last["rul_h"], unit="h")
    return last[["machine_id", "ts", "mode"]]
