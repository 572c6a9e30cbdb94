"""Captum's methods at our sites: complete where they claim it, in agreement with ours, refused where wrong."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.engine.small_nets import READERS, batches, small_net
from winnow.engine.explain.checks.ablation import Deletion, ablations
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import probe
from winnow.engine.explain.relevance.refusals import NotAttributableError
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings

OUTPUT = Settings(of="output", bootstrap=5, steps=16)


def sums(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby(["task", "layer"], sort=False).agg(
        signed=("signed", "sum"), difference=("difference", "first"), residual=("residual", "first")
    )


@pytest.mark.parametrize("method", ["conductance", "layer_integrated_gradients", "deep_lift"])
def test_what_is_promised_is_kept_and_the_rest_is_the_residual(method: str):
    net, given = small_net(), batches(1)
    layers = ["trunk.0.0", "trunk.1.inner.0", "trunk"]
    found = sums(relevance(net, given, layers=layers, method=method, settings=OUTPUT))  # type: ignore[arg-type]
    np.testing.assert_allclose(found["signed"] + found["residual"], found["difference"], atol=1e-6)
    where = ["trunk.0.0", "trunk"] if method != "layer_integrated_gradients" else layers  # all paths pass here
    promised = found[found.index.get_level_values("layer").isin(where)]
    tolerance = 1e-4 if method == "deep_lift" else 0.08
    assert (promised["residual"].abs() <= tolerance * promised["difference"].abs().max()).all()


def test_feature_ablation_is_our_own_ablation():
    net, given = small_net(), batches(1)
    settings = Settings(bootstrap=5)
    frame = relevance(net, given, layers=READERS[1:], method="feature_ablation", settings=settings)
    asked = probe(net, given, layers=READERS[1:], settings=settings)
    every = [Deletion(site.name, (c,)) for site in asked.sites for c in range(site.channels)]
    truth = pd.concat(ablations(asked, every, channel_means(asked)))
    both = frame.merge(truth, on=["task", "layer", "channel"])
    assert len(both) == len(frame)
    np.testing.assert_allclose(both["relevance"], both["effect"], rtol=1e-3, atol=1e-7)


def test_gradient_x_activation_is_taylor_against_zero():
    net, given = small_net(), batches(2)
    theirs = relevance(net, given, method="gradient_x_activation")
    ours = relevance(net, given, settings=Settings(fill="zero"))
    np.testing.assert_allclose(theirs["relevance"], ours["relevance"], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("method", ["gradient_x_activation", "internal_influence", "conductance"])
def test_a_zero_group_is_zero_for_every_method(method: str):
    net = small_net()
    with torch.no_grad():
        net.trunk[1].inner[2].weight[:, 1] = 0
    frame = relevance(net, batches(1), layers=READERS[2:], method=method, settings=OUTPUT)  # type: ignore[arg-type]
    assert (frame.query("channel == 1")["relevance"] == 0).all()
    assert (frame.query("channel != 1")["relevance"] > 0).any()


class Functional(nn.Module):
    """Bends with a function, not with a module."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x)


class Reused(nn.Module):
    """The same ReLU twice."""

    once = nn.ReLU()

    def __init__(self) -> None:
        super().__init__()
        self.bend = Reused.once

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(x)


class Pooling(nn.Module):
    """A max-pool that keeps the size."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (nn.SiLU, "a SiLU"),
        (nn.GELU, "a GELU"),
        (Pooling, "a MaxPool2d"),
        (Functional, "Functional|relu"),
        (Reused, "is called 3 times"),
    ],
)
def test_deep_lift_is_refused_by_name_where_it_would_be_wrong(act: type[nn.Module], reason: str):
    with pytest.raises(NotAttributableError, match=f"`method` must not be deep_lift here.*({reason})"):
        relevance(small_net(act=act), batches(1), method="deep_lift", settings=OUTPUT)


def test_deep_lift_is_refused_where_a_function_is_called_between_modules():
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {name: functional.relu(given) for name, given in self.net(x).items()}

    with pytest.raises(NotAttributableError, match="the non-linear function relu is called outside of a module"):
        relevance(Wrapped(), batches(1), method="deep_lift", settings=OUTPUT)


def test_deep_lift_takes_a_model_with_frozen_weights():
    net, frozen = small_net(), small_net().requires_grad_(False)
    one, other = (relevance(m, batches(1), method="deep_lift", settings=OUTPUT) for m in (net, frozen))
    pd.testing.assert_frame_equal(one, other)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_deep_lift_knows_nothing_of_a_loss():
    with pytest.raises(NotAttributableError, match="`of` must be output"):
        relevance(small_net(), batches(1), method="deep_lift")


def test_a_layer_that_is_called_twice_is_taylors_alone():
    net = small_net()
    net.trunk[1].inner = nn.Sequential(net.trunk[1].inner[0], nn.ReLU(), net.trunk[1].inner[0])
    assert relevance(net, batches(1))["relevance"].gt(0).any()
    with pytest.raises(NotAttributableError, match="which is called 2 times"):
        relevance(net, batches(1), method="gradient_x_activation")
