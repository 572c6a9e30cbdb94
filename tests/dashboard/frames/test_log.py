from pathlib import Path

from winnow.dashboard.frames.log import LINES, tail


def test_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("\n".join(f"line {i}" for i in range(10_000)))
    assert tail(path).splitlines() == [f"line {i}" for i in range(10_000 - LINES, 10_000)]


def test_a_log_that_is_not_text_is_shown_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"ok\xff\n")
    assert tail(tmp_path / "log.txt").startswith("ok")


def test_no_log_is_no_text(tmp_path: Path) -> None:
    assert tail(tmp_path / "log.txt") == ""
