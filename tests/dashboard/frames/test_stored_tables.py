import pandas as pd
import pytest

from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.engine.runs.work_folder import WorkFolder

COLUMNS = {"taste": ("dish", "salt")}


@pytest.fixture
def work(tmp_path) -> WorkFolder:
    return WorkFolder(tmp_path)


def write(work: WorkFolder, rows: int) -> None:
    (work.path / "tables").mkdir(exist_ok=True)
    pd.DataFrame({"dish": "soup", "salt": [0.5] * rows}).to_parquet(work.path / "tables" / "taste.parquet")


def test_a_table_that_is_not_there_yet_is_empty_and_has_its_columns(work: WorkFolder):
    frame = stored(work, "taste", COLUMNS)
    assert (len(frame), list(frame), stored_version(work, "taste")) == (0, ["dish", "salt"], (0, 0))


def test_a_table_is_read_once_and_again_when_it_is_replaced(work: WorkFolder):
    write(work, 2)
    first, before = stored(work, "taste", COLUMNS), stored_version(work, "taste")
    assert stored(work, "taste", COLUMNS) is first
    write(work, 3)
    assert (len(first), len(stored(work, "taste", COLUMNS))) == (2, 3)
    assert stored_version(work, "taste") != before


def test_a_table_that_is_removed_is_empty_again(work: WorkFolder):
    write(work, 2)
    assert len(stored(work, "taste", COLUMNS)) == 2
    (work.path / "tables" / "taste.parquet").unlink()
    assert stored(work, "taste", COLUMNS).empty
