"""What may be asked of a strength that is learned; what cannot be learned is refused by name."""

from typing import Any

import pytest

from winnow.engine.sparsity.hypergradient import SLOPES
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.penalty import LEARNED_START, PENALTIES
from winnow.engine.specs.train import parse


def penalty(**values: Any) -> Any:
    return parse({"penalty": values}).penalty


def test_auto_is_one_strength_learned_from_a_share_of_the_largest():
    found = penalty(strength="auto")
    assert (found.learned, found.strength, found.strength_of) == ("global", LEARNED_START, "max")
    assert found.refit_share == 0.25
    assert penalty(learned="layer").strength_of == "max"
    assert penalty(learned="global", strength=1e-3).strength_of == "loss"


def test_a_spec_of_it_survives_json():
    found = parse({"penalty": {"strength": "auto", "learned": "layer"}})
    assert parse(found.model_dump_json()) == found


def test_the_penalties_that_can_be_learned_are_those_with_a_derivative():
    learnable = {kind.make.load() for kind in PENALTIES.values() if kind.learnable}
    assert learnable == set(SLOPES)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"penalty": "l1"}, "`penalty` must be group_lasso or group_mcp where the strength is learned, got l1"),
        ({"penalty": "sparse_group_lasso"}, "`penalty` must be group_lasso or group_mcp"),
        ({"target": 50}, "`target` must be left out where the strength is learned, got 50 %"),
        ({"ramp": 3}, "`ramp` must be 0 where the strength is learned, got 3 epochs"),
        ({"normalisation": "aware"}, "`normalisation` must be plain where the strength is learned, got aware"),
        ({"strength": 0.0, "learned": "layer"}, "`strength` must be above 0 where the strength is learned"),
        ({"learned": "no"}, "`learned` must be global or layer with strength auto, got no"),
        ({"strength_of": "max"}, "`strength_of` must be left out where λ is learned"),
    ],
)
def test_what_cannot_be_learned_is_named(values: dict[str, Any], said: str):
    with pytest.raises(SpecError, match=said):
        penalty(**{"strength": "auto", **values})


def test_a_held_support_has_nothing_to_learn():
    source = {"run": "20260101-000000-a", "sha256": "0" * 64}
    with pytest.raises(SpecError, match="`strength` must be 0"):
        parse({"penalty": {"strength": "auto"}, "start": {"support": "same", "supports": [source]}})
