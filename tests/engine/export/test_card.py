"""The card says what it is given, nothing else, and its code runs."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.engine.pruning.test_compact import silenced
from winnow.engine.export import ModelFacts, export_onnx, model_card, save_model
from winnow.engine.export.card import METRIC_COLUMNS, scaled
from winnow.engine.measure.comparison import compare
from winnow.engine.measure.timing import Timing
from winnow.engine.pruning import compact


def sections(card: str) -> list[str]:
    return re.findall(r"^## (.*)$", card, re.M)


def test_what_is_not_given_is_left_out():
    card = model_card(ModelFacts("A name"))
    assert card == "# A name\n"
    assert sections(model_card(ModelFacts("A name", run="20260101-first", limits=["Rooms only."]))) == [
        "Where it comes from",
        "Limits",
    ]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    folder = tmp_path_factory.mktemp("card")
    net, x = silenced("ours basic", "input", 0.7)
    net, x = net.float(), x.float()
    found = compact(net, x, gather="always")
    pytest.importorskip("onnxruntime")
    rows = [["depth", "rmse", "m", 0.401, 0.4], ["seg", "mean_iou", "%", 37.6, float("nan")]]
    models = {"dense": net, "compact": found.model}
    return ModelFacts(
        name="Rooms, compact",
        summary="Three tasks.",
        run="20260101-rooms",
        spec={"penalty": "group_lasso", "strength": 0.001},
        dataset="scenes, 64 px",
        seeds=(0, 1),
        packages={"torch": "2.13.0"},
        tasks={"depth": "metres", "seg": "14 classes"},
        example=(2, 3, 16, 16),
        certificate=found.certificate,
        metrics=pd.DataFrame(rows, columns=METRIC_COLUMNS),
        measures=compare(models, x, batches=(1,), backends=("eager",), timing=Timing(3, 1e-3, 1)),
        saved=save_model(folder, found.model, x),
        exported=[export_onnx(found.model, x, folder / "rooms.onnx")],
        limits=["Trained on drawn rooms."],
    )


def test_it_says_all_that_is_given(facts: ModelFacts):
    card = model_card(facts)
    assert sections(card) == [
        "Tasks", "Where it comes from", "What was removed", "Certificate", "Metrics", "Cost", "Files", "How to load it",
        "Limits",
    ]  # fmt: skip
    assert "| depth | rmse | m | 0.401 | 0.4 |" in card
    assert "| seg | mean\\_iou | % | 37.6 |  |" in card or "| seg | mean_iou | % | 37.6 |  |" in card
    assert "| strength | 0.001 |" in card
    assert f"{facts.certificate.relative_error_float64:.2g}" in card
    assert facts.certificate.inputs[0] in card
    assert facts.saved.sha256 in card
    assert facts.exported[0].sha256 in card
    value = facts.measures.query("quantity == 'file_size' and model == 'compact'")["value"].iloc[0]
    assert scaled(value, "B") in card
    assert "commit" not in card
    assert "nan" not in card


def test_the_code_on_it_runs(facts: ModelFacts, monkeypatch: pytest.MonkeyPatch):
    blocks = re.findall(r"```python\n(.*?)```", model_card(facts), re.S)
    assert len(blocks) == 2
    monkeypatch.chdir(facts.saved.path.parent)
    for code in blocks:
        names: dict[str, object] = {}
        exec(code, names)
        predictions = names["predictions"]
        depth = predictions["depth"] if isinstance(predictions, dict) else torch.from_numpy(predictions[1])
        assert depth.shape == (2, 1, 16, 16)


def test_a_busy_machine_is_not_quoted():
    row = ["m", "latency", 1.0, "eager", 0.0123, 0.01, 0.02, "s", 1, False]
    columns = ["model", "quantity", "batch", "backend", "value", "low", "high", "unit", "threads", "steady"]
    card = model_card(ModelFacts("A", measures=pd.DataFrame([row], columns=columns)))
    assert "busy: 12.3 ms" in card
    assert "Do not quote" in card


def test_words_stay_words():
    card = model_card(ModelFacts("A | b\n# c", summary="<script> [x](y)", spec={"a|b": "c\nd"}))
    assert card.splitlines()[0] == "# A \\| b # c"
    assert "\\<script\\>" in card
    assert "| a\\|b | c d |" in card


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(12_345, "B", "12.3 kB"), (3.4e6, "1", "3.4 M"), (684, "1", "684"), (0.00123, "s", "1.23 ms"), (0, "B", "0 B")],
)
def test_values_have_units_of_their_size(value: float, unit: str, words: str):
    assert scaled(value, unit) == words


def test_a_card_needs_a_name_and_whole_frames(tmp_path: Path):
    with pytest.raises(ValueError, match="`name` must"):
        ModelFacts(" ")
    with pytest.raises(ValueError, match="`metrics` must have the columns"):
        ModelFacts("A", metrics=pd.DataFrame({"task": ["depth"]}))
