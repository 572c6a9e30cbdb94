"""An optimiser's state taken along to a smaller model: the slices of its moments that belong to what stays."""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from winnow.engine.pruning.shrinking import CutWeight

KNOWN = (SGD, Adam, AdamW)


class SmallerOptimiser(Protocol):
    """A smaller model and how each tensor was cut."""

    @property
    def model(self) -> nn.Module:
        """The smaller model."""
        ...

    @property
    def cuts(self) -> tuple[CutWeight, ...]:
        """What became of each parameter and buffer of the model that it was made of."""
        ...


def transfer(optimizer: Optimizer, compacted: SmallerOptimiser) -> Optimizer:
    """Return an optimiser for the smaller model that continues from the state of the model's own optimiser.

    Hyper-parameters stay, group by group; momenta and moments (m, v) are cut as the weights were. Parameters that the
    smaller model lacks are left out; those of other modules are kept unchanged. A bias or a column that a
    layer got for constants starts without history.

    Raises:
        ValueError: an optimiser whose state is not known to correspond to the weights entry by entry.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        >>> net(torch.ones(1, 4)).sum().backward()
        >>> optimizer.step()
        >>> net[2].weight.data[:, 0] = 0
        >>> small = compact(net, torch.ones(1, 4))
        >>> after = transfer(optimizer, small)
        >>> after.state[small.model[0].weight]["momentum_buffer"].shape
        torch.Size([2, 4])

    """
    if type(optimizer) not in KNOWN:
        names = ", ".join(kind.__name__ for kind in KNOWN)
        raise ValueError(f"`optimizer` must be one of {names}, got {type(optimizer).__name__}.")
    left = {id(parameter) for parameter in compacted.model.parameters()}
    cuts = {id(origin): cut for cut in compacted.cuts if (origin := cut.origin()) is not None}
    pairs = [[(old, _new(old, cuts)) for old in group["params"]] for group in optimizer.param_groups]
    pairs = [[(old, new) for old, new in group if id(old) not in cuts or id(new) in left] for group in pairs]
    groups: list[dict[str, Any]] = [
        {**group, "params": [*(new for _, new in found), *_added(found, cuts, compacted)]}
        for group, found in zip(optimizer.param_groups, pairs, strict=True)
    ]
    kind: Any = type(optimizer)
    moved: Optimizer = kind([group for group in groups if group["params"]])
    for old, new in (pair for group in pairs for pair in group):
        if old in optimizer.state:
            moved.state[new] = _cut_state(optimizer.state[old], old, cuts.get(id(old)))
    return moved


def _new(old: Tensor, cuts: dict[int, CutWeight]) -> Tensor:
    return cuts[id(old)].after if id(old) in cuts else old


def _added(
    found: Iterable[tuple[Tensor, Tensor]], cuts: dict[int, CutWeight], compacted: SmallerOptimiser
) -> list[nn.Parameter]:
    """Return the biases that layers of this group got for constants."""
    names = {cuts[id(old)].name for old, _ in found if id(old) in cuts}
    new = {cut.name: cut.after for cut in compacted.cuts if not cut.shape}
    owners = {name: name.rpartition(".")[0] + ".weight" for name in new}
    return [after for name, after in new.items() if owners[name] in names and isinstance(after, nn.Parameter)]


def _cut_state(state: dict[str, Any], old: Tensor, cut: CutWeight | None) -> dict[str, Any]:
    same = cut is None
    return {
        name: value.clone() if isinstance(value, Tensor) and (same or value.shape != old.shape) else _kept(value, cut)
        for name, value in state.items()
    }


def _kept(value: Any, cut: CutWeight | None) -> Any:
    """Return the entries of a moment that stay, zeros for a column that is new."""
    if not isinstance(value, Tensor) or cut is None:
        return value
    for axis, entries in cut.stays.items():
        value = value.index_select(axis, torch.from_numpy(entries).to(value.device))
    whole = torch.zeros_like(cut.after)
    whole[tuple(slice(length) for length in value.shape)] = value
    return whole
