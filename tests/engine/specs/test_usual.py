"""What is usual for a data set fills in what a run does not say, is stored, and gives way to all that it says."""

import pytest

from winnow.engine.cli.options import spec_of, training_options
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.specs.train import TrainSpec, parse

FASHION = {"data": {"dataset": "fashion"}}


def test_a_data_set_brings_its_own_defaults():
    spec = parse(FASHION)
    assert (spec.epochs, spec.batch_size, spec.optimiser.learning_rate) == (10, 64, 5e-3)
    assert (spec.network.widths, spec.network.blocks, spec.network.head_width) == ((16, 32, 64, 96), (1, 1, 1, 1), 32)
    assert parse(spec.model_dump_json()) == spec
    given = dict.fromkeys([option.name for option in training_options()])
    assert spec_of({**given, "tasks": None, "dataset": "fashion"}) == spec


def test_other_data_sets_keep_the_defaults_of_the_spec():
    spec = parse({})
    assert (spec.epochs, spec.batch_size, spec.network) == (20, 16, ResidualSpec())
    assert TrainSpec().optimiser == parse({"data": {"dataset": "digits"}}).optimiser


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"epochs": 3}, (3, 64, 5e-3, (16, 32, 64, 96), 32)),
        ({"network": {"head_width": 8}}, (10, 64, 5e-3, (16, 32, 64, 96), 8)),
        ({"network": ResidualSpec()}, (10, 64, 5e-3, ResidualSpec().widths, ResidualSpec().head_width)),
        ({"optimiser": {"optimiser": "sgd"}}, (10, 64, 2e-3, (16, 32, 64, 96), 32)),
        ({"optimiser": {"momentum": 0.5}, "batch_size": 8}, (10, 8, 5e-3, (16, 32, 64, 96), 32)),
    ],
)
def test_what_is_given_wins(given: dict, expected: tuple):
    spec = parse({**FASHION, **given})
    network = (spec.network.widths, spec.network.head_width)
    assert (spec.epochs, spec.batch_size, spec.optimiser.learning_rate, *network) == expected


def test_another_kind_of_network_keeps_its_own_defaults():
    from winnow.engine.specs.network import NETWORKS

    other = next((name for name in NETWORKS if name != "residual"), None)
    if other is None:
        pytest.skip("there is one kind of network")
    assert parse({**FASHION, "network": {"network": other}}).network == NETWORKS[other]()


def test_the_help_names_what_is_usual():
    said = {option.name: option.help for option in training_options()}
    assert said["epochs"].endswith("[default: 20; fashion: 10]")
    assert "fashion: 16,32,64,96" in said["widths"]
