"""Every leaf of the spec is an option, and every option reaches its leaf."""

import click
import pytest

from winnow.engine.cli.options import spec_of, spec_options
from winnow.engine.specs.frozen import SpecError
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
        ({"balancing": "static", "task_weights": "digit=1"}, "`task_weights` should name digit, parity, ink"),
        ({"balancing": "static", "task_weights": "digit"}, "`digit`"),
    ],
)
def test_spec_of_a_wrong_option_says_which(options, says):
    with pytest.raises(SpecError, match=says):
        spec_of(given(**options))
