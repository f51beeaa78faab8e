"""The arithmetic of the live benchmark, and what it says where something is missing; its figures need a browser."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from twin import bench_browser, bench_live


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(i) for i in range(1, 21)]
    assert [bench_live.percentile(values, p) for p in (0, 50, 95, 100)] == [1, 10, 19, 20]
    assert bench_live.percentile([3.0], 95) == 3


def test_what_was_not_reached_is_named_and_what_was_not_taken_is_not() -> None:
    assert bench_live.missed({"page_updates_hz": 9.5, "kernel_to_page_p50_ms": 30.0, "another": 1.0}) == []
    assert bench_live.missed({"page_updates_hz": 9.0}) == ["page_updates_hz is 9, to be >= 9.5"]


def test_growth_compares_the_first_and_the_last_tenth() -> None:
    flat = [100.0 + i % 2 for i in range(100)]
    assert bench_live._growth_percent(flat) == pytest.approx(0)
    assert bench_live._growth_percent([100.0, 110.0]) == pytest.approx(10)


def test_a_missing_browser_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(bench_browser, "chromium_path", lambda: None)
    monkeypatch.setattr(bench_live.Lab, "start", lambda self: None)
    assert bench_live.main(["--json"]) == 2
    assert "this needs Chromium on the path" in capsys.readouterr().err


def test_a_missing_playwright_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("playwright"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert bench_live.main(["--soak", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_url_of_another_server_is_outside() -> None:
    page = object.__new__(bench_browser.Page)
    page.outside, page._host = [], "127.0.0.1:8888"
    for url in ("http://127.0.0.1:8888/x", "data:image/png;base64,AA", "blob:http://x/y", "https://example.org/a"):
        page._asked(url)
    page._asked("ws://127.0.0.1:8888/api/kernels")
    assert page.outside == ["https://example.org/a"]
