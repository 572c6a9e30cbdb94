import numpy as np
import pandas as pd

from winnow.dashboard.figures.firmness import firmness


def test_every_dead_group_is_counted_once_those_beyond_in_the_last_bar() -> None:
    values = pd.Series(np.r_[np.linspace(0, 1, 41), 1.19, 1.2, 5.0, 1e9, np.inf])
    (bars,) = firmness(values).data
    assert sum(bars.y) == len(values)
    assert bars.y[-1] == 5


def test_a_line_marks_where_groups_revive() -> None:
    figure = firmness(pd.Series([0.5]))
    assert [shape.x0 for shape in figure.layout.shapes] == [1]
    assert figure.layout.xaxis.title.text == "firmness [1]"


def test_without_dead_groups_it_says_so() -> None:
    assert "No group is zero" in firmness(pd.Series([], dtype=float)).layout.annotations[0].text
