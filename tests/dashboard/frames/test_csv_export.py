import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.frames.csv_export import csv
from winnow.engine.runs.spreadsheet import FORMULA_STARTS


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_starts_like_a_formula_is_guarded(cell: str) -> None:
    assert csv(pd.DataFrame({"a": [cell]})).decode().splitlines()[1].lstrip('"').startswith("'")


def test_the_names_of_columns_and_categories_are_guarded_too() -> None:
    frame = pd.DataFrame({"=cmd": pd.Categorical(["@x", "fine"])})
    assert csv(frame).decode().splitlines() == ["'=cmd", "'@x", "fine"]


def test_negative_numbers_stay_numbers() -> None:
    frame = pd.DataFrame({"value": np.array([-1.5, 2.0], np.float32)})
    assert pd.read_csv(io.BytesIO(csv(frame)))["value"].tolist() == [-1.5, 2.0]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), min_size=1, max_size=5))
def test_no_cell_of_text_starts_like_a_formula(cells: list[str]) -> None:
    read = pd.read_csv(io.BytesIO(csv(pd.DataFrame({"a": cells, "b": 1}))), keep_default_na=False, dtype=str)
    assert not any(cell.startswith(FORMULA_STARTS) for cell in read["a"])
