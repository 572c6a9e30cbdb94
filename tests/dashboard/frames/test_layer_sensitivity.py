"""What an analysis of the layers becomes on a page: frames at any tolerance, a sentence, a map."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from tests.dashboard.making_sensitivities import SHARES, falls, write_sensitivity
from winnow.dashboard.figures.layer_heatmaps import sensitivity_map
from winnow.dashboard.frames import layer_sensitivity as frames
from winnow.dashboard.frames.answers.of_pruning import sensitivity_answer
from winnow.engine.runs.run import Run
from winnow.engine.studies.layer_budgets import suggested_budgets


def test_suggestions(make_run: Callable[..., Run]):
    run = make_run()
    work = write_sensitivity(run)
    assert list(frames.sensitivities(run)) == [work.id]
    assert frames.suggestions(work, 1.0).set_index("layer")["share"].to_dict() == {
        "stem": 25,
        "<b>deep</b>": 50,
        "late": 0,
    }
    assert frames.suggestions(work, 60.0).set_index("layer")["share"].to_dict() == {
        "stem": 90,
        "<b>deep</b>": 90,
        "late": 25,
    }
    assert frames.images_of_cuts(work) == 64
    assert "by low norms" in frames.sensitivity_called(work)
    (work.path / "tables" / "sensitivity.parquet").unlink()
    assert frames.suggestions(work, 1.0).empty


def test_sensitivity_answer():
    table = falls()
    said = sensitivity_answer(table, suggested_budgets(table, 1.0), 1.0)
    assert said.says.startswith(
        "Alone, 2 of 3 layers can lose channels that are in use at no more than 1 % of the metric"
    )
    assert "Most sensitive: late, where a cut of 25 % costs depth 50 % of its metric." in said.says
    strict = sensitivity_answer(table.assign(fall=9.0), suggested_budgets(table.assign(fall=9.0), 1.0), 1.0)
    assert "None of the 3 layers can lose a channel that is in use" in strict.says
    lost = table.assign(fall=np.inf)
    assert "its metric altogether" in sensitivity_answer(lost, suggested_budgets(lost, 1.0), 1.0).says


def test_sensitivity_map():
    table = falls()
    drawn = json.loads(sensitivity_map(table, suggested_budgets(table, 1.0), ["depth"]).to_json())
    heat, squares = drawn["data"]
    assert (heat["zmin"], heat["zmax"]) == (-heat["zmax"], heat["zmax"])
    assert heat["customdata"][1][0][0] == "&lt;b&gt;deep&lt;/b&gt;"
    assert list(zip(squares["x"], squares["y"], strict=True)) == [(0, 0), (1, 1)]
    assert [SHARES[place] for place in squares["x"]] == [25, 50]
    assert "drawn once the first layer" in json.dumps(
        sensitivity_map(table.iloc[:0], table.iloc[:0], []).to_dict()["layout"]["annotations"][0]["text"]
    )


@pytest.mark.parametrize("missing", [0, 5])
def test_a_layer_that_is_not_finished_is_drawn_as_far_as_it_is(missing: int):
    table = falls().drop(index=missing)
    assert len(sensitivity_map(table, suggested_budgets(table, 1.0), ["depth"]).data) == 2
