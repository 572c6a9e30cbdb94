import pandas as pd

from winnow.dashboard.figures.sparsities import SparsityPlan, sparsities_figure

FRAME = pd.DataFrame(
    {"at": [0, 1, 2], "group_sparsity": [0, 5, 9], "parameter_sparsity": [0, 4, 8], "mac_sparsity": [0, 3, 7]}
)


def test_the_three_counts_stand_side_by_side() -> None:
    figure = sparsities_figure(FRAME)
    assert [trace.name for trace in figure.data] == ["groups", "parameters", "MACs"]
    assert len({(trace.line.color, trace.line.dash, trace.marker.symbol) for trace in figure.data}) == 3
    assert figure.layout.yaxis.title.text == "exactly zero [%]"
    assert figure.layout.xaxis.title.text == "epoch"


def test_the_target_is_a_level_and_the_refit_a_moment() -> None:
    figure = sparsities_figure(FRAME, SparsityPlan(60, "MACs", 1.5))
    level, moment = figure.layout.shapes
    assert (level.y0, level.y1) == (60, 60)
    assert (moment.x0, moment.x1) == (1.5, 1.5)
    assert [note.text for note in figure.layout.annotations] == ["target: 60 % of the MACs", "refit"]


def test_a_refit_that_is_not_in_sight_is_not_marked() -> None:
    assert not sparsities_figure(FRAME, SparsityPlan(refit=2.5)).layout.shapes
    assert not sparsities_figure(FRAME).layout.shapes


def test_without_data_it_says_so() -> None:
    assert not sparsities_figure(FRAME.iloc[:0]).data


def test_removals_are_moments_and_the_last_says_how_much_went() -> None:
    removals = pd.DataFrame({"at": [1.0, 2.0], "parameters_before": [1.2e6, 8e5], "parameters": [8e5, 51_234.0]})
    figure = sparsities_figure(FRAME, removals=removals)
    assert [shape.x0 for shape in figure.layout.shapes] == [1.0, 2.0]
    assert [note.text for note in figure.layout.annotations] == ["800 k → 51.2 k"]
    assert not sparsities_figure(FRAME.iloc[2:], removals=removals.iloc[:1]).layout.shapes
