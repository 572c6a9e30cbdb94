"""The registries: every entry is complete, works, and is the only way to what it names."""

from typing import Any, get_args

import pytest
import torch

from winnow.data.catalog import DATASETS
from winnow.data.kinds import KINDS
from winnow.data.sample import Field
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.derived import KINDS as DERIVED
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.jobs import JOBS
from winnow.engine.specs.network import NETWORKS, parse_network
from winnow.engine.specs.penalty import PENALTIES, PenaltySpec
from winnow.engine.specs.registry import Reference, entry
from winnow.engine.specs.tasks import TASKS
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.setup import build_groups, build_penalty

REFERENCES = {
    **{f"network {name}": spec.build for name, spec in NETWORKS.items()},
    **{f"penalty {name}": kind.make for name, kind in PENALTIES.items()},
    **{f"task {name}": kind.make for name, kind in TASKS.items()},
    **{f"job {name}": kind.run for name, kind in JOBS.items()},
}


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_what_an_entry_refers_to_is_there(reference: Reference) -> None:
    assert callable(reference.load())


@pytest.mark.parametrize("registry", [DATASETS, NETWORKS, PENALTIES, TASKS, JOBS, KINDS])
def test_a_registry_cannot_be_changed(registry: Any) -> None:
    with pytest.raises(TypeError):
        registry["more"] = next(iter(registry.values()))


def test_entry_names_what_there_is() -> None:
    assert entry({"a": 1, "b": 2}, "b", "letter") == 2
    for unknown in ("c", None, 1, ["a"]):
        with pytest.raises(ValueError, match="`letter` must be one of a, b, got"):
            entry({"a": 1, "b": 2}, unknown, "letter")


@pytest.mark.parametrize(("registry", "key"), [(DATASETS, "dataset"), (NETWORKS, "network")])
def test_a_spec_is_known_by_the_name_in_it(registry: Any, key: str) -> None:
    for name, spec in registry.items():
        assert getattr(spec(), key) == name


@pytest.mark.parametrize("kind", JOBS)
def test_a_job_is_known_by_the_kind_in_its_spec(kind: str) -> None:
    assert JOBS[kind].spec.model_fields["kind"].default == kind
    assert next(iter(JOBS[kind].spec.model_fields)) == "kind"  # a reader of folders looks for it at the beginning
    assert JOBS[kind].derived == (kind in DERIVED)
    assert bool(JOBS[kind].help) == JOBS[kind].derived


@pytest.mark.parametrize("penalty", PENALTIES)
def test_build_penalty_gives_each_penalty_its_own_parameters(penalty: str) -> None:
    spec = PenaltySpec.model_validate({"penalty": penalty, "strength": 0.25, "mix": 0.125, "concavity": 7.0})
    built = build_penalty(spec)
    assert type(built) is PENALTIES[penalty].make.load()
    assert built.strength == 0.25
    for name in PENALTIES[penalty].parameters:
        assert getattr(built, name) == getattr(spec, name)


def test_an_unknown_penalty_is_refused_by_name_and_never_trained_as_another() -> None:
    with pytest.raises(SpecError, match="`penalty` must be 'group_lasso', .*, got 'ridge'"):
        parse({"penalty": {"penalty": "ridge"}})
    unchecked = PenaltySpec().model_copy(update={"penalty": "ridge"})
    with pytest.raises(ValueError, match="`penalty` must be one of group_lasso, .*, got 'ridge'"):
        build_penalty(unchecked)


@pytest.mark.parametrize("part", ["groups", "scope"])
def test_unknown_groups_are_refused_by_name(part: str) -> None:
    spec = TrainSpec()
    fields = {"digit": Field(kind="classification", classes=("a", "b"))}
    net = build_network(spec.network, build_tasks(fields, ["digit"]), 1)
    unchecked = spec.penalty.model_copy(update={part: "rows"})
    with pytest.raises(ValueError, match=f"`{part}` must be one of .*, got 'rows'"):
        build_groups(unchecked, net, None, torch.zeros(1, 1, 8, 8))  # type: ignore[arg-type]


def test_a_penalty_without_a_prox_in_any_metric_needs_sgd_on_coupled_groups() -> None:
    asked = {"penalty": {"penalty": "group_mcp", "groups": "coupled"}}
    with pytest.raises(SpecError, match="`optimiser` must be sgd for group_mcp"):
        parse(asked)
    assert parse({**asked, "optimiser": {"optimiser": "sgd"}}).penalty.penalty == "group_mcp"


def test_a_network_without_its_kind_is_residual() -> None:
    old = {"widths": [8, 16], "blocks": [1, 1], "head_width": 8}
    assert parse_network(old) == parse_network({"network": "residual", **old})
    assert parse({"network": old}).network == parse_network(old)
    with pytest.raises(SpecError, match="`network` must be one of residual, .*, own, recorded, got 'vit'"):
        parse_network({"network": "vit"})


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_spec_survives_json(dataset: str) -> None:
    spec = parse({"data": {"dataset": dataset}})
    assert parse(spec.model_dump_json()) == spec
    assert type(parse(spec.model_dump_json()).data) is DATASETS[dataset]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unspecified"])  # which has no meter
def test_every_kind_of_target_has_a_task_whose_meter_computes_the_metrics_on_the_list(kind: str) -> None:
    field = Field(kind=kind, classes=("a", "b", "c"))
    task = build_tasks({"it": field}, ["it"])["it"]
    stored = KINDS[kind].shape((4, 4), len(field.classes))
    target = torch.ones((2, *stored), dtype=torch.int64 if KINDS[kind].whole else torch.float32)
    meter = task.meter()
    meter.update(torch.ones((2, task.outputs, *((4, 4) if field.dense else ()))), target)
    assert list(meter.compute()) == [metric.name for metric in TASKS[kind].metrics]


def test_tasks_are_those_of_the_kinds_of_target() -> None:
    assert set(TASKS) == set(KINDS)
    with pytest.raises(ValueError, match="`kind` must be one of segmentation, .*, got 'sound'"):
        Field(kind="sound")
    with pytest.raises(ValueError, match="`tasks` must be one of depth, got 'height'"):
        build_tasks({"depth": Field(kind="depth")}, ["height"])


def test_the_choices_of_the_penalty_are_those_of_the_registry() -> None:
    assert get_args(PenaltySpec.model_fields["penalty"].annotation) == tuple(PENALTIES)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"data": {"dataset": "faces"}}, "`dataset` must be one of scenes, digits, fashion, "),
        ({"data": {"dataset": "digits", "size": 3}}, "`size` is not an option here, got 3. Leave it out."),
        ({"data": {"size": 3}}, "`size` must be greater than or equal to 8, got 3."),
        ({"epochs": "many"}, "`epochs` must be a valid integer, got 'many'."),
        ({"name": ""}, "`name` must have at least 1 character, got ''."),
        ({"tasks": ["mood"]}, "`tasks` must be among seg, depth, normals, edges for data set scenes, got mood."),
        ({"network": {"widths": [8]}}, "`blocks` must have one entry per stage, 1 as `widths`, got 4."),
        ({"batch_size": 2000, "data": {"dataset": "digits"}}, "`batch_size` must be at most 1258, the number of"),
        ({"batch_size": 601}, "`batch_size` must be at most 600, the number of training images, got 601."),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(wrong)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
