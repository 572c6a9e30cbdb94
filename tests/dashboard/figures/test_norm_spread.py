import numpy as np
import pandas as pd

from winnow.dashboard.figures.norm_spread import MOST_POINTS, norm_spread

NONE = pd.DataFrame({"layer": [], "channel": [], "norm": []})


def _frame(layers: int) -> pd.DataFrame:
    quartiles = {"minimum": 0.1, "lower": 0.2, "median": 0.4, "upper": 0.8, "maximum": 1.6}
    return pd.DataFrame([{"layer": f"layer {i}", "dead": 1, "total": 5, **quartiles} for i in range(layers)])


def test_a_row_shows_the_quartiles_on_a_log_axis() -> None:
    figure = norm_spread(_frame(2), NONE)
    whole, half, near, median = figure.data
    assert figure.layout.xaxis.type == "log"
    np.testing.assert_allclose(np.asarray(whole.x)[:2], [0.1, 1.6], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(half.x)[:2], [0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(median.x, [0.4, 0.4], rtol=1e-6)
    assert len(near.x) == 0


def test_each_group_near_the_threshold_stands_in_the_row_of_its_layer() -> None:
    near = pd.DataFrame({"layer": ["layer 1", "layer 0"], "channel": [7, 3], "norm": [0.02, 0.01]})
    trace = norm_spread(_frame(2), near).data[2]
    assert (list(trace.y), list(trace.customdata)) == ([0, 1], [3, 7])


def test_a_wide_network_draws_a_bounded_number_of_points() -> None:
    near = pd.DataFrame({"layer": "layer 0", "channel": np.arange(9000), "norm": np.linspace(1, 2, 9000)})
    assert len(norm_spread(_frame(1), near).data[2].x) == MOST_POINTS


def test_the_axis_spans_a_decade_even_where_the_norms_are_alike() -> None:
    frame = _frame(1).assign(minimum=1.0, lower=1.0, median=1.0, upper=1.0, maximum=1.0)
    low, high = norm_spread(frame, NONE).layout.xaxis.range
    assert low < 0 < high
    assert high - low >= 1


def test_a_dead_layer_has_an_empty_row() -> None:
    frame = _frame(1).assign(minimum=np.nan, lower=np.nan, median=np.nan, upper=np.nan, maximum=np.nan)
    figure = norm_spread(frame, NONE)
    assert np.isnan(figure.data[3].x).all()
    assert np.isfinite(figure.layout.xaxis.range).all()


def test_without_layers_it_says_so() -> None:
    assert not norm_spread(_frame(0), NONE).data
