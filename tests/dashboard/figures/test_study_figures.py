import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.dashboard.making_studies import write_path
from winnow.dashboard.figures.death_order import death_order
from winnow.dashboard.figures.gains import gains
from winnow.dashboard.figures.kept_by_both import kept_by_both
from winnow.dashboard.figures.norm_path import MOST, norm_path
from winnow.dashboard.figures.paired_differences import paired_differences
from winnow.dashboard.figures.pareto import Axes, pareto
from winnow.dashboard.figures.path_curve import path_curve
from winnow.dashboard.figures.seed_overlap import seed_overlap
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import pairs, paths
from winnow.dashboard.frames import pareto as trade
from winnow.dashboard.frames.differences import Which, paired
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.study import Study

LOOKS = styles(["seg", "depth"])


@pytest.fixture
def path(the_path: Study) -> Study:
    return the_path


@pytest.fixture
def study(the_study: Study) -> Study:
    return the_study


def test_the_curve_marks_elbow_and_one_standard_error(path: Study) -> None:
    frame = paths.points(path)
    figure = path_curve(frame)
    assert {trace.name for trace in figure.data} == {"points", "elbow", "one standard error"}
    elbow = next(trace for trace in figure.data if trace.name == "elbow")
    assert list(elbow.x) == frame.loc[frame["elbow"], "group_sparsity"].tolist()


def test_a_line_ends_where_its_channel_dies(path: Study) -> None:
    figure = norm_path(paths.path_norms(path, "stem"))
    *lines, ends = figure.data
    assert len(lines) == 12
    died = sum(1 for line in lines if np.isnan(np.asarray(line.y, float)[-1]))
    assert len(ends.x) == died > 0


def test_of_a_wide_layer_the_largest_channels_are_drawn(runs_root: Path) -> None:
    wide = write_path(runs_root, (Layer("wide", 80, 9),))
    figure = norm_path(paths.path_norms(wide, "wide"))
    assert len(figure.data) == MOST + 1
    assert "<br>50 of 80 channels" in figure.layout.xaxis.title.text


def test_the_order_of_death_is_a_row_per_layer(path: Study) -> None:
    (heat,) = death_order(paths.deaths(path)).data
    assert np.asarray(heat.z).shape == (2, 5)
    assert np.asarray(heat.z)[:, 0].tolist() == [0, 0]


def test_differences_have_their_intervals(study: Study) -> None:
    frame = paired(study, Which("test", "dense", "main"))
    dense, arm = paired_differences(frame).data
    assert len(dense.x) + len(arm.x) == len(frame) == 5
    assert list(arm.error_x.array) == pytest.approx([frame["high"].iloc[-1] - frame["difference"].iloc[-1]], rel=1e-4)


def test_one_seed_has_no_whisker(study: Study) -> None:
    frame = paired(study, Which("test", "dense", "main")).head(4)
    (points,) = paired_differences(frame.assign(low=-np.inf, high=np.inf, pairs=1)).data
    assert not np.any(points.error_x.array)
    assert "one seed" in points.customdata[0]


def test_seeds_are_held_against_chance(study: Study) -> None:
    figure = seed_overlap(study.table("jaccard"))
    assert [trace.name for trace in figure.data][:2] == ["sparse 50 %, seg", "by chance"]
    assert all(0 <= value <= 1 for trace in figure.data for value in trace.y)


def test_of_many_arms_eight_are_drawn_which_is_said(study: Study) -> None:
    known = study.table("jaccard")
    own = known[known["subset"] == "seg"]
    figure = seed_overlap(pd.concat([own.assign(arm=f"arm {place}") for place in range(12)]))
    assert len(figure.data) == 8 + 1
    assert figure.layout.xaxis.title.text.endswith("<br>8 of 12 arms; all are in the CSV")
    assert "<br>" not in seed_overlap(own).layout.xaxis.title.text


def test_the_trade_off_marks_the_front_and_carries_its_runs(study: Study) -> None:
    reached = trade.Reached("test", "seg+depth", against="dense", definition="main")
    points = trade.of_study(study, reached, "macs")
    figure = pareto(trade.pareto_groups(points, True), points, Axes("macs", "Δ_m [%]", True))
    named = {trace.name: trace for trace in figure.data if trace.name}
    assert list(named["none is better in both"].x) == [7.5e5]
    assert len(named["single seeds"].x) == 9
    runs = [row[0] for row in named["sparse"].customdata]
    assert runs == [study.run("sparse-target-50/seg+depth/equal/0").id]
    assert len(figure.to_json()) < 250_000


def test_gains_are_drawn_in_the_colours_of_the_tasks(path: Study) -> None:
    a, b = (path.run(f"{name}/seg+depth/equal/0") for name in ("dense", "sparse-target-80"))
    frame = pairs.paired_metrics(a, b)[0]
    figure = gains(frame, LOOKS)
    assert list(figure.data[0].marker.color) == [LOOKS["seg"].colour] * 2 + [LOOKS["depth"].colour] * 7
    low, high = figure.layout.xaxis.range
    assert low < min(0, frame["gain"].min())
    assert high > max(0, frame["gain"].max())
    unknown = gains(frame.assign(gain=[*frame["gain"][:-1], np.nan]), LOOKS)
    assert float(unknown.data[0].x[-1]) == 0
    assert "(no ratio)" in unknown.data[0].text[-1]
    assert not any("(no ratio)" in text for text in unknown.data[0].text[:-1])


def test_layers_are_stacked_by_who_keeps_what(path: Study) -> None:
    a, b = (path.run(f"sparse-target-{level}/seg+depth/equal/{level // 80}") for level in (40, 80))
    counted = pairs.paired_layers(pairs.paired_groups(a, b))
    figure = kept_by_both(counted)
    assert np.sum([trace.x for trace in figure.data], axis=0).tolist() == [12, 20]


@pytest.mark.parametrize(
    "figure",
    [
        path_curve(pd.DataFrame()),
        norm_path(pd.DataFrame()),
        death_order(pd.DataFrame()),
        paired_differences(pd.DataFrame()),
        seed_overlap(pd.DataFrame()),
        pareto(pd.DataFrame(), pd.DataFrame(), Axes("macs", "", True)),
        gains(pd.DataFrame({"gain": []}), {}),
        kept_by_both(pd.DataFrame()),
    ],
)
def test_without_data_a_figure_says_what_it_waits_for(figure: object) -> None:
    shown = json.loads(figure.to_json())  # type: ignore[attr-defined]
    assert shown["layout"]["annotations"][0]["text"].endswith(".")


def test_names_from_users_are_text(path: Study) -> None:
    assert death_order(paths.deaths(path)).layout.yaxis.ticktext[1] == "&lt;b&gt;deep&lt;/b&gt;"
