from collections.abc import Callable

from winnow.dashboard.frames import masks
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run

Make = Callable[..., Run]


def test_runs_of_the_same_shape_and_kind_of_groups_can_be_compared(make_run: Make) -> None:
    run, same, other = make_run(), make_run(), make_run(penalty={"groups": "output"})
    wider = make_run()
    wider.norms.begin([Layer("stem", 3, 9), Layer("deep", 4, 18)])
    assert [found.id for found in masks.comparable(run, [run, same, other, wider])] == [same.id]


def test_the_newest_run_of_each_single_task_is_chosen(make_run: Make) -> None:
    depth, seg = make_run(), make_run(tasks=["seg"])
    make_run(tasks=["seg", "depth"])
    assert {run.id for run in masks.single([depth, seg])} == {depth.id, seg.id}


def test_survivors_in_common_are_counted_layer_by_layer(make_run: Make) -> None:
    frame = masks.overlap([make_run(epochs=1), make_run(epochs=3)])
    assert frame["layer"].tolist() == ["stem", "<b>deep</b>"]
    assert frame["jaccard"].tolist() == [1.0, 1 / 3]
    assert masks.overlap([make_run()]).empty


def test_two_runs_of_one_name_are_told_apart(make_run: Make) -> None:
    names = masks.mask_names([make_run(), make_run()])
    assert len(names) == 2
