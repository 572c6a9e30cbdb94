"""Images and channels are found wherever they lie: one function in several layouts has one relevance."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from winnow.engine.explain.checks.ablation import Deletion, ablations
from winnow.engine.explain.relevance.layout import Layout, NoLayoutError, image_axis
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import Probe, probe
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings


class Tokens(nn.Module):
    """(B, 6 tokens, 8 channels): the trunk reads channels from the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
        self.heads = nn.ModuleDict({task: nn.Linear(8, 2) for task in "ab"})

    def through(self, x: Tensor) -> Tensor:
        return self.trunk(x)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.through(x)
        return {task: head(features.mean(1)) for task, head in self.heads.items()}


class Windows(Tokens):
    """Two tokens at a time, folded into the batch: each image has three rows after one another."""

    def through(self, x: Tensor) -> Tensor:
        return self.trunk(x.reshape(-1, 2, 8)).reshape(x.shape)


class TimeFirst(Tokens):
    def through(self, x: Tensor) -> Tensor:
        return self.trunk(x.transpose(0, 1)).transpose(0, 1)


class Folded(Tokens):
    """Time first, then folded into the batch: the images alternate."""

    def through(self, x: Tensor) -> Tensor:
        return self.trunk(x.transpose(0, 1).reshape(-1, 8)).reshape(6, -1, 8).transpose(0, 1)


class Encoder(nn.Module):
    """Torch's attention, whose `out_proj` is never called, batch or time first."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        self.trunk = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.heads = nn.ModuleDict({task: nn.Linear(8, 2) for task in "ab"})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x) if self.batch_first else self.trunk(x.transpose(0, 1)).transpose(0, 1)
        return {task: head(features.mean(1)) for task, head in self.heads.items()}


def data() -> list[tuple[Tensor, dict[str, Tensor]]]:
    generator = torch.Generator().manual_seed(1)
    targets = {task: torch.randn(5, 2, generator=generator) for task in "ab"}
    return [(torch.randn(5, 6, 8, generator=generator), targets)]


def in_state(net: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    net.load_state_dict(state)
    return net.eval()


def effects(probed: Probe) -> pd.DataFrame:
    deletions = [Deletion(site.name, (channel,)) for site in probed.sites for channel in (0, 3)]
    return pd.concat(ablations(probed, deletions, channel_means(probed)))


@pytest.mark.parametrize("net", [Windows, TimeFirst, Folded])
def test_a_layout_changes_no_relevance(net: type[Tokens]):
    torch.manual_seed(0)
    tokens = Tokens().eval()
    expected, found = relevance(tokens, data()), relevance(in_state(net(), tokens.state_dict()), data())
    assert expected.groupby("layer")["channel"].nunique().to_dict() == {"trunk.0": 8, "trunk.2": 32, "trunk": 8}
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-7)


def test_attention_is_explained_though_torch_calls_none_of_its_layers():
    torch.manual_seed(0)
    one = Encoder(batch_first=True).eval()
    other = in_state(Encoder(batch_first=False), one.state_dict())
    found, again = relevance(one, data()), relevance(other, data())
    projections = found[found["layer"].str.endswith("out_proj")]
    assert len(projections) == 2 * 2 * 8
    assert (projections["relevance"] > 0).all()
    assert "trunk" in set(found["layer"])
    pd.testing.assert_frame_equal(again, found, rtol=1e-3, atol=1e-6)
    removed, removed_again = effects(probe(one, data())), effects(probe(other, data()))
    assert (removed["effect"] > 0).all()
    np.testing.assert_allclose(removed_again["effect"], removed["effect"], rtol=1e-3, atol=1e-6)


class OwnAttention(Tokens):
    """Images that look at one another: no number belongs to one of them."""

    def through(self, x: Tensor) -> Tensor:
        return self.trunk(x - x.mean(0))


class OwnWeights(Tokens):
    """A layer whose weight is multiplied in no way that is known."""

    def through(self, x: Tensor) -> Tensor:
        return x + torch.einsum("btc,dc->btd", x, self.trunk[2].weight[:, :8])


@pytest.mark.parametrize(
    ("net", "layers", "why"), [(OwnAttention, ["trunk.0"], "influence one another"), (OwnWeights, ["trunk.2"], "known")]
)
def test_what_cannot_be_told_is_left_out_by_name(net: type[Tokens], layers: list[str], why: str):
    with pytest.raises(ValueError, match=why):
        relevance(net(), data(), layers=layers)


def test_a_model_of_which_nothing_can_be_told_is_refused():
    with pytest.raises(ValueError, match="must have a layer that can be explained.*influence"):
        relevance(OwnAttention(), data())


def test_layers_that_are_left_out_are_named():
    with pytest.warns(UserWarning, match=r"left out. trunk.2: its weight"):
        found = relevance(OwnWeights(), data())
    assert set(found["layer"]) == {"trunk.0"}  # never called, and no output depends on it
    assert (found["relevance"] == 0).all()


def test_image_axis():
    more = torch.randn(4, 6, 5)  # MORE images, two rows each
    for rows, alternating in ((slice(0, 2), False), (slice(0, 6, 3), True)):
        other = more.clone()
        other[:, rows] += 1
        assert image_axis(more[:, :4], more, other) == (1, 2, alternating)
    with pytest.raises(NoLayoutError, match="0 axes"):
        image_axis(more, more, more)
    with pytest.raises(NoLayoutError, match="influence"):
        image_axis(more[:, :4], more, more + 1)


def test_per_channel():
    values = torch.arange(24.0).view(4, 6)  # two images, two entries each
    one = Layout(0, 1, 2).per_channel(values)
    assert one.shape == (2, 6, 2)
    assert one[0, 0].tolist() == [0, 6]
    assert Layout(0, 1, 2, alternating=True).per_channel(values)[0, 0].tolist() == [0, 12]
    assert Layout(0, -1).per_channel(torch.zeros(2, 5, 3)).shape == (2, 3, 5)


class TwoInputs(Tokens):
    """Takes what `Tokens` takes in two parts, and returns a nested structure."""

    def forward(self, left: Tensor, right: Tensor, mask: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor]:
        found = super().forward(torch.cat([left, right], -1) if mask is None else torch.cat([left, right], -1) * mask)
        return {"a": found["a"]}, found["b"]


@pytest.mark.parametrize("named", [False, True])
def test_several_inputs_and_nested_outputs(named: bool):
    torch.manual_seed(0)
    tokens = Tokens().eval()
    ((x, targets),) = data()
    parts = (x[..., :3], x[..., 3:])
    inputs = dict(zip(("left", "right"), parts, strict=True)) if named else parts
    net = in_state(TwoInputs(), tokens.state_dict()).train()
    found = relevance(net, [(inputs, {"0.a": targets["a"], "1": targets["b"]})])
    expected = relevance(tokens, data()).replace({"task": {"a": "0.a", "b": "1"}})
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-7)
    assert net.training


def test_inputs_of_other_lengths_are_refused():
    ((x, targets),) = data()
    with pytest.raises(ValueError, match="one sample per row"):
        relevance(TwoInputs(), [((x[:2], x), targets)])


def test_one_output_is_called_output():
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    found = relevance(net, [torch.randn(3, 8)], settings=Settings(of="output"))
    assert set(found["task"]) == {"output"}


def test_methods_of_captum_refuse_several_inputs():
    ((x, targets),) = data()
    named = [((x[..., :3], x[..., 3:]), {"0.a": targets["a"], "1": targets["b"]})]
    with pytest.raises(ValueError, match="must be taylor for a model of several inputs"):
        relevance(TwoInputs(), named, method="conductance")


class Batched(nn.Module):
    """Experts in one tensor, before the layers of two tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.experts = nn.Linear(8, 6), nn.Parameter(torch.randn(3, 6, 5))
        self.second = nn.Linear(5, 4)
        self.heads = nn.ModuleDict({name: nn.Linear(4, 3) for name in ("one", "two")})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.relu(torch.einsum("bi,eio->beo", self.first(x), self.experts)).sum(1)
        x = torch.relu(self.second(x))
        return {name: head(x) for name, head in self.heads.items()}


def test_experts_in_one_tensor_are_left_out_by_name():
    torch.manual_seed(0)
    images = torch.randn(6, 8)
    with pytest.warns(UserWarning, match=r"left out. experts: it is not the weight of a layer: one"):
        found = relevance(Batched(), [images], settings=Settings(of="output"))
    assert "experts" not in set(found["layer"])


@pytest.mark.parametrize(("made", "why"), [(lambda y: y.argmax(1), "int64"), (lambda y: y.detach(), "no gradient")])
def test_outputs_without_gradients_are_refused_by_name(made, why: str):
    class Two(nn.Sequential):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = super().forward(x)
            return {"plain": y, "made": made(y)}

    net = Two(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    with pytest.raises(ValueError, match=f"outputs with gradients, got output `made` with .*{why}"):
        relevance(net, [torch.randn(4, 8)], settings=Settings(of="output"))
