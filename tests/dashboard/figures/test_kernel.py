import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.kernel import kernel_figure


def _drawn(magnitudes: np.ndarray) -> go.Figure:
    row, column = np.indices(magnitudes.shape)
    return kernel_figure(pd.DataFrame({"row": row.ravel(), "column": column.ravel(), "magnitude": magnitudes.ravel()}))


def test_each_position_is_a_cell_with_its_magnitude_the_first_row_at_the_top() -> None:
    magnitudes = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    figure = _drawn(magnitudes)
    (cells,) = figure.data
    np.testing.assert_array_equal(cells.z, magnitudes)
    assert (cells.zmin, cells.zmax) == (0, 6)
    assert [note.text for note in figure.layout.annotations] == ["1", "2", "3", "4", "5", "6"]
    assert figure.layout.yaxis.autorange == "reversed"


def test_a_large_kernel_has_no_words_in_its_cells() -> None:
    assert not _drawn(np.ones((11, 11))).layout.annotations


def test_a_kernel_of_one_position_says_so() -> None:
    figure = _drawn(np.array([[0.25]]))
    assert "1 × 1 kernel, a single position: 0.25" in figure.layout.annotations[0].text
    assert not figure.data


def test_a_dead_channel_and_one_without_kernels_say_so() -> None:
    assert "zero" in _drawn(np.zeros((3, 3))).layout.annotations[0].text
    assert (
        "recorded" in kernel_figure(pd.DataFrame({"row": [], "column": [], "magnitude": []})).layout.annotations[0].text
    )
