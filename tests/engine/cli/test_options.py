"""Every field of the spec is an option, and every option reaches its field."""

import click
import pytest

from tests.engine.commanding import winnow_here
from winnow.data.catalog import DATASETS
from winnow.engine.cli.options import spec_of, spec_options, training_options
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import NETWORKS
from winnow.engine.specs.train import TrainSpec


def given(**options: object) -> dict[str, object]:
    @spec_options
    def command() -> None: ...

    names = [parameter.name for parameter in click.command()(command).params]
    assert len(names) == len(set(names))
    return {**dict.fromkeys(names), "dataset": "digits", "tasks": None, **options}


def test_spec_of_nothing_is_the_default():
    assert spec_of(given()) == TrainSpec.model_validate({"data": {"dataset": "digits"}})


@pytest.mark.parametrize(
    ("options", "leaf", "value"),
    [
        (
            {"target": "70", "target_of": "mac"},
            lambda spec: (spec.penalty.target, spec.penalty.target_of),
            (70.0, "mac"),
        ),
        (
            {"groups": "coupled", "scope": "both"},
            lambda spec: (spec.penalty.groups, spec.penalty.scope),
            ("coupled", "both"),
        ),
        (
            {"strength": "auto"},
            lambda spec: (spec.penalty.learned, spec.penalty.strength, spec.penalty.strength_of),
            ("global", 0.01, "max"),
        ),
        (
            {"learned": "layer", "strength": "1e-3"},
            lambda spec: (spec.penalty.strength_of, spec.penalty.strength),
            ("loss", 1e-3),
        ),
        ({"balancing": "pcgrad"}, lambda spec: spec.balancing.balancing, "pcgrad"),
        ({"widths": "8, 16", "blocks": "1,1"}, lambda spec: spec.network.widths, (8, 16)),
        ({"data_seed": "3"}, lambda spec: spec.data.data_seed, 3),
        ({"refit": "0.5"}, lambda spec: spec.penalty.refit_share, 0.5),
        ({"tasks": "ink,digit"}, lambda spec: spec.tasks, ("ink", "digit")),
        (
            {"balancing": "static", "task_weights": "digit=1,parity=2,ink=0.5"},
            lambda spec: spec.balancing.task_weights,
            {"digit": 1.0, "parity": 2.0, "ink": 0.5},
        ),
    ],
)
def test_spec_of_options(options, leaf, value):
    assert leaf(spec_of(given(**options))) == value


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": "100"}, "`target`"),
        ({"target": "many"}, "`target`"),
        ({"groups": "rows"}, "`groups`"),
        ({"refit": "1"}, "`refit`"),
        ({"floor": "2"}, "`floor`"),
        ({"balancing": "static"}, "`task_weights`"),
        ({"balancing": "static", "task_weights": "digit=1"}, "`task_weights` must name digit, parity, ink"),
        ({"balancing": "static", "task_weights": "digit"}, "`digit`"),
    ],
)
def test_spec_of_a_wrong_option_says_which(options, says):
    with pytest.raises(SpecError, match=says):
        spec_of(given(**options))


def test_every_field_of_every_kind_is_an_option():
    offered = {option.name for option in training_options()}
    kinds = [*DATASETS.values(), *NETWORKS.values(), *(type(getattr(TrainSpec(), part)) for part in PARTS)]
    fields = {name for spec in kinds for name in (spec.asked() if hasattr(spec, "asked") else spec.model_fields)}
    elsewhere = {
        "kind",
        "format_version",
        "start",
        "strength_changes",
        "target_changes",
        "tasks",
        "own_tasks",
    }  # --task names own tasks
    own = set(TrainSpec.model_fields) - elsewhere
    assert offered == fields | (own - {"data", *PARTS, "network"})


PARTS = ("penalty", "balancing", "optimiser")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": "32"}, "`size` is not an option of dataset digits, got 32. Its options are: data_seed."),
        ({"dataset": "faces"}, "`dataset` must be one of scenes, digits, fashion, "),
        ({"network": "vit"}, f"`network` must be one of {', '.join(NETWORKS)}, got 'vit'."),
        ({"mix": "0.3"}, "`mix` is not an option of penalty group_lasso, got 0.3. Its own options are: none."),
        (
            {"penalty": "group_mcp", "mix": "0.3"},
            "`mix` is not an option of penalty group_mcp, got 0.3. Its own options are: concavity.",
        ),
        ({"penalty": "ridge", "mix": "0.3"}, "`penalty` must be 'group_lasso'"),
    ],
)
def test_an_option_of_another_kind_is_refused_by_name(options, says):
    with pytest.raises(SpecError) as caught:
        spec_of(given(**options))
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"dataset": "planted", "size": "36", "train_length": "40"}, lambda spec: spec.data.size, 36),
        ({"dataset": None, "size": "32"}, lambda spec: (spec.data.dataset, spec.data.size), ("scenes", 32)),
        ({"penalty": "group_mcp", "concavity": "2"}, lambda spec: spec.penalty.concavity, 2.0),
        ({"network": "residual"}, lambda spec: spec.network.network, "residual"),
    ],
)
def test_an_option_of_the_chosen_kind_reaches_its_field(options, field, value):
    assert field(spec_of(given(**options))) == value


def test_the_help_says_to_which_data_set_or_penalty_an_option_belongs():
    said = {option.name: option.help for option in training_options()}
    assert said["size"] == "image side in pixels (scenes, motorcycle, planted only)  [default: 64]"
    assert said["data_seed"].startswith("scenes, planted: seed of the images; digits: seed of the split")
    assert "(sparse_group_lasso only)" in said["mix"]
    assert "only" not in said["epochs"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--resume", "x", "--epochs", "3"], "`--epochs` must be left out with `--resume`"),
        (["train", "--resume", "x", "--no-flips"], "`--flips` must be left out with `--resume`"),
        (["train", "--replay", "x", "--dataset", "digits"], "`--dataset` must be left out with `--replay`"),
        (["train", "--resume", "x", "--replay", "y"], "`--replay` must be left out with `--resume`"),
        (["train", "--before-removal"], "`--before-removal` must come with"),
        (["study", "--show", "x", "--seeds", "1,2"], "`--seeds` must be left out with `--show`"),
        (["path", "--resume", "x", "--plan"], "`--plan` must be left out with `--resume`"),
        (["path", "--resume", "x", "--show", "y"], "must be left out with"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, says):
    done = winnow_here(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
