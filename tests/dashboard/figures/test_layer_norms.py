import numpy as np
import pandas as pd

from winnow.dashboard.figures.layer_norms import MOST_CURVES, MOST_POINTS, channel_norms_figure, median_norms


def _layers(count: int) -> pd.DataFrame:
    depth = np.repeat(np.arange(count), 3)
    frame = pd.DataFrame({"at": np.tile([0, 1, 2], count), "depth": depth, "layer": [f"l{d}" for d in depth]})
    return frame.assign(median=np.tile([1.0, 0.5, np.nan], count), alive=1, total=2)


def _channels(count: int, epochs: int = 3) -> pd.DataFrame:
    at, channel = np.meshgrid(np.arange(epochs), np.arange(count), indexing="ij")
    frame = pd.DataFrame({"at": at.ravel(), "channel": channel.ravel(), "norm": 1.0})
    return frame.assign(norm=frame["norm"].where((frame["at"] == 0) | (frame["channel"] % 2 == 0)))


def test_one_curve_per_layer_on_a_log_axis() -> None:
    figure = median_norms(_layers(3))
    assert [trace.name for trace in figure.data] == ["l0", "l1", "l2"]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis.title.text == "median norm of living groups [1]"
    assert len({trace.line.color for trace in figure.data}) == 3


def test_of_a_deep_network_some_layers_are_drawn_the_ends_among_them() -> None:
    figure = median_norms(_layers(50))
    names = [trace.name for trace in figure.data]
    assert len(names) == MOST_CURVES
    assert (names[0], names[-1]) == ("l0", "l49")
    assert f"{MOST_CURVES} of 50 layers" in figure.layout.xaxis.title.text
    assert median_norms(_layers(3)).layout.xaxis.title.text == "epoch"


def test_long_names_of_layers_never_cover_the_plot() -> None:
    long = _layers(20).assign(layer=lambda frame: "network.trunk.stages." + frame["layer"])
    figure = median_norms(long)
    assert figure.layout.legend.y < 0
    assert all(len(trace.name) <= 20 for trace in figure.data)
    assert figure.data[1].name.endswith("stages.l2")
    assert figure.data[1].hovertemplate.startswith("network.trunk.stages.l2<br>")


def test_dead_channels_end_and_living_ones_go_on() -> None:
    died, living, ends = channel_norms_figure(_channels(4), "stem").data
    assert (died.name, living.name, ends.name) == ("died", "alive at the end", "last norm")
    assert sorted(ends.customdata) == [1, 3]
    assert list(ends.x) == [0.0, 0.0]
    assert np.isfinite(np.asarray(living.y)).sum() == 6


def test_a_wide_layer_of_a_long_run_stays_small() -> None:
    figure = channel_norms_figure(_channels(1000, 60), "wide")
    points = sum(np.isfinite(np.asarray(trace.y)).sum() for trace in figure.data)
    assert points <= MOST_POINTS + 1000


def test_layers_and_channels_without_data_say_so() -> None:
    assert not median_norms(_layers(1).iloc[:0]).data
    assert not channel_norms_figure(_channels(1).iloc[:0], "x").data


def test_the_name_of_a_layer_is_text() -> None:
    assert "<b>" not in channel_norms_figure(_channels(2), "<b>x</b>").layout.yaxis.title.text
