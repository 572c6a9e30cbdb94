import itertools

import numpy as np
import pandas as pd

from winnow.dashboard.figures.style import styles
from winnow.dashboard.figures.task_conflict import MOST_PAIRS, STRETCHES, averaged, task_conflict, task_weights

TASKS = ["seg", "depth", "<b>edges</b>", "normals", "e", "f"]
LOOKS = styles(TASKS)


def _pairs(tasks: list[str]) -> pd.DataFrame:
    pairs = list(itertools.combinations(tasks, 2))
    rows = [(at, a, b, 0.1 * i - 0.5) for i, (a, b) in enumerate(pairs) for at in (1.0, 2.0)]
    return pd.DataFrame(rows, columns=["at", "task", "other", "cosine"])


def test_a_pair_has_the_colour_of_one_task_and_the_markers_of_the_other() -> None:
    figure = task_conflict(_pairs(TASKS[:3]), LOOKS)
    assert {trace.name for trace in figure.data} == {
        "seg – depth",
        "seg – &lt;b&gt;edges&lt;/b&gt;",
        "depth – &lt;b&gt;edges&lt;/b&gt;",
    }
    (pair,) = [trace for trace in figure.data if trace.name == "seg – depth"]
    assert (pair.line.color, pair.marker.color) == (LOOKS["seg"].colour, LOOKS["depth"].colour)
    assert figure.layout.yaxis.range == (-1.05, 1.05)


def test_of_many_pairs_those_that_conflict_most_are_drawn() -> None:
    figure = task_conflict(_pairs(TASKS), LOOKS)
    assert len(figure.data) == MOST_PAIRS
    assert figure.data[0].name == "seg – depth"
    assert "10 of 15 pairs, those that conflict most" in figure.layout.xaxis.title.text


def test_many_records_are_averaged_over_stretches() -> None:
    frame = pd.DataFrame({"at": np.arange(1000) / 100, "cosine": np.tile([0.6, -0.2], 500)})
    drawn = averaged(frame)
    assert len(drawn) == STRETCHES
    assert drawn["cosine"].between(0.15, 0.25).all()
    assert drawn["at"].is_monotonic_increasing
    assert averaged(frame.iloc[:5])["cosine"].tolist() == frame["cosine"].iloc[:5].tolist()


def test_the_weights_have_a_curve_per_task() -> None:
    frame = pd.DataFrame({"at": [1.0, 1.0, 2.0, 2.0], "task": ["seg", "depth"] * 2, "weight": [1.0, 0.5, 2.0, 0.25]})
    figure = task_weights(frame, LOOKS)
    assert [(trace.name, trace.line.color) for trace in figure.data] == [
        ("seg", LOOKS["seg"].colour),
        ("depth", LOOKS["depth"].colour),
    ]


def test_without_a_record_it_says_when_there_is_one() -> None:
    assert "two tasks" in task_conflict(_pairs([]), LOOKS).layout.annotations[0].text
