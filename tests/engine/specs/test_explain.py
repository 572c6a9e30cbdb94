"""What an explanation is asked to do is checked before anything is done."""

import pytest
from pydantic import ValidationError

from winnow.engine.runs.derived import read
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.frozen import SpecError


def test_there_and_back():
    spec = ExplainSpec(methods=("taylor", "conductance"), layers=("trunk",), of="output", images=8)
    assert read(spec.model_dump(mode="json")) == spec
    assert read({"kind": "explain"}).methods == ("taylor",)
    with pytest.raises(ValidationError):
        spec.images = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": 0}, "`images` must be greater than or equal to 2, got 0."),
        ({"methods": ["magic"]}, "`methods.0` must be 'taylor'"),
        ({"methods": []}, "`methods`"),
        ({"methods": ["taylor", "taylor"]}, "`methods` must name each one once, got taylor, taylor."),
        ({"methods": ["deep_lift"]}, "`of` must be output with deep_lift"),
        ({"channels": [3]}, "`layers` must name the one layer of `channels`, got 0 layers."),
        ({"channels": [3, 3], "layers": ["trunk"]}, "`channels` must name each one once, got 3, 3."),
        ({"speed": 3}, "`speed` is not an option here, got 3. Leave it out."),
        ({"circuits": True, "layers": ["trunk.0"]}, "`layers` must be empty with circuits"),
        ({"circuits": True, "images": 7}, "`images` must be at least 8 with circuits, got 7."),
        ({"fill": "noise"}, "`fill` must be 'mean' or 'zero'"),
    ],
)
def test_a_wrong_request_is_one_line(wrong: dict[str, object], message: str):
    with pytest.raises(SpecError) as error:
        read({"kind": "explain", **wrong})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_every_leaf_says_what_it_means():
    silent = [name for name, info in ExplainSpec.model_fields.items() if not info.description]
    assert silent == ["kind", "format_version"]
