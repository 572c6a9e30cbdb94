"""A copy in another precision keeps what the model keeps: views that it holds are views of the copy's own memory."""

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.pruning import compact, precision
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.precision import private

X = torch.tensor([[0.5, -1.0, 2.0, 0.25], [1.0, 0.5, -0.5, 3.0]])


class Seen(nn.Module):
    """Writes into a buffer, and reads it through a view that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
        self.register_buffer("state", torch.zeros(2, 8))
        self.half = self.state[1, 1:5]

    def forward(self, x: Tensor) -> Tensor:
        made = torch.relu(self.a(x))
        self.state.copy_(made.detach()[:2])
        return self.b(made + torch.cat([self.half, self.half]))


def seen() -> Seen:
    torch.manual_seed(0)
    net = Seen().eval()
    with torch.no_grad():
        net.a.weight[::2], net.a.bias[::2] = 0, 0
    return net


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_view_of_a_buffer_is_a_view_of_the_copys_buffer(dtype: torch.dtype | None) -> None:
    net = seen()
    twin = private(net, dtype)
    made = twin(X.to(dtype or X.dtype)).float()
    assert torch.count_nonzero(net.state) == 0
    torch.testing.assert_close(made, net(X))
    torch.testing.assert_close(silence(net, [])(X), net(X))


def test_exact_values_reach_what_sees_their_memory() -> None:
    twin = private(seen(), exact={"state": torch.full((2, 8), 3.0)})
    assert twin.half.tolist() == [3.0] * 4


def test_a_smaller_model_whose_view_would_be_parted_is_refused_by_name() -> None:
    with pytest.raises(NotTraceable, match="`state`, whose memory another tensor sees"):
        compact(seen(), X)


def test_memory_that_is_seen_as_two_types_is_refused_by_name() -> None:
    net = nn.Linear(4, 2)
    net.register_buffer("words", torch.ones(4))
    net.bits = net.words.view(torch.int32)  # type: ignore[assignment]
    with pytest.raises(NotTraceable, match="`words`, whose memory another tensor sees as another type"):
        private(net)


def test_each_tensor_is_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copied, before = list[Tensor](), precision._typed
    monkeypatch.setattr(precision, "_typed", lambda tensor, dtype: copied.append(tensor) or before(tensor, dtype))
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(10)])
    private(net, torch.float64)
    assert len(copied) == 20
