"""The closed forms of the one-shot repair (`engine.pruning.repair`): a ridge regression, and the moments of a norm."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from winnow.engine.pruning.readings import Places, Reader, columns_of

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # α, in units of the mean square of what the layer reads
FITTED = 0.75  # of the images; the others judge
CHUNK = 2_048  # rows that are held at once in float64


@dataclass
class LayerOutput:
    """What a layer gave in the dense model, (P, channels), at some places of its output; how often it ran."""

    places: Places
    outputs: Tensor
    runs: int = 1

    @property
    def judges(self) -> Tensor:
        """Which rows judge, (P,): the last quarter of the images, or of the rows where there are too few images."""
        image = self.places.axes[0]
        image = image if int(image.max()) >= 3 else torch.arange(len(image), device=image.device)
        return image >= FITTED * (int(image.max()) + 1)


@dataclass(frozen=True)
class Fit:
    """The error of a layer before and after, on the rows that judge, ÷ the variance of the dense output; and α."""

    before: float = math.nan
    after: float = math.nan
    strength: float = math.nan


def new_statistics(layer: _BatchNorm, given: Tensor, seen: LayerOutput) -> Fit:
    """Give a batch norm the mean and variance of what it reads now."""
    columns = given.movedim(1, 0).flatten(1).double()
    truth = seen.outputs[seen.judges].double()

    def error() -> float:
        found = seen.places.outputs(layer.forward(given), False)[seen.judges]
        return float((found.double() - truth).square().sum()) / _spread(truth)

    before = error()
    layer.get_buffer("running_mean").copy_(columns.mean(1))
    layer.get_buffer("running_var").copy_(columns.var(1))
    return Fit(before, error())


def ridge_fit(layer: Reader, given: Tensor, seen: LayerOutput) -> Fit:
    """Fit the weights of a linear layer or convolution to what it gave, where that brings its output nearer.

    Only weights that are not zero move, and a bias that may: W' = (X'X + α s I)⁻¹ X'R is added, R what is missing.
    """
    groups, judges = getattr(layer, "groups", 1), seen.judges
    weight = columns_of(layer)  # (groups, channels, columns)
    alive = weight != 0
    read = seen.places.inputs(layer, given) * alive.any(1)[:, None]
    truth = seen.outputs.view(len(seen.outputs), groups, -1).transpose(0, 1)
    bias = layer.bias if layer.bias is not None and layer.bias.requires_grad else None
    missing = truth - read @ weight.mT - (0 if layer.bias is None else layer.bias.view(groups, 1, -1))
    missing = missing * alive.any(2)[:, None]
    fitted = _Rows(read[:, ~judges], missing[:, ~judges], centred=bias is not None)
    judged, wanted = read[:, judges].double(), missing[:, judges].double()
    before, scale = float(wanted.square().sum()), _spread(seen.outputs[judges].double())
    best, (change, shift) = Fit(before / scale, before / scale), (weight.new_zeros(()), weight.new_zeros(()))
    for strength in STRENGTHS:
        found = fitted.solved(strength, alive)
        after = float((wanted - judged @ found[0].mT - found[1]).square().sum()) / scale
        if after < best.after:
            best, (change, shift) = Fit(before / scale, after, strength), found
    if not math.isnan(best.strength):
        layer.weight.add_(change.reshape(layer.weight.shape).to(layer.weight))
        if bias is not None:
            bias.add_((shift[:, 0] * alive.any(2)).flatten().to(bias))
    return best


class _Rows:
    """The normal equations of rows (groups, P, columns) and what is missing there, (groups, P, channels)."""

    def __init__(self, read: Tensor, missing: Tensor, *, centred: bool) -> None:
        self._mean = read.double().mean(1, keepdim=True) if centred else read.new_zeros(()).double()
        self._shift = missing.double().mean(1, keepdim=True) if centred else self._mean
        self._square = torch.zeros(len(read), read.shape[2], read.shape[2], dtype=torch.float64, device=read.device)
        self._product = self._square.new_zeros(len(read), read.shape[2], missing.shape[2])
        for part, lack in zip(torch.split(read, CHUNK, 1), torch.split(missing, CHUNK, 1), strict=True):
            rows = part.double() - self._mean
            self._square += rows.mT @ rows
            self._product += rows.mT @ (lack.double() - self._shift)
        self._diagonal = self._square.diagonal(dim1=1, dim2=2)
        alive = (self._diagonal > 0).sum(1).clamp(min=1)
        self._unit = (self._diagonal.sum(1) / alive).clamp(min=torch.finfo(torch.float64).tiny)

    def solved(self, strength: float, alive: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is added to the weights, (groups, channels, columns), and to the bias, (groups, 1, channels)."""
        ridge = torch.diag_embed((strength * self._unit)[:, None].expand_as(self._diagonal))
        change = torch.linalg.solve(self._square + ridge, self._product).mT * alive
        return change, self._shift - self._mean @ change.mT if self._mean.dim() else self._shift


def _spread(outputs: Tensor) -> float:
    """Return the sum of squares of outputs (P, channels) around their means."""
    return max(float((outputs - outputs.mean(0)).square().sum()), torch.finfo(torch.float64).tiny)
