"""The bench: forms that give the same, ratios, layers whose losses add up, and what is left out by name."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from winnow.engine.measure import bench as benching
from winnow.engine.measure.bench import BenchSettings, bench
from winnow.engine.measure.forms import FormSource, formed, usable_forms
from winnow.engine.measure.gains import COMPACT, DENSE, MASKED, best_forms, in_a_sentence
from winnow.engine.measure.peaks import Peaks, measured_peaks
from winnow.engine.measure.roofline import REST, LayerCost, layer_costs, layer_table
from winnow.engine.pruning import compact

QUICK = BenchSettings(("eager", "folded"), (1, 2), (1,), 3, 1e-4)
X = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    torch.manual_seed(0)
    found = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 3),
        nn.Flatten(),
        nn.Linear(288, 2),
    ).eval()
    found[3].weight.data[:, 4:] = 0
    return found


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    dense = net()
    return bench({DENSE: dense, MASKED: dense, COMPACT: compact(dense, X).model}, X, QUICK)


def test_bench(tables: dict[str, pd.DataFrame]):
    speeds = tables["speeds"]
    assert set(zip(speeds["model"], speeds["form"], strict=True)) == {
        (DENSE, "eager"), (DENSE, "folded"), (MASKED, "eager"), (COMPACT, "eager"), (COMPACT, "folded"),
    }  # fmt: skip
    assert set(speeds["batch"]) == {1, 2}
    assert set(speeds["layout"]) == {"NCHW", "channels last"}
    dense = speeds[speeds["model"] == DENSE]
    assert (dense[["speed_up", "achieved"]] == 1).all(axis=None)
    macs = speeds.groupby("model")["macs"].first()
    small = speeds[speeds["model"] == COMPACT]
    ratio = macs[DENSE] / macs[COMPACT]
    assert ratio > 2
    np.testing.assert_allclose(small["achieved"], small["speed_up"] / ratio)
    assert (speeds["relative_error"] < 1e-4).all()
    assert (small["peak_bytes"] < dense["peak_bytes"].to_numpy()).all()
    assert tables["left_out"].empty
    assert (tables["machine"]["flops"] > 0).all()


def test_layer_table_adds_up(tables: dict[str, pd.DataFrame]):
    layers = tables["layers"]
    parts = layers[["gather", "launch", "memory", "padding", "kernel"]].sum(axis=1)
    np.testing.assert_allclose(parts, layers["lost"], atol=1e-12)
    assert list(layers["layer"])[-1] == REST
    convolution = layers.set_index("layer").loc["3"]
    assert convolution["macs_compact"] * 4 == convolution["macs_dense"] == 36 * 8 * 16 * 9
    assert convolution["bytes_dense"] == 4 * (16 * 64 + 8 * 36 + 8 * 16 * 9 + 8)


def test_lost_by_cause(tables: dict[str, pd.DataFrame]):
    layers, lost = tables["layers"], tables["lost"]
    ratio = layers["macs_compact"].sum() / layers["macs_dense"].sum()
    whole = layers["seconds_compact"].sum() - ratio * layers["seconds_dense"].sum()
    assert lost["seconds"].sum() == pytest.approx(whole)
    assert lost["share"].sum() == pytest.approx(100)
    assert (lost["share"] >= 0).all()


def cost(macs: float, moved: float, widths: tuple[int, int], seconds: float, gathering: float = 0.0) -> LayerCost:
    return LayerCost("Conv2d", macs, moved, widths, seconds, gathering)


@pytest.mark.parametrize(
    ("small", "part", "seconds"),
    [
        (cost(5e8, 1, (8, 16), 0.6, gathering=0.1), "gather", 0.1),
        (cost(5e8, 7e8, (8, 16), 0.9), "memory", 0.2),
        (cost(5e8, 1, (8, 12), 0.7), "padding", 0.5 / 3),
        (cost(5e8, 1, (8, 16), 0.8), "kernel", 0.3 - 0.005),
        (cost(5e8, 1, (8, 16), 0.505), "launch", 0.005),
        (cost(5e8, 1, (8, 16), 0.4), "kernel", -0.1),
    ],
)
def test_layer_table(small: LayerCost, part: str, seconds: float):
    of = Peaks(threads=1, flops=2e9, bandwidth=1e9, call=0.01, block=16)
    row = layer_table({"a": cost(1e9, 1, (16, 16), 1.0)}, {"a": small}, of).iloc[0]
    assert row["promised"] == pytest.approx(0.5)
    assert row[part] == pytest.approx(seconds, abs=1e-6)
    assert row["bound_dense"] == "compute"


def test_machine_is_measured_once():
    found = measured_peaks(1)
    assert found is measured_peaks(1)
    assert found.least(found.flops, 0) == pytest.approx(2)
    assert [found.bound(*given) for given in ((0, 1), (1e9, 1))] == ["memory", "compute"]


def test_layer_costs_count_a_layer_that_is_called_twice():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x))

    found = layer_costs({"one": Twice()}, {"one": {"x": torch.ones(2, 4)}}, 1, rounds=3)["one"]
    assert found["layer"].macs == 2 * 2 * 16
    assert found["layer"].bytes == 4 * (16 + 4 + 4 * 8)


def test_a_model_keeps_its_mode_and_has_no_hooks_afterwards():
    model = net().train()
    bench({DENSE: model, COMPACT: model}, X, BenchSettings(("eager",), (1,), (1,), 3, 1e-4))
    assert all(part.training for part in model.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def speeds_of(*rows: tuple[str, str, str, float, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["model", "form", "layout", "median", "steady"])
    return frame.assign(batch=1, threads=1, macs=frame["model"].map({DENSE: 4.0, COMPACT: 1.0}))


def test_best_forms_take_the_best_layout_of_each():
    frame = speeds_of(
        (DENSE, "eager", "NCHW", 4.0, True), (DENSE, "eager", "channels last", 2.0, True),
        (COMPACT, "eager", "NCHW", 1.0, True), (COMPACT, "eager", "channels last", 3.0, False),
    )  # fmt: skip
    row = best_forms(frame).iloc[0]
    assert (row["speed_up"], row["achieved"], row["steady"]) == (2.0, 0.5, True)


def test_in_a_sentence():
    frame = speeds_of(
        (DENSE, "eager", "NCHW", 4.0, True), (COMPACT, "eager", "NCHW", 2.0, True),
        (DENSE, "int8", "NCHW", 1.0, True), (COMPACT, "int8", "NCHW", 0.1, True),
    )  # fmt: skip
    lost = pd.DataFrame({"cause": ["memory traffic", "gathering"], "seconds": [1.0, 0.01], "share": [96.0, 4.0]})
    said = in_a_sentence(frame, lost)
    assert said == (
        "Compact runs 2.0 × as fast as dense at batch 1 in plain torch (1 thread); 50 % of what its MACs promise. "
        "What is missing, as measured in plain torch: memory traffic (96 %)."
    )
    assert in_a_sentence(frame.assign(steady=False), lost).endswith("The machine was busy: do not quote the times.")
    assert "could not be timed" in in_a_sentence(frame[frame["form"] == "int8"], lost)


@pytest.mark.skipif(bool(usable_forms()["int8"]), reason=usable_forms()["int8"])
def test_onnxruntime_and_int8_which_is_judged_beside_float32():
    heard = []
    settings = BenchSettings(("onnxruntime", "int8"), (1, 2), (1,), 3, 1e-4)
    found = bench({DENSE: net()}, X, settings, calibration=[{"x": X}], judge=lambda *given: heard.append(given[:2]))
    assert heard == [(DENSE, "float32"), (DENSE, "int8")]
    assert found["left_out"].empty
    rows = found["speeds"].set_index("form")
    assert (rows.loc["onnxruntime", "relative_error"] < 1e-4).all()
    assert rows.loc["int8", "bytes"].max() < rows.loc["onnxruntime", "bytes"].min()
    assert set(rows["batch"]) == {1, 2}


def test_what_cannot_be_put_in_a_form_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benching, "usable_forms", lambda: {"eager": "", "folded": "", "compiled": "no compiler"})

    class Own(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft(x).real

    found = bench({DENSE: Own()}, X, BenchSettings(("eager", "folded", "compiled"), (1,), (1,), 3, 1e-4))
    reasons = found["left_out"].set_index("form")["reason"]
    assert set(found["speeds"]["form"]) == {"eager", "folded"} - set(reasons.index)
    assert reasons["compiled"] == "no compiler"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"forms": ("pickled",)}, "`forms` must be among eager"),
        ({"batches": ()}, "one value at least"),
        ({"batches": (0,)}, "`batches`"),
        ({"threads": (0,)}, "`threads`"),
        ({"rounds": 2}, "`rounds`"),
    ],
)
def test_settings_out_of_range(given: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        BenchSettings(**given)


def test_a_bench_needs_a_dense_network():
    with pytest.raises(ValueError, match="`models` must hold the network `dense`"):
        bench({COMPACT: net()}, X)


def test_a_bench_is_one_of_the_cpu():
    with pytest.raises(ValueError, match="`models` must be on the CPU, got meta"):
        bench({DENSE: net().to("meta")}, X)


def test_networks_without_known_multiply_accumulates():
    frame = speeds_of((DENSE, "eager", "NCHW", 4.0, True), (COMPACT, "eager", "NCHW", 2.0, True)).assign(macs=np.nan)
    lost = pd.DataFrame({"cause": [], "seconds": [], "share": []})
    assert in_a_sentence(frame, lost).endswith("(1 thread); its MACs are not known.")
    bare = nn.Sequential(nn.ReLU())
    found = bench({DENSE: bare, COMPACT: bare}, X, BenchSettings(("eager",), (1,), (1,), 3, 1e-4))
    assert np.isfinite(found["lost"]["seconds"]).all()


def test_formed_refuses_by_name():
    with pytest.raises(ValueError, match="`forms` must be among eager, folded"):
        formed("fast", FormSource(net(), X))
    if not usable_forms()["int8"]:
        with pytest.raises(ValueError, match="`calibration` must hold inputs"):
            formed("int8", FormSource(net(), X))
