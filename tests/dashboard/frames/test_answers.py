"""What the pages answer: true to its frames, with every number in them or none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winnow.dashboard.frames import channel_states, explanations, leads, pairs, paths, reliance, studies
from winnow.dashboard.frames.answers import of_pruning, of_run, of_runs, of_study, of_use
from winnow.dashboard.frames.answers.answer import count, joined_up, percent
from winnow.dashboard.frames.certificate import CertificateFile
from winnow.dashboard.frames.differences import Which
from winnow.dashboard.frames.summaries import summaries, summary
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.network import RecordedSpec

MakeRun = Callable[..., Run]
Make = Callable[..., DerivedJob]


def test_words() -> None:
    assert [count(1, "channel"), count(2000, "channel")] == ["1 channel", "2,000 channels"]
    assert [percent(99.56), percent(99.99), percent(100.0)] == ["99.6 %", "99.9 %", "100 %"]
    assert [percent(0.0), percent(0.01)] == ["0 %", "less than 0.1 %"]
    assert [percent(71.4), percent(0.44), percent(30.0), percent(float("nan"))] == ["71 %", "0.4 %", "30 %", "–"]
    assert [joined_up([]), joined_up(["a"]), joined_up(["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert [joined_up("abc", 3), joined_up("abcde", 3)] == ["a, b and c", "a, b, c and 2 more"]


def test_train_names_the_tasks_that_are_no_better_than_the_constant_prediction(make_run: MakeRun) -> None:
    known = summary(make_run())
    told = of_run.train_answer(known, {("depth", "abs_error"): 1.5}, of_run.RunCourse(3))
    sparse = "After epoch 3 of 5, 30 % of the groups are zero"
    assert told.says == f"{sparse}, and 1 of 1 task beat the constant prediction: depth by 1.25 m."
    assert (told.page, "Look at" in told.then) == ("groups", False)
    worse = of_run.train_answer(known, {("depth", "abs_error"): 0.1}, of_run.RunCourse(3))
    assert "0 of 1 task beat" in worse.says
    assert worse.then.startswith("Look at depth")


def test_before_the_first_epoch_is_over_no_epoch_is_named(make_run: MakeRun) -> None:
    known = summary(make_run(epochs=0, state="failed", message="loss became infinite"))
    told = of_run.train_answer(known, {}, of_run.RunCourse(0))
    assert told.says.startswith("This run failed before its first epoch was over")
    live = replace(known, status=known.status.model_copy(update={"state": "running"}))
    assert "not over yet" in of_run.train_answer(live, {}, of_run.RunCourse(0)).says
    aimed = of_run.train_answer(summary(make_run(penalty={"target": 50.0})), {}, of_run.RunCourse(2, 70.0))
    assert aimed.says.startswith("After epoch 2 of 5, 30 % of the groups are zero (target: 70 % of the groups)")


def test_a_metric_without_a_value_beats_nothing_and_loses_to_nothing(make_run: MakeRun) -> None:
    known = summary(make_run())
    assert "constant prediction" not in of_run.train_answer(known, {}, of_run.RunCourse(3)).says
    assert (
        "constant prediction"
        not in of_run.train_answer(known, {("depth", "abs_error"): np.nan}, of_run.RunCourse(3)).says
    )


def test_a_newest_value_that_is_no_number_is_said(make_run: MakeRun) -> None:
    run = make_run(tasks=["depth", "seg"])
    write_events(run.path / "events.jsonl", [Event(0.0, 3, 30, "depth", "val", "abs_error", None)])
    told = of_run.train_answer(summary(run), {("depth", "abs_error"): 1.5}, of_run.RunCourse(3))
    assert "The newest epoch gave no number for depth: NaN" in told.says
    assert "for depth and seg" not in told.says
    assert "no number" not in of_run.train_answer(summary(make_run()), {}, of_run.RunCourse(3)).says


def test_groups_names_the_layer_that_lost_most(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    told = of_run.groups_answer(summary(run), channel_states.layers(run))
    assert "30 % of the groups are zero." in told.says
    assert "<b>deep</b> has lost most: 1 of 4 groups is alive." in told.says
    assert "1 group is near the threshold" in told.says


def test_weights_that_are_no_numbers_are_neither_zero_nor_alive(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    norms = np.full(7, np.nan, np.float32)
    norms[:2] = 1.0, 0.0
    run.norms.append(2, 20, 0.001, norms)
    counted = channel_states.layers(run)
    assert counted["broken"].tolist() == [1, 4]
    assert (counted["alive"] + counted["near"] + counted["dead"] + counted["broken"]).tolist() == [3, 4]
    told = of_run.groups_answer(summary(run), counted)
    assert told.says.startswith("5 of 7 groups have no finite norm: weights are NaN or infinite.")
    assert "has lost most" not in told.says


def test_tasks_counts_who_leads(make_explained: Make) -> None:
    work = make_explained()
    frame, names = leads.leads(work), explanations.explained_tasks(work)
    told = of_use.tasks_answer(frame, names, "green")
    led = frame[frame["lead_state"] == "lead"]["dominant"].value_counts()
    assert f"in {led.sum()} of 12 used channels" in told.says
    assert f"normals {led['normals']}" in told.says
    assert (told.page, "not checked" in of_use.tasks_answer(frame, names, "grey").then) == ("explain", True)
    many = of_use.tasks_answer(frame, [*names, "a", "b", "c"], "green").says
    assert f"normals {led['normals']}" in many
    assert ", and 2 other tasks 0." in many
    assert "only task" in of_use.tasks_answer(frame[frame["dominant"] == "seg"], ["seg"], "green").says
    assert "No task relies" in of_use.tasks_answer(frame[frame["label"] == "dead"], names, "green").says


def test_explain_counts_the_channels_that_hold_half(make_explained: Make) -> None:
    work = make_explained()
    ranked = reliance.ranked(work, "taylor", "depth")
    told = of_use.explain_answer("depth", ranked, "green")
    half = next(
        number for number in range(1, 20) if ranked["relevance"].head(number).sum() >= ranked["relevance"].sum() / 2
    )
    assert told.says.startswith(f"{half} channels of {len(ranked)} hold half of what depth relies on")
    assert "Against ablation" in of_use.explain_answer("depth", ranked, "red").then
    assert "or all had the same effect" in of_use.explain_answer("depth", ranked, "grey").then
    assert "no channel" in of_use.explain_answer("depth", ranked.iloc[:0], "green").says


@pytest.mark.parametrize(("error", "words"), [(1e-7, "gives the same outputs"), (1.0, "does NOT give the outputs")])
def test_pruned_says_whether_it_is_exact(error: float, words: str) -> None:
    costs = pd.DataFrame(
        {"quantity": ["macs", "parameters"], "left": [36.0, 29.0], "backend": "", "steady": True, "batch": 0}
    )
    changes = pd.DataFrame(
        {
            "task": ["seg"],
            "label": ["mean IoU"],
            "unit": ["%"],
            "dense": [41.2],
            "final": [40.1],
            "final_change": [-2.7],
        }
    )
    errors = {f"{size}_error_float{bits}": error for size in ("max", "relative") for bits in (32, 64)}
    told = of_pruning.pruned_answer(
        costs, changes, CertificateFile(**{**errors, "relative_error_float64": error / 1e5})
    )
    assert told.says.startswith("64 % of the MACs and 71 % of the parameters were removed. It")
    assert words in told.says
    assert "seg pays most: mean IoU from 41.2 % to 40.1 %." in told.says
    assert ("Do not ship" in told.then) == (error == 1.0)
    assert "No task loses" in of_pruning.pruned_answer(costs, changes.assign(final_change=1.0), None).says


def test_a_pruning_that_removed_nothing_says_so() -> None:
    costs = pd.DataFrame({"quantity": ["macs", "parameters"], "left": [100.0, 100.0]})
    found = CertificateFile(
        max_error_float32=0, max_error_float64=0, relative_error_float32=0, relative_error_float64=0
    )
    assert of_pruning.pruned_answer(costs, pd.DataFrame(), found).says.startswith("Nothing was removed")


def test_an_imported_network_is_not_said_to_be_trained(make_run: MakeRun) -> None:
    known = summary(make_run())
    assert known.spec is not None
    network = RecordedSpec(name="Net", origin="mynets:build 0123; weights.safetensors 4567")
    imported = replace(known, spec=known.spec.model_copy(update={"network": network}))
    assert (known.imported, imported.imported) == (False, True)
    told = of_run.train_answer(imported, {}, of_run.RunCourse(1))
    assert told.says == "This network was imported, not trained here: 30 % of its groups are zero."
    trained = replace(imported, status=known.status.model_copy(update={"step": 30}))
    assert not trained.imported


def test_runs_counts_states_and_names_the_sparsest(make_run: MakeRun) -> None:
    make_run(name="dense", epochs=1)
    make_run(name="sparse")
    make_run(name="broken", epochs=5, state="failed")
    told = of_runs.runs_answer(summaries())
    assert told.says == "3 runs: 2 done and 1 failed. The sparsest finished one is sparse: 30 % of its groups are zero."


def test_compare_gives_no_gain_between_other_images(make_run: MakeRun) -> None:
    a, b = make_run(), make_run(epochs=2)
    metrics, _, differ = pairs.paired_metrics(a, b)
    told = of_runs.compare_answer(summary(a), summary(b), metrics, pairs.paired_groups(a, b), differ)
    assert "30 % of the groups of A are zero, 20 % of B. B is better in 0 of 1 metric: depth" in told.says
    assert "both keep 80 %" in told.says
    apart = of_runs.compare_answer(
        summary(a), summary(b), metrics, pairs.paired_groups(a, b), "data_seed 0 in A, 7 in B"
    )
    assert "different images" in apart.says
    assert "better in" not in apart.says


def test_compare_says_which_run_has_recorded_nothing(make_run: MakeRun) -> None:
    a, b = make_run(), make_run(epochs=2)
    (b.path / "events.jsonl").write_bytes(b"")
    metrics, _, differ = pairs.paired_metrics(a, b)
    told = of_runs.compare_answer(summary(a), summary(b), metrics, pairs.paired_groups(a, b), differ)
    assert "B has recorded no metric yet." in told.says
    assert "in common" not in told.says
    told = of_runs.compare_answer(summary(a), summary(a), metrics, pairs.paired_groups(a, a), differ)
    assert "They have no task and metric in common." in told.says


def test_path_and_study_say_their_marks_and_skip_what_has_no_value(the_path: Study, the_study: Study) -> None:
    points = paths.points(the_path)
    assert of_study.path_answer(points).says.startswith(
        f"At {points['group_sparsity'].min():.0f} % zero groups the skill is"
    )
    assert "No point" in of_study.path_answer(points.assign(skill=np.nan)).says
    known, which = studies.study_table(the_study, "summary"), Which("test", "dense", "main")
    own = known[(known["quantity"] == "delta.dense.main") & (known["split"] == "test") & (known["arm"] != "dense")]
    assert f"{own['mean'].max():+.2f} %" in of_study.study_answer(known, which, "dense").says
    assert "No sparse arm" in of_study.study_answer(known.assign(mean=np.nan), which, "dense").says


def test_images_that_lose_nothing_are_not_counted_task_by_task() -> None:
    images = pd.DataFrame({"image": [0, 1, 0, 1], "task": ["a", "a", "b", "b"], "lost": [0.0, -1.0, 0.0, np.nan]})
    none = pd.DataFrame()
    assert of_pruning.images_answer(images, none) == "None of 2 images is worse in any task."
    worse = images.assign(lost=[0.0, -1.0, 0.5, np.nan])
    assert of_pruning.images_answer(worse, none) == "0 of 2 images are worse in a and 1 of 1 image is worse in b."
    assert of_pruning.images_answer(images.head(0), none) == ""


def test_what_could_be_removed_is_not_promised_of_a_run_that_ended() -> None:
    assert of_pruning.uncounted("running").endswith("counted after the first epoch.")
    assert of_pruning.uncounted("lost") == "This run was lost before it was counted what could be removed."
