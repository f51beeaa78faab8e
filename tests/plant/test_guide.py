"""The code in docs/guide.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide.md"


def test_the_blocks_of_the_guide_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 8
    for block in blocks:
        lines = text[: block.start(1)].count("\n")
        exec(compile("\n" * lines + block[1], str(GUIDE), "exec"), names)
    assert "did you mean 'M-001'" in capsys.readouterr().out
    assert (tmp_path / "data" / "plant.duckdb").exists()
    assert (tmp_path / "out" / "telemetry.parquet").exists()
    assert (tmp_path / "five" / "maint.csv").exists()
