"""The digest of files sees names, sizes and contents, and nothing else."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.data import fingerprint as module
from winnow.data.fingerprint import BLOCK, files_below, fingerprint


def digest(root: Path) -> str:
    return fingerprint(files_below(root))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("train/a.png", "train/b.png", "val/a.png", "list.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode() * 10)
    return root


def test_a_copy_with_other_times_in_another_place_has_the_same_digest(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(folder, other, copy_function=shutil.copy)
    for path in files_below(other).values():
        os.utime(path, (1, 1))
    assert digest(other) == digest(folder)
    assert len(digest(folder)) == 16


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "train/c.png").write_bytes(b"new"),
        lambda root: (root / "train/a.png").unlink(),
        lambda root: (root / "train/a.png").rename(root / "train/z.png"),
        lambda root: (root / "train/a.png").write_bytes(b"X" + (root / "train/a.png").read_bytes()[1:]),
        lambda root: (root / "list.txt").write_bytes(b""),
        lambda root: (root / "train/a.png").rename(root / "a.png"),
    ],
)
def test_every_change_changes_the_digest(folder: Path, change: object) -> None:
    before = digest(folder)
    change(folder)  # type: ignore[operator]
    assert digest(folder) != before


def test_an_edit_that_keeps_size_and_time_is_seen(folder: Path) -> None:
    before, file = digest(folder), folder / "list.txt"
    stat = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest(folder) != before


@settings(max_examples=30, deadline=None)
@given(place=st.sampled_from(["first", "middle", "last"]), which=st.integers(0, 299))
def test_of_a_large_data_set_the_ends_and_the_middle_of_the_files_that_are_read_count(
    place: str, which: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("large")
    size = 40 * BLOCK
    for number in range(4):
        (root / f"{number}.bin").write_bytes(bytes([number]) * size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WHOLE", size)
        before = digest(root)
        file = root / f"{which % 4}.bin"
        content = bytearray(file.read_bytes())
        content[{"first": 0, "middle": size // 2, "last": size - 1}[place]] ^= 255
        file.write_bytes(content)
        assert digest(root) != before


def test_only_files_of_the_pattern_count(folder: Path) -> None:
    before = fingerprint(files_below(folder, "*.png"))
    (folder / "notes.md").write_text("more")
    assert fingerprint(files_below(folder, "*.png")) == before
    assert set(files_below(folder, "*.txt")) == {"list.txt"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`root` must be a folder, got .*nowhere"):
        files_below(tmp_path / "nowhere")
