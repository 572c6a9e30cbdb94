from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
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


def test_latest_makes_a_version_once_for_all_who_ask_at_the_same_time():
    made: list[int] = []
    asking = Barrier(8)

    @file_versions.latest(2)
    def double(value: int, _log: file_versions.Version) -> int:
        made.append(value)
        Event().wait(0.05)  # the others ask meanwhile
        return 2 * value

    def ask(place: int) -> int:
        asking.wait()
        return double(place % 2, file_versions.Version(1, 1))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [0, 2, 0, 2, 0, 2, 0, 2]
    assert sorted(made) == [0, 1]
    assert double(1, file_versions.Version(2, 1)) == 2
    assert sorted(made) == [0, 1, 1]


def test_latest_is_not_made_anew_for_those_who_waited_with_another_version():
    made: list[int] = []
    going, done = Event(), Event()

    @file_versions.latest(2)
    def value(log: file_versions.Version) -> int:
        made.append(log.size)
        going.set()
        done.wait(10)
        return log.size

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(value, file_versions.Version(1, 1))
        going.wait(10)
        others = [threads.submit(value, file_versions.Version(size, 1)) for size in (2, 3, 2)]
        Event().wait(0.2)  # they ask, and wait
        done.set()
        assert first.result() == 1
        assert len({other.result() for other in others}) == 1
    assert made[0] == 1
    assert len(made) == 2


def test_latest_makes_again_what_failed():
    tried: list[int] = []

    @file_versions.latest(2)
    def once_wrong(value: int) -> int:
        tried.append(value)
        if len(tried) == 1:
            raise ValueError(value)
        return value

    with pytest.raises(ValueError, match="7"):
        once_wrong(7)
    assert once_wrong(7) == 7
