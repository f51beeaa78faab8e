"""The code of docs/prognosis.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "prognosis.md").read_text(encoding="utf-8")


def test_the_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "docs/prognosis.md", "exec"), names)
    assert names["y"]["fails"].any()
    assert names["newest"].index.equals(names["X"].groupby("machine_id").tail(1).index)
    assert names["worth"].table().loc["oracle", "oracle_share"] == pytest.approx(1.0)
