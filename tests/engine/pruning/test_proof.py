"""What a proof runs, and what it makes of a model that rounds inside."""

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import NotExact, compact
from winnow.engine.pruning.proof import FLOAT64, Pair, proved
from winnow.engine.pruning.trials import few_trials, trials


class Rounds(nn.Module):
    """Normalises in float32, whatever it is given, as the language models of `transformers` do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        hidden = torch.relu(self.first(x))
        scale = torch.rsqrt(hidden.float().square().mean(-1, keepdim=True) + 1e-6).to(x.dtype)
        return self.last(torch.relu(self.second(hidden * scale)))


class Rolled(nn.Module):
    """Puts the images behind one another in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        return self.last(torch.relu(self.layer(x.flip(0) if self.training else x)))


def test_few_trials() -> None:
    """One pass of the example, one of n + 1 images in each mode; large maps are halved before they are doubled."""
    net, small = nn.Conv2d(3, 2, 1), torch.randn(2, 3, 8, 8)
    words = [trial.words for trial in few_trials(net, [Call((small,))])]
    assert [text.rpartition(", ")[2] for text in words if "training" not in text][:2] == ["evaluation mode", "3 images"]
    assert [trial.size for trial in few_trials(net, [Call((small,))]) if trial.call.training] == ["3 images", ""]
    sizes = [trial.size for trial in few_trials(net, [Call((small.repeat(1, 1, 16, 16),))])]
    assert sizes.index("128 → 64") + 1 == sizes.index("128 → 256")
    assert {trial.size for trial in few_trials(net, [Call((small,), training=True)])} == {"", "3 images"}


def test_few_trials_take_what_all_trials_take() -> None:
    """What a proof leaves out is left out since another trial stands for it, and a wrong model is found by both."""
    net, other, given = nn.Linear(4, 2), nn.Linear(4, 2), [Call((torch.randn(2, 4),))]
    found, every = proved(Pair(net, net), few_trials(net, given)), proved(Pair(net, net), trials(net, given))
    assert {trial.of for trial in found.took} == {trial.call.described(net) for trial in every.took if not trial.size}
    for some in (few_trials, trials):
        with pytest.raises(NotExact):
            proved(Pair(net, other), some(net, given))


def test_modes_that_are_alike() -> None:
    """A model that does the same in both modes is run in one of them; one that does not is run in both."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert trace(plain, torch.randn(2, 4)).modes_alike
    assert compact(plain, torch.randn(2, 4)).certificate.relative_error_training is not None
    for other in (Rolled(), nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)), nn.BatchNorm1d(4)):
        assert not trace(other, torch.randn(2, 4)).modes_alike


def test_modes_alike_is_checked_on_the_smaller_model() -> None:
    """A smaller model that is another one in training mode is not taken for the model."""
    plain = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    rolled = Rolled()
    rolled.layer, rolled.last = plain[0], plain[2]
    given = [Call((torch.randn(3, 4),))]
    with pytest.raises(NotExact, match="training mode"):
        proved(Pair(plain, rolled), few_trials(plain, given), modes_alike=True)


def test_rounding_inside() -> None:
    """A model in float64 that rounds to float32 inside is compared without that, and the certificate says so."""
    torch.manual_seed(0)
    net = Rounds().double()
    with torch.no_grad():
        net.last.weight[:, 2] = 0
    found = compact(net, torch.randn(3, 4, dtype=torch.float64))
    assert found.certificate.relative_error_float64 <= 1e-10
    assert found.model.second.out_features == 5
    wrong = Rounds().double()
    with pytest.raises(NotExact):
        proved(Pair(net, wrong), few_trials(net, [Call((torch.randn(3, 4, dtype=torch.float64),))]))


def test_rounding_inside_is_said() -> None:
    """Where the order of a sum is another one, float32 inside rounds otherwise: the proof says what it left out."""
    torch.manual_seed(0)
    net, other = Rounds().double(), Rounds().double()
    order = torch.tensor([3, 1, 0, 5, 4, 2])
    state = net.state_dict()
    state |= {"first.weight": net.first.weight[order] * (1 + 1e-13), "first.bias": net.first.bias[order]}
    other.load_state_dict(state | {"second.weight": net.second.weight[:, order]})
    found = proved(Pair(net, other), few_trials(net, [Call((torch.randn(64, 4, dtype=torch.float64),))]))
    assert found.double.relative <= 1e-10
    assert "rounding inside" in found.open


class Spectral(nn.Module):
    """A layer of the frequencies of a signal, with complex weights, as in a Fourier neural operator."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(2, 6, 1), nn.Conv1d(8, 2, 1)
        self.weight = nn.Parameter(torch.randn(6, 8, 3, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.fft.rfft(torch.relu(self.first(x)))
        made = torch.zeros(len(x), 8, found.shape[-1], dtype=torch.cfloat)
        made[..., :3] = torch.einsum("bik,iok->bok", found[..., :3], self.weight)
        return self.last(torch.relu(torch.fft.irfft(made, n=x.shape[-1])))


def test_complex_weights_are_compared_in_the_precision_of_the_others():
    torch.manual_seed(0)
    net, x = Spectral().eval(), torch.randn(2, 2, 10)
    with torch.no_grad():
        net.last.weight[:, ::2] = 0
    found = compact(net, x)
    assert found.certificate.relative_error_float64 < FLOAT64
    torch.testing.assert_close(found.model(x), net(x))
