"""What of a certificate is written into a pruning's folder."""

import torch
from torch import Tensor, nn

from winnow.engine.jobs.certificate_file import certificate_document, reasons_table
from winnow.engine.pruning import compact
from winnow.engine.specs.prune import PruneSpec


class Mixture(nn.Module):
    """Two experts, weighted by a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)) for _ in range(2))
        self.gate, self.last = nn.Linear(4, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        given = torch.stack([expert(x) for expert in self.experts], 1)
        return self.last((self.gate(x).softmax(-1).unsqueeze(-1) * given).sum(1))


def test_certificate_document_names_silent_modules() -> None:
    """An expert of zeros is replaced by zeros, and the file and its reasons say which."""
    torch.manual_seed(0)
    net = Mixture()
    with torch.no_grad():
        net.experts[1][2].weight.zero_()
        net.experts[1][2].bias.zero_()
    certificate = compact(net, torch.randn(3, 4)).certificate
    assert certificate_document(certificate, PruneSpec(), "dense")["silent"] == ["experts.1"]
    table = reasons_table(certificate)
    assert table.loc[table["kind"] == "silent", "layer"].tolist() == ["experts.1"]
