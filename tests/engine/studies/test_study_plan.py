"""The plan of a study is a pure function of its spec: what holds for all of them, and what some contain."""

from dataclasses import replace as with_
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import Control, PathSpec, StudySpec, parse_many
from winnow.engine.specs.train import parse
from winnow.engine.studies.plan import Member, plan
from winnow.engine.studies.spec_hash import KnownRuns, document_hash, spec_hash

TASKS = ("seg", "depth", "normals")


def spec(**values: object):
    return parse_many({"kind": "study", "base": {"tasks": TASKS}, **values})


@st.composite
def studies(draw: st.DrawFn) -> StudySpec:
    some = lambda values: st.lists(st.sampled_from(values), unique=True)  # noqa: E731
    values: dict[str, object] = {
        "subsets": [*draw(some(["each", "pairs", "seg+depth", "normals"])), "all"],
        "targets": draw(some([30.0, 50.0, 70.0])),
        "strengths": draw(some([0.01, 0.1])),
        "balancings": draw(some(["equal", "uncertainty", "dwa"])),
        "warm": draw(st.booleans()),
        "seeds": draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True)),
    }
    if values["targets"] or values["strengths"]:
        values["controls"] = draw(some(list(get_args(Control))))
    return spec(**values)


def fair(member: Member) -> dict[str, object]:
    """Return what all arms of a study have in common."""
    own = {"name", "tasks", "penalty", "balancing", "seed", "start", "epochs"}
    return member.spec.model_dump(exclude=own)


@settings(max_examples=30)
@given(studies())
def test_every_plan_is_in_order_without_repeats_and_fair(study: StudySpec):
    members = plan(study)
    keys = [member.key for member in members]
    assert len(set(keys)) == len(keys)
    assert members == plan(study)
    for place, member in enumerate(members):
        assert set(member.needs.keys) <= set(keys[:place])
    assert all(fair(member) == fair(members[0]) for member in members)
    trained = {m.spec.epochs + (study.base.epochs if m.needs.weights else 0) for m in members if m.arm != "dense"}
    assert not study.warm or trained <= {2 * study.base.epochs}  # warm: all arms but the dense for as long in all
    assert all(member.spec.keep == "best" and member.spec.test for member in members)


@settings(max_examples=30)
@given(studies())
def test_every_run_has_its_baselines_in_the_plan(study: StudySpec):
    keys = {member.key for member in plan(study)}
    for member in plan(study):
        for task in member.tasks:
            assert f"dense/{task}/equal/{member.seed}" in keys
        assert f"dense/{member.subset}/{member.balancing}/{member.seed}" in keys


@settings(max_examples=30)
@given(studies())
def test_a_spec_survives_json(study: StudySpec):
    assert parse_many({"kind": "study", **study.model_dump(mode="json")}) == study


def test_the_claim_has_the_runs_that_it_takes():
    claim = spec(targets=[70], seeds=range(5), controls=["scratch", "magnitude", "unanimous", "small"])
    arms = [member.arm for member in plan(claim)]
    assert {arm: arms.count(arm) for arm in set(arms)} == {
        "dense": 20, "sparse": 20, "scratch": 5, "magnitude": 5, "unanimous": 5, "small": 5
    }  # fmt: skip


def test_a_single_task_is_trained_once_for_all_balancings():
    found = plan(spec(subsets=["each", "all"], balancings=["equal", "dwa"]))
    assert [member.key for member in found if len(member.tasks) == 1] == [f"dense/{task}/equal/0" for task in TASKS]
    assert [member.balancing for member in found if len(member.tasks) > 1] == ["equal", "dwa"]


def test_dense_arms_have_no_penalty_and_strengths_are_fractions():
    members = {member.key: member.spec.penalty for member in plan(spec(targets=[70], strengths=[0.1]))}
    dense = members["dense/seg+depth+normals/equal/0"]
    assert (dense.strength, dense.target, dense.refit_share) == (0.0, None, 0.0)
    fraction = members["sparse-strength-0.1/seg+depth+normals/equal/0"]
    assert (fraction.strength, fraction.strength_of, fraction.target) == (0.1, "max", None)
    assert members["sparse-target-70/seg+depth+normals/equal/0"].target == 70


def test_warm_sparse_runs_start_from_their_dense_one():
    warm = {member.key: member.needs for member in plan(spec(targets=[70], warm=True, controls=["continued"]))}
    assert warm["sparse-target-70/seg+depth+normals/equal/0"].weights == "dense/seg+depth+normals/equal/0"
    assert warm["continued/seg+depth+normals/equal/0"].weights == "dense/seg+depth+normals/equal/0"


def test_distilled_arms_are_their_likes_with_the_dense_run_as_teacher():
    controls = ["continued", "magnitude", "distilled", "sparse-distilled", "magnitude-distilled"]
    members = {m.arm: m for m in plan(spec(targets=[70], warm=True, controls=controls)) if len(m.tasks) == 3}
    dense = members["dense"].key
    for arm, alike in {
        "distilled": "continued",
        "sparse-distilled": "sparse",
        "magnitude-distilled": "magnitude",
    }.items():
        taught, plain = members[arm], members[alike]
        assert taught.needs == with_(plain.needs, teacher=dense)
        assert (taught.distillation, plain.distillation) == (0.5, 0.0)
        assert (taught.spec.penalty, taught.level) == (plain.spec.penalty, plain.level)


def test_a_warm_path_is_a_chain_and_a_cold_one_is_not():
    grid = {"kind": "path", "base": {"tasks": TASKS}, "targets": [60, 30]}
    cold, warm = (plan(parse_many({**grid, "warm": warm})) for warm in (False, True))
    assert [member.level.value for member in warm] == [0, 30, 60]
    assert [member.needs.weights for member in warm] == ["", *[member.key for member in warm[:-1]]]
    assert all(not member.needs.keys for member in cold)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"subsets": ["seg+colour"]}, "`subsets`"),
        ({"controls": ["small"]}, "`targets`"),
        ({"targets": [70], "controls": ["small"], "subsets": ["each"]}, "`subsets`"),
        ({"targets": [70, 70]}, "`targets`"),
        ({"targets": [100]}, "targets"),
        ({"seeds": []}, "seeds"),
        ({"scheduler": "http://somewhere"}, "scheduler"),
        ({"cluster": {"cluster": "moon"}}, "`cluster`"),
        ({"cluster": {"cluster": "slurm"}, "scheduler": "tcp://a:1"}, "`scheduler`"),
        ({"kind": "path"}, "`targets`"),
        ({"kind": "path", "targets": [1], "strengths": [1]}, "`targets`"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(values: dict[str, object], says: str):
    with pytest.raises(SpecError, match=says) as caught:
        spec(**values)
    assert "\n" not in str(caught.value)


def test_a_hash_leaves_names_out_and_digests_in():
    base = plan(spec())[0].spec
    source = {"run": "20260101-000000-a", "sha256": "0" * 64}
    one, other = (
        base.model_copy(update={"name": name, "start": {"weights": {**source, "run": run}}})
        for name, run in (("a", "20260101-000000-a"), ("b", "20260101-000000-b"))
    )
    hashes = [document_hash({**each.model_dump(mode="json", warnings=False)}) for each in (one, other)]
    assert hashes[0] == hashes[1]
    changed = base.model_copy(update={"start": {"weights": {**source, "sha256": "1" * 64}}})
    assert document_hash(changed.model_dump(mode="json", warnings=False)) != hashes[0]
    assert spec_hash(base) != spec_hash(base.model_copy(update={"seed": 1}))
    assert isinstance(parse_many({"kind": "path", "base": {}, "targets": [1]}), PathSpec)


def test_networks_kept_on_the_way_change_no_hash_and_no_older_document():
    base = plan(spec())[0].spec
    document = base.model_dump(mode="json")
    older = {name: value for name, value in document.items() if name != "snapshots"}
    assert document_hash(older) == document_hash(document) == document_hash({**document, "snapshots": 5})
    assert parse(older) == base
    assert (base.snapshots, parse({**older, "snapshots": 10}).snapshots) == (0, 10)


def test_the_runs_of_a_path_keep_networks_unless_its_base_says_otherwise():
    def kept(kind: str, **base: object) -> set[int]:
        asked = parse_many({"kind": kind, "base": {"tasks": TASKS, **base}, "targets": [30, 60]})
        assert parse_many({"kind": kind, **asked.model_dump(mode="json")}) == asked
        return {member.spec.snapshots for member in plan(asked)}

    assert (kept("path"), kept("study")) == ({5}, {0})
    assert (kept("path", snapshots=0), kept("path", snapshots=10), kept("study", snapshots=10)) == ({0}, {10}, {10})


@pytest.mark.parametrize(("data", "split"), [({"dataset": "motorcycle"}, "val"), ({"dataset": "digits"}, "test")])
@pytest.mark.parametrize("kind", ["study", "path"])
def test_a_data_set_without_a_test_split_is_judged_on_validation(data: dict[str, str], split: str, kind: str):
    """NYU-v2 has none either; every study of it was refused for a `test` that nobody had asked for."""
    asked = parse_many({"kind": kind, "base": {"data": data}, "targets": [50]})
    assert asked.judged_on == split
    assert {member.spec.test for member in plan(asked)} == {split == "test"}


def test_a_run_that_kept_what_is_asked_for_comes_before_one_that_did_not(tmp_path: Path):
    base = plan(spec())[0].spec

    def done(snapshots: int) -> Run:
        run = create(base.model_copy(update={"snapshots": snapshots}), tmp_path)
        replace(run.path / "status.json", Status(state="done").model_dump_json().encode())
        return run

    keeping, plain = done(5), done(0)  # the newest comes last
    known = KnownRuns(tmp_path)
    assert known.done(base).id == plain.id
    assert known.done(keeping.spec).id == keeping.id
    assert known.done(base.model_copy(update={"snapshots": 10})).id == plain.id


def unseen_plan(**values: object) -> dict[str, Member]:
    return {m.key: m for m in plan(spec(subsets=["normals"], targets=[70], unseen=["normals"], **values))}


def test_unseen_tasks_take_the_support_of_the_others():
    found = unseen_plan()
    assert list(found) == [
        "dense/normals/equal/0",
        "sparse-target-70/normals/equal/0",
        "sparse-target-70/seg+depth/equal/0",
        "transferred-target-70/normals/equal/0",
        "found-target-70/normals/equal/0",
        "random-target-70/normals/equal/0",
    ]
    for arm, source in (("transferred", "seg+depth"), ("found", "normals"), ("random", "seg+depth")):
        member = found[f"{arm}-target-70/normals/equal/0"]
        assert member.needs.keys == (f"sparse-target-70/{source}/equal/0",)
        assert member.tasks == ("normals",)
        assert member.spec.epochs == found["dense/normals/equal/0"].spec.epochs
        assert member.spec.penalty.target is None
        assert member.spec.penalty.strength == 0


def test_unseen_tasks_of_a_warm_study_have_the_dense_run_that_the_support_starts_from():
    found = unseen_plan(warm=True)
    sparse = found["sparse-target-70/seg+depth/equal/0"]
    assert sparse.needs.weights == "dense/seg+depth/equal/0"
    assert not any(
        found[f"{arm}-target-70/normals/equal/0"].needs.weights for arm in ("transferred", "found", "random")
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"unseen": ["ink"], "targets": [50]}, "`unseen` must be among seg, depth, normals, got ink"),
        ({"unseen": ["seg", "seg"], "targets": [50]}, "`unseen` must name each task once"),
        ({"unseen": ["seg"], "strengths": [0.1]}, "`targets` must be given with `unseen`"),
        ({"unseen": ["seg"], "targets": [50], "base": {"tasks": ["seg"]}}, "`unseen` must be left out with one task"),
        (
            {"unseen": ["seg"], "targets": [50], "base": {"tasks": TASKS, "penalty": {"scope": "both"}}},
            "`scope` must be trunk with `unseen`, got both",
        ),
        (
            {
                "unseen": ["seg"],
                "targets": [50],
                "base": {"tasks": TASKS, "network": {"network": "resnet18", "coupling": "mtan"}},
            },
            "`coupling` must be shared with `unseen`, got mtan",
        ),
    ],
)
def test_unseen_tasks_that_cannot_be_are_refused(values: dict, said: str):
    with pytest.raises(SpecError, match=said):
        spec(**values)


def test_a_base_whose_strength_is_learned_learns_none_where_the_study_sets_it():
    study = spec(base={"tasks": TASKS, "penalty": {"strength": "auto"}}, targets=[50], strengths=[0.1])
    assert {member.spec.penalty.learned for member in plan(study)} == {"no"}
