"""A pruning's spec says what is wrong with it in one line, and survives JSON."""

import pytest
from pydantic import ValidationError

from winnow.engine.specs.prune import PruneSpec


def test_it_survives_json():
    spec = PruneSpec(criterion="relevance", budget=50, budget_of="latency", tasks=("seg",), batches=(1, 8))
    assert PruneSpec.model_validate_json(spec.model_dump_json()) == spec
    assert PruneSpec().criterion == "zeros"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"criterion": "norm"}, "`budget` must be given with criterion norm, got none."),
        ({"budget": 40}, "`budget` must be left out with criterion zeros, which removes nothing else, got 40."),
        ({"tasks": ("seg", "seg")}, "`tasks` must name each one once, got seg, seg."),
        ({"batches": (1, 1)}, "`batches` must name each one once, got 1, 1."),
        ({"criterion": "norm", "budget": 100}, "less than 100"),
        ({"criterion": "norm", "budget": float("nan")}, "finite"),
        ({"floor": 1}, "less than 1"),
        ({"batches": (0,)}, "greater than or equal to 1"),
        ({"batches": ()}, "at least 1 item"),
        ({"repair": "both"}, "`repair` must be none with criterion zeros, which changes no output, got both."),
        ({"distillation": 0.5}, "`refit_epochs` must be at least 1 with distillation, which needs a refit, got 0."),
        ({"distillation": 1.5, "refit_epochs": 1}, "less than or equal to 1"),
        ({"taste": 1}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_asked_is_refused(values: dict, words: str):
    with pytest.raises(ValidationError, match=words):
        PruneSpec(**values)
