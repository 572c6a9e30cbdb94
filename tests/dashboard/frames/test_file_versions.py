from pathlib import Path
from types import SimpleNamespace

import pytest

from winnow.dashboard.frames import file_versions


def test_paced_moves_once_in_a_while_however_often_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(file_versions, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    log, seen = tmp_path / "events.jsonl", file_versions.paced(1.0)
    log.write_text("a")
    first = seen(log)
    assert first == file_versions.version(log)
    log.write_text("ab")
    clock[0] += 0.9
    assert seen(log) == first
    assert seen(tmp_path / "other") == (0, 0)
    clock[0] += 0.2
    assert seen(log) == file_versions.version(log) != first
