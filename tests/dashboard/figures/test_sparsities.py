import pandas as pd

from dashboard.figures.sparsities import sparsities

FRAME = pd.DataFrame(
    {"at": [0, 1, 2], "group_sparsity": [0, 5, 9], "parameter_sparsity": [0, 4, 8], "mac_sparsity": [0, 3, 7]}
)


def test_the_three_counts_stand_side_by_side() -> None:
    figure = sparsities(FRAME)
    assert [trace.name for trace in figure.data] == ["groups", "parameters", "MACs"]
    assert len({(trace.line.color, trace.line.dash, trace.marker.symbol) for trace in figure.data}) == 3
    assert figure.layout.yaxis.title.text == "exactly zero [%]"
    assert figure.layout.xaxis.title.text == "epoch"


def test_without_data_it_says_so() -> None:
    assert not sparsities(FRAME.iloc[:0]).data
