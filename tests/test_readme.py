"""What the README shows works as shown."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.graph.trace import trace
from winnow.engine.sparsity.counts import living

README = (Path(__file__).parents[1] / "README.md").read_text()


class Own(nn.Module):
    """A user's network: two tasks, a residual sum, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.side = nn.Conv2d(32, 16, 1)
        self.heads = nn.ModuleDict({"brightness": nn.Linear(48, 1), "contrast": nn.Linear(48, 1)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.first(x)
        features = features + self.block(features)
        pooled = torch.cat([features, self.side(features).relu()], 1).mean((2, 3))
        return {task: head(pooled) for task, head in self.heads.items()}


def block(marker: str) -> str:
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.S) if marker in code]
    return found


def test_the_loop_of_your_own_removes_what_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    net, generator = Own(), torch.Generator().manual_seed(0)

    def batch(_: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.rand(16, 1, 8, 8, generator=generator) * torch.rand(16, 1, 1, 1, generator=generator)
        return images, {"brightness": images.mean((1, 2, 3)), "contrast": images.std((1, 2, 3))}

    def loss(predictions: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        return sum(functional.mse_loss(predictions[task][:, 0], value) for task, value in targets.items())

    names = {"net": net, "example": torch.rand(1, 1, 8, 8), "batch": batch, "loss": loss}
    exec(block("coupled_groups(net, example)"), names)
    zero = names["counts"].percent("mac", living(names["optimizer"].norms))
    assert zero == pytest.approx(70, abs=3)  # one channel of this small network is 3 % of its MACs
    saved = trace(net, names["example"]).savings().iloc[-1]
    assert saved["removable_macs"] > 0.6 * saved["macs"]
    exec(block("compact(net, example)"), names)
    small = names["small"]
    assert small.certificate.max_error_float64 < 1e-10
    assert sum(p.numel() for p in small.model.parameters()) < 0.6 * sum(p.numel() for p in net.parameters())
    monkeypatch.chdir(tmp_path)
    exec(block("save_model("), names)
    faster = names["figures"].query("quantity == 'macs'").set_index("model")["value"]
    assert faster["lean"] < faster["dense"]
    with torch.no_grad():
        torch.testing.assert_close(names["lean"](names["example"]), small.model(names["example"]), rtol=0, atol=0)
    names["batches"] = [batch(step) for step in range(2)]
    exec(block("relevance(net, batches)"), names)
    dead = names["found"].query("not alive")
    assert set(names["used"]["label"]) <= {"shared", "brightness", "contrast", "idle", "dead"}
    assert len(dead) > 0
    assert (dead["relevance"] == 0).all()
