from collections.abc import Callable

import pytest

from winnow.dashboard.frames import pairs
from winnow.dashboard.frames.answers import of_runs
from winnow.dashboard.frames.summaries import image_sets, summary
from winnow.engine.runs.quantities import metrics
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import Study

MakeRun = Callable[..., Run]


@pytest.fixture
def path(the_path: Study) -> Study:
    return the_path


def _runs(path: Study, *levels: str, seed: int = 0) -> tuple[Run, Run]:
    a, b = (path.run(f"{level}/seg+depth/equal/{seed}") for level in levels)
    return a, b


def test_metrics_are_those_of_the_test_split_with_their_gain(path: Study) -> None:
    a, b = _runs(path, "dense", "sparse-target-80")
    found, split, _ = pairs.paired_metrics(a, b)
    assert split == "test images"
    fields = a.spec.data.fields
    assert found["task"].tolist() == [task for task in ("seg", "depth") for _ in metrics(fields[task])]
    row = found.set_index("metric").loc["abs_error"]
    assert row["gain"] == pytest.approx(-100 * (row["b"] - row["a"]) / row["a"])
    assert row["difference"] == pytest.approx(row["b"] - row["a"])


def test_a_ratio_to_next_to_nothing_is_no_gain(path: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = _runs(path, "dense", "sparse-target-80")
    names = [(task, metric.name) for task in ("seg", "depth") for metric in metrics(a.spec.data.fields[task])]
    reached = {a.path: dict.fromkeys(names, 0.01), b.path: dict.fromkeys(names, 50.0)}
    monkeypatch.setattr(pairs, "_read", lambda folder, log: {"test": reached[folder], "kept": {}, "val": {}})
    found, _, _ = pairs.paired_metrics(a, b)
    assert found["gain"].isna().all()
    assert found["difference"].tolist() == pytest.approx([49.99] * len(found))
    told = of_runs.compare_answer(summary(a), summary(b), found, pairs.paired_groups(a, b), "").says
    assert f"B is better in {(found['better'] == 'higher').sum()} of {len(found)} metrics: seg mean IoU goes" in told


def test_the_other_way_round_the_sign_turns(path: Study) -> None:
    a, b = _runs(path, "dense", "sparse-target-80")
    there, back = pairs.paired_metrics(a, b)[0], pairs.paired_metrics(b, a)[0]
    assert (there["gain"] * back["gain"] <= 0).all()


def test_without_a_test_both_are_held_against_validation(make_run: MakeRun, path: Study) -> None:
    a, b = _runs(path, "dense", "sparse-target-80")
    c = make_run(tasks=["depth", "seg"])
    found, split, _ = pairs.paired_metrics(a, c)
    assert split == "validation images, newest epoch"
    assert found["metric"].tolist() == ["abs_error"]
    assert pairs.paired_metrics(a, b)[1] == "test images"


def test_groups_are_counted_by_who_keeps_them(path: Study) -> None:
    a, b = _runs(path, "sparse-target-40", "sparse-target-80")
    frame = pairs.paired_groups(a, b)
    counted = pairs.paired_layers(frame)
    assert counted["total"].tolist() == [12, 20]
    assert (counted[["both", "only_a", "only_b", "neither"]].sum(axis=1) == counted["total"]).all()
    assert counted["only_b"].sum() == 0  # of one seed, the sparser network keeps a part of the other's groups
    assert counted["both"].sum() == (frame["b"] > 0).sum()


def test_networks_of_another_shape_have_no_common_groups(path: Study, make_run: MakeRun) -> None:
    a, _ = _runs(path, "dense", "dense")
    assert pairs.paired_groups(a, make_run()).empty
    assert pairs.paired_layers(pairs.paired_groups(a, make_run())).empty


def test_siblings_differ_in_the_seed_alone(path: Study) -> None:
    a, _ = _runs(path, "sparse-target-40", "dense")
    others = {path.run(f"sparse-target-40/seg+depth/equal/{seed}").id for seed in (1, 2)}
    first, *rest = (run.id for run in pairs.siblings(a, list_runs(path.root)))
    assert (first, set(rest)) == (a.id, others)


def test_metrics_of_other_images_have_no_difference(make_run: Callable[..., Run]) -> None:
    a, b, c = (make_run(data={"dataset": "scenes", **data}) for data in ({}, {"val_length": 16}, {"train_length": 90}))
    found, _, differ = pairs.paired_metrics(a, b)
    assert differ == "val_length 150 in A, 16 in B"
    assert found[["difference", "gain"]].isna().all(axis=None)
    digits = make_run(data={"dataset": "digits"}, tasks=["digit"])
    assert pairs.pair_other_images(a, digits, "val") == "dataset scenes in A, digits in B"
    assert pairs.paired_metrics(a, c)[2] == ""


def test_a_seed_that_was_trained_twice_counts_once(make_run: MakeRun) -> None:
    first, again, other = make_run(seed=1), make_run(seed=1), make_run(seed=2)
    assert [run.id for run in pairs.siblings(first, list_runs())] == [first.id, other.id]
    assert again.id not in {run.id for run in pairs.siblings(other, list_runs())[2:]}


def _recorded(make_run: MakeRun, described: dict[str, dict[str, object]]) -> Run:
    data = {"dataset": "recorded", "described": described}
    run = make_run(data=data, tasks=list(described))
    (run.path / "sample").mkdir()
    (run.path / "sample" / "val.json").write_text('{"sha256": "1111111122222222"}')
    return run


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (
            {"kind": "depth", "unit": "m"},
            {"kind": "depth", "unit": "mm"},
            "labels of depth depth in m in A, depth in mm in B",
        ),
        ({"kind": "depth", "unit": "m"}, {"kind": "depth", "unit": "m"}, ""),
        (
            {"kind": "classification", "classes": ("cat", "dog")},
            {"kind": "classification", "classes": ("dog", "cat")},
            "classes cat, dog in A, classification classes dog, cat in B",
        ),
    ],
)
def test_a_task_of_the_same_name_that_means_something_else_is_not_compared(
    make_run: MakeRun, one: dict[str, object], other: dict[str, object], says: str
) -> None:
    a, b = _recorded(make_run, {"depth": one}), _recorded(make_run, {"depth": other, "more": {"kind": "depth"}})
    frame, _, differ = pairs.paired_metrics(a, b)
    assert says in differ
    assert bool(differ) is bool(says)
    assert frame.empty is bool(says)
    sets = image_sets([summary(a), summary(b)])
    assert (sets[a.id] == sets[b.id]) is not bool(says)


def test_a_damaged_description_is_said_and_nothing_is_compared_with_it(make_run: MakeRun) -> None:
    a, b = make_run(), make_run()
    (b.path / "spec.json").write_text("{")
    frame, _, differ = pairs.paired_metrics(a, b)
    assert differ == "the description of B is damaged"
    assert frame.empty
